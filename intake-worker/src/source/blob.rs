//! Blobs as streams that survive broken connections.

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use registry_types::digest::Digest;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use tokio::time::Instant;

use super::error::SourceError;
use super::session::RegistrySession;
use super::transport::{Ask, Timeouts, failed, is_html};

/// After this much progress the count of broken connections starts anew.
const PROGRESS: u64 = 8 * 1024 * 1024;

/// Bytes per second that a registry must manage in the long run. A reader of a layer keeps others waiting for their turn.
const SLOWEST: u64 = 64 * 1024;

/// A blob being read. Ends after exactly the expected number of bytes; a broken or stalled connection is resumed by
/// `Range`. The **size** is verified, the **digest is not**: the reader hashes the bytes anyway.
pub struct BlobStream {
    session: RegistrySession,
    ask: Ask,
    digest: Digest,
    size: u64,
    read: u64,
    /// Bytes to pass over because the server ignored the range.
    skip: u64,
    body: Option<Response>,
    /// Tries since the last [`PROGRESS`] bytes.
    attempt: u32,
    attempt_from: u64,
    deadline: Instant,
    /// How long its bytes may keep the reader waiting beside the time that they need at the slowest rate.
    grace: Duration,
    waited: Duration,
}

impl BlobStream {
    pub(super) fn new(session: RegistrySession, ask: Ask, digest: Digest, size: u64, timeouts: Timeouts) -> Self {
        Self {
            session,
            ask,
            digest,
            size,
            read: 0,
            skip: 0,
            body: None,
            attempt: 1,
            attempt_from: 0,
            deadline: Instant::now() + timeouts.blob,
            grace: timeouts.exchange,
            waited: Duration::ZERO,
        }
    }

    /// Size of the whole blob in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes, or `None` when all `size` bytes were handed out.
    ///
    /// # Errors
    /// When the blob is longer or shorter than expected, or the registry fails for longer than the retry policy bears.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            let started = Instant::now();
            let step = tokio::time::timeout_at(self.patience(started), self.step()).await;
            self.waited += started.elapsed();
            match step.map_err(|_| SourceError::Timeout("the whole blob"))? {
                Ok(Step::Data(bytes)) => return Ok(Some(bytes)),
                Ok(Step::End) => return Ok(None),
                Ok(Step::Nothing) => {}
                Err(error) => self.pause(error).await?,
            }
        }
    }

    /// Opens the connection at the first bytes, so that access errors show at once.
    pub(super) async fn open(&mut self) -> Result<(), SourceError> {
        while self.body.is_none() {
            let started = Instant::now();
            let connected = tokio::time::timeout_at(self.patience(started), self.connect()).await;
            self.waited += started.elapsed();
            match connected.map_err(|_| SourceError::Timeout("the whole blob"))? {
                Ok(()) => {}
                Err(error) => self.pause(error).await?,
            }
        }
        Ok(())
    }

    /// When a wait that begins now must end. Only waiting counts: a reader that is slow itself does not make the registry
    /// slow.
    fn patience(&self, now: Instant) -> Instant {
        let due = self.grace + Duration::from_secs(self.read / SLOWEST);
        self.deadline.min(now + due.saturating_sub(self.waited))
    }

    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, SourceError>> + Send {
        futures_util::stream::try_unfold(self, |mut blob| async move {
            Ok(blob.next_chunk().await?.map(|bytes| (bytes, blob)))
        })
    }

    async fn step(&mut self) -> Result<Step, SourceError> {
        if self.read == self.size && self.body.is_none() {
            return Ok(Step::End);
        }
        let Some(body) = &mut self.body else {
            self.connect().await?;
            return Ok(Step::Nothing);
        };
        let url = body.url().clone();
        match body.chunk().await {
            Ok(Some(bytes)) => self.take(bytes),
            Ok(None) if self.read == self.size => {
                self.body = None;
                Ok(Step::End)
            }
            Ok(None) => Err(SourceError::Unavailable(format!("blob {} ended early", self.digest))),
            Err(error) => Err(failed(&error, &url)),
        }
    }

    fn take(&mut self, mut bytes: Bytes) -> Result<Step, SourceError> {
        let passed = self.skip.min(bytes.len() as u64);
        self.skip -= passed;
        // Cannot truncate: `passed` is at most the length of a buffer.
        let bytes = bytes.split_off(usize::try_from(passed).unwrap_or(usize::MAX));
        self.read += bytes.len() as u64;
        if self.read > self.size {
            return Err(self.wrong_size(self.read));
        }
        if self.read - self.attempt_from >= PROGRESS {
            self.attempt = 1;
            self.attempt_from = self.read;
        }
        if bytes.is_empty() { Ok(Step::Nothing) } else { Ok(Step::Data(bytes)) }
    }

    async fn connect(&mut self) -> Result<(), SourceError> {
        self.ask.from = (self.read > 0).then_some(self.read);
        let response = self.session.once(&self.ask).await?;
        if is_html(&response) {
            return Err(SourceError::Protocol(format!("{} is answered with a web page", self.ask.what)));
        }
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT;
        if resumed && !self.continues(&response) {
            return Err(SourceError::Protocol(format!("{} is resumed at another place than asked for", self.ask.what)));
        }
        let expected = if resumed { self.size - self.read } else { self.size };
        if let Some(length) = response.content_length().filter(|length| *length != expected) {
            return Err(self.wrong_size(if resumed { self.read + length } else { length }));
        }
        self.skip = if resumed { 0 } else { self.read };
        self.body = Some(response);
        Ok(())
    }

    fn continues(&self, response: &Response) -> bool {
        let expected = format!("bytes {}-{}/{}", self.read, self.size.saturating_sub(1), self.size);
        let unsized_form = format!("bytes {}-{}/*", self.read, self.size.saturating_sub(1));
        let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        self.read > 0 && range.is_some_and(|range| range == expected || range == unsized_form)
    }

    async fn pause(&mut self, error: SourceError) -> Result<(), SourceError> {
        self.body = None;
        let Some(wait) = self.session.retry_policy().wait(self.attempt, &error) else { return Err(error) };
        if Instant::now() + wait >= self.deadline {
            return Err(error);
        }
        self.attempt += 1;
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn wrong_size(&self, actual: u64) -> SourceError {
        SourceError::SizeMismatch { digest: self.digest.clone(), expected: self.size, actual }
    }
}

enum Step {
    Data(Bytes),
    Nothing,
    End,
}
