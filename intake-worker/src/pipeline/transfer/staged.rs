//! Bytes on their way into the object store.

use blob_store::{BlobError, Upload};
use bytes::Bytes;

/// An upload, if there is anything to store. Dropped, it frees its space in staging: by its own blob's end or, as blobs move
/// side by side and the first error ends them all, by another's.
pub(super) struct Staged(Option<Box<dyn Upload>>);

impl Staged {
    pub(super) fn new(upload: Box<dyn Upload>) -> Self {
        Self(Some(upload))
    }

    /// For bytes that are held already.
    pub(super) const fn nothing() -> Self {
        Self(None)
    }

    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        match &mut self.0 {
            Some(upload) => upload.write(bytes).await,
            None => Ok(()),
        }
    }

    pub(super) async fn complete(mut self) -> Result<(), BlobError> {
        match self.0.take() {
            Some(upload) => upload.complete().await,
            None => Ok(()),
        }
    }

    /// Nothing more is stored.
    pub(super) fn give_up(&mut self) {
        self.0 = None;
    }
}
