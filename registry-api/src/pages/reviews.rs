//! The page of the review queue, and its forms.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use askama::Template;
use registry_db::organizations::OrganizationKey;
use registry_db::users::Identity;
use registry_types::names::PackageName;
use registry_types::review::Change;
use serde::Deserialize;
use uuid::Uuid;

use super::frame::{Frame, Section, log_in_first, render, see_other};
use super::text;
use crate::paging::{List, PageQuery};
use crate::problem::Problem;
use crate::request::RequestId;
use crate::reviews::{Choice, ReviewDecision, ReviewItem, ReviewQuery, claim_as, decide_as, waiting};
use crate::rights::{Authenticated, MaybeAuthenticated, Operation, own_organization};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "reviews.html")]
struct ReviewsPage {
    frame: Frame,
    reviews: Vec<ReviewView>,
    next: Option<String>,
}

struct ReviewView {
    id: Uuid,
    may_decide: bool,
    package: String,
    version: String,
    state: &'static str,
    tier: &'static str,
    since: String,
    image: Option<String>,
    digest: Option<String>,
    verdict: Uuid,
    intake: Uuid,
    claimed_by: Option<String>,
    reasons: Vec<String>,
    compared_with: Option<String>,
    changes: Vec<ChangeView>,
    warnings: Vec<String>,
}

struct ChangeView {
    grows: bool,
    text: String,
}

impl ReviewView {
    fn digest_or_empty(&self) -> &str {
        self.digest.as_deref().unwrap_or_default()
    }
}

impl ReviewView {
    fn new(review: ReviewItem, identity: &Identity) -> Self {
        let change = |change: &Change| ChangeView { grows: change.grows, text: change.to_string() };
        Self {
            id: review.id,
            may_decide: may_decide(identity, &review.package),
            package: review.package,
            version: review.version,
            state: review.state,
            tier: review.tier,
            since: text::time(review.created_at),
            image: review.image,
            digest: review.digest,
            verdict: review.verdict,
            intake: review.intake,
            claimed_by: review.claimed_by.and_then(|person| person.email),
            reasons: review.reasons.into_iter().map(|reason| reason.message).collect(),
            compared_with: review.compared_with,
            changes: review.changes.iter().map(change).collect(),
            warnings: review.warnings.into_iter().map(|reason| reason.message).collect(),
        }
    }
}

/// Whether the caller decides about packages of this publisher.
fn may_decide(identity: &Identity, package: &str) -> bool {
    let publisher = package.parse().ok().map(|name: PackageName| OrganizationKey::Slug(name.publisher));
    let own = publisher.and_then(|publisher| own_organization(identity, &publisher));
    match own {
        Some(own) => Operation::ApproveReview.demand(identity, &own).is_ok(),
        // Whose reviews are shown to somebody from outside is a superuser.
        None => identity.is_superuser,
    }
}

#[get("/reviews")]
pub(super) async fn reviews_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    query: web::Query<ReviewQuery>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/reviews")) };
    let List { items, next_cursor } = waiting(&state, &identity, &query, &page).await?;
    let page = ReviewsPage {
        frame: Frame::new(&state, Some(&identity), Section::Reviews),
        reviews: items.into_iter().map(|review| ReviewView::new(review, &identity)).collect(),
        next: next_cursor.map(|cursor| format!("/reviews?cursor={cursor}")),
    };
    Ok(render(StatusCode::OK, &page))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Button {
    Approve,
    Reject,
    Claim,
}

#[derive(Deserialize)]
struct ReviewForm {
    choice: Button,
    verdict: Uuid,
    /// Empty for packages without an image.
    digest: String,
    reason: String,
}

#[post("/reviews/{id}")]
pub(super) async fn decide(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    request_id: web::ReqData<RequestId>,
    id: web::Path<Uuid>,
    form: web::Form<ReviewForm>,
) -> Result<HttpResponse, Problem> {
    let (id, form) = (id.into_inner(), form.into_inner());
    let digest = Some(form.digest).filter(|digest| !digest.is_empty());
    let decision = ReviewDecision { verdict: form.verdict, digest, reason: Some(form.reason) };
    let request_id = request_id.into_inner();
    match form.choice {
        Button::Claim => claim_as(&state, &identity, id).await?,
        Button::Approve => decide_as(&state, &identity, request_id, id, Choice::Approve, decision).await?,
        Button::Reject => decide_as(&state, &identity, request_id, id, Choice::Reject, decision).await?,
    };
    Ok(see_other("/reviews"))
}
