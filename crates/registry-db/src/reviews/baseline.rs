//! What a version is compared with.

use diesel::prelude::*;
use diesel::sql_types::{Json, Jsonb, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::ids::{PackageId, VersionId};
use registry_types::intake::{CheckName, CheckResult};
use registry_types::package::PackageFormat;
use serde_json::Value;

use crate::error::stored;
use crate::rejudgement::checks_of;
use crate::{Connection, DbError, DbResult};

/// The newest active version of a package, as its newest verdict has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    pub number: semver::Version,
    pub format: PackageFormat,
    pub package_manifest: Value,
    pub checks: Vec<CheckResult>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    format: String,
    #[diesel(sql_type = Json)]
    package_manifest: Value,
    #[diesel(sql_type = Uuid)]
    intake_id: uuid::Uuid,
    #[diesel(sql_type = Nullable<Jsonb>)]
    vulnerabilities: Option<Value>,
}

/// The newest active version is the one that lists show; `vulnerabilities` is what the newest judgement found.
const BASELINE: &str = "\
    SELECT v.version, p.format, v.package_manifest, d.intake_id, ( \
        SELECT vulnerabilities FROM verdicts WHERE intake_id = d.intake_id AND advisory_snapshot IS NOT NULL \
        ORDER BY created_at DESC, id DESC LIMIT 1) AS vulnerabilities \
    FROM packages p JOIN versions v ON v.id = p.latest_version_id AND v.state = 'active' \
    JOIN LATERAL (SELECT intake_id FROM verdicts WHERE version_id = v.id ORDER BY created_at DESC, id DESC LIMIT 1) d ON true \
    WHERE p.id = $1 AND v.id <> $2";

/// What the next version of a package is compared with; `None` while none is active.
///
/// # Errors
/// When the database does not answer.
pub async fn baseline(conn: &mut Connection, package: PackageId, next: VersionId) -> DbResult<Option<Baseline>> {
    let found = diesel::sql_query(BASELINE).bind::<Uuid, _>(package.0).bind::<Uuid, _>(next.0);
    let row: Option<Row> = found.get_result(conn).await.optional()?;
    let Some(row) = row else { return Ok(None) };
    let mut checks = checks_of(conn, &[row.intake_id]).await?.remove(&row.intake_id).unwrap_or_default();
    if let Some(rejudged) = row.vulnerabilities {
        checks.retain(|check| check.name != CheckName::Vulnerabilities);
        checks.push(serde_json::from_value(rejudged).map_err(|e| DbError::corrupt("check")(Box::new(e)))?);
    }
    Ok(Some(Baseline {
        number: stored("version", &row.version)?,
        format: stored("package format", &row.format)?,
        package_manifest: row.package_manifest,
        checks,
    }))
}
