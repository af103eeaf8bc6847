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
    pub(crate) url: String,
    /// Types of events, such as `version.active`; all if none is given.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub(crate) events: Vec<EventType>,
    #[serde(default)]
    pub(crate) description: String,
}

/// What is not given stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeWebhook {
    #[serde(default)]
    pub(crate) url: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub(crate) events: Option<Vec<EventType>>,
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// `true` also enables what the store has disabled.
    #[serde(default)]
    pub(crate) enabled: Option<bool>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookItem {
    pub(crate) id: Uuid,
    pub(crate) url: String,
    /// Empty: all.
    pub(crate) events: Vec<&'static str>,
    pub(crate) description: String,
    pub(crate) enabled: bool,
    /// `person`, `gone` (it answered 410) or `failing` (no success for days).
    pub(crate) disabled_reason: Option<&'static str>,
    pub(crate) disabled_at: Option<DateTime<Utc>>,
    /// Since its last success; null when the last attempt was one.
    pub(crate) failing_since: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
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
    pub(crate) webhook: WebhookItem,
    /// What deliveries are signed with; shown this once.
    #[schema(example = "whsec_…")]
    pub(crate) secret: String,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateSecret {
    /// How long deliveries are signed with the old secret, too: 0 to 168 hours, 24 if not given.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 168)]
    pub(crate) overlap_hours: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedSecret {
    /// What deliveries are signed with from now on; shown this once.
    pub(crate) secret: String,
    /// Until then deliveries are signed with the old secret, too.
    pub(crate) old_secret_until: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryItem {
    pub(crate) id: Uuid,
    /// Id of the event: the same in every attempt and replay.
    pub(crate) event: Uuid,
    pub(crate) event_type: &'static str,
    /// `pending`, `delivered` or `failed`.
    pub(crate) state: &'static str,
    pub(crate) next_attempt_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
    pub(crate) attempts: Vec<AttemptItem>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
pub(crate) struct AttemptItem {
    pub(crate) at: DateTime<Utc>,
    /// Status of the answer; null when there was none.
    pub(crate) status: Option<i32>,
    pub(crate) duration_ms: i32,
    /// Why it did not deliver; null when it did.
    pub(crate) error: Option<&'static str>,
}

impl DeliveryItem {
    pub(crate) fn of(delivery: Delivery, attempts: Vec<LoggedAttempt>) -> Self {
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
    pub(crate) delivery: Uuid,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayFailed {
    /// Deliveries that were planned then or later.
    pub(crate) since: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Replayed {
    pub(crate) replayed: usize,
    /// Whether there may be more: then ask again.
    pub(crate) has_more: bool,
}
