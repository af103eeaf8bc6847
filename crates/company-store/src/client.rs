//! The store's API as the commands use it: credentials, refresh, errors.

use std::time::Duration;

use registry_types::pointer::PointerError;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::exit::CommandError;
use crate::session::Session;

const DEFAULT_SERVER: &str = "http://127.0.0.1:8480";
/// Answers are small; event streams are read line by line.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Between two attempts to exchange an identity token; there is none behind the last.
const EXCHANGE_PAUSES: [Option<Duration>; 4] =
    [Some(Duration::from_secs(2)), Some(Duration::from_secs(5)), Some(Duration::from_secs(10)), None];

/// A connection to one store, with whatever proves who asks.
pub struct Client {
    http: reqwest::Client,
    server: url::Url,
    organization: Option<String>,
    credential: Credential,
}

enum Credential {
    None,
    ApiKey(String),
    Session(Session),
    /// Of a job of continuous integration, for one package.
    PublishToken(SecretString),
}

impl Client {
    /// Uses the API key, else the remembered session of this server, else nothing.
    ///
    /// # Errors
    /// When the remembered session cannot be read.
    pub fn new(global: &Global) -> Result<Self, CommandError> {
        let session = Session::load()?;
        let server = match (&global.server, &session) {
            (Some(server), _) => server.clone(),
            (None, Some(session)) => session.server.clone(),
            (None, None) => DEFAULT_SERVER.parse().map_err(anyhow::Error::from)?,
        };
        let credential = match (&global.api_key, session) {
            (Some(key), _) => Credential::ApiKey(key.clone()),
            // A session is only ever shown to the store that gave it.
            (None, Some(session)) if session.server == server => Credential::Session(session),
            (None, _) => Credential::None,
        };
        let http = reqwest::Client::builder()
            .user_agent(concat!("company-store/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(120))
            .build()
            .map_err(anyhow::Error::from)?;
        Ok(Self { http, server, organization: global.org.clone(), credential })
    }

    #[must_use]
    pub const fn server(&self) -> &url::Url {
        &self.server
    }

    /// The organization that a command is about: the one named, else the caller's primary one.
    ///
    /// # Errors
    /// When nobody is logged in, or the caller belongs to none.
    pub async fn organization(&mut self) -> Result<String, CommandError> {
        if let Some(organization) = &self.organization {
            return Ok(organization.clone());
        }
        let me = self.get("/v1/auth/me").await?;
        let organizations = me.get("organizations").and_then(Value::as_array).cloned().unwrap_or_default();
        let primary = organizations.iter().find(|o| o["is_primary"] == true).or_else(|| organizations.first());
        primary
            .and_then(|organization| organization["id"].as_str())
            .map(str::to_owned)
            .ok_or_else(|| CommandError::Usage("you belong to no organization; name one with --org".to_owned()))
    }

    /// # Errors
    /// What the store refuses, or why it cannot be asked.
    pub async fn get(&mut self, path: &str) -> Result<Value, CommandError> {
        self.call(Method::GET, path, None).await
    }

    /// # Errors
    /// What the store refuses, or why it cannot be asked.
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Value, CommandError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// # Errors
    /// What the store refuses, or why it cannot be asked.
    pub async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CommandError> {
        let response = self.send(method, path, body, &[]).await?;
        answer(response).await
    }

    /// Sends and, when the access token has run out, refreshes it once and sends again.
    ///
    /// # Errors
    /// What the store refuses, or why it cannot be asked.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        headers: &[(&str, &str)],
    ) -> Result<Response, CommandError> {
        let response = self.send_once(method.clone(), path, body, headers).await?;
        let expired = response.status() == StatusCode::UNAUTHORIZED;
        let response = if expired && self.refresh().await? {
            self.send_once(method, path, body, headers).await?
        } else {
            response
        };
        if response.status().is_success() || response.status().is_redirection() {
            return Ok(response);
        }
        if response.status() == StatusCode::UNAUTHORIZED && matches!(self.credential, Credential::None) {
            return Err(CommandError::NotLoggedIn { server: self.server.to_string() });
        }
        Err(refusal(response).await)
    }

    async fn send_once(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        headers: &[(&str, &str)],
    ) -> Result<Response, CommandError> {
        let mut request = self.authorize(self.http.request(method, self.url(path)?));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.map_err(|e| self.unreachable(e))
    }

    fn url(&self, path: &str) -> Result<url::Url, CommandError> {
        self.server.join(path).map_err(|e| anyhow::Error::from(e).into())
    }

    fn authorize(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credential {
            Credential::None => request,
            Credential::ApiKey(key) => request.header("X-API-Key", key),
            Credential::Session(session) => request.bearer_auth(&session.access_token),
            Credential::PublishToken(token) => request.bearer_auth(token.expose_secret()),
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> CommandError {
        CommandError::Unreachable { server: self.server.to_string(), source }
    }

    /// The same credential as a registry client sends it.
    #[must_use]
    pub fn registry_auth(&self) -> oci_client::secrets::RegistryAuth {
        use oci_client::secrets::RegistryAuth;
        match &self.credential {
            // A publish token pulls nothing.
            Credential::None | Credential::PublishToken(_) => RegistryAuth::Anonymous,
            Credential::ApiKey(key) => RegistryAuth::Basic("api-key".to_owned(), key.clone()),
            Credential::Session(session) => RegistryAuth::Basic(session.email.clone(), session.access_token.clone()),
        }
    }

    /// Logs in and remembers the session.
    ///
    /// # Errors
    /// When the store refuses, or the session cannot be stored.
    pub async fn login(&mut self, email: &str, password: &str) -> Result<(), CommandError> {
        self.credential = Credential::None;
        let body = json!({ "email": email, "password": password });
        let response = self.send_once(Method::POST, "/v1/auth/login", Some(&body), &[]).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let session = session_of(&self.server, email, &answer(response).await?)?;
        session.save()?;
        self.credential = Credential::Session(session);
        Ok(())
    }

    /// Changes the password; remembers the new session that the store gives for it.
    ///
    /// # Errors
    /// What the store refuses, or why the session cannot be stored.
    pub async fn change_password(&mut self, current: &str, new: &str) -> Result<(), CommandError> {
        let Credential::Session(session) = &self.credential else {
            return Err(CommandError::NotLoggedIn { server: self.server.to_string() });
        };
        let email = session.email.clone();
        let body = json!({ "current_password": current, "new_password": new });
        let tokens = self.post("/v1/auth/password", &body).await?;
        let session = session_of(&self.server, &email, &tokens)?;
        session.save()?;
        self.credential = Credential::Session(session);
        Ok(())
    }

    /// Ends the session at the store and forgets it here.
    ///
    /// # Errors
    /// When the session file cannot be removed.
    pub async fn logout(&mut self) -> Result<(), CommandError> {
        if let Credential::Session(session) = &self.credential {
            let body = json!({ "refresh_token": session.refresh_token });
            // A store that is gone must not keep anybody from forgetting the session here.
            let _ = self.send_once(Method::POST, "/v1/auth/logout", Some(&body), &[]).await;
        }
        Session::forget()
    }

    /// Exchanges a job's identity token, and acts with what it gives from then on: to publish `package`, and nothing else.
    ///
    /// # Errors
    /// What the store refuses, or why it cannot be asked.
    pub async fn exchange_identity(
        &mut self,
        identity: &SecretString,
        organization: &str,
        package: &str,
    ) -> Result<(), CommandError> {
        self.credential = Credential::None;
        let body = json!({ "token": identity.expose_secret(), "organization": organization, "package": package });
        for pause in EXCHANGE_PAUSES {
            let response = self.send_once(Method::POST, "/v1/oidc/exchange", Some(&body), &[]).await?;
            match (response.status(), pause) {
                (StatusCode::OK, _) => {
                    let answer = answer(response).await?;
                    let token = answer.get("token").and_then(Value::as_str);
                    let token = token.ok_or_else(|| CommandError::Answer("no token".to_owned()))?;
                    self.credential = Credential::PublishToken(SecretString::from(token));
                    return Ok(());
                }
                // The provider does not answer the store; the identity token is not used up by that.
                (StatusCode::SERVICE_UNAVAILABLE, Some(pause)) => tokio::time::sleep(pause).await,
                _ => return Err(refusal(response).await),
            }
        }
        Err(CommandError::Answer("no answer to the exchange".to_owned()))
    }

    /// What jobs ask their provider to make identity tokens for.
    ///
    /// # Errors
    /// Why the store cannot be asked.
    pub async fn audience(&self) -> Result<String, CommandError> {
        let response = self.send_once(Method::GET, "/v1/oidc/audience", None::<&Value>, &[]).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let audience = answer(response).await?.get("audience").and_then(Value::as_str).map(str::to_owned);
        audience.ok_or_else(|| CommandError::Answer("no audience".to_owned()))
    }

    async fn refresh(&mut self) -> Result<bool, CommandError> {
        let Credential::Session(session) = &self.credential else { return Ok(false) };
        let body = json!({ "refresh_token": session.refresh_token });
        let email = session.email.clone();
        let request = self.http.post(self.url("/v1/auth/refresh")?).json(&body);
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        if !response.status().is_success() {
            return Ok(false);
        }
        let session = session_of(&self.server, &email, &answer(response).await?)?;
        session.save()?;
        self.credential = Credential::Session(session);
        Ok(true)
    }
}

fn session_of(server: &url::Url, email: &str, answer: &Value) -> Result<Session, CommandError> {
    let token = |name: &str| {
        let token = answer.get(name).and_then(Value::as_str).map(str::to_owned);
        token.ok_or_else(|| CommandError::Answer(format!("no {name}")))
    };
    Ok(Session {
        server: server.clone(),
        email: email.to_owned(),
        access_token: token("access_token")?,
        refresh_token: token("refresh_token")?,
    })
}

/// The JSON body of an answer; `null` for an empty one.
async fn answer(response: Response) -> Result<Value, CommandError> {
    let bytes = bounded_body(response).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(|e| CommandError::Answer(e.to_string()))
}

async fn bounded_body(mut response: Response) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(anyhow::Error::from)? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(CommandError::Answer("an answer larger than 32 MiB".to_owned()));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Reads a problem document; the HLA-Compass paths carry the same fields beside their own envelope.
async fn refusal(response: Response) -> CommandError {
    let status = response.status();
    let body: Value = match bounded_body(response).await {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        Err(error) => return error,
    };
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    CommandError::Refused {
        status: status.as_u16(),
        code: text("/code").unwrap_or_else(|| format!("HTTP_{}", status.as_u16())),
        detail: text("/detail")
            .unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason was given").to_ascii_lowercase()),
        errors: body
            .get("errors")
            .and_then(|errors| serde_json::from_value::<Vec<PointerError>>(errors.clone()).ok())
            .unwrap_or_default(),
        request_id: text("/request_id"),
    }
}
