//! Reading from registries that are not trusted.
//!
//! Everything is bounded: addresses, redirects, sizes, times, tries, and the hosts that see a credential. A client makes
//! [`RegistrySession`]s, one per repository and identity; [`image::resolve`] pins an image with all its platforms.

mod address;
mod auth;
mod blob;
mod challenge;
mod client;
mod document;
mod error;
pub mod image;
pub mod manifest;
mod places;
mod probe;
mod referrers;
mod retry;
mod session;
mod transport;

pub use address::NameLookup;
pub(crate) use address::{AddressPolicy, ForbiddenAddress, GuardedResolver, SystemLookup};
pub use auth::{Credential, CredentialError};
pub use blob::BlobStream;
pub use challenge::Challenge;
pub use client::{SourceClient, SourceSettings};
pub use error::{FailureClass, OciErrorCode, SourceError};
pub use manifest::RawManifest;
pub(crate) use places::Places;
pub use probe::{Known, ProbeReport, ProbeScope, ReferrersSupport};
pub use referrers::{Referrers, ReferrersSource};
pub use retry::RetryPolicy;
pub use session::RegistrySession;
pub use transport::Timeouts;
