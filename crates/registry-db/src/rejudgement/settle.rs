//! How a judgement of a stored version ends: one transaction by compare-and-set, under the job's lease.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::advisory::Finding;
use registry_types::audit::AuditAction;
use registry_types::digest::Digest;
use registry_types::ids::{VerdictId, VersionId};
use registry_types::package::VersionState;
use registry_types::rejection_code::RejectionCode;
use serde_json::json;

use super::work::JudgedVersion;
use super::{Request, answer};
use crate::audit::{self, Actor, Entry};
use crate::content::{self, NewManifest};
use crate::intakes::replace_findings;
use crate::jobs::{self, Lease};
use crate::reviews::{self, NewReview};
use crate::verdicts::{self, NewVerdict};
use crate::waivers::{self, UsedWaiver};
use crate::{Connection, DbResult, listing};

/// A verdict to be served beside the image; the bytes of its blobs already lie in the object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReferrer {
    pub manifest: NewManifest,
    /// With their sizes in bytes.
    pub blobs: Vec<(Digest, u64)>,
}

/// A version decided anew.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejudgement {
    pub advisory_snapshot: i64,
    pub state: VersionState,
    /// Why it is rejected or quarantined.
    pub code: Option<RejectionCode>,
    pub verdict: NewVerdict,
    pub findings: Vec<Finding>,
    /// The waivers that the verdict rests on.
    pub waivers: Vec<UsedWaiver>,
    /// For an active version.
    pub referrer: Option<NewReferrer>,
    /// What a reviewer is shown, for a version that waits for one.
    pub entry: reviews::Entry,
    /// The request that it answers.
    pub request: Option<Request>,
}

/// Writes the new decision, unless somebody else changed the version since it was loaded, or one of the waivers that it rests
/// on is no longer in force: then `false`, and nothing is written. Call in a transaction.
///
/// # Errors
/// [`crate::DbError::Stale`] when the lease is lost.
pub async fn settle(conn: &mut Connection, lease: Lease, version: &JudgedVersion, new: &Rejudgement) -> DbResult<bool> {
    jobs::assert_held(conn, lease).await?;
    let change = StateChange {
        version: version.id,
        from: version.state,
        newest_verdict: version.verdict,
        to: new.state,
        code: new.code,
    };
    if !waivers::hold(conn, &new.waivers).await? || !change_state(conn, &change).await? {
        return Ok(false);
    }
    let verdict = verdicts::insert(conn, &new.verdict).await?;
    if version.state == VersionState::InReview {
        reviews::supersede(conn, version.id).await?;
    }
    if new.state == VersionState::InReview {
        let (digest, entry) = (Some(&version.digest), &new.entry);
        let (organization, intake) = (version.organization, version.intake);
        reviews::open(conn, &NewReview { version: version.id, organization, intake, verdict, digest, entry }).await?;
    }
    replace_findings(conn, version.id, &new.findings).await?;
    waivers::note_used(conn, version.id, &new.waivers).await?;
    insert_scans(conn, new.advisory_snapshot, &[version.id]).await?;
    answer(conn, new.request.as_slice()).await?;
    if let Some(referrer) = &new.referrer {
        content::serve_referrer(conn, version.id, &referrer.manifest, &referrer.blobs).await?;
    }
    if new.state == VersionState::Rejected {
        content::unlink_version(conn, version.id).await?;
    }
    note(conn, version, new).await?;
    if version.state.is_visible() != new.state.is_visible() {
        // Last: it holds locks that other packages' decisions wait for.
        listing::refresh_listing(conn, version.package).await?;
    }
    Ok(true)
}

/// State and newest verdict must be those that the decision rests on. A version that was active before keeps the time at
/// which it became so.
const SETTLE: &str = "\
    UPDATE versions SET state = $2, rejection_code = $3, activated_at = coalesce(activated_at, $4) \
    WHERE id = $1 AND state = $5 \
      AND $6 = (SELECT id FROM verdicts WHERE version_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1)";

/// A decided version decided again.
pub(crate) struct StateChange {
    pub(crate) version: VersionId,
    pub(crate) from: VersionState,
    pub(crate) newest_verdict: VerdictId,
    pub(crate) to: VersionState,
    pub(crate) code: Option<RejectionCode>,
}

/// `false` when the version is no longer in that state, or has another verdict.
pub(crate) async fn change_state(conn: &mut Connection, change: &StateChange) -> DbResult<bool> {
    let activated_at: Option<DateTime<Utc>> = change.to.is_visible().then(Utc::now);
    let changed = diesel::sql_query(SETTLE)
        .bind::<Uuid, _>(change.version.0)
        .bind::<Text, _>(change.to.as_str())
        .bind::<Nullable<Text>, _>(change.code.map(RejectionCode::as_str))
        .bind::<Nullable<Timestamptz>, _>(activated_at)
        .bind::<Text, _>(change.from.as_str())
        .bind::<Uuid, _>(change.newest_verdict.0)
        .execute(conn)
        .await?;
    Ok(changed > 0)
}

/// Notes that these versions stand as they are by `snapshot`, too; these requests are answered by it. Call in a transaction.
///
/// # Errors
/// [`crate::DbError::Stale`] when the lease is lost.
pub async fn mark_judged(
    conn: &mut Connection,
    lease: Lease,
    snapshot: i64,
    versions: &[VersionId],
    requests: &[Request],
) -> DbResult<()> {
    jobs::assert_held(conn, lease).await?;
    insert_scans(conn, snapshot, versions).await?;
    answer(conn, requests).await
}

async fn insert_scans(conn: &mut Connection, snapshot: i64, versions: &[VersionId]) -> DbResult<()> {
    diesel::sql_query(
        "INSERT INTO version_scans (version_id, advisory_snapshot) SELECT id, $1 FROM UNNEST($2::uuid[]) AS ids (id) \
         ON CONFLICT ON CONSTRAINT version_scans_pkey DO UPDATE SET advisory_snapshot = excluded.advisory_snapshot",
    )
    .bind::<BigInt, _>(snapshot)
    .bind::<Array<Uuid>, _>(versions.iter().map(|id| id.0).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

async fn note(conn: &mut Connection, version: &JudgedVersion, new: &Rejudgement) -> DbResult<()> {
    let details = json!({
        "package": version.package_name.to_string(),
        "version": version.number,
        "from": version.state,
        "to": new.state,
        "code": new.code,
        "advisory_snapshot": new.advisory_snapshot,
        "findings": new.findings.len(),
    });
    let entry = Entry {
        organization: Some(version.organization),
        actor: Actor::Worker,
        action: AuditAction::VersionRejudged,
        subject: audit::Subject::Version(version.id),
        details,
    };
    audit::append(conn, entry).await
}
