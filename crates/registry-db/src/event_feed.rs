//! An organization's events for who reads them behind a cursor, and must miss none.

use diesel::prelude::*;
use diesel::sql_types::{Integer, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::event::Event;
use registry_types::ids::OrganizationId;

use crate::error::stored;
use crate::events::StoredEvent;
use crate::paging::one_more;
use crate::schema::events;
use crate::{Connection, DbResult};

/// So many events are given their places at once. More than a page: a reader that goes on comes to the end.
const PLACED: i32 = 1000;

/// Events in the order of their places.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    pub events: Vec<StoredEvent>,
    /// Place of the last one; that of the caller, when there is none.
    pub last: Option<i64>,
    pub has_more: bool,
}

/// The organization's events behind `after`, the oldest first. What was committed since somebody last read stands behind
/// everything that was read. Call in a transaction: it gives the new ones their places, one reader of an organization at a time.
///
/// # Errors
/// When the database does not answer.
pub async fn read(
    conn: &mut Connection,
    organization: OrganizationId,
    after: Option<i64>,
    size: usize,
) -> DbResult<Feed> {
    place(conn, organization).await?;
    type Row = (i64, uuid::Uuid, String, String, serde_json::Value, chrono::DateTime<chrono::Utc>);
    let mut rows: Vec<Row> = events::table
        .filter(events::organization_id.eq(organization.0))
        .filter(events::place.gt(after.unwrap_or(0)))
        .order(events::place)
        .limit(one_more(size))
        .select((events::place.assume_not_null(), events::id, events::kind, events::subject, events::data, events::at))
        .load(conn)
        .await?;
    let has_more = rows.len() > size;
    rows.truncate(size);
    let last = rows.last().map(|(place, ..)| *place).or(after);
    let event = |(_, id, kind, subject, data, at): Row| {
        let event = Event { kind: stored("event type", &kind)?, data };
        Ok(StoredEvent { id: id.into(), organization: Some(organization), subject, event, at })
    };
    Ok(Feed { events: rows.into_iter().map(event).collect::<DbResult<_>>()?, last, has_more })
}

/// In the order of their ids, which is that of time but for what was written at the same time.
async fn place(conn: &mut Connection, organization: OrganizationId) -> DbResult<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('events ' || $1, 0))")
        .bind::<Text, _>(organization.to_string())
        .execute(conn)
        .await?;
    diesel::sql_query(
        "WITH new AS MATERIALIZED ( \
             SELECT id FROM events WHERE organization_id = $1 AND place IS NULL AND kind <> 'webhook.ping' \
             ORDER BY id LIMIT $2), \
         placed AS MATERIALIZED (SELECT id, nextval('events_place_seq') AS place FROM new) \
         UPDATE events SET place = placed.place FROM placed WHERE events.id = placed.id",
    )
    .bind::<Uuid, _>(organization.0)
    .bind::<Integer, _>(PLACED)
    .execute(conn)
    .await?;
    Ok(())
}
