//! The delivery log: what was to be delivered, and what came of each attempt.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Integer, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::event::EventType;
use registry_types::ids::{DeliveryId, EventId, WebhookId};
use registry_types::webhook::{DeliveryError, DeliveryState};

use super::deliveries::Attempt;
use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::{events, webhook_attempts as attempts_table, webhook_deliveries as deliveries_table};
use crate::{Connection, DbError, DbResult};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub event: EventId,
    pub event_type: EventType,
    pub state: DeliveryState,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAttempt {
    /// From 1.
    pub number: i32,
    pub at: DateTime<Utc>,
    pub status: Option<i32>,
    pub duration_ms: i32,
    pub error: Option<DeliveryError>,
}

/// Which deliveries; all that is given must fit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    pub state: Option<DeliveryState>,
    /// Planned at this time or later.
    pub since: Option<DateTime<Utc>>,
}

type Row = (uuid::Uuid, uuid::Uuid, String, String, Option<DateTime<Utc>>, DateTime<Utc>, Option<DateTime<Utc>>);

type Columns = (
    deliveries_table::id,
    deliveries_table::event_id,
    events::kind,
    deliveries_table::state,
    deliveries_table::next_attempt_at,
    deliveries_table::created_at,
    deliveries_table::ended_at,
);

const COLUMNS: Columns = (
    deliveries_table::id,
    deliveries_table::event_id,
    events::kind,
    deliveries_table::state,
    deliveries_table::next_attempt_at,
    deliveries_table::created_at,
    deliveries_table::ended_at,
);

fn from_row((id, event, kind, state, next_attempt_at, created_at, ended_at): Row) -> DbResult<Delivery> {
    Ok(Delivery {
        id: id.into(),
        event: event.into(),
        event_type: stored("event type", &kind)?,
        state: stored("delivery state", &state)?,
        next_attempt_at,
        created_at,
        ended_at,
    })
}

/// A webhook's deliveries, the newest first, before the one `before`.
///
/// # Errors
/// When the database does not answer.
pub async fn deliveries(
    conn: &mut Connection,
    webhook: WebhookId,
    filter: Filter,
    before: Option<DeliveryId>,
    size: usize,
) -> DbResult<Page<Delivery, DeliveryId>> {
    let mut query = deliveries_table::table
        .inner_join(events::table.on(events::id.eq(deliveries_table::event_id)))
        .filter(deliveries_table::webhook_id.eq(webhook.0))
        .order(deliveries_table::id.desc())
        .limit(one_more(size))
        .select(COLUMNS)
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(deliveries_table::id.lt(before.0));
    }
    if let Some(state) = filter.state {
        query = query.filter(deliveries_table::state.eq(state.as_str()));
    }
    if let Some(since) = filter.since {
        query = query.filter(deliveries_table::created_at.ge(since));
    }
    let rows: Vec<Row> = query.load(conn).await?;
    let found = rows.into_iter().map(from_row).collect::<DbResult<Vec<_>>>()?;
    Ok(Page::from_rows(found, size, |last| last.id))
}

/// One delivery of this webhook.
///
/// # Errors
/// [`DbError::NotFound`], also for another webhook's.
pub async fn delivery(conn: &mut Connection, webhook: WebhookId, id: DeliveryId) -> DbResult<Delivery> {
    let row: Row = deliveries_table::table
        .inner_join(events::table.on(events::id.eq(deliveries_table::event_id)))
        .filter(deliveries_table::webhook_id.eq(webhook.0))
        .filter(deliveries_table::id.eq(id.0))
        .select(COLUMNS)
        .first(conn)
        .await?;
    from_row(row)
}

/// What came of each attempt of these deliveries, in their order; by the position of the delivery.
///
/// # Errors
/// When the database does not answer.
pub async fn attempts(conn: &mut Connection, of: &[Delivery]) -> DbResult<Vec<Vec<LoggedAttempt>>> {
    type Row = (uuid::Uuid, i32, DateTime<Utc>, Option<i32>, i32, Option<String>);
    let ids: Vec<uuid::Uuid> = of.iter().map(|delivery| delivery.id.0).collect();
    let rows: Vec<Row> = attempts_table::table
        .filter(attempts_table::delivery_id.eq_any(&ids))
        .order((attempts_table::delivery_id, attempts_table::number))
        .load(conn)
        .await?;
    let mut found = vec![Vec::new(); of.len()];
    for (delivery, number, at, status, duration_ms, error) in rows {
        let error: Option<DeliveryError> = error.map(|word| stored("delivery error", &word)).transpose()?;
        if let Some(position) = ids.iter().position(|id| *id == delivery) {
            found[position].push(LoggedAttempt { number, at, status, duration_ms, error });
        }
    }
    Ok(found)
}

/// Notes an attempt; `false` when there is no such delivery (any more).
pub(super) async fn append(conn: &mut Connection, delivery: DeliveryId, attempt: &Attempt) -> DbResult<bool> {
    let duration = i32::try_from(attempt.took.as_millis()).map_err(|e| DbError::corrupt("duration")(Box::new(e)))?;
    let inserted = diesel::sql_query(
        "INSERT INTO webhook_attempts (delivery_id, number, at, status, duration_ms, error) \
         SELECT id, 1 + (SELECT count(*) FROM webhook_attempts WHERE delivery_id = $1), $2, $3, $4, $5 \
         FROM webhook_deliveries WHERE id = $1 FOR UPDATE",
    )
    .bind::<Uuid, _>(delivery.0)
    .bind::<Timestamptz, _>(attempt.at)
    .bind::<Nullable<Integer>, _>(attempt.status.map(i32::from))
    .bind::<Integer, _>(duration)
    .bind::<Nullable<Text>, _>(attempt.error.map(DeliveryError::as_str))
    .execute(conn)
    .await?;
    Ok(inserted > 0)
}
