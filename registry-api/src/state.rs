//! What every handler may use.

use std::sync::Arc;

use blob_store::BlobStore;
use registry_db::Pool;
use registry_types::profile::Profile;

/// Shared by all handlers through `web::Data<AppState>`.
pub struct AppState {
    pub pool: Pool,
    pub blobs: Arc<dyn BlobStore>,
    pub profile: Profile,
    /// `https://store.example.org`, without a trailing slash: where clients reach this store.
    pub public_url: url::Url,
}
