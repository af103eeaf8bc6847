//! Answering a registry's challenges: which credential goes where.
//!
//! The first request of a session is anonymous. A challenge is answered with the session's credential, if it has one, and
//! only at the registry itself, at the token service that is known to belong to it, or at a host that an administrator
//! confirmed. A refused credential is an error, never a reason to go on anonymously.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry_types::image_reference::{RegistryHost, Repository};
use registry_types::limits;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use url::Url;

use super::challenge::Challenge;
use super::error::SourceError;
use super::places::authority;
use super::transport::{Ask, Redirects, Transport, read_body, success};

/// A user name and a token or password for one registry.
#[derive(Clone)]
pub struct Credential {
    username: String,
    token: SecretString,
}

/// Why a credential cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a registry credential has a user name without colon, and no control characters")]
pub struct CredentialError;

impl Credential {
    /// # Errors
    /// When Basic authentication (RFC 7617) cannot carry it.
    pub fn new(username: impl Into<String>, token: SecretString) -> Result<Self, CredentialError> {
        let username = username.into();
        let control = |text: &str| text.chars().any(char::is_control);
        if username.contains(':') || control(&username) || control(token.expose_secret()) {
            return Err(CredentialError);
        }
        Ok(Self { username, token })
    }

    fn basic(&self) -> Result<HeaderValue, SourceError> {
        let pair = format!("{}:{}", self.username, self.token.expose_secret());
        sensitive(&format!("Basic {}", STANDARD.encode(pair)))
    }
}

/// A credential in the forms in which it is sent, so that it is known again where a registry repeats it: what a registry
/// says goes into reasons and logs, and its redirects into the names of hosts.
#[derive(Default)]
pub(super) struct Secrets {
    forms: Vec<SecretString>,
}

/// What is shorter may be a word that stands in an answer for its own sake.
const SHORTEST_SECRET: usize = 16;

impl Secrets {
    fn of(credential: &Credential) -> Self {
        let token = credential.token.expose_secret();
        let basic = STANDARD.encode(format!("{}:{token}", credential.username));
        let forms = [token.to_owned(), basic].into_iter().filter(|form| form.len() >= SHORTEST_SECRET);
        Self { forms: forms.map(SecretString::from).collect() }
    }

    pub(super) fn are_in(&self, said: &[u8]) -> bool {
        self.forms.iter().any(|form| {
            let form = form.expose_secret().as_bytes();
            said.windows(form.len()).any(|window| window == form)
        })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Renewed this long before it expires.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// The token specification's default.
const DEFAULT_TOKEN_LIFE: u64 = 60;
const LONGEST_TOKEN_LIFE: u64 = 24 * 60 * 60;

/// What a session sends along.
pub(super) struct Authenticator {
    pub(super) credential: Option<Credential>,
    pub(super) secrets: Secrets,
    scope: String,
    token_hosts: BTreeSet<String>,
    held: Mutex<Held>,
}

#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    Basic(HeaderValue),
    Bearer {
        header: HeaderValue,
        until: Instant,
    },
}

impl Held {
    fn usable(&self) -> Option<HeaderValue> {
        match self {
            Self::Nothing => None,
            Self::Basic(header) => Some(header.clone()),
            Self::Bearer { header, until } => (Instant::now() < *until).then(|| header.clone()),
        }
    }
}

impl Authenticator {
    /// `confirmed` are the token hosts that an administrator confirmed, as `host[:port]`.
    pub(super) fn new(
        host: &RegistryHost,
        registry: &Url,
        repository: &Repository,
        credential: Option<Credential>,
        confirmed: &[String],
    ) -> Self {
        let mut token_hosts: BTreeSet<String> = confirmed.iter().map(|host| host.to_ascii_lowercase()).collect();
        token_hosts.insert(authority(registry));
        if host.is_docker_hub() {
            token_hosts.insert("auth.docker.io".to_owned());
        }
        let secrets = credential.as_ref().map(Secrets::of).unwrap_or_default();
        let scope = format!("repository:{repository}:pull");
        Self { credential, secrets, scope, token_hosts, held: Mutex::default() }
    }

