//! Deliveries that somebody asks for: a test, or once more what was delivered or failed.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::event::{Event, EventType};
use registry_types::ids::{DeliveryId, EventId};
use registry_types::webhook::DeliveryState;
use serde_json::json;

use super::deliveries::{Receiver, enqueue, plan_delivery};
use super::endpoints::Webhook;
use crate::schema::webhook_deliveries as deliveries;
use crate::{Connection, DbResult, events};

/// Deliveries that one call replays at most.
pub const MAX_REPLAYED: i64 = 1000;

/// Sends this webhook, and no other, an event that tells of nothing. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn ping(conn: &mut Connection, webhook: &Webhook) -> DbResult<DeliveryId> {
    let id = EventId::new();
    let kind = EventType::WebhookPing;
    let event = Event { kind, data: kind.data(&json!({ "webhook": webhook.id })) };
    events::insert(conn, id, webhook.owner.organization(), &format!("webhook:{}", webhook.id), &event).await?;
    plan_delivery(conn, webhook, id).await
}

/// Begins a delivery's schedule anew, under the same message id; one that is pending is left to its schedule. Call in a
/// transaction.
///
/// # Errors
/// [`DbError::NotFound`], also for another webhook's.
pub async fn replay(conn: &mut Connection, webhook: &Webhook, id: DeliveryId) -> DbResult<()> {
    let state: String = deliveries::table
        .filter(deliveries::id.eq(id.0))
        .filter(deliveries::webhook_id.eq(webhook.id.0))
        .select(deliveries::state)
        .for_update()
        .first(conn)
        .await?;
    if state == DeliveryState::Pending.as_str() {
        return Ok(());
    }
    diesel::update(deliveries::table.find(id.0))
        .set((
            deliveries::state.eq(DeliveryState::Pending.as_str()),
            deliveries::tries.eq(0),
            deliveries::ended_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await?;
    enqueue(conn, id, &receiver(webhook), None).await
}

#[derive(QueryableByName)]
struct Replayed {
    #[diesel(sql_type = Uuid)]
    id: uuid::Uuid,
}

const REPLAY_FAILED: &str = "\
    UPDATE webhook_deliveries SET state = 'pending', tries = 0, ended_at = NULL \
    WHERE id IN (SELECT id FROM webhook_deliveries WHERE webhook_id = $1 AND state = 'failed' AND created_at >= $2 \
        ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED) \
    RETURNING id";

/// Begins the schedules of all deliveries anew that were planned at `since` or later and have failed, the oldest first, at most
/// [`MAX_REPLAYED`]; returns how many. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn replay_failed(conn: &mut Connection, webhook: &Webhook, since: DateTime<Utc>) -> DbResult<usize> {
    let mut replayed: Vec<Replayed> = diesel::sql_query(REPLAY_FAILED)
        .bind::<Uuid, _>(webhook.id.0)
        .bind::<Timestamptz, _>(since)
        .bind::<BigInt, _>(MAX_REPLAYED)
        .load(conn)
        .await?;
    replayed.sort_unstable_by_key(|delivery| delivery.id);
    for delivery in &replayed {
        enqueue(conn, DeliveryId::from(delivery.id), &receiver(webhook), None).await?;
    }
    Ok(replayed.len())
}

fn receiver(webhook: &Webhook) -> Receiver {
    Receiver { webhook: webhook.id, owner: webhook.owner, url: webhook.url.clone() }
}
