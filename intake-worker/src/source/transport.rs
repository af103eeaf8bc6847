//! One request: redirects, addresses, time-outs and the bounds on what is read. Knows nothing of registries.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use registry_types::limits;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HeaderName, HeaderValue, LOCATION, RANGE,
};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::address::{ForbiddenAddress, GuardedResolver};
use super::auth::Secrets;
use super::error::{OciErrorCode, SourceError};
use super::places::{Places, authority};
use super::retry::retry_after;

/// How long may be waited.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    pub connect: Duration,
    /// Without a byte.
    pub idle: Duration,
    /// One small exchange (manifest, token) with its redirects and body.
    pub exchange: Duration,
    /// One blob with all its resumptions.
    pub blob: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            exchange: Duration::from_secs(60),
            blob: Duration::from_secs(60 * 60),
        }
    }
}

/// What to do with a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirects {
    Follow,
    /// Token services answer themselves.
    Refuse,
    /// The redirect itself is the answer looked for.
    Return,
}

/// A request, still without credentials.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: &'static str,
    /// Ask for the bytes from here on.
    pub(super) from: Option<u64>,
    pub(super) redirects: Redirects,
    /// For errors: what was asked for.
    pub(super) what: String,
}

impl Ask {
    pub(super) fn get(url: Url, accept: &'static str, what: impl Into<String>) -> Self {
        Self { method: Method::GET, url, accept, from: None, redirects: Redirects::Follow, what: what.into() }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
    /// Sent with every request, so that a registry's operator and ours can speak about the same one.
    request_id: Option<HeaderValue>,
    pub(super) places: Places,
    pub(super) timeouts: Timeouts,
}

impl Transport {
    pub(super) fn new(
        places: Places,
        resolver: GuardedResolver,
        timeouts: Timeouts,
        extra_roots: Vec<reqwest::Certificate>,
    ) -> Result<Self, SourceError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("company-store/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .referer(false)
            .dns_resolver(Arc::new(resolver))
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.idle)
            .tls_certs_merge(extra_roots)
            .build()
            .map_err(|error| SourceError::Setup(root_cause(&error)))?;
        Ok(Self { http, request_id: None, places, timeouts })
    }

    pub(super) fn on_behalf_of(&self, request_id: &str) -> Self {
        Self { request_id: HeaderValue::from_str(request_id).ok(), ..self.clone() }
    }

    /// Sends `ask` and follows its redirects. `authorization` goes no further than the origin of `ask`: once a redirect
    /// leaves it, it is not sent again, not even back to where it came from.
    /// An answer whose headers repeat one of the `secrets` is none.
    pub(super) async fn send(
        &self,
        ask: &Ask,
        authorization: Option<&HeaderValue>,
        secrets: &Secrets,
    ) -> Result<Response, SourceError> {
        let mut url = ask.url.clone();
        let mut authorization = authorization;
        for _ in 0..=limits::MAX_REDIRECTS {
            self.places.check(&url)?;
            let response = self.once(ask, &url, authorization).await?;
            if response.headers().values().any(|value| secrets.are_in(value.as_bytes())) {
                return Err(repeated());
            }
            let Some(next) = redirect_target(&response, &url)? else { return Ok(response) };
            match ask.redirects {
                Redirects::Return => return Ok(response),
                Redirects::Refuse => {
                    return Err(SourceError::Protocol(format!("{} answers with a redirect", ask.what)));
                }
                Redirects::Follow => {}
            }
            if next.origin() != url.origin() {
                authorization = None;
            }
            url = next;
        }
        Err(SourceError::Protocol("more redirects than allowed".to_owned()))
    }