    /// What to send with the next request to the registry.
    pub(super) async fn current(&self) -> Option<HeaderValue> {
        self.held.lock().await.usable()
    }

    /// The answer to `challenge`. `refused` is what the challenged request carried: if another request of the session has
    /// renewed it meanwhile, that renewal is the answer.
    pub(super) async fn answer(
        &self,
        transport: &Transport,
        challenge: Challenge,
        refused: Option<&HeaderValue>,
        what: &str,
    ) -> Result<HeaderValue, SourceError> {
        let mut held = self.held.lock().await;
        if let Some(renewed) = held.usable().filter(|header| Some(header) != refused) {
            return Ok(renewed);
        }
        let denied = || SourceError::AccessDenied { what: what.to_owned(), status: 401, code: None };
        *held = match challenge {
            Challenge::Bearer { realm, service } => self.token(transport, &realm, service.as_deref()).await?,
            Challenge::Basic => {
                let header = self.credential.as_ref().ok_or_else(denied)?.basic()?;
                if Some(&header) == refused {
                    return Err(denied());
                }
                Held::Basic(header)
            }
        };
        held.usable().ok_or_else(denied)
    }

    /// Whether the host of `realm` may be asked for a token.
    pub(super) fn allows_realm(&self, realm: &Url) -> bool {
        self.token_hosts.contains(&authority(realm))
    }

