//! An identity provider of continuous integration in the hand of a test: discovery, keys, and tokens signed with real ones.

use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use aws_lc_rs::{encoding, hmac};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// What a job of GitHub Actions needs to be given a token, as the runner tells it.
const JOB_SECRET: &str = "a secret of the runner";

/// A key pair of the provider.
pub enum SigningKey {
    Rsa(KeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl SigningKey {
    /// # Panics
    /// When there is no randomness.
    #[must_use]
    pub fn rsa() -> Self {
        Self::Rsa(KeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    /// # Panics
    /// When there is no randomness.
    #[must_use]
    pub fn ecdsa() -> Self {
        Self::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ecdsa(_) => "ES256",
        }
    }

    fn public(&self, id: &str) -> Value {
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let (n, e) = (
                    public.modulus().big_endian_without_leading_zero(),
                    public.exponent().big_endian_without_leading_zero(),
                );
                json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": number(n), "e": number(e)})
            }
            Self::Ecdsa(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "use": "sig", "alg": "ES256", "kid": id, "crv": "P-256",
                    "x": number(&point[1..33]), "y": number(&point[33..])})
            }
        }
    }

    /// A token of this header and these claims.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = signed_part(header, claims);
        let signature = match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Ecdsa(pair) => pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token that takes the public key, which everybody knows, for a shared secret.
    ///
    /// # Panics
    /// When the key has no DER form.
    #[must_use]
    pub fn sign_with_public_key_as_secret(&self, id: &str, claims: &Value) -> String {
        let Self::Rsa(pair) = self else { panic!("the classic confusion is about RSA keys") };
        let secret: encoding::PublicKeyX509Der<'_> = encoding::AsDer::as_der(pair.public_key()).unwrap();
        let signed = signed_part(&json!({"alg": "HS256", "typ": "JWT", "kid": id}), claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }
}

/// A token without a signature.
#[must_use]
pub fn unsigned(id: &str, claims: &Value) -> String {
    format!("{}.", signed_part(&json!({"alg": "none", "typ": "JWT", "kid": id}), claims))
}

fn signed_part(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// What the provider answers instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Unavailable,
    /// The keys lie behind a redirect.
    Redirect,
    AnotherIssuer,
    KeysElsewhere,
    LargeKeySet,
    TooManyKeys,
    NoJson,
}

struct Desk {
    issuer: String,
    keys: Mutex<Vec<(String, Arc<SigningKey>)>>,
    fault: Mutex<Option<Fault>>,
    requests: Mutex<u32>,
    /// The claims of the job that asks for a token, beside the usual ones.
    job: Mutex<Value>,
}

/// It lives as long as the test, or until it is stopped.
pub struct IdentityProvider {
    desk: Arc<Desk>,
    server: JoinHandle<()>,
}

