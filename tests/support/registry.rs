//! Source registries for one test each: one in this process that counts and can stall, and Debian's docker-registry, which
//! has no referrers API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use futures_util::{StreamExt as _, stream};
use reqwest::RequestBuilder;
use tempfile::TempDir;

use crate::hold::{Hold, Stop};
use crate::image::Blob;
use crate::process::{self, ChildProcess};

/// Who may use a registry that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub password: String,
}

impl Login {
    /// The one account of registries that ask.
    #[must_use]
    pub fn tester() -> Self {
        Self { username: "tester".into(), password: "secret".into() }
    }

    fn header(&self) -> String {
        let plain = format!("{}:{}", self.username, self.password);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain))
    }
}

/// Where a registry is, and how to push to it.
#[derive(Debug, Clone)]
pub struct RegistryAddress {
    /// `127.0.0.1:port`.
    pub host: String,
    pub login: Option<Login>,
    client: reqwest::Client,
}

impl RegistryAddress {
    fn new(port: u16, login: Option<Login>) -> Self {
        Self { host: format!("127.0.0.1:{port}"), login, client: reqwest::Client::new() }
    }

    /// # Panics
    /// When the registry refuses.
    pub async fn put_blob(&self, repository: &str, blob: &Blob) {
        let begun = self.send(self.client.post(self.url(repository, "blobs/uploads/"))).await;
        assert_eq!(begun.status(), 202, "{}", begun.text().await.unwrap());
        let location = begun.headers()["Location"].to_str().unwrap();
        let mut location = self.base().join(location).unwrap();
        location.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let upload = self.client.put(location).header("Content-Type", "application/octet-stream");
        let done = self.send(upload.body(blob.bytes.clone())).await;
        assert_eq!(done.status(), 201, "{}", done.text().await.unwrap());
    }

    /// `reference` is a tag or a digest.
    ///
    /// # Panics
    /// When the registry refuses.
    pub async fn put_manifest(&self, repository: &str, reference: &str, manifest: &Blob) {
        let put = self.client.put(self.url(repository, &format!("manifests/{reference}")));
        let done = self.send(put.header("Content-Type", manifest.media_type).body(manifest.bytes.clone())).await;
        assert_eq!(done.status(), 201, "{}", done.text().await.unwrap());
    }

    fn base(&self) -> url::Url {
        format!("http://{}/", self.host).parse().unwrap()
    }

    fn url(&self, repository: &str, rest: &str) -> url::Url {
        self.base().join(&format!("v2/{repository}/{rest}")).unwrap()
    }

    async fn send(&self, request: RequestBuilder) -> reqwest::Response {
        let request = match &self.login {
            Some(login) => request.basic_auth(&login.username, Some(&login.password)),
            None => request,
        };
        request.send().await.unwrap()
    }
}

/// One request that the registry answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    pub method: String,
    /// With the query.
    pub path: String,
    pub status: u16,
    pub authorized: bool,
    /// Its `X-Request-Id`.
    pub request_id: Option<String>,
    /// Bytes of the body that have been sent so far.
    pub bytes_sent: u64,
}

impl LoggedRequest {
    /// Whether it read a blob's bytes.
    #[must_use]
    pub fn reads_blob(&self) -> bool {
        self.method == "GET" && self.path.contains("/blobs/") && !self.path.contains("/blobs/uploads/")
    }
}

/// A registry in this process, with the referrers API; it lives as long as the test's runtime.
pub struct Registry {
    pub address: RegistryAddress,
    desk: Arc<FrontDesk>,
}

impl Registry {
    /// Anybody may read and write.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Only [`Login::tester`] may.
    pub async fn start_private() -> Self {
        Self::start_with(Some(Login::tester())).await
    }

