//! Look at namespaces.

use actix_web::{get, web};
use registry_db::registries;
use registry_types::ids::RegistryNamespaceId;
use uuid::Uuid;

use super::wire::RegistryItem;
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::rights::Member;
use crate::state::AppState;

/// The registry namespaces of an organization
#[utoipa::path(
    tag = "registries",
    operation_id = "listRegistries",
    params(("org" = String, Path, description = "Id or slug"), PageQuery),
    responses((status = 200, description = "One page", body = List<RegistryItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/registries")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    member: Member,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<RegistryItem>>, Problem> {
    let after: Option<RegistryNamespaceId> = query.after()?;
    let mut conn = state.pool.get().await?;
    let page = registries::list(&mut conn, member.organization.id, after, query.size()).await?;
    Ok(web::Json(List::of(page.map(RegistryItem::from))?))
}

/// One registry namespace, with what the last test found out
#[utoipa::path(
    tag = "registries",
    operation_id = "getRegistry",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses((status = 200, description = "The namespace", body = RegistryItem), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/registries/{id}")]
pub(crate) async fn get(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<web::Json<RegistryItem>, Problem> {
    let id = RegistryNamespaceId(path.into_inner().1);
    let mut conn = state.pool.get().await?;
    Ok(web::Json(registries::get(&mut conn, member.organization.id, id).await?.into()))
}
