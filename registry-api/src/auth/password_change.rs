//! A user's new password.

use actix_web::{post, web};
use registry_db::{DbError, audit, sessions, transaction, users};
use registry_types::audit::AuditAction;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::login::{TokenAnswer, answer, issue, of_user};
use crate::limits::LoginAttempt;
use crate::problem::{Problem, Problems};
use crate::rights::Authenticated;
use crate::state::AppState;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    #[schema(value_type = String, format = Password)]
    current_password: SecretString,
    /// At least 10 characters.
    #[schema(value_type = String, format = Password)]
    new_password: SecretString,
}

/// Change one's own password
///
/// All logins end, this one too; the answer holds the tokens of a new one. API keys stay until they are revoked.
#[utoipa::path(
    tag = "auth",
    operation_id = "changePassword",
    request_body = ChangePassword,
    responses((status = 200, description = "Changed, and logged in anew", body = TokenAnswer), Problems),
    security(("bearer" = []))
)]
#[post("/v1/auth/password")]
pub(crate) async fn change(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    body: web::Json<ChangePassword>,
) -> Result<web::Json<TokenAnswer>, Problem> {
    let body = body.into_inner();
    let user = identity.user;
    let replaced = users::get(&mut *state.pool.get().await?, user).await?.password_hash;
    // 403, not 401: a client takes a 401 for a token that has run out, and tries again.
    let wrong = || Problem::forbidden("the current password is wrong");
    let attempt = LoginAttempt::begin(&state.limits, &user.to_string(), identity.address).await?;
    if !state.passwords.verify(body.current_password, Some(replaced.clone())).await? {
        attempt.failed();
        return Err(wrong());
    }
    let password_hash = state.passwords.hash(body.new_password).await?;
    let (tokens, issued) = issue(&state)?;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        match users::set_password(conn, user, Some(&replaced), &password_hash).await {
            Err(DbError::Stale) => return Err(wrong()),
            set => set?,
        }
        sessions::start(conn, user, &password_hash, &tokens).await?;
        Ok(audit::append(conn, of_user(identity.actor(), AuditAction::UserPasswordChanged, user)).await?)
    })
    .await?;
    answer(&mut conn, &state, tokens.access, issued).await.map(web::Json)
}