    async fn once(&self, ask: &Ask, url: &Url, authorization: Option<&HeaderValue>) -> Result<Response, SourceError> {
        let mut request = self
            .http
            .request(ask.method.clone(), url.clone())
            .header(ACCEPT, ask.accept)
            // Encoded bodies would make the limits and the digests mean something else.
            .header(ACCEPT_ENCODING, "identity");
        if let Some(from) = ask.from {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(request_id) = &self.request_id {
            request = request.header(REQUEST_ID, request_id.clone());
        }
        let response = request.send().await.map_err(|error| failed(&error, url))?;
        tracing::debug!(what = ask.what, method = %ask.method, status = response.status().as_u16(), "registry answered");
        let encoded = response.headers().get(CONTENT_ENCODING).is_some_and(|value| value != "identity");
        if encoded {
            return Err(SourceError::Protocol(format!("{} is answered with a content encoding", ask.what)));
        }
        Ok(response)
    }
}

/// An answer that holds the credential, which must be carried on to nowhere.
pub(super) fn repeated() -> SourceError {
    SourceError::Protocol("its answer repeats the namespace's credential".to_owned())
}

fn redirect_target(response: &Response, from: &Url) -> Result<Option<Url>, SourceError> {
    match response.status() {
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => {}
        _ => return Ok(None),
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok());
    target.map(Some).ok_or_else(|| SourceError::Protocol("redirect without a readable location".to_owned()))
}

/// Turns an answer that is no success into the error it stands for.
pub(super) async fn success(response: Response, ask: &Ask) -> Result<Response, SourceError> {
    let status = response.status();
    if status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT {
        return Ok(response);
    }
    if status.is_redirection() && ask.redirects == Redirects::Return {
        return Ok(response);
    }
    let asked_wait = retry_after(response.headers(), SystemTime::now());
    let html = is_html(&response);
    // An unreadable error body changes nothing about the status.
    let body = read_body(response, limits::MAX_ERROR_BODY_BYTES, "error body").await.unwrap_or_default();
    let code = OciErrorCode::in_body(&body);
    let what = ask.what.clone();
    Err(match (status.as_u16(), code) {
        (429, _) | (_, Some(OciErrorCode::TooManyRequests)) => SourceError::RateLimited { retry_after: asked_wait },
        (405 | 501, _) | (400..=499, Some(OciErrorCode::Unsupported)) => {
            SourceError::Unsupported { what, status: status.as_u16() }
        }
        (401 | 403, code) => SourceError::AccessDenied { what, status: status.as_u16(), code },
        // A web page says that nobody knows the route, not that the registry lacks the object.
        (404 | 410, _) if html => SourceError::Unsupported { what, status: status.as_u16() },
        (404 | 410, _) => SourceError::NotFound { what },
        (408 | 425 | 500..=599, _) => match asked_wait {
            Some(_) => SourceError::RateLimited { retry_after: asked_wait },
            None => SourceError::Unavailable(format!("HTTP {} for {what}", status.as_u16())),
        },
        (other, _) => SourceError::Protocol(format!("HTTP {other} for {what}")),
    })
}

/// A web page where a registry answers JSON: a portal, a maintenance page, a wrong host.
pub(super) fn is_html(response: &Response) -> bool {
    let content_type = response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read_body(mut response: Response, limit: u64, what: &str) -> Result<Bytes, SourceError> {
    let too_large = || SourceError::LimitExceeded { what: format!("the size of {what} in bytes"), limit };
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let url = response.url().clone();
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error, &url))? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The error of a request that got no (whole) answer. Without the URL: its query may hold a signed link.
pub(super) fn failed(error: &reqwest::Error, url: &Url) -> SourceError {
    let host = authority(url);
    if ForbiddenAddress::cause_of(error).is_some() {
        return SourceError::HostForbidden { host, why: "its address is not public" };
    }
    if error.is_timeout() {
        return SourceError::Timeout(if error.is_connect() { "connecting" } else { "no data" });
    }
    SourceError::Unavailable(format!("{host}: {}", root_cause(error)))
}

/// The innermost cause, which names the reason (`Connection refused`, `invalid peer certificate`).
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string().chars().take(200).collect()
}
