//! An intake's events as server-sent events: what is stored is sent again from `Last-Event-ID`, then what happens.

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use futures_util::Stream;
use registry_db::intakes::{self, Event, EventKind};
use registry_types::ids::IntakeId;
use registry_types::intake::IntakeState;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use super::hub::Wake;
use super::read::own_intake;
use crate::problem::{Problem, Problems};
use crate::rights::Authenticated;
use crate::state::AppState;

/// Comments keep proxies from closing a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Looked at without being woken, should a wake-up be lost.
const BATCH: i64 = 200;

/// Follow an intake by server-sent events
///
/// Each event has an `id`, a kind (`state`, `step`, `check`, `progress`, `decided`) and JSON data. A client that was cut off
/// sends the last id it saw as `Last-Event-ID`. The stream ends behind the intake's last event.
#[utoipa::path(
    tag = "intakes",
    operation_id = "followIntake",
    params(("id" = Uuid, Path), ("Last-Event-ID" = Option<i64>, Header, description = "The last id seen")),
    responses((status = 200, description = "Events", content_type = "text/event-stream", body = String), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/intakes/{id}/events")]
pub(crate) async fn follow(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    request: HttpRequest,
    path: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let id = IntakeId(path.into_inner());
    own_intake(&mut *state.pool.get().await?, &identity, id).await?;
    let wakes = state.hub.subscribe();
    let follower = Follower { id, seen: last_seen(&request)?, wakes, pending: VecDeque::new(), ended: false, state };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx would buffer it.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(follower.into_stream()))
}

fn last_seen(request: &HttpRequest) -> Result<i64, Problem> {
    match request.headers().get("last-event-id") {
        None => Ok(0),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| Problem::bad_request("Last-Event-ID must be an id of this stream")),
    }
}

struct Follower {
    id: IntakeId,
    /// Id of the last event that was sent.
    seen: i64,
    wakes: broadcast::Receiver<Wake>,
    pending: VecDeque<web::Bytes>,
    /// The intake's last event is in `pending` or was sent.
    ended: bool,
    state: web::Data<AppState>,
}

impl Follower {
    fn into_stream(self) -> impl Stream<Item = Result<web::Bytes, Problem>> {
        futures_util::stream::unfold(Some(self), |follower| async move {
            let mut follower = follower?;
            match follower.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(follower))),
                Ok(None) => None,
                // The client sees the connection break, and resumes.
                Err(problem) => Some((Err(problem), None)),
            }
        })
    }

    /// The next piece of the stream; `None` behind the last event, or when the server stops.
    async fn next(&mut self) -> Result<Option<web::Bytes>, Problem> {
        if let Some(bytes) = self.pending.pop_front() {
            return Ok(Some(bytes));
        }
        self.read().await?;
        while self.pending.is_empty() && !self.ended {
            let stopping = self.state.stopping.clone();
            let woken = tokio::select! {
                woken = self.woken() => woken,
                () = tokio::time::sleep(HEARTBEAT) => false,
                () = stopping.cancelled() => return Ok(None),
            };
            self.read().await?;
            if !woken && self.pending.is_empty() {
                return Ok(Some(web::Bytes::from_static(b": waiting\n\n")));
            }
        }
        Ok(self.pending.pop_front())
    }

    /// Waits until this intake may have a new event.
    async fn woken(&mut self) -> bool {
        loop {
            match self.wakes.recv().await {
                Ok(Wake::Intake(id)) if id != self.id => {}
                Ok(Wake::Intake(_) | Wake::All) | Err(RecvError::Lagged(_)) => return true,
                // The hub lives as long as the server.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    async fn read(&mut self) -> Result<(), Problem> {
        if self.ended {
            return Ok(());
        }
        let mut conn = self.state.pool.get().await?;
        loop {
            let events = intakes::events_after(&mut conn, self.id, self.seen, BATCH).await?;
            let is_full = events.len() as i64 == BATCH;
            for event in events {
                self.seen = event.id;
                self.ended |= is_last(&event);
                self.pending.push_back(render(&event));
            }
            if !is_full {
                break;
            }
        }
        // Also ends a stream that was resumed behind the last event.
        if !self.ended && self.pending.is_empty() {
            let state = intakes::get(&mut conn, self.id).await?.summary.state;
            self.ended = match state {
                IntakeState::Decided | IntakeState::Failed => {
                    intakes::events_after(&mut conn, self.id, self.seen, 1).await?.is_empty()
                }
                IntakeState::Queued | IntakeState::Running => false,
            };
        }
        Ok(())
    }
}

fn is_last(event: &Event) -> bool {
    match event.kind {
        EventKind::Decided => true,
        EventKind::State => {
            event.data.get("state").and_then(|state| state.as_str()) == Some(IntakeState::Failed.as_str())
        }
        EventKind::Step | EventKind::Check | EventKind::Progress => false,
    }
}

fn render(event: &Event) -> web::Bytes {
    // JSON has no raw line breaks, so one data line holds it.
    format!("id: {}\nevent: {}\ndata: {}\n\n", event.id, event.kind, event.data).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: EventKind, data: serde_json::Value) -> Event {
        Event { id: 7, kind, data, at: chrono::Utc::now() }
    }

    #[test]
    fn an_event_is_one_block() {
        let block = render(&event(EventKind::Step, json!({ "step": "scan", "text": "a\nb" })));
        let expected = "id: 7\nevent: step\ndata: {\"step\":\"scan\",\"text\":\"a\\nb\"}\n\n";
        assert_eq!(std::str::from_utf8(&block).unwrap(), expected);
    }

    #[test]
    fn the_stream_ends_with_the_intake() {
        assert!(is_last(&event(EventKind::Decided, json!({ "decision": "active" }))));
        assert!(is_last(&event(EventKind::State, json!({ "state": "failed" }))));
        assert!(!is_last(&event(EventKind::State, json!({ "state": "running" }))));
        assert!(!is_last(&event(EventKind::Progress, json!({}))));
    }
}
