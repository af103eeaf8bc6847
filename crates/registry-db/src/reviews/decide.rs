//! What reviewers do.

use diesel::sql_types::{Bool, Integer, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::digest::Digest;
use registry_types::ids::{ReviewId, UserId, VerdictId};
use registry_types::intake::Reason;
use registry_types::job::JobPayload;
use registry_types::review::{CLAIM_HOURS, ReviewReason, ReviewState};
use registry_types::verdict::beyond_people;
use serde_json::json;

use super::read::{Review, get};
use super::work;
use crate::audit::{self, Actor, Entry};
use crate::jobs::{self, Enqueue};
use crate::packages::Viewer;
use crate::{Connection, DbResult, durable, store_settings};

/// Why a reviewer may not do so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It was decided before.
    NotOpen {
        state: ReviewState,
    },
    ClaimedByAnother,
    /// A later verdict stands, or the reviewer saw another one.
    Outdated,
    /// A reviewer never reviews an own publish.
    OwnPublish,
    /// Something could not be told that no person can accept.
    BeyondPeople {
        reasons: Vec<Reason>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Approve,
    Reject,
}

/// A person's decision about what that person saw.
#[derive(Debug, Clone)]
pub struct PersonDecision {
    pub choice: Choice,
    pub verdict: VerdictId,
    pub digest: Option<Digest>,
    /// Always there for a rejection.
    pub reason: Option<ReviewReason>,
    pub by: UserId,
    pub actor: Actor,
    pub request_id: String,
}

/// Takes a review on, which keeps others from deciding it for a day. Call in a transaction.
///
/// # Errors
/// [`crate::DbError::NotFound`].
pub async fn claim(
    conn: &mut Connection,
    viewer: &Viewer,
    id: ReviewId,
    by: UserId,
    actor: Actor,
) -> DbResult<Result<Review, Refused>> {
    let review = match locked(conn, viewer, id, by).await? {
        Ok(review) => review,
        Err(refused) => return Ok(Err(refused)),
    };
    diesel::sql_query("UPDATE reviews SET state = $2, claimed_by = $3, claimed_at = store_now() WHERE id = $1")
        .bind::<Uuid, _>(id.0)
        .bind::<Text, _>(ReviewState::Claimed.as_str())
        .bind::<Uuid, _>(by.0)
        .execute(conn)
        .await?;
    note(conn, &review, actor, AuditAction::ReviewClaimed, None).await?;
    get(conn, viewer, id).await.map(Ok)
}

/// Records the decision, with the job that writes the verdict which it leads to. Call in a transaction.
///
/// # Errors
/// [`crate::DbError::NotFound`].
pub async fn decide(
    conn: &mut Connection,
    viewer: &Viewer,
    id: ReviewId,
    decision: &PersonDecision,
) -> DbResult<Result<Review, Refused>> {
    durable(conn).await?;
    let review = match locked(conn, viewer, id, decision.by).await? {
        Ok(review) => review,
        Err(refused) => return Ok(Err(refused)),
    };
    if (decision.verdict, &decision.digest) != (review.verdict, &review.digest) {
        return Ok(Err(Refused::Outdated));
    }
    let (state, action) = match decision.choice {
        Choice::Approve => {
            let reasons = beyond(conn, id).await?;
            if !reasons.is_empty() {
                return Ok(Err(Refused::BeyondPeople { reasons }));
            }
            (ReviewState::Approved, AuditAction::ReviewApproved)
        }
        Choice::Reject => (ReviewState::Rejected, AuditAction::ReviewRejected),
    };
    diesel::sql_query(
        "UPDATE reviews SET state = $2, decided_by = $3, decided_at = store_now(), reason = $4 WHERE id = $1",
    )
    .bind::<Uuid, _>(id.0)
    .bind::<Text, _>(state.as_str())
    .bind::<Uuid, _>(decision.by.0)
    .bind::<Nullable<Text>, _>(decision.reason.as_ref().map(ReviewReason::as_str))
    .execute(conn)
    .await?;
    note(conn, &review, decision.actor, action, decision.reason.as_ref()).await?;
    let how = Enqueue {
        organization: Some(review.organization),
        request_id: Some(decision.request_id.clone()),
        dedup_key: Some(format!("review:{id}")),
        ..Enqueue::default()
    };
    jobs::enqueue(conn, &JobPayload::Review { review: id }, how).await?;
    get(conn, viewer, id).await.map(Ok)
}

/// The review, if it waits for this person. A verdict that is being written is waited for.
async fn locked(conn: &mut Connection, viewer: &Viewer, id: ReviewId, by: UserId) -> DbResult<Result<Review, Refused>> {
    diesel::sql_query("SELECT FROM reviews WHERE id = $1 FOR UPDATE").bind::<Uuid, _>(id.0).execute(conn).await?;
    let review = get(conn, viewer, id).await?;
    if review.published_by.contains(&by) {
        return Ok(Err(Refused::OwnPublish));
    }
    Ok(match review.state {
        ReviewState::Open => Ok(review),
        ReviewState::Claimed if review.claimed_by == Some(by) || has_lapsed(conn, id).await? => Ok(review),
        ReviewState::Claimed => Err(Refused::ClaimedByAnother),
        ReviewState::Superseded => Err(Refused::Outdated),
        state @ (ReviewState::Approved | ReviewState::Rejected) => Err(Refused::NotOpen { state }),
    })
}

async fn has_lapsed(conn: &mut Connection, id: ReviewId) -> DbResult<bool> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        has_lapsed: bool,
    }
    let sql = "SELECT claimed_at + make_interval(hours => $2) <= store_now() AS has_lapsed FROM reviews WHERE id = $1";
    let row: Row =
        diesel::sql_query(sql).bind::<Uuid, _>(id.0).bind::<Integer, _>(CLAIM_HOURS).get_result(conn).await?;
    Ok(row.has_lapsed)
}

/// Why no person can approve the version, under the policy in force.
async fn beyond(conn: &mut Connection, id: ReviewId) -> DbResult<Vec<Reason>> {
    let policy = store_settings::policy(conn).await?;
    let checks = work::load(conn, id).await?.checks;
    Ok(beyond_people(&checks, &policy))
}

async fn note(
    conn: &mut Connection,
    review: &Review,
    actor: Actor,
    action: AuditAction,
    reason: Option<&ReviewReason>,
) -> DbResult<()> {
    let details = json!({
        "package": review.package_name.to_string(),
        "version": review.version_number,
        "version_id": review.version,
        "digest": review.digest,
        "verdict": review.verdict,
        "reason": reason,
    });
    let subject = audit::Subject::Review(review.id);
    audit::append(conn, Entry { organization: Some(review.organization), actor, action, subject, details }).await
}
