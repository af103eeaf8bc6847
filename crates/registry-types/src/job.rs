//! What the API asks of the worker. The two programs know each other only through these and the database.

use serde::{Deserialize, Serialize};

use crate::identity_provider::Issuer;
use crate::ids::{DeliveryId, EventId, IntakeId, RegistryNamespaceId, ReviewId};
use crate::text_enum;

text_enum! {
    pub enum JobKind {
        Intake = "intake",
        RegistryTest = "registry_test",
        Housekeeping = "housekeeping",
        Rejudgement = "rejudgement",
        Waivers = "waivers",
        Review = "review",
        Event = "event",
        WebhookDelivery = "webhook_delivery",
        IdentityKeys = "identity_keys",
        NamespaceProof = "namespace_proof",
    }
}

/// One job's input. Never holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobPayload {
    Intake {
        intake: IntakeId,
    },
    RegistryTest {
        namespace: RegistryNamespaceId,
    },
    /// Removes what is out of date: expired idempotency keys and sessions, staging leftovers.
    Housekeeping {},
    /// Judges stored versions by the advisories in use, where these say something else than those that they were judged by.
    Rejudgement {},
    /// Ends the waivers whose time is over, and warns of those whose time is nearly so.
    Waivers {},
    /// Writes the verdict that a person's review leads to.
    Review {
        review: ReviewId,
    },
    /// Plans a delivery for each webhook that wants this event.
    Event {
        event: EventId,
    },
    /// Sends one event to one webhook.
    WebhookDelivery {
        delivery: DeliveryId,
    },
    /// Reads the keys that an identity provider signs its tokens with.
    IdentityKeys {
        issuer: Issuer,
    },
    /// Looks for the proof that a namespace belongs to its organization.
    NamespaceProof {
        namespace: RegistryNamespaceId,
    },
}

impl JobPayload {
    #[must_use]
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::Intake { .. } => JobKind::Intake,
            Self::RegistryTest { .. } => JobKind::RegistryTest,
            Self::Housekeeping {} => JobKind::Housekeeping,
            Self::Rejudgement {} => JobKind::Rejudgement,
            Self::Waivers {} => JobKind::Waivers,
            Self::Review { .. } => JobKind::Review,
            Self::Event { .. } => JobKind::Event,
            Self::WebhookDelivery { .. } => JobKind::WebhookDelivery,
            Self::IdentityKeys { .. } => JobKind::IdentityKeys,
            Self::NamespaceProof { .. } => JobKind::NamespaceProof,
        }
    }
}
