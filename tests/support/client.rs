//! A client of the store's HTTP interface, as thin as it can be: what is asked and answered stays visible in the test.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use url::Url;

/// One caller: anonymous, or logged in.
#[derive(Debug, Clone)]
pub struct StoreClient {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl StoreClient {
    /// A caller without a login.
    #[must_use]
    pub fn anonymous(base: Url) -> Self {
        // Connections that are kept open would hold up the ordered stop of the store.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0);
        let http = http.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, base, token: None }
    }

    /// The same store, as another caller.
    ///
    /// # Panics
    /// When the login is refused.
    pub async fn login(&self, email: &str, password: &str) -> Self {
        let anonymous = Self { token: None, ..self.clone() };
        let tokens = anonymous.post("/v1/auth/login", json!({"email": email, "password": password})).await.expect(200);
        Self { token: Some(tokens["access_token"].as_str().unwrap().to_owned()), ..anonymous }
    }

    /// The same store, without a login.
    #[must_use]
    pub fn logged_out(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The same store, with this token or API key.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The token that a login gave.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// A request to a path of the store, with the login; for what the short forms cannot say.
    ///
    /// # Panics
    /// When the path is none.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, self.base.join(path).unwrap());
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::PATCH, path).json(&body)).await
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Sends a request and reads its answer.
    ///
    /// # Panics
    /// When there is none.
    pub async fn to(request: RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Self { status, headers, body: answer.bytes().await.unwrap() }
    }

    /// # Panics
    /// When the body is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The JSON body of an answer that must have this status; null when it is empty.
    ///
    /// # Panics
    /// When the status is another one.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Checks that the request was refused so.
    ///
    /// # Panics
    /// When it was not.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }
}
