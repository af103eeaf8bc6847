//! Bytes on their way into the object store.

use blob_store::{BlobError, Upload};
use bytes::Bytes;

/// An upload that frees its space in staging when it is given up: by its own blob's end or, as blobs move side by side and
/// the first error ends them all, by another's. What cannot be freed is cleared away later.
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
        let (Some(upload), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(async move {
            if let Err(error) = upload.abort().await {
                tracing::debug!(%error, "an upload was not aborted");
            }
        });
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.give_up();
    }
}
