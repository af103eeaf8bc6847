//! An organization's events, for who was not there when a webhook was called, or wants none.

use actix_web::{get, web};
use registry_db::cloud_event::CloudEvent;
use registry_db::event_feed::{self, Feed};
use registry_db::{DbError, transaction};
use serde::Serialize;
use utoipa::ToSchema;

use crate::paging::{PageQuery, encode};
use crate::problem::{Problem, Problems};
use crate::rights::Member;
use crate::state::AppState;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(list);
}

/// Events in the order in which they are read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventList {
    /// As webhooks get them: CloudEvents 1.0 in the structured JSON form; `docs/events.md` lists the types.
    #[schema(value_type = Vec<Object>)]
    items: Vec<CloudEvent>,
    /// Where to go on, now or when something has happened; null as long as nothing ever did.
    next_cursor: Option<String>,
    /// Whether there are more already.
    has_more: bool,
}

/// The events of an organization behind a cursor, the oldest first (admin)
///
/// Without a cursor from the oldest on that is kept, which is for 30 days. Every event is read once: what is committed later stands
/// behind what was read before, whenever it began.
#[utoipa::path(
    tag = "events",
    operation_id = "listEvents",
    params(("org" = String, Path, description = "Id or slug"), PageQuery),
    responses((status = 200, description = "One page", body = EventList), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/events")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    member: Member,
    query: web::Query<PageQuery>,
) -> Result<web::Json<EventList>, Problem> {
    let (organization, after, size) = (member.organization.id, query.after()?, query.size());
    let mut conn = state.pool.get().await?;
    let read = transaction(&mut conn, async |conn| -> Result<Feed, DbError> {
        event_feed::read(conn, organization, after, size).await
    });
    let Feed { events, last, has_more } = read.await?;
    let store = state.public_url.as_str().trim_end_matches('/');
    let items = events.into_iter().map(|event| CloudEvent::new(store, event)).collect();
    Ok(web::Json(EventList { items, next_cursor: last.as_ref().map(encode).transpose()?, has_more }))
}
