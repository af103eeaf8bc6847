//! How a person's decision ends: one transaction by compare-and-set, under the job's lease.

use diesel::sql_types::{Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::package::VersionState;
use registry_types::rejection_code::RejectionCode;
use serde_json::json;

use super::open::{Entry, NewReview, open, supersede};
use super::work::ReviewedVersion;
use crate::audit::{self, Actor};
use crate::jobs::{self, Lease};
use crate::rejudgement::{NewReferrer, StateChange, change_state};
use crate::verdicts::{self, NewVerdict};
use crate::{Connection, DbResult, content, durable, listing, waivers};

/// What a review led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    pub state: VersionState,
    /// Why it is rejected.
    pub code: Option<RejectionCode>,
    pub verdict: NewVerdict,
    /// For an active version with an image.
    pub referrer: Option<NewReferrer>,
    /// For a version that waits for a person once more.
    pub entry: Entry,
}

/// Writes the verdict and ends the job, unless the version has another verdict by now, or a waiver is over that its verdict
/// rests on: then `false`, and nothing is written. Call in a transaction.
///
/// # Errors
/// [`crate::DbError::Stale`] when the lease is lost.
pub async fn settle(
    conn: &mut Connection,
    lease: Lease,
    version: &ReviewedVersion,
    new: &Settlement,
) -> DbResult<bool> {
    durable(conn).await?;
    jobs::assert_held(conn, lease).await?;
    let change = StateChange {
        version: version.version,
        from: version.state,
        newest_verdict: version.verdict,
        to: new.state,
        code: new.code,
    };
    if !waivers::hold(conn, &version.waivers).await? || !change_state(conn, &change).await? {
        return Ok(false);
    }
    let verdict = verdicts::insert(conn, &new.verdict).await?;
    match new.state {
        VersionState::InReview => {
            supersede(conn, version.version).await?;
            let digest = version.image.as_ref().map(|image| &image.digest);
            let (organization, intake, entry) = (version.organization, version.intake, &new.entry);
            open(conn, &NewReview { version: version.version, organization, intake, verdict, digest, entry }).await?;
        }
        VersionState::Pending
        | VersionState::Active
        | VersionState::Rejected
        | VersionState::Quarantined
        | VersionState::Yanked => mark_settled(conn, version).await?,
    }
    if let Some(referrer) = &new.referrer {
        content::serve_referrer(conn, version.version, &referrer.manifest, &referrer.blobs).await?;
    }
    if new.state == VersionState::Rejected {
        content::unlink_version(conn, version.version).await?;
    }
    note(conn, version, new).await?;
    jobs::finish(conn, lease).await?;
    if new.state.is_visible() {
        // Last: it holds locks that other packages' decisions wait for.
        listing::refresh_listing(conn, version.package).await?;
    }
    Ok(true)
}

async fn mark_settled(conn: &mut Connection, version: &ReviewedVersion) -> DbResult<()> {
    diesel::sql_query("UPDATE reviews SET settled_at = store_now() WHERE id = $1 AND state = $2")
        .bind::<Uuid, _>(version.review.0)
        .bind::<Text, _>(version.review_state.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Opens a decided review again whose verdict could not be written, for people to decide anew. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn reopen(conn: &mut Connection, version: &ReviewedVersion) -> DbResult<()> {
    diesel::sql_query(
        "UPDATE reviews SET state = 'open', claimed_by = NULL, claimed_at = NULL, decided_by = NULL, decided_at = NULL, \
         reason = NULL WHERE id = $1 AND settled_at IS NULL AND state IN ('approved', 'rejected')",
    )
    .bind::<Uuid, _>(version.review.0)
    .execute(conn)
    .await?;
    let entry = audit::Entry {
        organization: Some(version.organization),
        actor: Actor::Worker,
        action: AuditAction::ReviewReopened,
        subject: audit::Subject::Review(version.review),
        details: json!({
            "package": version.package_name.to_string(),
            "version": version.number,
            "decided_by": version.decided_by,
            "was": version.review_state,
        }),
    };
    audit::append(conn, entry).await
}

async fn note(conn: &mut Connection, version: &ReviewedVersion, new: &Settlement) -> DbResult<()> {
    let details = json!({
        "package": version.package_name.to_string(),
        "version": version.number,
        "from": version.state,
        "to": new.state,
        "code": new.code,
        "review": version.review,
        "reviewer": version.decided_by,
        "digest": version.image.as_ref().map(|image| &image.digest),
    });
    let entry = audit::Entry {
        organization: Some(version.organization),
        actor: Actor::Worker,
        action: AuditAction::VersionReviewed,
        subject: audit::Subject::Version(version.version),
        details,
    };
    audit::append(conn, entry).await
}
