//! What a judgement of a stored version starts from.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bytea, Json, Jsonb, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::advisory::Finding;
use registry_types::component::Component;
use registry_types::digest::Digest;
use registry_types::ids::{IntakeId, OrganizationId, PackageId, VerdictId, VersionId};
use registry_types::intake::{CheckName, CheckResult, Reason};
use registry_types::names::PackageName;
use registry_types::package::{PackageFormat, VersionState};
use registry_types::people::TrustTier;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::stored;
use crate::schema::{components, findings, intake_checks};
use crate::waivers::{self, Waiver};
use crate::{Connection, DbError, DbResult, reviews};

/// A version as its newest verdict left it.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedVersion {
    pub id: VersionId,
    pub number: semver::Version,
    pub state: VersionState,
    pub package: PackageId,
    pub package_name: PackageName,
    pub organization: OrganizationId,
    pub tier: TrustTier,
    pub format: PackageFormat,
    /// Of a version that waits for a person, which is compared with the last active one; null for others.
    pub package_manifest: Value,
    /// The intake whose checks the verdict rests on.
    pub intake: IntakeId,
    pub image_reference: Option<String>,
    pub digest: Digest,
    pub media_type: String,
    /// Of the top manifest, in bytes.
    pub manifest_size: usize,
    pub verdict: VerdictId,
    /// The DSSE envelope of that verdict.
    pub envelope: Vec<u8>,
    /// As the verdict had them, in the order of the pipeline.
    pub checks: Vec<CheckResult>,
    pub components: Vec<Component>,
    pub findings: Vec<Finding>,
    /// Those in force of its organization, at `at`.
    pub waivers: Vec<Waiver>,
    /// What a person has accepted about these bytes.
    pub accepted: Vec<Reason>,
    pub at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct VersionRow {
    #[diesel(sql_type = Uuid)]
    id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Text)]
    digest: String,
    #[diesel(sql_type = Text)]
    media_type: String,
    #[diesel(sql_type = BigInt)]
    manifest_size: i64,
    #[diesel(sql_type = Uuid)]
    package_id: uuid::Uuid,
    #[diesel(sql_type = Uuid)]
    organization_id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    trust_tier: String,
    #[diesel(sql_type = Text)]
    format: String,
    #[diesel(sql_type = Json)]
    package_manifest: Value,
    #[diesel(sql_type = Text)]
    publisher: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Uuid)]
    intake_id: uuid::Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    image_reference: Option<String>,
    #[diesel(sql_type = Uuid)]
    verdict_id: uuid::Uuid,
    #[diesel(sql_type = Bytea)]
    envelope: Vec<u8>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    vulnerabilities: Option<Value>,
}

const VERSIONS: &str = "\
    SELECT v.id, v.version, v.state, v.digest, v.media_type, octet_length(m.bytes)::bigint AS manifest_size, v.package_id, \
        p.organization_id, o.trust_tier, p.format, CASE v.state WHEN 'in_review' THEN v.package_manifest ELSE 'null' END AS package_manifest, \
        o.slug AS publisher, p.name, d.intake_id, i.image_reference, d.id AS verdict_id, d.envelope, \
        ( \
            SELECT vulnerabilities FROM verdicts WHERE intake_id = d.intake_id AND advisory_snapshot IS NOT NULL \
            ORDER BY created_at DESC, id DESC LIMIT 1) AS vulnerabilities \
    FROM versions v JOIN packages p ON p.id = v.package_id JOIN organizations o ON o.id = p.organization_id \
    JOIN manifests m ON m.digest = v.digest \
    JOIN LATERAL (SELECT * FROM verdicts WHERE version_id = v.id ORDER BY created_at DESC, id DESC LIMIT 1) d ON true \
    JOIN intakes i ON i.id = d.intake_id \
    WHERE v.id = ANY($1) ORDER BY v.id";