    async fn token(&self, transport: &Transport, realm: &str, service: Option<&str>) -> Result<Held, SourceError> {
        let ask = self.token_request(transport, realm, service)?;
        let authorization = self.credential.as_ref().map(Credential::basic).transpose()?;
        let response = transport.send(&ask, authorization.as_ref(), &self.secrets).await?;
        let response = match success(response, &ask).await {
            Ok(response) => response,
            // The token service knows nothing of images: its 404 must not read as "no such image".
            Err(SourceError::NotFound { .. } | SourceError::Unsupported { .. }) => {
                return Err(SourceError::Protocol("the token service does not answer at its realm".to_owned()));
            }
            Err(error) => return Err(error),
        };
        match read_body(response, limits::MAX_TOKEN_BYTES, &ask.what).await {
            Ok(body) => parse_token(&body, Instant::now()),
            // No fault of the image, which the limit's code would blame.
            Err(SourceError::LimitExceeded { .. }) => {
                Err(SourceError::Protocol("the token service's answer has no end".to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    fn token_request(&self, transport: &Transport, realm: &str, service: Option<&str>) -> Result<Ask, SourceError> {
        let mut url =
            Url::parse(realm).map_err(|_| SourceError::Protocol("the token realm is not a URL".to_owned()))?;
        if !self.allows_realm(&url) {
            return Err(SourceError::HostForbidden {
                host: authority(&url),
                why: "the registry names it as token service, and nobody confirmed it for this namespace",
            });
        }
        transport.places.check(&url)?;
        url.set_fragment(None);
        let mut query = url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        query.append_pair("scope", &self.scope);
        drop(query);
        Ok(Ask { redirects: Redirects::Refuse, ..Ask::get(url, "application/json", "a pull token") })
    }
}

fn parse_token(body: &[u8], now: Instant) -> Result<Held, SourceError> {
    #[derive(serde::Deserialize)]
    struct Answer {
        token: Option<SecretString>,
        access_token: Option<SecretString>,
        expires_in: Option<u64>,
    }
    let unreadable = || SourceError::Protocol("the token service's answer holds no usable token".to_owned());
    let answer: Answer = serde_json::from_slice(body).map_err(|_| unreadable())?;
    let token = answer.token.or(answer.access_token).ok_or_else(unreadable)?;
    let token = token.expose_secret();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unreadable());
    }
    let life = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_TOKEN_LIFE).min(LONGEST_TOKEN_LIFE));
    // A token that lives shorter than the margin still serves the request it was asked for.
    let until = now + life.saturating_sub(TOKEN_MARGIN).max(Duration::from_secs(1));
    Ok(Held::Bearer { header: sensitive(&format!("Bearer {token}"))?, until })
}

fn sensitive(value: &str) -> Result<HeaderValue, SourceError> {
    let mut header = HeaderValue::from_str(value)
        .map_err(|_| SourceError::Setup("the credential cannot be sent as a header".to_owned()))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(body: &str) -> Option<(HeaderValue, Duration)> {
        let now = Instant::now();
        match parse_token(body.as_bytes(), now).ok()? {
            Held::Bearer { header, until } => Some((header, until - now)),
            Held::Nothing | Held::Basic(_) => None,
        }
    }

    #[test]
    fn tokens_are_printable_and_live_as_long_as_they_say() {
        let (header, life) = token(r#"{"token":"abc","expires_in":300}"#).unwrap();
        assert!(header == "Bearer abc" && header.is_sensitive());
        assert_eq!(life, Duration::from_secs(290));
        assert_eq!(token(r#"{"access_token":"abc"}"#).unwrap().1, Duration::from_secs(50));
        assert_eq!(token(r#"{"token":"abc","expires_in":1}"#).unwrap().1, Duration::from_secs(1));
        for bad in [r#"{"token":"a\nb"}"#, r#"{"token":""}"#, r#"{"token":"a b"}"#, "{}", "<html>", r#"{"token":"é"}"#]
        {
            assert!(token(bad).is_none(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_repeated_credential_is_known_again_unless_it_is_as_short_as_a_word() {
        let secrets = |token: &str| Secrets::of(&Credential::new("robot", SecretString::from(token)).unwrap());
        let long = secrets("ghp_0123456789abcdef");
        assert!(long.are_in(b"https://ghp_0123456789abcdef.evil.test/"));
        let basic = STANDARD.encode("robot:ghp_0123456789abcdef");
        assert!(long.are_in(format!("you sent {basic}").as_bytes()));
        assert!(!long.are_in(b"") && !long.are_in(b"ghp_0123456789abcde"));
        assert!(!secrets("linux").are_in(br#"{"os":"linux"}"#) && !Secrets::default().are_in(b"anything"));
    }

    #[test]
    fn a_credential_that_basic_cannot_carry_is_refused() {
        assert!(Credential::new("robot$x", SecretString::from("t:1")).is_ok());
        assert!(Credential::new("a:b", SecretString::from("t")).is_err());
        assert!(Credential::new("a", SecretString::from("t\r\nX: y")).is_err());
        let shown = format!("{:?}", Credential::new("a", SecretString::from("hunter2")).unwrap());
        assert!(!shown.contains("hunter2"));
    }

    #[test]
    fn token_services_are_the_registry_the_known_ones_and_the_confirmed_ones() {
        let authenticator = |host: &str, base: &str, confirmed: &[String]| {
            Authenticator::new(&host.parse().unwrap(), &base.parse().unwrap(), &"a/b".parse().unwrap(), None, confirmed)
        };
        let allows = |a: &Authenticator, realm: &str| a.allows_realm(&realm.parse().unwrap());
        let hub = authenticator("docker.io", "https://registry-1.docker.io/", &[]);
        assert!(
            allows(&hub, "https://auth.docker.io/token") && !allows(&hub, "https://auth.docker.io.evil.test/token")
        );
        let ghcr = authenticator("ghcr.io", "https://ghcr.io/", &[]);
        assert!(allows(&ghcr, "https://ghcr.io/token"));
        assert!(!allows(&ghcr, "https://ghcr.io:8443/token") && !allows(&ghcr, "https://auth.docker.io/token"));
        let gitlab = authenticator("registry.gitlab.com", "https://registry.gitlab.com/", &["GitLab.com".to_owned()]);
        assert!(allows(&gitlab, "https://gitlab.com/jwt/auth"));
    }
}
