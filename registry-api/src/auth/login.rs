//! Login, refresh and logout.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpRequest, post, web};
use chrono::{Duration, Utc};
use registry_db::audit::{self, Actor, Entry};
use registry_db::sessions::{self, NewTokens, Rotation};
use registry_db::users::{self, Credential, Identity, PasswordRecord, SecretHash};
use registry_db::{Connection, DbError, transaction};
use registry_types::audit::AuditAction;
use registry_types::ids::UserId;
use registry_types::names::Email;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tokens::{self, TokenKind};
use crate::limits::{LoginAttempt, client_address};
use crate::problem::{Problem, Problems};
use crate::rights::{MaybeAuthenticated, SESSION_COOKIE};
use crate::state::AppState;

#[derive(Deserialize, ToSchema)]
pub(crate) struct LoginRequest {
    #[schema(example = "dev@example.org")]
    email: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct RefreshRequest {
    #[schema(value_type = String, format = Password)]
    refresh_token: SecretString,
}

/// Tokens of one login.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenAnswer {
    access_token: String,
    /// To be exchanged once for new tokens; using it a second time ends the login.
    refresh_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds that the access token lives.
    expires_in: u32,
    /// The user's primary organization, if there is one.
    #[schema(value_type = Option<uuid::Uuid>)]
    organization_id: Option<uuid::Uuid>,
}

/// Log in with e-mail address and password
#[utoipa::path(
    tag = "auth",
    operation_id = "login",
    request_body = LoginRequest,
    responses((status = 200, description = "Logged in", body = TokenAnswer), Problems)
)]
#[post("/v1/auth/login")]
pub(crate) async fn login(
    request: HttpRequest,
    state: web::Data<AppState>,
    body: web::Json<LoginRequest>,
) -> Result<web::Json<TokenAnswer>, Problem> {
    let body = body.into_inner();
    let verified = verified_user(&request, &state, &body.email, body.password).await?;
    let (tokens, issued) = issue(&state)?;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| begin(conn, &verified, &tokens).await).await?;
    answer(&mut conn, &state, tokens.access, issued).await.map(web::Json)
}

/// Exchange a refresh token for new tokens
#[utoipa::path(
    tag = "auth",
    operation_id = "refreshTokens",
    request_body = RefreshRequest,
    responses((status = 200, description = "New tokens", body = TokenAnswer), Problems)
)]
#[post("/v1/auth/refresh")]
pub(crate) async fn refresh(
    state: web::Data<AppState>,
    body: web::Json<RefreshRequest>,
) -> Result<web::Json<TokenAnswer>, Problem> {
    let refused = || Problem::unauthenticated("the refresh token is unknown, expired or already used: log in again");
    let presented = tokens::hash(body.refresh_token.expose_secret()).ok_or_else(refused)?;
    let (tokens, issued) = issue(&state)?;
    let mut conn = state.pool.get().await?;
    let rotation = transaction(&mut conn, async |conn| -> Result<Rotation, Problem> {
        let rotation = sessions::rotate(conn, presented, &tokens).await?;
        if let Rotation::Reused { user } = rotation {
            audit::append(conn, of_user(Actor::System, AuditAction::UserRefreshTokenReused, user)).await?;
        }
        Ok(rotation)
    });
    match rotation.await? {
        Rotation::Rotated { .. } => answer(&mut conn, &state, tokens.access, issued).await.map(web::Json),
        Rotation::Reused { user } => {
            tracing::warn!(%user, "a refresh token was used twice; its login is ended");
            Err(refused())
        }
        Rotation::Refused => Err(refused()),
    }
}

#[derive(Deserialize, Default, ToSchema)]
pub(crate) struct LogoutRequest {
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    refresh_token: Option<SecretString>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogoutAnswer {
    /// The tokens of the login no longer work.
    refresh_sessions_revoked: bool,
}

/// End a login: that of the refresh token in the body, and that of the access token that is sent
#[utoipa::path(
    tag = "auth",
    operation_id = "logout",
    request_body(content = LogoutRequest, description = "May be empty"),
    responses((status = 200, description = "Logged out", body = LogoutAnswer), Problems)
)]
#[post("/v1/auth/logout")]
pub(crate) async fn logout(
    state: web::Data<AppState>,
    caller: Result<MaybeAuthenticated, Problem>,
    body: web::Bytes,
) -> Result<web::Json<LogoutAnswer>, Problem> {
    let body: LogoutRequest = if body.is_empty() {
        LogoutRequest::default()
    } else {
        serde_json::from_slice(&body).map_err(|e| Problem::bad_request(e.to_string()))?
    };
    let mut conn = state.pool.get().await?;
    let presented = body.refresh_token.and_then(|token| tokens::hash(token.expose_secret()));
    // A client that logs out with an access token that has run out is logged out all the same.
    let session = match caller.ok().and_then(|MaybeAuthenticated(identity)| identity) {
        Some(Identity { credential: Credential::ApiKey(_) | Credential::PublishToken(_), .. }) => {
            return Err(Problem::bad_request("an API key is revoked, not logged out"));
        }
        Some(Identity { credential: Credential::Session(session), .. }) => Some(session),
        None => None,
    };
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        if let Some(presented) = presented {
            sessions::end_by_refresh_token(conn, presented).await?;
        }
        if let Some(session) = session {
            sessions::end(conn, session).await?;
        }
        Ok(())
    })
    .await?;
    Ok(web::Json(LogoutAnswer { refresh_sessions_revoked: true }))
}

