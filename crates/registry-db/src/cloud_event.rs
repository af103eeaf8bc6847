//! An event as it goes out: the structured JSON form of CloudEvents 1.0, to webhooks and to whoever reads the events behind a
//! cursor.

use chrono::SecondsFormat;
use registry_types::ids::{EventId, OrganizationId};
use serde::Serialize;
use serde_json::Value;

use crate::events::StoredEvent;

/// Of an event in the structured JSON form.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// An event as it goes out; the same event gives the same text each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloudEvent {
    specversion: &'static str,
    id: EventId,
    source: String,
    r#type: String,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    /// Extension: whose event it is. Left out where it is the store's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<OrganizationId>,
    data: Value,
}

impl CloudEvent {
    /// `store`: its address, which is the event's source.
    #[must_use]
    pub fn new(store: &str, event: StoredEvent) -> Self {
        Self {
            specversion: "1.0",
            id: event.id,
            source: store.to_owned(),
            r#type: event.event.kind.full_name(),
            subject: event.subject,
            time: event.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            datacontenttype: "application/json",
            organization: event.organization,
            data: event.event.data,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use registry_types::event::{Event, EventType};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_store_s_own_events_name_no_organization() {
        let event = StoredEvent {
            id: EventId(uuid::Uuid::nil()),
            organization: None,
            subject: "webhook:1".to_owned(),
            event: Event { kind: EventType::WebhookPing, data: json!({ "webhook": null }) },
            at: DateTime::from_timestamp_micros(1_777_636_800_123_456).unwrap(),
        };
        let sent = |event: StoredEvent| json!(CloudEvent::new("https://store.example.org", event));
        let own = json!({
            "specversion": "1.0", "id": uuid::Uuid::nil(), "source": "https://store.example.org",
            "type": "company-store.webhook.ping.v1", "subject": "webhook:1", "time": "2026-05-01T12:00:00.123456Z",
            "datacontenttype": "application/json", "data": {"webhook": null},
        });
        assert_eq!(sent(event.clone()), own);
        let acme = OrganizationId::new();
        assert_eq!(sent(StoredEvent { organization: Some(acme), ..event })["organization"], json!(acme));
    }
}