    async fn start_with(login: Option<Login>) -> Self {
        let desk = Arc::new(FrontDesk { login: login.clone(), ..FrontDesk::default() });
        let blobs = ferro_oci_server::Config::from_raw(None, None).blob_store().unwrap();
        let app = ferro_oci_server::build_app(blobs)
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&desk), FrontDesk::receive));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address: RegistryAddress::new(port, login), desk }
    }

    /// What was asked since the start or the last [`Registry::forget_requests`].
    #[must_use]
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.desk.log.lock().unwrap().clone()
    }

    pub fn forget_requests(&self) {
        self.desk.log.lock().unwrap().clear();
    }

    /// Bytes of blobs that were read.
    #[must_use]
    pub fn blob_bytes_read(&self) -> u64 {
        self.requests().iter().filter(|request| request.reads_blob()).map(|request| request.bytes_sent).sum()
    }

    /// From now on a GET whose path ends with this segment (a digest, a tag) is answered with half of the bytes, and with
    /// the rest when the hold is released.
    #[must_use]
    pub fn hold(&self, last_segment: &str) -> Hold {
        let (hold, stop) = Hold::new();
        self.desk.holds.lock().unwrap().insert(last_segment.to_owned(), stop);
        hold
    }

    /// From now on a GET whose path ends with this segment is answered with other bytes of the same media type.
    pub fn answer_with(&self, last_segment: &str, bytes: Bytes) {
        self.desk.forgeries.lock().unwrap().insert(last_segment.to_owned(), bytes);
    }

    /// From now on a path that contains `part` is answered with `status`.
    pub fn answer_part_with(&self, part: &str, status: u16) {
        self.desk.refusals.lock().unwrap().push((part.to_owned(), status));
    }

    /// From now on everything is answered with `status`; `None` ends it.
    pub fn answer_all_with(&self, status: Option<u16>) {
        *self.desk.outage.lock().unwrap() = status;
    }

    /// From now on long bodies come in eight drops with this pause before each; `None` ends it.
    pub fn drip(&self, pause: Option<Duration>) {
        *self.desk.drip.lock().unwrap() = pause;
    }
}

/// What stands between clients and the registry proper.
#[derive(Default)]
struct FrontDesk {
    login: Option<Login>,
    log: Mutex<Vec<LoggedRequest>>,
    holds: Mutex<HashMap<String, Stop>>,
    forgeries: Mutex<HashMap<String, Bytes>>,
    refusals: Mutex<Vec<(String, u16)>>,
    outage: Mutex<Option<u16>>,
    drip: Mutex<Option<Duration>>,
}

impl FrontDesk {
    async fn receive(State(desk): State<Arc<Self>>, request: Request, next: Next) -> Response {
        let method = request.method().to_string();
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let authorization = request.headers().get(header::AUTHORIZATION).cloned();
        let request_id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let answer = match desk.refusal(&path, authorization.as_ref()) {
            Some(refusal) => refusal,
            None => next.run(request).await,
        };
        let logged = LoggedRequest {
            method,
            path,
            status: answer.status().as_u16(),
            authorized: authorization.is_some(),
            request_id,
            bytes_sent: 0,
        };
        desk.log_and_count(logged, answer)
    }

