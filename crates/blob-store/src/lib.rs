//! Objects behind one trait: an S3 bucket, or a directory on one machine.
//!
//! An object becomes visible only by [`Upload::complete`]; until then its bytes lie in staging.

mod directory;
mod key;
mod s3;
mod settings;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

pub use key::{IndexName, KeyError, ObjectKey};
pub use settings::{ObjectStoreSettings, S3Settings, open};

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
    #[error("range is empty or starts past the object's end")]
    Range,
    /// The store does not answer or answers with an outage: try again.
    #[error("object store unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answers, but not to us: configuration or rights.
    #[error("object store refused the request")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Objects by key. All methods may be called concurrently, also for the same key: a digest always means the same bytes,
/// so the last writer changes nothing; of the index, the last writer wins as a whole.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Starts an upload to `key`. Nothing is visible before [`Upload::complete`].
    async fn upload(&self, key: &ObjectKey) -> Result<Box<dyn Upload>, BlobError>;
    /// A small object in one call.
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), BlobError>;
    /// `range` is in bytes, end exclusive; an end past the object's end is cut to it (`start..u64::MAX` reads the rest).
    ///
    /// # Errors
    /// [`BlobError::NotFound`]; [`BlobError::Range`] when the range is empty or starts at or past the object's end.
    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<ObjectBody, BlobError>;
    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, BlobError>;
    /// Deleting what is not there is no error.
    async fn delete(&self, key: &ObjectKey) -> Result<(), BlobError>;
    /// All keys below `prefix` (`blobs/`, `documents/`, `index/`), in no order, paged inside.
    fn list(&self, prefix: &'static str) -> BoxStream<'_, Result<ObjectKey, BlobError>>;
    /// A link by which a client reads the object without us; `None` where the store cannot be reached by clients.
    async fn presigned_get(&self, key: &ObjectKey, valid_for: Duration) -> Result<Option<String>, BlobError>;
    /// Ends uploads that were begun (in a directory: last written to) longer than `older_than` ago and never completed;
    /// returns how many.
    async fn remove_stale_uploads(&self, older_than: Duration) -> Result<u64, BlobError>;
}

/// One upload under way. Dropping it without [`Upload::complete`] leaves nothing visible and frees staging;
/// [`Upload::abort`] does the same and tells whether it worked.
#[async_trait]
pub trait Upload: Send {
    /// Appends. May buffer up to one part (8 MiB) and then waits for it to be written.
    async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError>;
    /// Makes the object visible. Call only when the digest has been checked.
    async fn complete(self: Box<Self>) -> Result<(), BlobError>;
    async fn abort(self: Box<Self>) -> Result<(), BlobError>;
}
