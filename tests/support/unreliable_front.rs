//! A server before the store that passes requests on and, when it is told to, answers something else than the store did.

use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;
use url::Url;

/// What a client gets instead of the store's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// The store did what was asked, and its answer is lost: 503.
    Lost,
    /// The store is not asked: 429 with `Retry-After: 1`.
    TooMany,
}

/// A request that a client sent, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub method: String,
    pub path: String,
    pub idempotency_key: Option<String>,
    pub body: Bytes,
}

struct Front {
    store: Url,
    client: reqwest::Client,
    /// The next POST to a path with this end.
    disturbance: Mutex<Option<(&'static str, Instead)>>,
    sent: Mutex<Vec<Sent>>,
}

/// It lives as long as the test's runtime.
pub struct UnreliableFront {
    pub url: Url,
    front: Arc<Front>,
}

impl UnreliableFront {
    /// # Panics
    /// When it cannot listen.
    pub async fn before(store: &Url) -> Self {
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let (disturbance, sent) = (Mutex::new(None), Mutex::new(Vec::new()));
        let front = Arc::new(Front { store: store.clone(), client, disturbance, sent });
        let app = axum::Router::new().fallback(pass).with_state(Arc::clone(&front));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, front }
    }

    /// Disturbs the next POST to a path with this end, and only that.
    ///
    /// # Panics
    /// When another thread panicked here.
    pub fn disturb(&self, end: &'static str, instead: Instead) {
        *self.front.disturbance.lock().unwrap() = Some((end, instead));
    }

    /// What was sent to paths with this end.
    ///
    /// # Panics
    /// When another thread panicked here.
    #[must_use]
    pub fn sent_to(&self, end: &str) -> Vec<Sent> {
        let sent = self.front.sent.lock().unwrap();
        sent.iter().filter(|sent| sent.path.ends_with(end)).cloned().collect()
    }
}

impl Front {
    fn disturbance_of(&self, sent: &Sent) -> Option<Instead> {
        let mut disturbance = self.disturbance.lock().unwrap();
        let (_, instead) = disturbance.filter(|(end, _)| sent.method == "POST" && sent.path.ends_with(end))?;
        *disturbance = None;
        Some(instead)
    }
}

async fn pass(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let idempotency_key = head.headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
    let sent = Sent { method: head.method.to_string(), path, idempotency_key, body };
    front.sent.lock().unwrap().push(sent.clone());
    let instead = front.disturbance_of(&sent);
    if instead == Some(Instead::TooMany) {
        return answer(StatusCode::TOO_MANY_REQUESTS).header(header::RETRY_AFTER, "1").body(Body::empty()).unwrap();
    }
    let mut request = front.client.request(head.method, front.store.join(&sent.path).unwrap()).body(sent.body);
    for (name, value) in head.headers.iter().filter(|(name, _)| !is_of_connection(name)) {
        request = request.header(name, value);
    }
    let given = request.send().await.unwrap();
    if instead == Some(Instead::Lost) {
        return answer(StatusCode::SERVICE_UNAVAILABLE).body(Body::empty()).unwrap();
    }
    let mut passed = answer(given.status());
    for (name, value) in given.headers().iter().filter(|(name, _)| !is_of_connection(name)) {
        passed = passed.header(name, value);
    }
    passed.body(Body::from(given.bytes().await.unwrap())).unwrap()
}

fn answer(status: StatusCode) -> axum::http::response::Builder {
    Response::builder().status(status)
}

fn is_of_connection(name: &HeaderName) -> bool {
    [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(name)
}
