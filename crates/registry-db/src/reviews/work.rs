//! What the verdict of a reviewed version is made of.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bytea, Json, Jsonb, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use registry_types::digest::Digest;
use registry_types::ids::{IntakeId, OrganizationId, PackageId, ReviewId, UserId, VerdictId, VersionId, WaiverId};
use registry_types::intake::{CheckName, CheckResult, Reason};
use registry_types::names::PackageName;
use registry_types::package::{PackageFormat, VersionState};
use registry_types::people::TrustTier;
use registry_types::review::ReviewState;
use registry_types::verdict::Decision;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::stored;
use crate::rejudgement::checks_of;
use crate::schema::version_waivers;
use crate::verdicts::Rejudged;
use crate::{Connection, DbError, DbResult};

/// The top manifest of a version's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedManifest {
    pub digest: Digest,
    pub media_type: String,
    /// In bytes.
    pub size: usize,
}

/// A review with all of its version that a verdict states.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewedVersion {
    pub review: ReviewId,
    pub review_state: ReviewState,
    pub is_settled: bool,
    pub decided_by: Option<UserId>,
    pub decided_at: Option<DateTime<Utc>>,
    pub reason: Option<String>,
    pub version: VersionId,
    pub number: semver::Version,
    pub state: VersionState,
    pub package: PackageId,
    pub package_name: PackageName,
    pub organization: OrganizationId,
    pub tier: TrustTier,
    pub format: PackageFormat,
    pub package_manifest: Value,
    pub intake: IntakeId,
    pub image_reference: Option<String>,
    pub image: Option<PinnedManifest>,
    /// The verdict that the review is about, its envelope, and why it asks a person.
    pub verdict: VerdictId,
    pub envelope: Vec<u8>,
    pub asked: Vec<Reason>,
    /// What that verdict was judged anew by, if it was.
    pub rejudged: Option<Rejudged>,
    /// As that verdict had them, in the order of the pipeline.
    pub checks: Vec<CheckResult>,
    /// The waivers that it rests on.
    pub waivers: Vec<WaiverId>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    review_state: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    settled_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Uuid>)]
    decided_by: Option<uuid::Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    decided_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Uuid)]
    version_id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Uuid)]
    package_id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    publisher: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Uuid)]
    organization_id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    trust_tier: String,
    #[diesel(sql_type = Text)]
    format: String,
    #[diesel(sql_type = Json)]
    package_manifest: Value,
    #[diesel(sql_type = Uuid)]
    intake_id: uuid::Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    image_reference: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    digest: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    media_type: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    manifest_size: Option<i64>,
    #[diesel(sql_type = Uuid)]
    verdict_id: uuid::Uuid,
    #[diesel(sql_type = Bytea)]
    envelope: Vec<u8>,
    #[diesel(sql_type = Jsonb)]
    decision: Value,
    #[diesel(sql_type = Nullable<BigInt>)]
    advisory_snapshot: Option<i64>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    vulnerabilities: Option<Value>,
}

const REVIEWED: &str = "\
    SELECT r.state AS review_state, r.settled_at, r.decided_by, r.decided_at, r.reason, v.id AS version_id, v.version, \
        v.state, v.package_id, o.slug AS publisher, p.name, p.organization_id, o.trust_tier, p.format, v.package_manifest, \
        r.intake_id, i.image_reference, v.digest, v.media_type, octet_length(m.bytes)::bigint AS manifest_size, \
        d.id AS verdict_id, d.envelope, d.decision, d.advisory_snapshot, d.vulnerabilities \
    FROM reviews r JOIN versions v ON v.id = r.version_id JOIN packages p ON p.id = v.package_id \
    JOIN organizations o ON o.id = p.organization_id JOIN intakes i ON i.id = r.intake_id \
    JOIN verdicts d ON d.id = r.verdict_id LEFT JOIN manifests m ON m.digest = v.digest \
    WHERE r.id = $1";