/// Those of `ids` that have an image and a verdict. A few dozen are a good number.
///
/// # Errors
/// When the database does not answer.
pub async fn load(conn: &mut Connection, ids: &[VersionId]) -> DbResult<Vec<JudgedVersion>> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    let rows: Vec<VersionRow> = diesel::sql_query(VERSIONS).bind::<Array<Uuid>, _>(&ids).load(conn).await?;
    let intakes: Vec<uuid::Uuid> = rows.iter().map(|row| row.intake_id).collect();
    let mut checks = checks_of(conn, &intakes).await?;
    let mut components = by_version::<Component>(
        "component",
        components::table
            .filter(components::version_id.eq_any(&ids))
            .order((components::version_id, components::ordinal))
            .select((components::version_id, components::component))
            .load(conn)
            .await?,
    )?;
    let mut findings = by_version::<Finding>(
        "finding",
        findings::table
            .filter(findings::version_id.eq_any(&ids))
            .order((findings::version_id, findings::ordinal))
            .select((findings::version_id, findings::finding))
            .load(conn)
            .await?,
    )?;
    let organizations: Vec<OrganizationId> = rows.iter().map(|row| row.organization_id.into()).collect();
    let mut accepted = reviews::accepted(conn, &intakes).await?;
    let standing = waivers::of_organizations(conn, &organizations).await?;
    rows.into_iter()
        .map(|row| {
            let mut version = row.version(checks.remove(&row.intake_id).unwrap_or_default(), standing.at)?;
            let own = |waiver: &&Waiver| waiver.organization == version.organization;
            version.accepted = accepted.remove(&row.intake_id).unwrap_or_default();
            version.waivers = standing.waivers.iter().filter(own).cloned().collect();
            version.components = components.remove(&row.id).unwrap_or_default();
            version.findings = findings.remove(&row.id).unwrap_or_default();
            Ok(version)
        })
        .collect()
}

impl VersionRow {
    /// Components, findings and waivers are still missing.
    fn version(&self, mut checks: Vec<CheckResult>, at: DateTime<Utc>) -> DbResult<JudgedVersion> {
        if let Some(rejudged) = &self.vulnerabilities {
            checks.retain(|check| check.name != CheckName::Vulnerabilities);
            checks.push(parsed("check", rejudged.clone())?);
        }
        checks.sort_by_key(|check| check.name);
        Ok(JudgedVersion {
            id: self.id.into(),
            number: stored("version", &self.version)?,
            state: stored("version state", &self.state)?,
            package: self.package_id.into(),
            package_name: stored("package name", &format!("{}/{}", self.publisher, self.name))?,
            organization: self.organization_id.into(),
            tier: stored("trust tier", &self.trust_tier)?,
            format: stored("package format", &self.format)?,
            package_manifest: self.package_manifest.clone(),
            intake: self.intake_id.into(),
            image_reference: self.image_reference.clone(),
            digest: stored("digest", &self.digest)?,
            media_type: self.media_type.clone(),
            manifest_size: usize::try_from(self.manifest_size).map_err(|e| DbError::corrupt("size")(Box::new(e)))?,
            verdict: self.verdict_id.into(),
            envelope: self.envelope.clone(),
            checks,
            components: Vec::new(),
            findings: Vec::new(),
            waivers: Vec::new(),
            accepted: Vec::new(),
            at,
        })
    }
}

/// The checks of these intakes, as they found them.
pub(crate) async fn checks_of(
    conn: &mut Connection,
    intakes: &[uuid::Uuid],
) -> DbResult<HashMap<uuid::Uuid, Vec<CheckResult>>> {
    let rows: Vec<(uuid::Uuid, String, String, Value, Value)> = intake_checks::table
        .filter(intake_checks::intake_id.eq_any(intakes))
        .select((
            intake_checks::intake_id,
            intake_checks::name,
            intake_checks::outcome,
            intake_checks::reasons,
            intake_checks::evidence,
        ))
        .load(conn)
        .await?;
    let mut checks: HashMap<_, Vec<_>> = HashMap::new();
    for (intake, name, outcome, reasons, evidence) in rows {
        checks.entry(intake).or_default().push(CheckResult {
            name: stored("check name", &name)?,
            outcome: stored("check outcome", &outcome)?,
            reasons: parsed("check reasons", reasons)?,
            evidence,
        });
    }
    Ok(checks)
}

fn by_version<T: DeserializeOwned>(
    what: &'static str,
    rows: Vec<(uuid::Uuid, Value)>,
) -> DbResult<HashMap<uuid::Uuid, Vec<T>>> {
    let mut found: HashMap<_, Vec<T>> = HashMap::new();
    for (version, json) in rows {
        found.entry(version).or_default().push(parsed(what, json)?);
    }
    Ok(found)
}

fn parsed<T: DeserializeOwned>(what: &'static str, json: Value) -> DbResult<T> {
    serde_json::from_value(json).map_err(|e| DbError::corrupt(what)(Box::new(e)))
}
