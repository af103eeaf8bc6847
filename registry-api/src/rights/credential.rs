//! Who presents a credential: a Bearer token, an `X-API-Key`, a Basic password (docker's login) or the pages' cookie.

use actix_web::HttpRequest;
use actix_web::http::{Method, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry_db::users::{Credential, Identity, SecretHash};
use registry_db::{Connection, api_keys, sessions, trusted_publishers};

use super::state;
use crate::auth::tokens::{self, TokenKind};
use crate::limits::client_address;
use crate::problem::Problem;
use crate::state::AppState;

/// The pages' cookie; it holds an access token.
pub const SESSION_COOKIE: &str = "session";

/// The caller, whatever credential it has: the operation's rule says which will do.
pub(super) async fn demand_any(request: &HttpRequest) -> Result<Identity, Problem> {
    by_credential(request).await?.ok_or_else(nobody)
}

/// A caller who is not restricted to publishing one package.
pub(super) async fn demand(request: &HttpRequest) -> Result<Identity, Problem> {
    identify(request).await?.ok_or_else(nobody)
}

fn nobody() -> Problem {
    Problem::unauthenticated("log in, or send a token or an API key")
}

/// Where a credential came from: what is sent by the browser on its own is trusted less.
enum Presented {
    Explicit(String),
    Cookie(String),
}

/// [`demand`], of whoever need not be anybody.
pub(super) async fn identify(request: &HttpRequest) -> Result<Option<Identity>, Problem> {
    match by_credential(request).await? {
        Some(identity) if matches!(identity.credential, Credential::PublishToken(_)) => Err(only_publishes()),
        other => Ok(other),
    }
}

pub(super) fn only_publishes() -> Problem {
    Problem::forbidden("a publish token is good for publishing its package, and for nothing else")
}

async fn by_credential(request: &HttpRequest) -> Result<Option<Identity>, Problem> {
    let address = client_address(request, &state(request)?.trusted_proxies);
    Ok(presented_identity(request).await?.map(|identity| Identity { address, ..identity }))
}

async fn presented_identity(request: &HttpRequest) -> Result<Option<Identity>, Problem> {
    let state = state(request)?;
    match presented(request)? {
        None => Ok(None),
        Some(Presented::Explicit(secret)) => match by_secret(state, &secret).await? {
            Some(identity) => Ok(Some(identity)),
            None => Err(Problem::unauthenticated("the token or API key is unknown, expired or revoked")),
        },
        Some(Presented::Cookie(secret)) => {
            demand_same_origin(request, state)?;
            by_secret(state, &secret).await
        }
    }
}

fn presented(request: &HttpRequest) -> Result<Option<Presented>, Problem> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let value = value.to_str().ok().and_then(|value| value.split_once(' '));
        let secret = match value {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim().to_owned()),
            Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => basic_password(encoded.trim()),
            Some(_) | None => None,
        };
        let secret = secret.ok_or_else(|| Problem::unauthenticated("the Authorization header cannot be read"))?;
        return Ok(Some(Presented::Explicit(secret)));
    }
    if let Some(key) = request.headers().get("x-api-key") {
        let key = key.to_str().map_err(|_| Problem::unauthenticated("the X-API-Key header cannot be read"))?;
        return Ok(Some(Presented::Explicit(key.trim().to_owned())));
    }
    Ok(request.cookie(SESSION_COOKIE).map(|cookie| Presented::Cookie(cookie.value().to_owned())))
}

/// Docker sends what `docker login` was given: any user name, and a token or API key as password.
fn basic_password(encoded: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// What was presented, whether it is valid or not.
pub(crate) fn credential_hash(request: &HttpRequest) -> Option<SecretHash> {
    match presented(request).ok()?? {
        Presented::Explicit(secret) | Presented::Cookie(secret) => tokens::hash(&secret),
    }
}

async fn by_secret(state: &AppState, secret: &str) -> Result<Option<Identity>, Problem> {
    let (Some(kind), Some(hash)) = (TokenKind::of(secret), tokens::hash(secret)) else { return Ok(None) };
    let mut conn = state.pool.get().await?;
    let conn: &mut Connection = &mut conn;
    let found = match kind {
        TokenKind::Access => sessions::identity(conn, hash).await?,
        TokenKind::ApiKey => api_keys::identity(conn, hash).await?,
        TokenKind::Publish => trusted_publishers::identity(conn, hash).await?,
        TokenKind::Refresh => None,
    };
    if found.is_some() {
        state.limits.recognise(hash);
    }
    Ok(found)
}

/// A browser sends its cookie with whatever page asks; a change must come from our own pages.
pub(crate) fn demand_same_origin(request: &HttpRequest, state: &AppState) -> Result<(), Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let is_own = match (header("sec-fetch-site"), header("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            origin == state.public_url.origin().ascii_serialization()
                || origin.split_once("://").is_some_and(|(_, authority)| header("host") == Some(authority))
        }
        (None, None) => false,
    };
    if is_own { Ok(()) } else { Err(Problem::forbidden("a page of another site may not do this")) }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn explicit(request: TestRequest) -> Option<String> {
        match presented(&request.to_http_request()).unwrap() {
            Some(Presented::Explicit(secret)) => Some(secret),
            Some(Presented::Cookie(_)) | None => None,
        }
    }

    #[test]
    fn a_header_goes_before_the_cookie() {
        let cookie = || TestRequest::get().cookie(actix_web::cookie::Cookie::new(SESSION_COOKIE, "c"));
        assert_eq!(explicit(cookie().insert_header(("Authorization", "Bearer t"))).as_deref(), Some("t"));
        assert_eq!(explicit(cookie().insert_header(("X-API-Key", "k"))).as_deref(), Some("k"));
        assert!(matches!(presented(&cookie().to_http_request()), Ok(Some(Presented::Cookie(_)))));
        let basic = format!("Basic {}", STANDARD.encode("anybody:with:colon"));
        assert_eq!(explicit(TestRequest::get().insert_header(("Authorization", basic))).as_deref(), Some("with:colon"));
        let digest = TestRequest::get().insert_header(("Authorization", "Digest x")).to_http_request();
        assert!(presented(&digest).is_err());
    }
}
