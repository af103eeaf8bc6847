//! Webhooks themselves.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::TimeDelta;
use registry_db::webhooks::{self, NewWebhook, Webhook, WebhookChange};
use registry_db::{DbError, audit, store_settings, transaction};
use registry_types::audit::AuditAction;
use registry_types::event::EventType;
use registry_types::ids::WebhookId;
use registry_types::pointer::PointerError;
use registry_types::profile::Profile;
use registry_types::webhook::{WebhookUrl, WebhookUrlError};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::manager::{Manager, WebhookPath};
use super::secret;
use super::wire::{ChangeWebhook, CreateWebhook, CreatedWebhook, RotateSecret, RotatedSecret, WebhookItem};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, ProblemCode, Problems};
use crate::state::AppState;

/// In characters.
const MAX_DESCRIPTION: usize = 200;
const DEFAULT_OVERLAP_HOURS: u32 = 24;
const MAX_OVERLAP_HOURS: u32 = 7 * 24;

/// Add a webhook (admin)
///
/// Its secret is shown this once. Deliveries are signed as the Standard Webhooks specification says; `docs/events.md` tells how to verify one.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "createWebhook",
    params(("org" = String, Path, description = "Id or slug")),
    request_body = CreateWebhook,
    responses((status = 201, description = "Added; the secret is shown this once", body = CreatedWebhook), Problems),
    security(("bearer" = []))
)]
#[post("/v1/orgs/{org}/webhooks")]
pub(crate) async fn create(
    state: web::Data<AppState>,
    manager: Manager,
    body: web::Json<CreateWebhook>,
) -> Result<HttpResponse, Problem> {
    create_as(&state, &manager, body).await
}

pub(super) async fn create_as(
    state: &AppState,
    manager: &Manager,
    body: web::Json<CreateWebhook>,
) -> Result<HttpResponse, Problem> {
    let created = add(state, manager, body.into_inner()).await?;
    let location = format!("{}/{}", manager.base(), created.webhook.id);
    Ok(HttpResponse::Created().insert_header(("Location", location)).json(created))
}

/// [`create`], for the page as well.
pub(crate) async fn add(state: &AppState, manager: &Manager, body: CreateWebhook) -> Result<CreatedWebhook, Problem> {
    let id = WebhookId::new();
    let (secret, sealed) = secret::generate(&state.key_ring, id)?;
    let new = NewWebhook {
        id,
        owner: manager.owner,
        url: url(state, &body.url)?,
        description: description(&body.description)?,
        event_types: distinct(body.events),
        secret: sealed,
        created_by: manager.identity.user,
    };
    let mut conn = state.pool.get().await?;
    let created = transaction(&mut conn, async |conn| -> Result<Webhook, Problem> {
        let most = store_settings::quota(conn, manager.tier).await?.webhooks;
        if webhooks::count(conn, manager.owner).await? >= i64::from(most) {
            return Err(Problem::new(ProblemCode::QuotaExceeded, format!("there are at most {most} webhooks")));
        }
        let created = webhooks::create(conn, &new).await?;
        audit::append(conn, manager.entry(AuditAction::WebhookCreated, id, told(&created))).await?;
        Ok(created)
    })
    .await?;
    Ok(CreatedWebhook { webhook: created.into(), secret: secret.expose_secret().to_owned() })
}

/// The address but for its path and query, which may hold a secret.
fn told(webhook: &Webhook) -> Value {
    json!({
        "host": webhook.url.authority(),
        "events": webhook.event_types,
        "enabled": webhook.disabled.is_none(),
    })
}

fn url(state: &AppState, text: &str) -> Result<WebhookUrl, Problem> {
    let url: WebhookUrl = text.parse().map_err(|error: WebhookUrlError| invalid(error.to_string()))?;
    match state.profile {
        Profile::Production if !url.is_encrypted() => Err(invalid("a webhook's URL is https".to_owned())),
        Profile::Production | Profile::Development => Ok(url),
    }
}

fn invalid(message: String) -> Problem {
    let place = PointerError::new("/url", "invalid", message.clone());
    Problem::new(ProblemCode::WebhookInvalid, message).with_errors(vec![place])
}

fn description(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.chars().count() <= MAX_DESCRIPTION && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Problem::bad_request(format!("description must have at most {MAX_DESCRIPTION} printable characters")))
}

fn distinct(mut types: Vec<EventType>) -> Vec<EventType> {
    types.sort_unstable();
    types.dedup();
    types
}