impl IdentityProvider {
    /// With one RSA key, `key-1`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let desk = Arc::new(Desk {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            keys: Mutex::new(vec![("key-1".to_owned(), Arc::new(SigningKey::rsa()))]),
            fault: Mutex::default(),
            requests: Mutex::default(),
            job: Mutex::default(),
        });
        let app = axum::Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", get(token))
            .with_state(Arc::clone(&desk));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { desk, server }
    }

    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.desk.issuer
    }

    /// Another key in the place of all that there were.
    pub fn rotate(&self, id: &str, key: SigningKey) {
        *self.desk.keys.lock().unwrap() = vec![(id.to_owned(), Arc::new(key))];
    }

    pub fn answer_with(&self, fault: Option<Fault>) {
        *self.desk.fault.lock().unwrap() = fault;
    }

    /// From now on nobody answers there.
    pub fn stop(&self) {
        self.server.abort();
    }

    /// Documents that were asked for.
    #[must_use]
    pub fn requests(&self) -> u32 {
        *self.desk.requests.lock().unwrap()
    }

    /// The newest key and its id.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn key(&self) -> (String, Arc<SigningKey>) {
        self.desk.keys.lock().unwrap().last().cloned().unwrap()
    }

    /// A token of these claims, signed with the newest key.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let (id, key) = self.key();
        key.sign(&json!({"alg": key.algorithm(), "typ": "JWT", "kid": id}), claims)
    }

    /// The claims of a job that begins now, and what is said of it.
    #[must_use]
    pub fn claims(&self, audience: &str, now: DateTime<Utc>, job: &Value) -> Value {
        claims(&self.desk.issuer, audience, now, job)
    }

    /// What a runner of GitHub Actions puts into the environment of this job.
    #[must_use]
    pub fn github_environment(&self, job: &Value) -> [(&'static str, String); 2] {
        *self.desk.job.lock().unwrap() = job.clone();
        [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/token?api-version=2", self.desk.issuer)),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", JOB_SECRET.to_owned()),
        ]
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn claims(issuer: &str, audience: &str, now: DateTime<Utc>, job: &Value) -> Value {
    let now = now.timestamp();
    let mut claims = json!({
        "iss": issuer, "aud": audience, "jti": uuid::Uuid::new_v4(), "sub": "a job", "iat": now, "nbf": now - 5,
        "exp": now + 300,
    });
    claims.as_object_mut().unwrap().extend(job.as_object().cloned().unwrap_or_default());
    claims
}

async fn discovery(State(desk): State<Arc<Desk>>) -> Response {
    *desk.requests.lock().unwrap() += 1;
    let (issuer, elsewhere) = (&desk.issuer, "http://127.0.0.1:9/keys".to_owned());
    let fault = *desk.fault.lock().unwrap();
    let document = match fault {
        Some(Fault::Unavailable) => return StatusCode::BAD_GATEWAY.into_response(),
        Some(Fault::NoJson) => return "<html>".into_response(),
        Some(Fault::AnotherIssuer) => json!({"issuer": "http://127.0.0.1:9", "jwks_uri": format!("{issuer}/keys")}),
        Some(Fault::KeysElsewhere) => json!({"issuer": issuer, "jwks_uri": elsewhere}),
        Some(Fault::Redirect | Fault::LargeKeySet | Fault::TooManyKeys) | None => {
            json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")})
        }
    };
    axum::Json(document).into_response()
}

async fn keys(State(desk): State<Arc<Desk>>, query: Query<Vec<(String, String)>>) -> Response {
    *desk.requests.lock().unwrap() += 1;
    let mut keys: Vec<Value> = desk.keys.lock().unwrap().iter().map(|(id, key)| key.public(id)).collect();
    let fault = *desk.fault.lock().unwrap();
    match fault {
        Some(Fault::Redirect) if query.is_empty() => {
            return (StatusCode::FOUND, [(header::LOCATION, "/keys?again=1")]).into_response();
        }
        Some(Fault::LargeKeySet) => keys.push(json!({"kty": "RSA", "kid": "large", "x5c": "A".repeat(70_000)})),
        Some(Fault::TooManyKeys) => {
            let first = keys[0].clone();
            keys.extend((0..40).map(|n| {
                let mut key = first.clone();
                key["kid"] = json!(format!("key-{n}-more"));
                key
            }));
        }
        _ => {}
    }
    axum::Json(json!({ "keys": keys })).into_response()
}

/// As GitHub Actions gives a job its token.
async fn token(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    Query(query): Query<std::collections::HashMap<String, String>>,
) -> Response {
    if headers.get(header::AUTHORIZATION).is_none_or(|value| value != format!("Bearer {JOB_SECRET}").as_str()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let claims = claims(&desk.issuer, &query["audience"], Utc::now(), &desk.job.lock().unwrap());
    let (id, key) = desk.keys.lock().unwrap().last().cloned().unwrap();
    let token = key.sign(&json!({"alg": key.algorithm(), "typ": "JWT", "kid": id}), &claims);
    axum::Json(json!({ "value": token })).into_response()
}
