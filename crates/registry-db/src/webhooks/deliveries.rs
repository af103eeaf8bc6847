//! The way of one delivery: planned, attempted under a job's lease, noted, and attempted again or ended.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::ids::{DeliveryId, EventId, WebhookId};
use registry_types::job::JobPayload;
use registry_types::webhook::{DeliveryError, DeliveryState, DisabledReason, WebhookUrl};
use secrecy::SecretString;
use serde_json::json;

use super::endpoints::{Webhook, disable};
use super::secrets::open_secrets;
use super::{Owner, log};
use crate::audit::{self, Actor, Entry};
use crate::error::stored;
use crate::events::{self, StoredEvent};
use crate::jobs::{self, ClaimedJob, Enqueue, Lease};
use crate::key_ring::{KeyRing, KeyRingError};
use crate::schema::{webhook_deliveries as deliveries, webhooks};
use crate::{Connection, DbError, DbResult, clock};

/// Where a delivery goes to.
#[derive(Debug, Clone)]
pub struct Receiver {
    pub webhook: WebhookId,
    pub owner: Owner,
    pub url: WebhookUrl,
}

/// Everything that an attempt needs. `Debug` shows no secret.
#[derive(Debug)]
pub struct Dispatch {
    pub delivery: DeliveryId,
    pub receiver: Receiver,
    /// Those that are good now, the newest first.
    pub secrets: Result<Vec<SecretString>, KeyRingError>,
    pub event: StoredEvent,
    /// Attempts since it was planned or replayed.
    pub tries: u32,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub at: DateTime<Utc>,
    pub took: Duration,
    /// What the other side answered, if it did.
    pub status: Option<u16>,
    /// `None`: it is delivered.
    pub error: Option<DeliveryError>,
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    Again {
        after: Duration,
        /// A webhook that has had no success for so long is disabled.
        disable_after: Duration,
    },
    /// Nothing but a replay.
    Failed {
        disable_after: Duration,
    },
    /// The webhook is disabled at once.
    Gone,
}

/// The job's key while a delivery is pending.
pub(super) fn job_key(delivery: DeliveryId) -> String {
    format!("webhook_delivery:{delivery}")
}

/// Plans the delivery of an event to a webhook, once. Call in a transaction.
pub(crate) async fn plan_delivery(conn: &mut Connection, webhook: &Webhook, event: EventId) -> DbResult<DeliveryId> {
    let id = DeliveryId::new();
    let inserted = diesel::insert_into(deliveries::table)
        .values((deliveries::id.eq(id.0), deliveries::webhook_id.eq(webhook.id.0), deliveries::event_id.eq(event.0)))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    if inserted > 0 {
        let receiver = Receiver { webhook: webhook.id, owner: webhook.owner, url: webhook.url.clone() };
        enqueue(conn, id, &receiver, None).await?;
    }
    Ok(id)
}

pub(super) async fn enqueue(
    conn: &mut Connection,
    delivery: DeliveryId,
    receiver: &Receiver,
    run_after: Option<DateTime<Utc>>,
) -> DbResult<()> {
    let how = Enqueue {
        organization: receiver.owner.organization(),
        source_host: receiver.url.authority().parse().ok(),
        run_after,
        dedup_key: Some(job_key(delivery)),
        ..Enqueue::default()
    };
    jobs::enqueue(conn, &JobPayload::WebhookDelivery { delivery }, how).await?;
    Ok(())
}

