//! Webhooks: who hears of events, with what they are signed, and what came of each delivery.

mod deliveries;
mod endpoints;
mod log;
mod replay;
mod secrets;

use registry_types::ids::OrganizationId;

pub(crate) use deliveries::plan_delivery;
pub use deliveries::{Attempt, Dispatch, Outcome, Receiver, give_up, load, settle};
pub(crate) use endpoints::interested;
pub use endpoints::{NewWebhook, Webhook, WebhookChange, change, count, create, get, list, remove};
pub use log::{Delivery, Filter, LoggedAttempt, attempts, deliveries, delivery};
pub use replay::{MAX_REPLAYED, ping, replay, replay_failed};
pub(crate) use secrets::reseal_all;
pub use secrets::{NewSecret, rotate};

/// Whom a webhook belongs to, who hears of what: an organization's of its own, the store's of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Organization(OrganizationId),
    Store,
}

impl Owner {
    /// `None` for the store.
    #[must_use]
    pub const fn organization(self) -> Option<OrganizationId> {
        match self {
            Self::Organization(id) => Some(id),
            Self::Store => None,
        }
    }

    fn of(organization: Option<uuid::Uuid>) -> Self {
        organization.map_or(Self::Store, |id| Self::Organization(id.into()))
    }
}
