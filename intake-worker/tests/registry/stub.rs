//! A registry in process that answers from maps, and where a test tells it to, otherwise.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use intake_worker::source::{Credential, RegistrySession, RetryPolicy, SourceClient, SourceSettings, Timeouts};
use registry_types::digest::Digest;
use registry_types::profile::Profile;
use secrecy::SecretString;
use serde_json::{Value, json};

pub(crate) const REPOSITORY: &str = "acme/app";

/// What arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) method: String,
    /// With query.
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) range: Option<String>,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: ReplyBody,
}

#[derive(Debug, Clone)]
enum ReplyBody {
    Whole(Bytes),
    /// Declares `length`, sends these bytes and breaks off.
    Broken {
        bytes: Bytes,
        length: usize,
    },
    /// Sends these bytes and then nothing, for ever.
    Stalled(Bytes),
    /// Never ends.
    Endless,
    /// A byte every ten milliseconds, for ever.
    Dripping,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: ReplyBody::Whole(body.into()) }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, body.to_string()).header("content-type", "application/json")
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self::json(status, &json!({"errors": [{"code": code, "message": "no"}]}))
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::new(307, "").header("location", to)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn broken(bytes: impl Into<Bytes>, length: usize) -> Self {
        Self { status: 200, headers: Vec::new(), body: ReplyBody::Broken { bytes: bytes.into(), length } }
    }

    pub(crate) fn stalled(bytes: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: Vec::new(), body: ReplyBody::Stalled(bytes.into()) }
    }

    pub(crate) fn endless(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: ReplyBody::Endless }
    }

    pub(crate) fn dripping() -> Self {
        Self { status: 200, headers: Vec::new(), body: ReplyBody::Dripping }
    }

    fn into_response(self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = match self.body {
            ReplyBody::Whole(bytes) => Body::from(bytes),
            ReplyBody::Broken { bytes, length } => {
                response = response.header("content-length", length);
                let parts = vec![Ok(bytes), Err(std::io::Error::other("broken off"))];
                // The pause lets the first part reach the client before the connection ends.
                Body::from_stream(stream::unfold(parts.into_iter(), |mut parts| async move {
                    let part = parts.next()?;
                    if part.is_err() {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Some((part, parts))
                }))
            }
            ReplyBody::Stalled(bytes) => {
                let first = stream::once(async move { Ok::<_, Infallible>(bytes) });
                Body::from_stream(futures_util::StreamExt::chain(first, stream::pending()))
            }
            ReplyBody::Endless => {
                let chunk = Bytes::from(vec![b' '; 64 * 1024]);
                Body::from_stream(stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone())))
            }
            ReplyBody::Dripping => Body::from_stream(stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
            })),
        };
        response.body(body).unwrap()
    }
}

type Answering = Box<dyn Fn(&Arrived) -> Reply + Send + Sync>;

struct Inner {
    answer: Answering,
    log: Mutex<Vec<Arrived>>,
}

/// A running stub; ends when dropped.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    pub(crate) async fn start(answer: impl Fn(&Arrived) -> Reply + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner { answer: Box::new(answer), log: Mutex::default() });
        let app = Router::new().fallback(handle).with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, inner, task }
    }

    /// A well-behaved registry.
    pub(crate) async fn registry(registry: Registry) -> Self {
        Self::start(move |request| registry.answer(request)).await
    }

    /// A registry that answers some requests otherwise.
    pub(crate) async fn disturbed(
        registry: Registry,
        otherwise: impl Fn(&Arrived) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |request| otherwise(request).unwrap_or_else(|| registry.answer(request))).await
    }

    pub(crate) fn log(&self) -> Vec<Arrived> {
        self.inner.log.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.log().iter().filter(|request| request.path.contains(part)).count()
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn session(&self) -> RegistrySession {
        self.session_with(None, &[])
    }

    pub(crate) fn session_with(&self, credential: Option<Credential>, confirmed: &[String]) -> RegistrySession {
        let client = SourceClient::new(settings()).unwrap();
        session(&client, &self.host(), credential, confirmed)
    }
}

pub(crate) fn session(
    client: &SourceClient,
    host: &str,
    credential: Option<Credential>,
    confirmed: &[String],
) -> RegistrySession {
    let (host, repository) = (host.parse().unwrap(), REPOSITORY.parse().unwrap());
    client.session(&host, &repository, credential, confirmed).unwrap()
}

/// Development, quick to try again and quick to give up.
pub(crate) fn settings() -> SourceSettings {
    SourceSettings {
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(10),
            exchange: Duration::from_secs(20),
            blob: Duration::from_secs(30),
        },
        retry: RetryPolicy { attempts: 3, base: Duration::from_millis(1), longest: Duration::from_secs(2) },
        ..SourceSettings::new(Profile::Development)
    }
}