    fn refusal(&self, path: &str, authorization: Option<&HeaderValue>) -> Option<Response> {
        let refusals = self.refusals.lock().unwrap();
        let refused = refusals.iter().find(|(part, _)| path.contains(part)).map(|(_, status)| *status);
        if let Some(status) = self.outage.lock().unwrap().or(refused) {
            return Some(StatusCode::from_u16(status).unwrap().into_response());
        }
        let login = self.login.as_ref()?;
        if authorization.is_some_and(|given| given == login.header().as_str()) {
            return None;
        }
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        let challenge = [(header::WWW_AUTHENTICATE, r#"Basic realm="test""#)];
        Some((StatusCode::UNAUTHORIZED, challenge, body).into_response())
    }

    fn log_and_count(self: Arc<Self>, logged: LoggedRequest, answer: Response) -> Response {
        let asked_for = (logged.method == "GET").then(|| logged.path.rsplit('/').next().unwrap_or_default().to_owned());
        let stop = asked_for.as_ref().and_then(|segment| self.holds.lock().unwrap().get(segment).cloned());
        let forgery = asked_for.and_then(|segment| self.forgeries.lock().unwrap().get(&segment).cloned());
        let entry = {
            let mut log = self.log.lock().unwrap();
            log.push(logged);
            log.len() - 1
        };
        let (mut head, mut body) = answer.into_parts();
        if let Some(forgery) = forgery {
            head.headers.insert(header::CONTENT_LENGTH, forgery.len().into());
            head.headers.remove("docker-content-digest");
            head.headers.remove(header::ETAG);
            body = Body::from(forgery);
        }
        let dripping = Arc::clone(&self);
        let pieces = body.into_data_stream().flat_map(move |chunk| halves(chunk, stop.clone()));
        let pieces = pieces.flat_map(move |piece| {
            let pause = *dripping.drip.lock().unwrap();
            drops(piece, pause)
        });
        let counted = pieces.inspect(move |piece| {
            if let (Ok(piece), Some(logged)) = (piece, self.log.lock().unwrap().get_mut(entry)) {
                logged.bytes_sent += piece.len() as u64;
            }
        });
        Response::from_parts(head, Body::from_stream(counted))
    }
}

/// The registry gives a blob as one chunk: its first half, the stop if there is one, its second half.
fn halves(
    chunk: Result<Bytes, axum::Error>,
    stop: Option<Stop>,
) -> stream::BoxStream<'static, Result<Bytes, axum::Error>> {
    match (chunk, stop) {
        (Ok(mut chunk), Some(mut stop)) => {
            let first = chunk.split_to(chunk.len() / 2);
            let second = async move {
                stop.wait().await;
                Ok(chunk)
            };
            stream::iter([Ok(first)]).chain(stream::once(second)).boxed()
        }
        (chunk, _) => stream::iter([chunk]).boxed(),
    }
}

/// Bytes of an answer that a slow source does not send at once.
const LONG: usize = 10_000;

/// The pieces in which a slow source sends.
fn drops(
    piece: Result<Bytes, axum::Error>,
    pause: Option<Duration>,
) -> stream::BoxStream<'static, Result<Bytes, axum::Error>> {
    let (Ok(whole), Some(pause)) = (&piece, pause) else { return stream::iter([piece]).boxed() };
    if whole.len() < LONG {
        return stream::iter([piece]).boxed();
    }
    let size = whole.len().div_ceil(8).max(1);
    let drops: Vec<_> = whole.chunks(size).map(|drop| whole.slice_ref(drop)).collect();
    stream::iter(drops)
        .then(move |drop| async move {
            tokio::time::sleep(pause).await;
            Ok(drop)
        })
        .boxed()
}

/// Debian's docker-registry as a child process: no referrers API, so clients fall back to the tag scheme.
pub struct DockerRegistry {
    pub address: RegistryAddress,
    _process: ChildProcess,
    _folder: TempDir,
}

impl DockerRegistry {
    /// Anybody may read and write.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Only [`Login::tester`] may.
    pub async fn start_private() -> Self {
        Self::start_with(Some(Login::tester())).await
    }

    async fn start_with(login: Option<Login>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let passwords = folder.path().join("htpasswd");
        // bcrypt of the password of `Login::tester`, at its lowest cost.
        std::fs::write(&passwords, "tester:$2y$04$xXq.vPFghZpwCJqtCa.O2eQnR5s7fbtc7wffdUREAkRuEdIO3k.tC\n").unwrap();
        let auth = login.as_ref().map_or_else(String::new, |_| {
            format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", passwords.display())
        });
        let log = folder.path().join("log");
        let (process, port) = process::start_listening(&log, |port| {
            let config = folder.path().join("config.yml");
            let listen = format!("http: {{addr: '127.0.0.1:{port}'}}\n");
            std::fs::write(&config, format!("version: 0.1\nstorage: {{inmemory: {{}}}}\n{listen}{auth}")).unwrap();
            let arguments = ["serve", config.to_str().unwrap()];
            ChildProcess::start("docker-registry".as_ref(), &arguments, [("OTEL_TRACES_EXPORTER", "none")], &log)
        })
        .await;
        Self { address: RegistryAddress::new(port, login), _process: process, _folder: folder }
    }
}
