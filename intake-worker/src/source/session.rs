//! A session: one repository, one identity.

use std::sync::Arc;

use bytes::Bytes;
use registry_types::digest::Digest;
use registry_types::image_reference::{RegistryHost, Repository};
use registry_types::limits;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response};
use url::Url;

use super::auth::{Authenticator, Credential, Secrets};
use super::blob::BlobStream;
use super::challenge::Challenge;
use super::client::Shared;
use super::error::SourceError;
use super::manifest::{ACCEPT_MANIFESTS, RawManifest};
use super::retry::RetryPolicy;
use super::transport::{Ask, Redirects, is_html, read_body, repeated, success};

/// Read access to one repository. Cheap to clone; clones share the token.
#[derive(Clone)]
pub struct RegistrySession {
    pub(super) shared: Arc<Shared>,
    inner: Arc<Inner>,
}

struct Inner {
    host: RegistryHost,
    repository: Repository,
    base: Url,
    authenticator: Authenticator,
    confirmed_token_hosts: Vec<String>,
}

impl RegistrySession {
    pub(super) fn new(
        shared: Arc<Shared>,
        host: RegistryHost,
        repository: Repository,
        credential: Option<Credential>,
        confirmed_token_hosts: Vec<String>,
    ) -> Result<Self, SourceError> {
        let base = shared.transport.places.registry(&host)?;
        let authenticator = Authenticator::new(&host, &base, &repository, credential, &confirmed_token_hosts);
        let inner = Inner { host, repository, base, authenticator, confirmed_token_hosts };
        Ok(Self { shared, inner: Arc::new(inner) })
    }

