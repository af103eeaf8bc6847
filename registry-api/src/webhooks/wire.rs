//! Webhooks and deliveries as they go over the line.

use chrono::{DateTime, Utc};
use registry_db::webhooks::{Delivery, LoggedAttempt, Webhook};
use registry_types::event::EventType;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWebhook {
    /// Where events are posted to: https, without a login.
    #[schema(example = "https://hooks.example.org/company-store")]
    pub(super) url: String,
    /// Types of events, such as `version.active`; all if none is given.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub(super) events: Vec<EventType>,
    #[serde(default)]
    pub(super) description: String,
}

/// What is not given stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeWebhook {
    #[serde(default)]
    pub(super) url: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub(super) events: Option<Vec<EventType>>,
    #[serde(default)]
    pub(super) description: Option<String>,
    /// `true` also enables what the store has disabled.
    #[serde(default)]
    pub(super) enabled: Option<bool>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookItem {
    id: Uuid,
    url: String,
    /// Empty: all.
    events: Vec<&'static str>,
    description: String,
    enabled: bool,
    /// `person`, `gone` (it answered 410) or `failing` (no success for days).
    disabled_reason: Option<&'static str>,
    disabled_at: Option<DateTime<Utc>>,
    /// Since its last success; null when the last attempt was one.
    failing_since: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<Webhook> for WebhookItem {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id.0,
            url: webhook.url.as_url().to_string(),
            events: webhook.event_types.into_iter().map(EventType::as_str).collect(),
            description: webhook.description,
            enabled: webhook.disabled.is_none(),
            disabled_reason: webhook.disabled.map(|(_, reason)| reason.as_str()),
            disabled_at: webhook.disabled.map(|(at, _)| at),
            failing_since: webhook.failing_since,
            created_at: webhook.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedWebhook {
    #[serde(flatten)]
    pub(super) webhook: WebhookItem,
    /// What deliveries are signed with; shown this once.
    #[schema(example = "whsec_…")]
    pub(super) secret: String,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateSecret {
    /// How long deliveries are signed with the old secret, too: 0 to 168 hours, 24 if not given.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 168)]
    pub(super) overlap_hours: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedSecret {
    /// What deliveries are signed with from now on; shown this once.
    pub(super) secret: String,
    /// Until then deliveries are signed with the old secret, too.
    pub(super) old_secret_until: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryItem {
    id: Uuid,
    /// Id of the event: the same in every attempt and replay.
    event: Uuid,
    event_type: &'static str,
    /// `pending`, `delivered` or `failed`.
    state: &'static str,
    next_attempt_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    attempts: Vec<AttemptItem>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
pub(crate) struct AttemptItem {
    at: DateTime<Utc>,
    /// Status of the answer; null when there was none.
    status: Option<i32>,
    duration_ms: i32,
    /// Why it did not deliver; null when it did.
    error: Option<&'static str>,
}

impl DeliveryItem {
    pub(super) fn of(delivery: Delivery, attempts: Vec<LoggedAttempt>) -> Self {
        let attempt = |logged: LoggedAttempt| AttemptItem {
            at: logged.at,
            status: logged.status,
            duration_ms: logged.duration_ms,
            error: logged.error.map(registry_types::webhook::DeliveryError::as_str),
        };
        Self {
            id: delivery.id.0,
            event: delivery.event.0,
            event_type: delivery.event_type.as_str(),
            state: delivery.state.as_str(),
            next_attempt_at: delivery.next_attempt_at,
            created_at: delivery.created_at,
            ended_at: delivery.ended_at,
            attempts: attempts.into_iter().map(attempt).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PlannedDelivery {
    /// Id of the delivery.
    pub(super) delivery: Uuid,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayFailed {
    /// Deliveries that were planned then or later.
    pub(super) since: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Replayed {
    pub(super) replayed: usize,
    /// Whether there may be more: then ask again.
    pub(super) has_more: bool,
}
