//! One stream, several readers off the asynchronous runtime.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::job_error::JobError;

/// Chunks that wait for a reader. With chunks of a network read's size this bounds the memory of one blob.
const QUEUE: usize = 32;

/// A blocking reader of a stream, fed from the asynchronous side.
pub(super) struct Consumer<T> {
    chunks: mpsc::Sender<Bytes>,
    task: JoinHandle<T>,
}

/// The chunks that a reader is fed with.
pub(super) struct Chunks(mpsc::Receiver<Bytes>);

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.0.blocking_recv()
    }
}

impl<T: Send + 'static> Consumer<T> {
    /// Starts `reader` on a blocking thread. A stream that is given up ends for it like any other, so what it returns counts
    /// only when [`Consumer::finish`] is called.
    pub(super) fn start(reader: impl FnOnce(Chunks) -> T + Send + 'static) -> Self {
        let (chunks, receiver) = mpsc::channel(QUEUE);
        Self { chunks, task: tokio::task::spawn_blocking(move || reader(Chunks(receiver))) }
    }

    /// Hands over the next chunk; `false` when the reader wants no more.
    pub(super) async fn feed(&self, chunk: Bytes) -> bool {
        self.chunks.send(chunk).await.is_ok()
    }

    /// Ends the stream and waits for the result.
    ///
    /// # Errors
    /// When the reader panicked.
    pub(super) async fn finish(self) -> Result<T, JobError> {
        drop(self.chunks);
        self.task.await.map_err(|e| JobError::internal("blob reader")(Box::new(e)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_gets_every_chunk_and_may_stop_early() {
        let all = Consumer::start(|chunks| chunks.map(|chunk| chunk.len()).sum::<usize>());
        for _ in 0..100 {
            assert!(all.feed(Bytes::from_static(b"1234")).await);
        }
        assert_eq!(all.finish().await.unwrap(), 400);

        let first = Consumer::start(|mut chunks| chunks.next().map(|chunk| chunk.len()));
        let mut fed = 0;
        while first.feed(Bytes::from_static(b"12")).await {
            fed += 1;
        }
        assert!(fed >= 1);
        assert_eq!(first.finish().await.unwrap(), Some(2));
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let broken: Consumer<()> = Consumer::start(|_| panic!("broken reader"));
        assert!(broken.finish().await.is_err());
    }
}
