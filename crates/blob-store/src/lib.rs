//! Objects behind one trait: an S3 bucket, or a directory on one machine.
//!
//! An object becomes visible only by [`Upload::complete`]; until then its bytes lie in staging.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use registry_types::digest::Digest;

/// Where an object lies. The only place that decides on paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// A mirrored blob: `blobs/<algorithm>/<first two hex digits>/<hex>`.
    Blob(Digest),
    /// A document that the store made (SBOM): `documents/<algorithm>/<first two hex digits>/<hex>`.
    Document(Digest),
    /// A published rendering of the index: `index/<name>`.
    Index(String),
}

/// What is known of a stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    pub size: u64,
}

/// A stored object, streamed.
pub struct ObjectBody {
    /// Size of the whole object, also when a range was asked for.
    pub size: u64,
    pub stream: BoxStream<'static, Result<Bytes, BlobError>>,
}

/// What a store can end with.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("object not found")]
    NotFound,
    #[error("range lies outside the object")]
    Range,
    /// The store does not answer or answers with an outage: try again.
    #[error("object store unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answers, but not to us: configuration or rights.
    #[error("object store refused the request")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Objects by key. All methods may be called concurrently, also for the same key: the same key always means the same
/// bytes (keys are digests), so the last writer changes nothing.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Starts an upload to `key`. Nothing is visible before [`Upload::complete`].
    async fn upload(&self, key: &ObjectKey) -> Result<Box<dyn Upload>, BlobError>;
    /// A small object in one call.
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), BlobError>;
    /// `range` is in bytes, end exclusive.
    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<ObjectBody, BlobError>;
    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, BlobError>;
    /// Deleting what is not there is no error.
    async fn delete(&self, key: &ObjectKey) -> Result<(), BlobError>;
    /// All keys below `prefix` (`blobs/`, `documents/`, `index/`), in no order, paged inside.
    fn list(&self, prefix: &'static str) -> BoxStream<'_, Result<ObjectKey, BlobError>>;
    /// A link by which a client reads the object without us; `None` where the store cannot be reached by clients.
    async fn presigned_get(&self, key: &ObjectKey, valid_for: Duration) -> Result<Option<String>, BlobError>;
    /// Ends uploads that were begun longer than `older_than` ago and never completed; returns how many.
    async fn remove_stale_uploads(&self, older_than: Duration) -> Result<u64, BlobError>;
}

/// One upload under way. Dropping it without [`Upload::complete`] leaves nothing visible; call [`Upload::abort`] to free
/// staging at once.
#[async_trait]
pub trait Upload: Send {
    /// Appends. May buffer up to one part (8 MiB) and then waits for it to be written.
    async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError>;
    /// Makes the object visible. Call only when the digest has been checked.
    async fn complete(self: Box<Self>) -> Result<(), BlobError>;
    async fn abort(self: Box<Self>) -> Result<(), BlobError>;
}