/// What is to be sent; `None` when nothing is owed any more: it has ended, or its webhook was removed. A webhook that is
/// disabled ends it here.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn load(
    conn: &mut Connection,
    lease: Lease,
    delivery: DeliveryId,
    ring: &KeyRing,
) -> DbResult<Option<Dispatch>> {
    type Row = (uuid::Uuid, uuid::Uuid, i32, Option<uuid::Uuid>, String, Option<DateTime<Utc>>);
    jobs::assert_in_time(conn, lease).await?;
    let row: Option<Row> = deliveries::table
        .inner_join(webhooks::table.on(webhooks::id.eq(deliveries::webhook_id)))
        .filter(deliveries::id.eq(delivery.0))
        .filter(deliveries::state.eq(DeliveryState::Pending.as_str()))
        .select((
            webhooks::id,
            deliveries::event_id,
            deliveries::tries,
            webhooks::organization_id,
            webhooks::url,
            webhooks::disabled_at,
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((webhook, event, tries, organization, url, disabled_at)) = row else { return Ok(None) };
    if disabled_at.is_some() {
        let at = clock::now(conn).await?;
        let refused = Attempt { at, took: Duration::ZERO, status: None, error: Some(DeliveryError::Disabled) };
        log::append(conn, delivery, &refused).await?;
        end(conn, delivery, DeliveryState::Failed).await?;
        return Ok(None);
    }
    let Some(event) = events::load(conn, event.into()).await? else { return Ok(None) };
    let receiver =
        Receiver { webhook: webhook.into(), owner: Owner::of(organization), url: stored("webhook URL", &url)? };
    let secrets = open_secrets(conn, receiver.webhook, ring).await?;
    let tries = u32::try_from(tries).map_err(|e| DbError::corrupt("tries")(Box::new(e)))?;
    Ok(Some(Dispatch { delivery, receiver, secrets, event, tries }))
}

/// Notes an attempt and what follows it, and ends the job; the next attempt has one of its own. Call in a transaction.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn settle(
    conn: &mut Connection,
    lease: Lease,
    dispatch: &Dispatch,
    attempt: &Attempt,
    outcome: Outcome,
) -> DbResult<()> {
    jobs::finish(conn, lease).await?;
    let (delivery, receiver) = (dispatch.delivery, &dispatch.receiver);
    // Removed meanwhile.
    if !log::append(conn, delivery, attempt).await? {
        return Ok(());
    }
    match outcome {
        Outcome::Delivered => {
            end(conn, delivery, DeliveryState::Delivered).await?;
            succeeded(conn, receiver.webhook).await
        }
        Outcome::Again { after, disable_after } => {
            let at = Utc::now() + TimeDelta::from_std(after).unwrap_or(TimeDelta::MAX);
            diesel::update(deliveries::table.find(delivery.0))
                .set((deliveries::tries.eq(deliveries::tries + 1), deliveries::next_attempt_at.eq(Some(at))))
                .execute(conn)
                .await?;
            enqueue(conn, delivery, receiver, Some(at)).await?;
            failing(conn, receiver, disable_after).await
        }
        Outcome::Failed { disable_after } => {
            end(conn, delivery, DeliveryState::Failed).await?;
            failing(conn, receiver, disable_after).await
        }
        Outcome::Gone => {
            end(conn, delivery, DeliveryState::Failed).await?;
            disable_for(conn, receiver, DisabledReason::Gone).await
        }
    }
}

/// Ends a delivery whose job is given up. Call in a transaction.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn give_up(conn: &mut Connection, job: &ClaimedJob, delivery: DeliveryId, error: &str) -> DbResult<()> {
    jobs::fail(conn, job, error).await?;
    let at = clock::now(conn).await?;
    let attempt = Attempt { at, took: Duration::ZERO, status: None, error: Some(DeliveryError::GivenUp) };
    if log::append(conn, delivery, &attempt).await? {
        end(conn, delivery, DeliveryState::Failed).await?;
    }
    Ok(())
}

async fn end(conn: &mut Connection, delivery: DeliveryId, state: DeliveryState) -> DbResult<()> {
    diesel::sql_query(
        "UPDATE webhook_deliveries SET state = $2, ended_at = store_now(), next_attempt_at = NULL, tries = tries + 1 \
         WHERE id = $1",
    )
    .bind::<Uuid, _>(delivery.0)
    .bind::<Text, _>(state.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

/// Only a change is written: deliveries to one webhook would wait for one another.
async fn succeeded(conn: &mut Connection, webhook: WebhookId) -> DbResult<()> {
    diesel::update(webhooks::table.find(webhook.0))
        .filter(webhooks::failing_since.is_not_null())
        .set(webhooks::failing_since.eq(None::<DateTime<Utc>>))
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Failing {
    #[diesel(sql_type = Bool)]
    is_over: bool,
}

async fn failing(conn: &mut Connection, receiver: &Receiver, disable_after: Duration) -> DbResult<()> {
    let failing: Option<Failing> = diesel::sql_query(
        "UPDATE webhooks SET failing_since = coalesce(failing_since, store_now()) WHERE id = $1 \
         RETURNING failing_since < store_now() - make_interval(secs => $2) AS is_over",
    )
    .bind::<Uuid, _>(receiver.webhook.0)
    .bind::<diesel::sql_types::Double, _>(disable_after.as_secs_f64())
    .get_result(conn)
    .await
    .optional()?;
    if failing.is_some_and(|failing| failing.is_over) {
        disable_for(conn, receiver, DisabledReason::Failing).await?;
    }
    Ok(())
}

async fn disable_for(conn: &mut Connection, receiver: &Receiver, reason: DisabledReason) -> DbResult<()> {
    if !disable(conn, receiver.webhook, reason).await? {
        return Ok(());
    }
    let entry = Entry {
        organization: receiver.owner.organization(),
        actor: Actor::Worker,
        action: AuditAction::WebhookDisabled,
        subject: audit::Subject::Webhook(receiver.webhook),
        details: json!({ "host": receiver.url.authority(), "reason": reason }),
    };
    audit::append(conn, entry).await
}
