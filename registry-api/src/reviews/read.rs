//! Look at the queue.

use actix_web::{get, web};
use registry_db::organizations::OrganizationKey;
use registry_db::packages::Viewer;
use registry_db::paging::Page;
use registry_db::reviews::{self, Filter};
use registry_db::users::Identity;
use registry_types::ids::ReviewId;
use registry_types::names::PackageName;
use registry_types::people::TrustTier;
use registry_types::review::ReviewState;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::wire::{ReviewItem, items};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::rights::{Authenticated, organization_of};
use crate::state::AppState;

/// What the queue is narrowed to.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReviewQuery {
    /// `open`, `claimed`, `approved`, `rejected` or `superseded`; `open` and `claimed` if not given.
    state: Option<String>,
    /// Id or slug of the publishing organization.
    org: Option<String>,
    /// `community`, `verified` or `internal`.
    tier: Option<String>,
    /// `publisher/name`.
    package: Option<String>,
    /// Only those that the caller has claimed.
    #[serde(default)]
    mine: bool,
}

impl ReviewQuery {
    async fn filter(&self, state: &AppState, identity: &Identity) -> Result<Filter, Problem> {
        fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: Option<&String>) -> Result<Option<T>, Problem> {
            text.map(|text| text.parse().map_err(|error: T::Err| Problem::bad_request(error.to_string()))).transpose()
        }
        let organization = match &self.org {
            Some(org) => {
                let key: OrganizationKey = org.parse().map_err(|_| Problem::not_found("organization"))?;
                Some(organization_of(state, identity, &key).await?.id)
            }
            None => None,
        };
        Ok(Filter {
            states: parsed::<ReviewState>(self.state.as_ref())?.into_iter().collect(),
            organization,
            tier: parsed::<TrustTier>(self.tier.as_ref())?,
            package: parsed::<PackageName>(self.package.as_ref())?,
            claimed_by: self.mine.then_some(identity.user),
        })
    }
}

/// One page of what waits, for the API and for the page `/reviews`.
pub(crate) async fn waiting(
    state: &AppState,
    identity: &Identity,
    query: &ReviewQuery,
    page: &PageQuery,
) -> Result<List<ReviewItem>, Problem> {
    let filter = query.filter(state, identity).await?;
    let after = page.after::<ReviewId>()?;
    let mut conn = state.pool.get().await?;
    let Page { items: found, next } =
        reviews::list(&mut conn, &Viewer::of(Some(identity)), &filter, after, page.size()).await?;
    List::of(Page { items: items(&mut conn, identity, found).await?, next })
}

/// The review queue, the oldest first
///
/// A superuser sees all; others see those of their organizations' versions.
#[utoipa::path(
    tag = "reviews",
    operation_id = "listReviews",
    params(ReviewQuery, PageQuery),
    responses((status = 200, description = "One page", body = List<ReviewItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/reviews")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    query: web::Query<ReviewQuery>,
    page: web::Query<PageQuery>,
) -> Result<web::Json<List<ReviewItem>>, Problem> {
    Ok(web::Json(waiting(&state, &identity, &query, &page).await?))
}

/// One review, with what changed since the last active version
#[utoipa::path(
    tag = "reviews",
    operation_id = "getReview",
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The review", body = ReviewItem), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/reviews/{id}")]
pub(crate) async fn get(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    id: web::Path<Uuid>,
) -> Result<web::Json<ReviewItem>, Problem> {
    let mut conn = state.pool.get().await?;
    let found = reviews::get(&mut conn, &Viewer::of(Some(&identity)), ReviewId(id.into_inner())).await?;
    let item = items(&mut conn, &identity, vec![found]).await?.pop();
    Ok(web::Json(item.ok_or_else(|| Problem::not_found("review"))?))
}