/// A login through the pages: the cookie to set. The password form lives with the pages.
///
/// # Errors
/// 401 when e-mail address or password is wrong, 429 when too many logins have failed.
pub(crate) async fn login_browser(
    request: &HttpRequest,
    state: &AppState,
    email: &str,
    password: SecretString,
) -> Result<Cookie<'static>, Problem> {
    let verified = verified_user(request, state, email, password).await?;
    let lifetime = Duration::seconds(state.lifetimes.browser_seconds.into());
    let token = tokens::generate(TokenKind::Access)?;
    let tokens = NewTokens {
        access: tokens::hash_of(&token),
        // Never given out: a browser's login is not refreshed.
        refresh: tokens::hash_of(&tokens::generate(TokenKind::Refresh)?),
        access_expires_at: Utc::now() + lifetime,
        refresh_expires_at: Utc::now() + lifetime,
    };
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| begin(conn, &verified, &tokens).await).await?;
    Ok(session_cookie(state, token.expose_secret().to_owned(), i64::from(state.lifetimes.browser_seconds)))
}

/// Ends the browser's login; the cookie that removes the one it has.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn logout_browser(state: &AppState, caller: &MaybeAuthenticated) -> Result<Cookie<'static>, Problem> {
    if let MaybeAuthenticated(Some(identity)) = caller
        && let Credential::Session(session) = identity.credential
    {
        let mut conn = state.pool.get().await?;
        transaction(&mut conn, async |conn| sessions::end(conn, session).await).await?;
    }
    Ok(session_cookie(state, String::new(), 0))
}

fn session_cookie(state: &AppState, value: String, max_age_seconds: i64) -> Cookie<'static> {
    Cookie::build(SESSION_COOKIE, value)
        .path("/")
        .http_only(true)
        .secure(state.public_url.scheme() == "https")
        .same_site(SameSite::Strict)
        .max_age(actix_web::cookie::time::Duration::seconds(max_age_seconds))
        .finish()
}

/// Unknown address and wrong password look alike and cost the same.
async fn verified_user(
    request: &HttpRequest,
    state: &AppState,
    email: &str,
    password: SecretString,
) -> Result<PasswordRecord, Problem> {
    let typed = email.trim().to_lowercase();
    let address = client_address(request, &state.trusted_proxies);
    let attempt = LoginAttempt::begin(&state.limits, &typed, address).await?;
    let email: Option<Email> = typed.parse().ok();
    let record = match email {
        Some(email) => users::find(&mut *state.pool.get().await?, &email).await?,
        None => None,
    };
    let stored = record.as_ref().map(|record| record.password_hash.clone());
    let fits = state.passwords.verify(password, stored).await?;
    match record {
        Some(record) if fits => Ok(record),
        Some(_) | None => {
            attempt.failed();
            Err(wrong_password())
        }
    }
}

fn wrong_password() -> Problem {
    Problem::unauthenticated("e-mail address or password is wrong")
}

/// Begins the login of somebody whose password was verified, unless it has changed since.
async fn begin(conn: &mut Connection, verified: &PasswordRecord, tokens: &NewTokens) -> Result<(), Problem> {
    let user = verified.user.id;
    match sessions::start(conn, user, &verified.password_hash, tokens).await {
        Err(DbError::Stale) => return Err(wrong_password()),
        started => started?,
    };
    Ok(audit::append(conn, of_user(Actor::User(user), AuditAction::UserLoggedIn, user)).await?)
}

pub(super) struct Issued {
    access: SecretString,
    refresh: SecretString,
}

pub(super) fn issue(state: &AppState) -> Result<(NewTokens, Issued), Problem> {
    let issued =
        Issued { access: tokens::generate(TokenKind::Access)?, refresh: tokens::generate(TokenKind::Refresh)? };
    let now = Utc::now();
    let tokens = NewTokens {
        access: tokens::hash_of(&issued.access),
        refresh: tokens::hash_of(&issued.refresh),
        access_expires_at: now + Duration::seconds(state.lifetimes.access_seconds.into()),
        refresh_expires_at: now + Duration::seconds(state.lifetimes.refresh_seconds.into()),
    };
    Ok((tokens, issued))
}

/// An audit entry about a user, which concerns no organization.
pub(super) fn of_user(actor: Actor, action: AuditAction, user: UserId) -> Entry {
    Entry { organization: None, actor, action, subject: audit::Subject::User(user), details: serde_json::json!({}) }
}

pub(super) async fn answer(
    conn: &mut Connection,
    state: &AppState,
    access: SecretHash,
    issued: Issued,
) -> Result<TokenAnswer, Problem> {
    let identity = sessions::identity(conn, access).await?;
    let primary = identity.and_then(|identity| identity.memberships.into_iter().find(|m| m.is_primary));
    Ok(TokenAnswer {
        access_token: issued.access.expose_secret().to_owned(),
        refresh_token: issued.refresh.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_in: state.lifetimes.access_seconds,
        organization_id: primary.map(|membership| membership.organization.0),
    })
}