/// # Errors
/// [`DbError::NotFound`] when there is no such review.
pub async fn load(conn: &mut Connection, id: ReviewId) -> DbResult<ReviewedVersion> {
    let row: Row = diesel::sql_query(REVIEWED).bind::<Uuid, _>(id.0).get_result(conn).await?;
    let mut checks = checks_of(conn, &[row.intake_id]).await?.remove(&row.intake_id).unwrap_or_default();
    let rejudged = match (row.advisory_snapshot, row.vulnerabilities) {
        (Some(advisory_snapshot), Some(check)) => {
            Some(Rejudged { advisory_snapshot, vulnerabilities: parsed("check", check)? })
        }
        (Some(_), None) | (None, _) => None,
    };
    if let Some(rejudged) = &rejudged {
        checks.retain(|check| check.name != CheckName::Vulnerabilities);
        checks.push(rejudged.vulnerabilities.clone());
    }
    checks.sort_by_key(|check| check.name);
    let waivers: Vec<uuid::Uuid> = version_waivers::table
        .filter(version_waivers::version_id.eq(row.version_id))
        .select(version_waivers::waiver_id)
        .load(conn)
        .await?;
    let image = match (row.digest, row.media_type, row.manifest_size) {
        (Some(digest), Some(media_type), Some(size)) => Some(PinnedManifest {
            digest: stored("digest", &digest)?,
            media_type,
            size: usize::try_from(size).map_err(|e| DbError::corrupt("size")(Box::new(e)))?,
        }),
        _ => None,
    };
    Ok(ReviewedVersion {
        review: id,
        review_state: stored("review state", &row.review_state)?,
        is_settled: row.settled_at.is_some(),
        decided_by: row.decided_by.map(Into::into),
        decided_at: row.decided_at,
        reason: row.reason,
        version: row.version_id.into(),
        number: stored("version", &row.version)?,
        state: stored("version state", &row.state)?,
        package: row.package_id.into(),
        package_name: stored("package name", &format!("{}/{}", row.publisher, row.name))?,
        organization: row.organization_id.into(),
        tier: stored("trust tier", &row.trust_tier)?,
        format: stored("package format", &row.format)?,
        package_manifest: row.package_manifest,
        intake: row.intake_id.into(),
        image_reference: row.image_reference,
        image,
        verdict: row.verdict_id.into(),
        envelope: row.envelope,
        asked: asked(row.decision)?,
        rejudged,
        checks,
        waivers: waivers.into_iter().map(Into::into).collect(),
    })
}

fn asked(decision: Value) -> DbResult<Vec<Reason>> {
    Ok(match parsed("decision", decision)? {
        Decision::InReview { reasons, .. } => reasons,
        Decision::Active { .. } | Decision::Rejected { .. } => Vec::new(),
    })
}

/// What persons have accepted of what these intakes found, where the verdict was written that it led to.
pub(crate) async fn accepted(
    conn: &mut Connection,
    intakes: &[uuid::Uuid],
) -> DbResult<HashMap<uuid::Uuid, Vec<Reason>>> {
    #[derive(QueryableByName)]
    struct Accepted {
        #[diesel(sql_type = Uuid)]
        intake_id: uuid::Uuid,
        #[diesel(sql_type = Jsonb)]
        decision: Value,
    }
    let rows: Vec<Accepted> = diesel::sql_query(
        "SELECT r.intake_id, d.decision FROM reviews r JOIN verdicts d ON d.id = r.verdict_id \
         WHERE r.intake_id = ANY($1) AND r.state = 'approved' AND r.settled_at IS NOT NULL",
    )
    .bind::<Array<Uuid>, _>(intakes)
    .load(conn)
    .await?;
    let mut accepted: HashMap<_, Vec<Reason>> = HashMap::new();
    for row in rows {
        accepted.entry(row.intake_id).or_default().extend(asked(row.decision)?);
    }
    Ok(accepted)
}

fn parsed<T: DeserializeOwned>(what: &'static str, json: Value) -> DbResult<T> {
    serde_json::from_value(json).map_err(|e| DbError::corrupt(what)(Box::new(e)))
}
