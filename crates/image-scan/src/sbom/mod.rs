//! Bills of materials of an image: CycloneDX 1.6 and SPDX 2.3, both as JSON.
//!
//! The same input gives the same document, byte for byte: nothing is taken from the clock or from chance.

mod cyclonedx;
mod license;
mod spdx;

pub use cyclonedx::cyclonedx;
pub use spdx::spdx;

use chrono::{DateTime, SecondsFormat, Utc};
use registry_types::component::Component;
use registry_types::digest::{Algorithm, Digest};
use uuid::Uuid;

/// Media types of the documents.
pub const CYCLONEDX_MEDIA_TYPE: &str = "application/vnd.cyclonedx+json; version=1.6";
pub const SPDX_MEDIA_TYPE: &str = "application/spdx+json";

const TOOL_NAME: &str = "company-store";
const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a bill of materials tells about.
#[derive(Debug, Clone)]
pub struct SbomInput<'a> {
    pub image: ImageIdentity<'a>,
    pub operating_system: Option<OperatingSystem<'a>>,
    /// In any order; the documents sort them.
    pub components: &'a [Component],
    /// Whether everything that was recognised could also be read. Neither document ever claims that nothing else is there.
    pub is_fully_read: bool,
    /// Stands in the documents as their time of creation.
    pub created: DateTime<Utc>,
}

/// The image that the document describes.
#[derive(Debug, Clone)]
pub struct ImageIdentity<'a> {
    /// `publisher/name` of the package.
    pub name: &'a str,
    /// Version of the package.
    pub version: &'a str,
    /// Where it was taken from: `host/path` without tag and digest.
    pub repository: &'a str,
    pub digest: &'a Digest,
}

/// The distribution, from its os-release file.
#[derive(Debug, Clone)]
pub struct OperatingSystem<'a> {
    /// `ID`, e.g. `debian`.
    pub id: &'a str,
    /// `VERSION_ID`, e.g. `12`; absent for rolling releases.
    pub version_id: Option<&'a str>,
    /// `PRETTY_NAME`.
    pub pretty_name: Option<&'a str>,
}

impl SbomInput<'_> {
    /// Every component once, in a stable order.
    fn sorted_components(&self) -> Vec<&Component> {
        let mut components: Vec<&Component> = self.components.iter().collect();
        components.sort_by(|a, b| (&a.purl, &a.path, a).cmp(&(&b.purl, &b.path, b)));
        components.dedup();
        components
    }

    fn created(&self) -> String {
        self.created.to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// An id of the document, from what it tells: two documents of different content have different ids.
    fn document_id(&self, format: &str) -> Uuid {
        let told = format!("{format}\n{}", serde_json::to_string(self.components).unwrap_or_default());
        let identity = format!(
            "{told}\n{}\n{}\n{}\n{}\n{:?}\n{}\n{}",
            self.image.name,
            self.image.version,
            self.image.repository,
            self.image.digest,
            self.operating_system,
            self.is_fully_read,
            self.created(),
        );
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(Digest::sha256_of(identity.as_bytes()).hex().as_bytes().chunks(2)) {
            *byte = std::str::from_utf8(pair).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or_default();
        }
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

impl ImageIdentity<'_> {
    /// Package URL of type `oci`: its name is the last segment of the repository.
    fn purl(&self) -> String {
        let name = self.repository.rsplit('/').next().unwrap_or(self.repository).to_ascii_lowercase();
        let digest = self.digest.to_string().replace(':', "%3A");
        format!("pkg:oci/{name}@{digest}?repository_url={}", self.repository)
    }
}

/// The name of a digest algorithm in CycloneDX; SPDX writes it without the hyphen.
const fn algorithm_name(digest: &Digest) -> &'static str {
    match digest.algorithm() {
        Algorithm::Sha256 => "SHA-256",
        Algorithm::Sha384 => "SHA-384",
        Algorithm::Sha512 => "SHA-512",
    }
}

#[cfg(test)]
mod tests;
