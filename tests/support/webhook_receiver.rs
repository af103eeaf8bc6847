//! A receiver of webhooks: an HTTP server that answers as the test says and remembers what it was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::wait;

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    Status(u16),
    Redirect(String),
    /// Nothing is answered for longer than anybody waits.
    Silence,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Received {
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Default)]
struct Desk {
    replies: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
}

/// Lives as long as the test's runtime.
pub struct WebhookReceiver {
    /// Where it listens, `127.0.0.1:port`.
    pub address: String,
    desk: Arc<Desk>,
}

impl WebhookReceiver {
    /// Answers 204.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start() -> Self {
        let desk = Arc::new(Desk::default());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = Router::new().fallback(receive).with_state(Arc::clone(&desk));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, desk }
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/events?token=of-the-receiver", self.address)
    }

    /// The next requests are answered so, those after them with 204.
    ///
    /// # Panics
    /// Never, unless the server has panicked.
    pub fn answer(&self, replies: &[Reply]) {
        self.desk.replies.lock().unwrap().extend(replies.iter().cloned());
    }

    /// What it was sent until now.
    ///
    /// # Panics
    /// Never, unless the server has panicked.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.desk.received.lock().unwrap().clone()
    }

    /// Waits until it was sent so much.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        wait::until(&format!("{count} deliveries"), async || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
        .await
    }

    /// Waits for an event of this type, and gives it.
    pub async fn event(&self, event_type: &str) -> Value {
        wait::until(&format!("the event {event_type}"), async || {
            let full = format!("company-store.{event_type}.v1");
            self.received().iter().map(Received::event).find(|event| event["type"] == *full)
        })
        .await
    }
}

async fn receive(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    desk.received.lock().unwrap().push(Received { headers, body });
    let reply = desk.replies.lock().unwrap().pop_front().unwrap_or(Reply::Status(204));
    let answer = Response::builder();
    let answer = match reply {
        Reply::Status(status) => answer.status(status),
        Reply::Redirect(to) => answer.status(StatusCode::TEMPORARY_REDIRECT).header(header::LOCATION, to),
        Reply::Silence => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            answer.status(StatusCode::NO_CONTENT)
        }
    };
    answer.body(Body::from("nobody reads this")).unwrap()
}

impl Received {
    /// # Panics
    /// When the body is not JSON.
    #[must_use]
    pub fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// # Panics
    /// When the header is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    /// Whether one of its signatures is by this secret. Written after the specification, apart from the store's own code.
    ///
    /// # Panics
    /// When the secret is none.
    #[must_use]
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut signed = format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).into_bytes();
        signed.extend_from_slice(&self.body);
        let expected = format!("v1,{}", STANDARD.encode(hmac(&key, &signed)));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

/// HMAC-SHA256 as RFC 2104 has it, for keys of at most one block.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64, "keys of the tests are short");
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}
