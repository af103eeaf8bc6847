//! The same operations for the webhooks of the store itself, which hear of every organization.

use actix_web::{HttpResponse, delete, get, patch, post, web};

use super::deliveries::{self, DeliveryQuery};
use super::endpoints;
use super::manager::{DeliveryPath, Manager, WebhookPath};
use super::wire::{
    ChangeWebhook, CreateWebhook, CreatedWebhook, DeliveryItem, PlannedDelivery, ReplayFailed, Replayed, RotateSecret,
    RotatedSecret, WebhookItem,
};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::state::AppState;

pub(super) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(create)
        .service(list)
        .service(get)
        .service(change)
        .service(remove)
        .service(rotate_secret)
        .service(test)
        .service(list_deliveries)
        .service(get_delivery)
        .service(replay_delivery)
        .service(replay_failed);
}

/// Add a webhook of the store (superuser)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "createWebhookOfStore",
    request_body = CreateWebhook,
    responses((status = 201, description = "Added; the secret is shown this once", body = CreatedWebhook), Problems),
    security(("bearer" = []))
)]
#[post("/v1/webhooks")]
async fn create(
    state: web::Data<AppState>,
    manager: Manager,
    body: web::Json<CreateWebhook>,
) -> Result<HttpResponse, Problem> {
    endpoints::create_as(&state, &manager, body).await
}

/// The webhooks of the store, the oldest first (superuser)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "listWebhooksOfStore",
    params(PageQuery),
    responses((status = 200, description = "One page", body = List<WebhookItem>), Problems),
    security(("bearer" = []))
)]
#[get("/v1/webhooks")]
async fn list(
    state: web::Data<AppState>,
    manager: Manager,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<WebhookItem>>, Problem> {
    endpoints::list_as(&state, &manager, query).await
}

/// One of the webhooks of the store (superuser)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "getWebhookOfStore",
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The webhook", body = WebhookItem), Problems),
    security(("bearer" = []))
)]
#[get("/v1/webhooks/{id}")]
async fn get(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
) -> Result<web::Json<WebhookItem>, Problem> {
    endpoints::get_as(&state, &manager, path).await
}

/// Change, disable or enable a webhook of the store (superuser)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "changeWebhookOfStore",
    params(("id" = Uuid, Path)),
    request_body = ChangeWebhook,
    responses((status = 200, description = "As it is now", body = WebhookItem), Problems),
    security(("bearer" = []))
)]
#[patch("/v1/webhooks/{id}")]
async fn change(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
    body: web::Json<ChangeWebhook>,
) -> Result<web::Json<WebhookItem>, Problem> {
    endpoints::change_as(&state, &manager, path, body).await
}

/// Remove a webhook of the store and its delivery log (superuser)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "removeWebhookOfStore",
    params(("id" = Uuid, Path)),
    responses((status = 204, description = "Removed"), Problems),
    security(("bearer" = []))
)]
#[delete("/v1/webhooks/{id}")]
async fn remove(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
) -> Result<HttpResponse, Problem> {
    endpoints::remove_as(&state, &manager, path).await
}

/// Give a webhook of the store a new secret (superuser)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "rotateWebhookSecretOfStore",
    params(("id" = Uuid, Path)),
    request_body = RotateSecret,
    responses((status = 200, description = "The new secret, shown this once", body = RotatedSecret), Problems),
    security(("bearer" = []))
)]
#[post("/v1/webhooks/{id}/rotate-secret")]
async fn rotate_secret(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
    body: web::Json<RotateSecret>,
) -> Result<web::Json<RotatedSecret>, Problem> {
    endpoints::rotate_secret_as(&state, &manager, path, body).await
}

/// Send a webhook of the store an event of the type `webhook.ping` (superuser)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "testWebhookOfStore",
    params(("id" = Uuid, Path)),
    responses((status = 202, description = "Planned", body = PlannedDelivery), Problems),
    security(("bearer" = []))
)]
#[post("/v1/webhooks/{id}/test")]
async fn test(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
) -> Result<HttpResponse, Problem> {
    deliveries::test_as(&state, &manager, path).await
}

/// Deliveries of a webhook of the store with their attempts, the newest first (superuser)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "listDeliveriesOfStore",
    params(("id" = Uuid, Path), DeliveryQuery, PageQuery),
    responses((status = 200, description = "One page", body = List<DeliveryItem>), Problems),
    security(("bearer" = []))
)]
#[get("/v1/webhooks/{id}/deliveries")]
async fn list_deliveries(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
    filter: web::Query<DeliveryQuery>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<DeliveryItem>>, Problem> {
    deliveries::list_as(&state, &manager, path, filter, query).await
}

/// One delivery of a webhook of the store with its attempts (superuser)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "getDeliveryOfStore",
    params(("id" = Uuid, Path), ("delivery" = Uuid, Path)),
    responses((status = 200, description = "The delivery", body = DeliveryItem), Problems),
    security(("bearer" = []))
)]
#[get("/v1/webhooks/{id}/deliveries/{delivery}")]
async fn get_delivery(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<DeliveryPath>,
) -> Result<web::Json<DeliveryItem>, Problem> {
    deliveries::get_as(&state, &manager, path).await
}

/// Deliver an event to a webhook of the store once more (superuser)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "replayDeliveryOfStore",
    params(("id" = Uuid, Path), ("delivery" = Uuid, Path)),
    responses((status = 202, description = "Planned", body = DeliveryItem), Problems),
    security(("bearer" = []))
)]
#[post("/v1/webhooks/{id}/deliveries/{delivery}/replay")]
async fn replay_delivery(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<DeliveryPath>,
) -> Result<HttpResponse, Problem> {
    deliveries::replay_as(&state, &manager, path).await
}

/// Deliver all to a webhook of the store once more that have failed since a time (superuser)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "replayFailedDeliveriesOfStore",
    params(("id" = Uuid, Path)),
    request_body = ReplayFailed,
    responses((status = 202, description = "Planned", body = Replayed), Problems),
    security(("bearer" = []))
)]
#[post("/v1/webhooks/{id}/replay")]
async fn replay_failed(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
    body: web::Json<ReplayFailed>,
) -> Result<HttpResponse, Problem> {
    deliveries::replay_failed_as(&state, &manager, path, body).await
}