    #[must_use]
    pub fn host(&self) -> &RegistryHost {
        &self.inner.host
    }

    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.inner.repository
    }

    /// The manifest or index under a tag or digest. A tag's digest is computed from the bytes (sha256); a digest is checked
    /// with its own algorithm.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] only when the registry itself says that there is no such manifest.
    pub async fn manifest(&self, target: &str) -> Result<RawManifest, SourceError> {
        let what = format!("manifest {}/{}:{target}", self.inner.host, self.inner.repository);
        let url = self.url(&["manifests", target])?;
        let ask = Ask::get(url, ACCEPT_MANIFESTS, what);
        let (bytes, headers) = self.fetch(&ask, limits::MAX_MANIFEST_BYTES).await?;
        let expected = target.contains(':').then(|| target.parse::<Digest>());
        let expected = expected.transpose().map_err(|_| SourceError::NotFound { what: ask.what.clone() })?;
        let digest = checked_digest(&bytes, expected, &headers.docker_content_digest, &ask.what)?;
        RawManifest::read(bytes, digest, headers.content_type.as_deref())
            .map_err(|source| SourceError::ManifestInvalid { what: ask.what, source })
    }

    /// A blob as a stream; see [`BlobStream`] for what is verified. The first answer is awaited here, so that access errors
    /// show at once.
    ///
    /// # Errors
    /// [`SourceError::LimitExceeded`] above [`limits::MAX_BLOB_BYTES`]; else what the registry answers.
    pub async fn blob(&self, digest: &Digest, expected_size: u64) -> Result<BlobStream, SourceError> {
        if expected_size > limits::MAX_BLOB_BYTES {
            let what = format!("the size of blob {digest} in bytes");
            return Err(SourceError::LimitExceeded { what, limit: limits::MAX_BLOB_BYTES });
        }
        let ask = self.blob_ask(digest)?;
        let timeouts = self.shared.transport.timeouts;
        let mut stream = BlobStream::new(self.clone(), ask, digest.clone(), expected_size, timeouts);
        stream.open().await?;
        Ok(stream)
    }

    /// A small blob whole, with size and digest verified.
    ///
    /// # Errors
    /// [`SourceError::LimitExceeded`] when it is larger than `limit` bytes; [`SourceError::DigestMismatch`].
    pub async fn blob_bytes(&self, digest: &Digest, expected_size: u64, limit: u64) -> Result<Bytes, SourceError> {
        if expected_size > limit {
            return Err(SourceError::LimitExceeded { what: format!("the size of blob {digest} in bytes"), limit });
        }
        let ask = self.blob_ask(digest)?;
        let (bytes, _) = self.fetch(&ask, limit).await?;
        if bytes.len() as u64 != expected_size {
            let actual = bytes.len() as u64;
            return Err(SourceError::SizeMismatch { digest: digest.clone(), expected: expected_size, actual });
        }
        checked_digest(&bytes, Some(digest.clone()), &None, &ask.what)?;
        Ok(bytes)
    }

    /// Asks whether this identity may read a blob, without reading it. Gives the size if the registry says one. A redirect
    /// counts as yes and is not followed: links to storage are often signed for GET only.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] and [`SourceError::AccessDenied`] mean no.
    pub async fn head_blob(&self, digest: &Digest) -> Result<Option<u64>, SourceError> {
        let ask = Ask { method: Method::HEAD, redirects: Redirects::Return, ..self.blob_ask(digest)? };
        let response = self.with_retries(|| self.once(&ask)).await?;
        if response.status().is_redirection() {
            return Ok(None);
        }
        let length = response.headers().get(reqwest::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        Ok(length.and_then(|length| length.parse().ok()))
    }

    fn blob_ask(&self, digest: &Digest) -> Result<Ask, SourceError> {
        let what = format!("blob {}/{}@{digest}", self.inner.host, self.inner.repository);
        Ok(Ask::get(self.url(&["blobs", &digest.to_string()])?, "application/octet-stream", what))
    }

    /// `/v2/<repository>/<rest>`.
    pub(super) fn url(&self, rest: &[&str]) -> Result<Url, SourceError> {
        let mut url = self.inner.base.clone();
        let mut path =
            url.path_segments_mut().map_err(|()| SourceError::Setup("registry URL has no path".to_owned()))?;
        path.clear().push("v2").extend(self.inner.repository.as_str().split('/')).extend(rest);
        drop(path);
        Ok(url)
    }

    pub(super) fn ping_url(&self) -> Result<Url, SourceError> {
        self.inner.base.join("v2/").map_err(|_| SourceError::Setup("registry URL has no path".to_owned()))
    }

    /// The same repository without credential.
    pub(super) fn anonymous(&self) -> Result<Self, SourceError> {
        Self::new(
            Arc::clone(&self.shared),
            self.inner.host.clone(),
            self.inner.repository.clone(),
            None,
            self.inner.confirmed_token_hosts.clone(),
        )
    }

    pub(super) fn has_credential(&self) -> bool {
        self.inner.authenticator.credential.is_some()
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.inner.authenticator.secrets
    }

    pub(super) fn allows_realm(&self, realm: &Url) -> bool {
        self.inner.authenticator.allows_realm(realm)
    }

    pub(super) fn retry_policy(&self) -> RetryPolicy {
        self.shared.retry
    }

    /// A small body with the headers that say what it is; retried as a whole.
    pub(super) async fn fetch(&self, ask: &Ask, limit: u64) -> Result<(Bytes, Answer), SourceError> {
        self.with_retries(|| self.exchange(ask, limit)).await
    }

    async fn exchange(&self, ask: &Ask, limit: u64) -> Result<(Bytes, Answer), SourceError> {
        let exchange = async {
            let response = self.once(ask).await?;
            if is_html(&response) {
                return Err(SourceError::Protocol(format!("{} is answered with a web page", ask.what)));
            }
            let answer = Answer::of(&response);
            let body = read_body(response, limit, &ask.what).await?;
            if self.secrets().are_in(&body) { Err(repeated()) } else { Ok((body, answer)) }
        };
        let time = self.shared.transport.timeouts.exchange;
        tokio::time::timeout(time, exchange).await.unwrap_or(Err(SourceError::Timeout("the whole exchange")))
    }

    pub(super) async fn with_retries<T, F>(&self, operation: impl Fn() -> F) -> Result<T, SourceError>
    where
        F: Future<Output = Result<T, SourceError>>,
    {
        let mut attempt = 1;
        loop {
            let error = match operation().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(wait) = self.shared.retry.wait(attempt, &error) else { return Err(error) };
            tracing::debug!(%error, attempt, ?wait, "trying again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// One request with at most one answered challenge.
    pub(super) async fn once(&self, ask: &Ask) -> Result<Response, SourceError> {
        let transport = &self.shared.transport;
        let authenticator = &self.inner.authenticator;
        let carried = authenticator.current().await;
        let response = transport.send(ask, carried.as_ref(), &authenticator.secrets).await?;
        let Some(challenge) = self.challenge(&response)? else { return success(response, ask).await };
        let authorization: HeaderValue =
            authenticator.answer(transport, challenge, carried.as_ref(), &ask.what).await?;
        success(transport.send(ask, Some(&authorization), &authenticator.secrets).await?, ask).await
    }

    /// The registry's own challenge. What another host asks for after a redirect is none of ours to give.
    fn challenge(&self, response: &Response) -> Result<Option<Challenge>, SourceError> {
        let ours = response.url().origin() == self.inner.base.origin();
        if response.status() != reqwest::StatusCode::UNAUTHORIZED || !ours {
            return Ok(None);
        }
        Challenge::of(response.headers())
    }
}

/// The headers that say what a body is.
pub(super) struct Answer {
    pub(super) content_type: Option<String>,
    docker_content_digest: Option<String>,
    pub(super) link: Vec<String>,
}

impl Answer {
    fn of(response: &Response) -> Self {
        let header = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = response.headers();
        Self {
            content_type: headers.get(CONTENT_TYPE).and_then(header),
            docker_content_digest: headers.get("docker-content-digest").and_then(header),
            link: headers.get_all(reqwest::header::LINK).iter().filter_map(header).collect(),
        }
    }
}

/// The digest of `bytes`, which must be the expected one and must not contradict the registry's header.
fn checked_digest(
    bytes: &[u8],
    expected: Option<Digest>,
    header: &Option<String>,
    what: &str,
) -> Result<Digest, SourceError> {
    let named = header.as_ref().and_then(|header| header.parse::<Digest>().ok());
    let digest = expected.clone().unwrap_or_else(|| Digest::sha256_of(bytes));
    for claimed in expected.iter().chain(&named) {
        if !claimed.matches(bytes) {
            return Err(SourceError::DigestMismatch {
                what: what.to_owned(),
                expected: claimed.clone(),
                actual: Digest::sha256_of(bytes),
            });
        }
    }
    Ok(digest)
}
