//! What goes over the line: an event in the structured JSON form of CloudEvents 1.0, signed as the Standard Webhooks
//! specification says (symmetric, `v1`).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use registry_db::cloud_event::CloudEvent;
use registry_db::events::StoredEvent;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

/// Stands before a secret's base64.
const SECRET_PREFIX: &str = "whsec_";

/// A signed event. The same event gives the same id and body at each attempt; time and signatures are the attempt's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: String,
    /// Seconds since 1970.
    pub(super) timestamp: String,
    /// One per secret that is good, with a space between two.
    pub(super) signatures: String,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// `None` when there is no secret, or one that is not `whsec_<base64>`.
    pub(super) fn new(store: &str, event: &StoredEvent, secrets: &[SecretString], at: DateTime<Utc>) -> Option<Self> {
        let (id, timestamp) = (event.id.to_string(), at.timestamp().to_string());
        let body = json!(CloudEvent::new(store, event.clone())).to_string().into_bytes();
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &body].concat();
        let signatures: Option<Vec<String>> = secrets.iter().map(|secret| sign(secret, &signed)).collect();
        let signatures = signatures.filter(|signatures| !signatures.is_empty())?.join(" ");
        Some(Self { id, timestamp, signatures, body })
    }
}

fn sign(secret: &SecretString, signed: &[u8]) -> Option<String> {
    let key = STANDARD.decode(secret.expose_secret().strip_prefix(SECRET_PREFIX)?).ok()?;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed);
    Some(format!("v1,{}", STANDARD.encode(tag)))
}

#[cfg(test)]
mod tests {
    use registry_types::event::{Event, EventType};
    use registry_types::ids::EventId;

    use super::*;

    /// As an independent library signs it (`standardwebhooks` 1.1.0 of PyPI).
    #[test]
    fn a_signature_is_the_one_that_others_make() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        assert_eq!(sign(&secret, signed).unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_secret_signs_nothing() {
        let event = StoredEvent {
            id: EventId::new(),
            organization: None,
            subject: "webhook:1".to_owned(),
            event: Event { kind: EventType::WebhookPing, data: json!({ "webhook": null }) },
            at: Utc::now(),
        };
        let message = |secrets: &[&str]| {
            let secrets: Vec<_> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
            Message::new("https://store.example.org", &event, &secrets, Utc::now())
        };
        assert_eq!(message(&[]), None);
        assert_eq!(message(&["whsec_c2VjcmV0", "not one"]), None);
        assert_eq!(message(&["whsec_c2VjcmV0", "whsec_b3RoZXI="]).unwrap().signatures.split(' ').count(), 2);
    }
}