/// Webhooks, the oldest first (admin)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "listWebhooks",
    params(("org" = String, Path, description = "Id or slug"), PageQuery),
    responses((status = 200, description = "One page", body = List<WebhookItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/webhooks")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    manager: Manager,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<WebhookItem>>, Problem> {
    list_as(&state, &manager, query).await
}

pub(crate) async fn list_as(
    state: &AppState,
    manager: &Manager,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<WebhookItem>>, Problem> {
    let after: Option<WebhookId> = query.after()?;
    let mut conn = state.pool.get().await?;
    let page = webhooks::list(&mut conn, manager.owner, after, query.size()).await?;
    Ok(web::Json(List::of(page.map(WebhookItem::from))?))
}

/// One webhook (admin)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "getWebhook",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses((status = 200, description = "The webhook", body = WebhookItem), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/webhooks/{id}")]
pub(crate) async fn get(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
) -> Result<web::Json<WebhookItem>, Problem> {
    get_as(&state, &manager, path).await
}

pub(crate) async fn get_as(
    state: &AppState,
    manager: &Manager,
    path: web::Path<WebhookPath>,
) -> Result<web::Json<WebhookItem>, Problem> {
    let found = webhooks::get(&mut *state.pool.get().await?, manager.owner, path.id()).await?;
    Ok(web::Json(found.into()))
}

/// Change, disable or enable a webhook (admin)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "changeWebhook",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    request_body = ChangeWebhook,
    responses((status = 200, description = "As it is now", body = WebhookItem), Problems),
    security(("bearer" = []))
)]
#[patch("/v1/orgs/{org}/webhooks/{id}")]
pub(crate) async fn change(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
    body: web::Json<ChangeWebhook>,
) -> Result<web::Json<WebhookItem>, Problem> {
    change_as(&state, &manager, path, body).await
}

pub(crate) async fn change_as(
    state: &AppState,
    manager: &Manager,
    path: web::Path<WebhookPath>,
    body: web::Json<ChangeWebhook>,
) -> Result<web::Json<WebhookItem>, Problem> {
    let body = body.into_inner();
    let wanted = WebhookChange {
        url: body.url.map(|text| url(state, &text)).transpose()?,
        description: body.description.map(|text| description(&text)).transpose()?,
        event_types: body.events.map(distinct),
        is_enabled: body.enabled,
    };
    let mut conn = state.pool.get().await?;
    let changed = transaction(&mut conn, async |conn| -> Result<Webhook, DbError> {
        let changed = webhooks::change(conn, manager.owner, path.id(), &wanted).await?;
        audit::append(conn, manager.entry(AuditAction::WebhookChanged, changed.id, told(&changed))).await?;
        Ok(changed)
    });
    Ok(web::Json(changed.await?.into()))
}

/// Remove a webhook and its delivery log (admin)
#[utoipa::path(
    tag = "webhooks",
    operation_id = "removeWebhook",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses((status = 204, description = "Removed"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[delete("/v1/orgs/{org}/webhooks/{id}")]
pub(crate) async fn remove(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
) -> Result<HttpResponse, Problem> {
    remove_as(&state, &manager, path).await
}

pub(crate) async fn remove_as(
    state: &AppState,
    manager: &Manager,
    path: web::Path<WebhookPath>,
) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), DbError> {
        let removed = webhooks::remove(conn, manager.owner, path.id()).await?;
        audit::append(conn, manager.entry(AuditAction::WebhookRemoved, removed.id, told(&removed))).await
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Give a webhook a new secret (admin)
///
/// For a while deliveries are signed with both.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "rotateWebhookSecret",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    request_body = RotateSecret,
    responses((status = 200, description = "The new secret, shown this once", body = RotatedSecret), Problems),
    security(("bearer" = []))
)]
#[post("/v1/orgs/{org}/webhooks/{id}/rotate-secret")]
pub(crate) async fn rotate_secret(
    state: web::Data<AppState>,
    manager: Manager,
    path: web::Path<WebhookPath>,
    body: web::Json<RotateSecret>,
) -> Result<web::Json<RotatedSecret>, Problem> {
    rotate_secret_as(&state, &manager, path, body).await
}

pub(crate) async fn rotate_secret_as(
    state: &AppState,
    manager: &Manager,
    path: web::Path<WebhookPath>,
    body: web::Json<RotateSecret>,
) -> Result<web::Json<RotatedSecret>, Problem> {
    let hours = body.overlap_hours.unwrap_or(DEFAULT_OVERLAP_HOURS);
    if hours > MAX_OVERLAP_HOURS {
        return Err(Problem::bad_request(format!("overlap_hours must be 0 to {MAX_OVERLAP_HOURS}")));
    }
    let id = path.id();
    let (secret, sealed) = secret::generate(&state.key_ring, id)?;
    let mut conn = state.pool.get().await?;
    let old_secret_until = transaction(&mut conn, async |conn| -> Result<_, DbError> {
        webhooks::get(conn, manager.owner, id).await?;
        let until = webhooks::rotate(conn, id, &sealed, TimeDelta::hours(i64::from(hours))).await?;
        let details = json!({ "old_secret_until": until });
        audit::append(conn, manager.entry(AuditAction::WebhookSecretRotated, id, details)).await?;
        Ok(until)
    })
    .await?;
    Ok(web::Json(RotatedSecret { secret: secret.expose_secret().to_owned(), old_secret_until }))
}
