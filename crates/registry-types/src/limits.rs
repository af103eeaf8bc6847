//! Limits on everything that comes from outside. Each has its own rejection code or error where it is enforced.

/// Manifests, indexes and configs: the size that the OCI distribution specification asks registries to accept.
pub const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;
/// Token answers and error bodies of a registry.
pub const MAX_TOKEN_BYTES: u64 = 64 * 1024;
pub const MAX_ERROR_BODY_BYTES: u64 = 16 * 1024;
/// Submitted package manifests and templates.
pub const MAX_PACKAGE_MANIFEST_BYTES: usize = 1024 * 1024;
/// Any body that is sent to the API: a package manifest of the largest size, and what is sent around it.
pub const MAX_BODY_BYTES: usize = MAX_PACKAGE_MANIFEST_BYTES + 64 * 1024;
/// Nesting of a submitted JSON document.
pub const MAX_JSON_DEPTH: usize = 32;
/// Layers of one image manifest.
pub const MAX_LAYERS: usize = 256;
/// Image manifests below one index.
pub const MAX_PLATFORMS: usize = 64;
/// Nesting of indexes.
pub const MAX_INDEX_DEPTH: usize = 2;
/// One blob as it is stored.
pub const MAX_BLOB_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// One layer unpacked.
pub const MAX_UNPACKED_LAYER_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Unpacked over packed size of a layer, judged after the first 16 MiB.
pub const MAX_COMPRESSION_RATIO: u64 = 200;
/// Entries of one layer.
pub const MAX_LAYER_ENTRIES: u64 = 1_000_000;
/// Length of one path in bytes, and its components.
pub const MAX_PATH_BYTES: usize = 4096;
pub const MAX_PATH_DEPTH: usize = 128;
/// A file that a cataloger reads whole (package databases, package manifests).
pub const MAX_CATALOG_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// The UI bundle of a `with-ui` module.
pub const MAX_UI_BUNDLE_BYTES: u64 = 50 * 1024 * 1024;
/// Signature candidates looked at for one image, and the size of one.
pub const MAX_SIGNATURE_CANDIDATES: usize = 64;
pub const MAX_SIGNATURE_BYTES: u64 = 2 * 1024 * 1024;
/// Redirects followed for one request.
pub const MAX_REDIRECTS: usize = 5;
