//! Claim, approve and reject.

use actix_web::{HttpResponse, post, web};
use registry_db::organizations::OrganizationKey;
use registry_db::packages::Viewer;
use registry_db::reviews::{self, Choice, PersonDecision, Review};
use registry_db::transaction;
use registry_db::users::Identity;
use registry_types::digest::Digest;
use registry_types::ids::{ReviewId, VerdictId};
use registry_types::review::ReviewReason;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::refusal;
use super::wire::{ReviewItem, items};
use crate::problem::{Problem, ProblemBody, Problems};
use crate::request::RequestId;
use crate::rights::{Authenticated, Operation, organization_of};
use crate::state::AppState;

/// What the reviewer saw, and thinks of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReviewDecision {
    /// `verdict` of the review.
    pub(crate) verdict: Uuid,
    /// `digest` of the review; null for packages without an image.
    #[serde(default)]
    pub(crate) digest: Option<String>,
    /// Why; demanded of a rejection, whose publisher reads it.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// Take a review on (superuser; in an internal organization its administrators)
///
/// It keeps others from deciding for a day. Never the person who published the version.
#[utoipa::path(
    tag = "reviews",
    operation_id = "claimReview",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "Claimed", body = ReviewItem),
        (status = 403, description = "`ANOTHER_PERSON_REQUIRED`, `FORBIDDEN`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`REVIEW_NOT_OPEN`, `REVIEW_OUTDATED`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []))
)]
#[post("/v1/reviews/{id}/claim")]
pub(crate) async fn claim(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    id: web::Path<Uuid>,
) -> Result<web::Json<ReviewItem>, Problem> {
    claim_as(&state, &identity, id.into_inner()).await.map(web::Json)
}

/// Let a version become active (superuser; in an internal organization its administrators)
///
/// Answers at once; the verdict that names the review follows within moments. A failed check is never approved, nor what could
/// not be told by a check that the policy leaves to nobody.
#[utoipa::path(
    tag = "reviews",
    operation_id = "approveReview",
    params(("id" = Uuid, Path)),
    request_body = ReviewDecision,
    responses(
        (status = 202, description = "Recorded", body = ReviewItem),
        (status = 403, description = "`ANOTHER_PERSON_REQUIRED`, `FORBIDDEN`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`REVIEW_OUTDATED`, `REVIEW_NOT_OPEN`, `REVIEW_NOT_DECIDABLE`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []))
)]
#[post("/v1/reviews/{id}/approve")]
pub(crate) async fn approve(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    request_id: web::ReqData<RequestId>,
    id: web::Path<Uuid>,
    body: web::Json<ReviewDecision>,
) -> Result<HttpResponse, Problem> {
    let (id, request_id) = (id.into_inner(), request_id.into_inner());
    decide_as(&state, &identity, request_id, id, Choice::Approve, body.into_inner()).await.map(accepted)
}

/// Reject a version with a reason (superuser; in an internal organization its administrators)
///
/// Answers at once; the verdict follows within moments. The version number may then be published again.
#[utoipa::path(
    tag = "reviews",
    operation_id = "rejectReview",
    params(("id" = Uuid, Path)),
    request_body = ReviewDecision,
    responses(
        (status = 202, description = "Recorded", body = ReviewItem),
        (status = 403, description = "`ANOTHER_PERSON_REQUIRED`, `FORBIDDEN`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`REVIEW_OUTDATED`, `REVIEW_NOT_OPEN`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []))
)]
#[post("/v1/reviews/{id}/reject")]
pub(crate) async fn reject(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    request_id: web::ReqData<RequestId>,
    id: web::Path<Uuid>,
    body: web::Json<ReviewDecision>,
) -> Result<HttpResponse, Problem> {
    let (id, request_id) = (id.into_inner(), request_id.into_inner());
    decide_as(&state, &identity, request_id, id, Choice::Reject, body.into_inner()).await.map(accepted)
}

fn accepted(review: ReviewItem) -> HttpResponse {
    HttpResponse::Accepted().insert_header(("Location", format!("/v1/reviews/{}", review.id))).json(review)
}

/// [`claim`], for the page.
pub(crate) async fn claim_as(state: &AppState, identity: &Identity, id: Uuid) -> Result<ReviewItem, Problem> {
    let id = ReviewId(id);
    demand_reviewer(state, identity, Operation::ClaimReview, id).await?;
    let viewer = Viewer::of(Some(identity));
    let mut conn = state.pool.get().await?;
    let review = transaction(&mut conn, async |conn| -> Result<Review, Problem> {
        reviews::claim(conn, &viewer, id, identity.user, identity.actor()).await?.map_err(refusal)
    })
    .await?;
    items(&mut conn, identity, vec![review]).await?.pop().ok_or_else(|| Problem::not_found("review"))
}

/// [`approve`] and [`reject`], for the page as well.
pub(crate) async fn decide_as(
    state: &AppState,
    identity: &Identity,
    request_id: RequestId,
    id: Uuid,
    choice: Choice,
    body: ReviewDecision,
) -> Result<ReviewItem, Problem> {
    let id = ReviewId(id);
    let operation = match choice {
        Choice::Approve => Operation::ApproveReview,
        Choice::Reject => Operation::RejectReview,
    };
    demand_reviewer(state, identity, operation, id).await?;
    let decision = parse(identity, request_id, choice, body)?;
    let viewer = Viewer::of(Some(identity));
    let mut conn = state.pool.get().await?;
    let review = transaction(&mut conn, async |conn| -> Result<Review, Problem> {
        reviews::decide(conn, &viewer, id, &decision).await?.map_err(refusal)
    })
    .await?;
    items(&mut conn, identity, vec![review]).await?.pop().ok_or_else(|| Problem::not_found("review"))
}

fn parse(
    identity: &Identity,
    request_id: RequestId,
    choice: Choice,
    body: ReviewDecision,
) -> Result<PersonDecision, Problem> {
    let reason = body.reason.filter(|reason| !reason.trim().is_empty()).map(|reason| reason.parse::<ReviewReason>());
    let reason = reason.transpose().map_err(|error| Problem::bad_request(error.to_string()))?;
    match choice {
        Choice::Reject if reason.is_none() => return Err(Problem::bad_request("a rejection has a reason")),
        Choice::Reject | Choice::Approve => {}
    }
    let digest = body.digest.map(|digest| digest.parse::<Digest>()).transpose();
    Ok(PersonDecision {
        choice,
        verdict: VerdictId(body.verdict),
        digest: digest.map_err(|_| Problem::bad_request("digest is none"))?,
        reason,
        by: identity.user,
        actor: identity.actor(),
        request_id: request_id.0,
    })
}

/// 404 for whoever may not see the review, 403 for whoever sees it and may not decide.
async fn demand_reviewer(
    state: &AppState,
    identity: &Identity,
    operation: Operation,
    id: ReviewId,
) -> Result<(), Problem> {
    let review = reviews::get(&mut *state.pool.get().await?, &Viewer::of(Some(identity)), id).await?;
    let organization = organization_of(state, identity, &OrganizationKey::Id(review.organization)).await?;
    operation.demand(identity, &organization)
}
