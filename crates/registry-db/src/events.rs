//! The outbox: what others are told of, written in the transaction of what it tells of, and the way from there to each
//! webhook that wants to hear it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Jsonb, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::event::Event;
use registry_types::ids::{EventId, OrganizationId};
use registry_types::job::JobPayload;

use crate::error::stored;
use crate::jobs::{self, Enqueue, Lease};
use crate::prepared::prepared;
use crate::schema::events;
use crate::webhooks::{interested, plan_delivery};
use crate::{Connection, DbResult};

/// An event as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    pub id: EventId,
    /// Whose it is; `None` for the store's own.
    pub organization: Option<OrganizationId>,
    /// `thing:<id>`.
    pub subject: String,
    pub event: Event,
    pub at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Wanted {
    #[diesel(sql_type = Bool)]
    is_wanted: bool,
}

/// Whether anybody wants it is asked in the same round trip: where nobody listens, an event costs no job.
const RECORD: &str = "\
    INSERT INTO events (id, organization_id, kind, subject, data) VALUES ($1, $2, $3, $4, $5) \
    RETURNING EXISTS (SELECT FROM webhooks WHERE (organization_id = $2 OR organization_id IS NULL) \
        AND disabled_at IS NULL AND (event_types = '{}' OR $3 = ANY (event_types))) AS is_wanted";

/// Writes an event, and the job that brings it to the webhooks. Call in the transaction of what it tells of.
pub(crate) async fn record(
    conn: &mut Connection,
    organization: Option<OrganizationId>,
    subject: &str,
    event: &Event,
) -> DbResult<()> {
    let id = EventId::new();
    if insert(conn, id, organization, subject, event).await? {
        let how = Enqueue { organization, ..Enqueue::default() };
        jobs::enqueue(conn, &JobPayload::Event { event: id }, how).await?;
    }
    Ok(())
}

pub(crate) async fn insert(
    conn: &mut Connection,
    id: EventId,
    organization: Option<OrganizationId>,
    subject: &str,
    event: &Event,
) -> DbResult<bool> {
    let record = diesel::sql_query(RECORD)
        .bind::<Uuid, _>(id.0)
        .bind::<Nullable<Uuid>, _>(organization.map(uuid::Uuid::from))
        .bind::<Text, _>(event.kind.as_str())
        .bind::<Text, _>(subject)
        .bind::<Jsonb, _>(&event.data);
    let inserted: Wanted = prepared(record).get_result(conn).await?;
    Ok(inserted.is_wanted)
}

/// Plans a delivery for each webhook that wants the event, and ends the job; returns how many. Call in a transaction.
///
/// # Errors
/// [`crate::DbError::Stale`] when the lease is lost.
pub async fn fan_out(conn: &mut Connection, lease: Lease, id: EventId) -> DbResult<usize> {
    jobs::finish(conn, lease).await?;
    // Too old and removed: then nobody is owed it any more.
    let Some(event) = load(conn, id).await? else { return Ok(0) };
    let webhooks = interested(conn, event.organization, event.event.kind).await?;
    for webhook in &webhooks {
        plan_delivery(conn, webhook, id).await?;
    }
    Ok(webhooks.len())
}

/// `None` when there is no such event (any more).
pub(crate) async fn load(conn: &mut Connection, id: EventId) -> DbResult<Option<StoredEvent>> {
    type Row = (Option<uuid::Uuid>, String, String, serde_json::Value, DateTime<Utc>);
    let row: Option<Row> = events::table
        .find(id.0)
        .select((events::organization_id, events::kind, events::subject, events::data, events::at))
        .first(conn)
        .await
        .optional()?;
    let Some((organization, kind, subject, data, at)) = row else { return Ok(None) };
    let event = Event { kind: stored("event type", &kind)?, data };
    Ok(Some(StoredEvent { id, organization: organization.map(Into::into), subject, event, at }))
}
