//! Look at waivers.

use actix_web::{get, web};
use registry_db::paging::Page;
use registry_db::waivers::{self, Filter};
use registry_types::ids::{OrganizationId, WaiverId};
use registry_types::names::PackageSlug;
use registry_types::waiver::{AdvisoryId, WaiverState};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::wire::{WaiverItem, items};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::rights::Member;
use crate::state::AppState;

/// What a list of waivers is narrowed to.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaiverQuery {
    /// `asked`, `approved`, `refused`, `withdrawn` or `expired`.
    state: Option<String>,
    /// Waivers for one package, by the name part.
    package: Option<String>,
    /// Waivers of one advisory, by the id that they name.
    advisory: Option<String>,
}

impl WaiverQuery {
    fn filter(&self) -> Result<Filter, Problem> {
        fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: Option<&String>) -> Result<Option<T>, Problem> {
            text.map(|text| text.parse().map_err(|error: T::Err| Problem::bad_request(error.to_string()))).transpose()
        }
        Ok(Filter {
            state: parsed::<WaiverState>(self.state.as_ref())?,
            package: parsed::<PackageSlug>(self.package.as_ref())?,
            advisory: parsed::<AdvisoryId>(self.advisory.as_ref())?,
        })
    }
}

/// The waivers of an organization, the newest first
#[utoipa::path(
    tag = "waivers",
    operation_id = "listWaivers",
    params(("org" = String, Path, description = "Id or slug"), WaiverQuery, PageQuery),
    responses((status = 200, description = "One page", body = List<WaiverItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/waivers")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    member: Member,
    filter: web::Query<WaiverQuery>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<WaiverItem>>, Problem> {
    page(&state, member.organization.id, &filter, &query).await.map(web::Json)
}

/// One page of an organization's waivers, for the API and for the page `/waivers`.
pub(crate) async fn page(
    state: &AppState,
    organization: OrganizationId,
    filter: &WaiverQuery,
    page: &PageQuery,
) -> Result<List<WaiverItem>, Problem> {
    let (filter, after) = (filter.filter()?, page.after::<WaiverId>()?);
    let mut conn = state.pool.get().await?;
    let Page { items: found, next } = waivers::list(&mut conn, organization, &filter, after, page.size()).await?;
    List::of(Page { items: items(&mut conn, found).await?, next })
}

/// One waiver
#[utoipa::path(
    tag = "waivers",
    operation_id = "getWaiver",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses((status = 200, description = "The waiver", body = WaiverItem), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/waivers/{id}")]
pub(crate) async fn get(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<web::Json<WaiverItem>, Problem> {
    let id = WaiverId(path.into_inner().1);
    let mut conn = state.pool.get().await?;
    let waiver = waivers::get(&mut conn, member.organization.id, id).await?;
    let item = items(&mut conn, vec![waiver]).await?.pop();
    Ok(web::Json(item.ok_or_else(|| Problem::not_found("waiver"))?))
}