pub(crate) fn credential(token: &str) -> Credential {
    Credential::new("robot", SecretString::from(token.to_owned())).unwrap()
}

async fn handle(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let arrived = Arrived {
        method: request.method().to_string(),
        path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        authorization: header("authorization"),
        range: header("range"),
    };
    inner.log.lock().unwrap().push(arrived.clone());
    (inner.answer)(&arrived).into_response()
}

/// What a registry holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    /// By tag and by digest: content type and bytes.
    manifests: BTreeMap<String, (String, Bytes)>,
    blobs: BTreeMap<String, Bytes>,
    /// Referrers by subject; `None` for a registry without the API.
    referrers: Option<BTreeMap<String, Vec<Value>>>,
}

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Registry {
    pub(crate) fn with_referrers_api() -> Self {
        Self { referrers: Some(BTreeMap::new()), ..Self::default() }
    }

    pub(crate) fn blob(&mut self, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::sha256_of(&bytes);
        self.blobs.insert(digest.to_string(), bytes);
        digest
    }

    pub(crate) fn descriptor(&mut self, media_type: &str, bytes: impl Into<Bytes>) -> Value {
        let bytes = bytes.into();
        let size = bytes.len();
        json!({"mediaType": media_type, "digest": self.blob(bytes), "size": size})
    }

    pub(crate) fn manifest(&mut self, tag: Option<&str>, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::sha256_of(&bytes);
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let media_type = document["mediaType"].as_str().unwrap_or(OCI_MANIFEST).to_owned();
        for name in tag.map(str::to_owned).into_iter().chain([digest.to_string()]) {
            self.manifests.insert(name, (media_type.clone(), bytes.clone()));
        }
        digest
    }

    /// Pushes a manifest with a subject, and lists it as the registry would: by its API, or under the fallback tag.
    pub(crate) fn referrer(&mut self, subject: &Digest, manifest: &Value) -> Digest {
        let bytes = Bytes::from(manifest.to_string());
        let digest = self.manifest(None, bytes.clone());
        let entry = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": bytes.len()});
        match &mut self.referrers {
            Some(referrers) => referrers.entry(subject.to_string()).or_default().push(entry),
            None => {
                let tag = format!("sha256-{}", subject.hex());
                let listed = self.manifests.get(&tag).map(|(_, bytes)| serde_json::from_slice::<Value>(bytes).unwrap());
                let mut index = listed.unwrap_or_else(|| index(Vec::new()));
                index["manifests"].as_array_mut().unwrap().push(entry);
                self.manifest(Some(&tag), index.to_string());
            }
        }
        digest
    }

    pub(crate) fn answer(&self, request: &Arrived) -> Reply {
        let path = request.path.split('?').next().unwrap();
        if path == "/v2/" {
            return Reply::json(200, &json!({}));
        }
        let Some(rest) = path.strip_prefix(&format!("/v2/{REPOSITORY}/")) else {
            return Reply::error(404, "NAME_UNKNOWN");
        };
        match rest.split_once('/') {
            Some(("manifests", name)) => match self.manifests.get(name) {
                Some((media_type, bytes)) => Reply::new(200, bytes.clone()).header("content-type", media_type),
                None => Reply::error(404, "MANIFEST_UNKNOWN"),
            },
            Some(("blobs", digest)) => match self.blobs.get(digest) {
                Some(bytes) => ranged(bytes, request.range.as_deref()),
                None => Reply::error(404, "BLOB_UNKNOWN"),
            },
            Some(("referrers", subject)) => match &self.referrers {
                Some(referrers) => {
                    let entries = referrers.get(subject).cloned().unwrap_or_default();
                    Reply::new(200, index(entries).to_string()).header("content-type", OCI_INDEX)
                }
                None => Reply::new(404, "404 page not found").header("content-type", "text/plain"),
            },
            Some(("tags", "list")) => Reply::json(200, &json!({"name": REPOSITORY, "tags": []})),
            _ => Reply::error(404, "NAME_UNKNOWN"),
        }
    }
}

pub(crate) fn index(manifests: Vec<Value>) -> Value {
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
}

fn ranged(bytes: &Bytes, range: Option<&str>) -> Reply {
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match from {
        Some(from) => {
            let content_range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Reply::new(206, bytes.slice(from..)).header("content-range", content_range)
        }
        None => Reply::new(200, bytes.clone()),
    }
}

/// Puts token authentication in front of a registry, at `realm` or at the registry itself.
pub(crate) fn challenge(realm: &str) -> Reply {
    Reply::error(401, "UNAUTHORIZED")
        .header("www-authenticate", format!(r#"Bearer realm="{realm}",service="stub",scope="repository:evil:push""#))
}
