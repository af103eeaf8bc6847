//! Deliveries: their log, a test, and once more.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use registry_db::webhooks::{self, Filter, MAX_REPLAYED, Webhook};
use registry_db::{Connection, transaction};
use registry_types::ids::DeliveryId;
use registry_types::webhook::DeliveryState;
use serde::Deserialize;
use utoipa::IntoParams;

use super::manager::{DeliveryPath, Manager, WebhookPath, demand_enabled};
use super::wire::{DeliveryItem, PlannedDelivery, ReplayFailed, Replayed};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::state::AppState;

/// Send a webhook an event of the type `webhook.ping` (admin)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "testWebhook",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses((status = 202, description = "Planned", body = PlannedDelivery), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/webhooks/{id}/test")]
pub(crate) async fn test(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
) -> Result<HttpResponse, Problem> {
    test_as(&state, &manager, path).await
}

pub(crate) async fn test_as(
    state: &AppState,
    manager: &Manager,
    path: web::Path<WebhookPath>,
) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    let delivery = transaction(&mut conn, async |conn| -> Result<DeliveryId, Problem> {
        let webhook = webhooks::get(conn, manager.owner, path.id()).await?;
        demand_enabled(&webhook)?;
        Ok(webhooks::ping(conn, &webhook).await?)
    });
    Ok(HttpResponse::Accepted().json(PlannedDelivery { delivery: delivery.await?.0 }))
}

/// What a list of deliveries is narrowed to.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryQuery {
    /// `pending`, `delivered` or `failed`.
    #[param(value_type = Option<String>)]
    pub(crate) state: Option<DeliveryState>,
    /// Planned at this time or later.
    since: Option<DateTime<Utc>>,
}

/// A webhook's deliveries with their attempts, the newest first (admin)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "listDeliveries",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path), DeliveryQuery, PageQuery),
    responses((status = 200, description = "One page", body = List<DeliveryItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/webhooks/{id}/deliveries")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
    filter: web::Query<DeliveryQuery>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<DeliveryItem>>, Problem> {
    list_as(&state, &manager, path, filter, query).await
}

pub(crate) async fn list_as(
    state: &AppState,
    manager: &Manager,
    path: web::Path<WebhookPath>,
    filter: web::Query<DeliveryQuery>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<DeliveryItem>>, Problem> {
    let before: Option<DeliveryId> = query.after()?;
    let filter = Filter { state: filter.state, since: filter.since };
    let mut conn = state.pool.get().await?;
    let webhook = webhooks::get(&mut conn, manager.owner, path.id()).await?;
    let page = webhooks::deliveries(&mut conn, webhook.id, filter, before, query.size()).await?;
    let attempts = webhooks::attempts(&mut conn, &page.items).await?;
    let mut attempts = attempts.into_iter();
    let page = page.map(|delivery| DeliveryItem::of(delivery, attempts.next().unwrap_or_default()));
    Ok(web::Json(List::of(page)?))
}

/// One delivery with its attempts (admin)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "getDelivery",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path), ("delivery" = Uuid, Path)),
    responses((status = 200, description = "The delivery", body = DeliveryItem), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/webhooks/{id}/deliveries/{delivery}")]
pub(crate) async fn get(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<DeliveryPath>,
) -> Result<web::Json<DeliveryItem>, Problem> {
    get_as(&state, &manager, path).await
}

pub(super) async fn get_as(
    state: &AppState,
    manager: &Manager,
    path: web::Path<DeliveryPath>,
) -> Result<web::Json<DeliveryItem>, Problem> {
    let mut conn = state.pool.get().await?;
    let webhook = webhooks::get(&mut conn, manager.owner, path.id.into()).await?;
    Ok(web::Json(item(&mut conn, &webhook, path.delivery.into()).await?))
}

async fn item(conn: &mut Connection, webhook: &Webhook, id: DeliveryId) -> Result<DeliveryItem, Problem> {
    let delivery = webhooks::delivery(conn, webhook.id, id).await?;
    let attempts = webhooks::attempts(conn, std::slice::from_ref(&delivery)).await?.pop();
    Ok(DeliveryItem::of(delivery, attempts.unwrap_or_default()))
}

/// Deliver an event once more (admin)
///
/// Under the same id; one that is pending is left to its schedule.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "replayDelivery",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path), ("delivery" = Uuid, Path)),
    responses((status = 202, description = "Planned", body = DeliveryItem), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/webhooks/{id}/deliveries/{delivery}/replay")]
pub(crate) async fn replay(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<DeliveryPath>,
) -> Result<HttpResponse, Problem> {
    replay_as(&state, &manager, path).await
}

pub(crate) async fn replay_as(
    state: &AppState,
    manager: &Manager,
    path: web::Path<DeliveryPath>,
) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    let replayed = transaction(&mut conn, async |conn| -> Result<DeliveryItem, Problem> {
        let webhook = webhooks::get(conn, manager.owner, path.id.into()).await?;
        demand_enabled(&webhook)?;
        webhooks::replay(conn, &webhook, path.delivery.into()).await?;
        item(conn, &webhook, path.delivery.into()).await
    });
    Ok(HttpResponse::Accepted().json(replayed.await?))
}

/// Deliver all once more that have failed since a time (admin)
///
/// At most 1000 at a time, the oldest first.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "replayFailedDeliveries",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    request_body = ReplayFailed,
    responses((status = 202, description = "Planned", body = Replayed), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/webhooks/{id}/replay")]
pub(crate) async fn replay_failed(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
    body: web::Json<ReplayFailed>,
) -> Result<HttpResponse, Problem> {
    replay_failed_as(&state, &manager, path, body).await
}

pub(crate) async fn replay_failed_as(
    state: &AppState,
    manager: &Manager,
    path: web::Path<WebhookPath>,
    body: web::Json<ReplayFailed>,
) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    let replayed = transaction(&mut conn, async |conn| -> Result<usize, Problem> {
        let webhook = webhooks::get(conn, manager.owner, path.id()).await?;
        demand_enabled(&webhook)?;
        Ok(webhooks::replay_failed(conn, &webhook, body.since).await?)
    })
    .await?;
    let has_more = replayed as i64 >= MAX_REPLAYED;
    Ok(HttpResponse::Accepted().json(Replayed { replayed, has_more }))
}
