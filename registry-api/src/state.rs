//! What every handler may use.

use std::sync::Arc;

use blob_store::BlobStore;
use registry_db::Pool;
use registry_db::key_ring::KeyRing;
use registry_types::profile::Profile;
use tokio_util::sync::CancellationToken;

use crate::auth::passwords::Passwords;
use crate::index::IndexCache;
use crate::intakes::hub::EventHub;
use crate::limits::{Limits, TrustedProxies};
use crate::settings::TokenLifetimes;
use crate::telemetry::Metrics;

/// Shared by all handlers through `web::Data<AppState>`.
pub struct AppState {
    pub pool: Pool,
    pub blobs: Arc<dyn BlobStore>,
    pub profile: Profile,
    /// `https://store.example.org/`: where clients reach this store.
    pub public_url: url::Url,
    pub(crate) key_ring: KeyRing,
    pub(crate) passwords: Passwords,
    pub(crate) lifetimes: TokenLifetimes,
    pub(crate) limits: Limits,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) hub: EventHub,
    pub(crate) index: IndexCache,
    pub(crate) metrics: Metrics,
    /// Cancelled when the server begins to stop: answers without an end must end.
    pub(crate) stopping: CancellationToken,
}
