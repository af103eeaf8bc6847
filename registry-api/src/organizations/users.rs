//! Users: an administrator gives them a place and a first password, or another one when they lost theirs.

use actix_web::{HttpResponse, post, put, web};
use registry_db::audit::{self, Entry};
use registry_db::users::{self, EMAIL_TAKEN, NewUser, User};
use registry_db::{Connection, DbError, organizations, transaction};
use registry_types::audit::AuditAction;
use registry_types::ids::UserId;
use registry_types::names::Email;
use registry_types::people::Role;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::Member;
use crate::state::AppState;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateUser {
    /// Lower case.
    #[schema(value_type = String, example = "dev@example.org")]
    email: Email,
    /// At least 10 characters.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    #[schema(value_type = String, example = "developer")]
    role: Role,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedUser {
    id: Uuid,
    email: String,
}

/// Create a user as a member of this organization (admin)
#[utoipa::path(
    tag = "organizations",
    operation_id = "createUser",
    params(("org" = String, Path, description = "Id or slug")),
    request_body = CreateUser,
    responses(
        (status = 201, description = "Created", body = CreatedUser),
        (status = 409, description = "`CONFLICT`: the address is in use", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/users")]
pub(crate) async fn create(
    state: web::Data<AppState>,
    member: Member,
    body: web::Json<CreateUser>,
) -> Result<HttpResponse, Problem> {
    let body = body.into_inner();
    let password_hash = state.passwords.hash(body.password).await?;
    let new = NewUser { email: body.email, password_hash, is_superuser: false };
    let organization = member.organization.id;
    let mut conn = state.pool.get().await?;
    let created = transaction(&mut conn, async |conn| -> Result<User, DbError> {
        let user = users::create(conn, &new).await?;
        organizations::set_member(conn, organization, user.id, body.role).await?;
        for (action, subject) in [
            (AuditAction::UserCreated, audit::Subject::User(user.id)),
            (AuditAction::MemberSet, audit::Subject::Member(organization, user.id)),
        ] {
            let (organization, actor) = (Some(organization), member.identity.actor());
            let details = json!({ "role": body.role });
            audit::append(conn, Entry { organization, actor, action, subject, details }).await?;
        }
        Ok(user)
    });
    let user = created.await.map_err(|error| {
        if error.is_constraint(EMAIL_TAKEN) {
            Problem::new(ProblemCode::Conflict, "a user of this e-mail address exists; add it as a member instead")
        } else {
            error.into()
        }
    })?;
    Ok(HttpResponse::Created().json(CreatedUser { id: user.id.0, email: user.email.to_string() }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetPassword {
    /// At least 10 characters.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Give a user another password (admin)
///
/// All logins of the user end; API keys stay until they are revoked. An administrator resets members who belong to this
/// organization alone; those of several organizations and superusers are reset by a superuser.
#[utoipa::path(
    tag = "organizations",
    operation_id = "resetPassword",
    params(("org" = String, Path, description = "Id or slug"), ("user" = Uuid, Path, description = "Id of the user")),
    request_body = ResetPassword,
    responses((status = 204, description = "The user has this password and must log in again"), Problems),
    security(("bearer" = []))
)]
#[put("/v1/orgs/{org}/users/{user}/password")]
pub(crate) async fn reset_password(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
    body: web::Json<ResetPassword>,
) -> Result<HttpResponse, Problem> {
    let user = UserId(path.into_inner().1);
    let mut conn = state.pool.get().await?;
    // Before the work of hashing.
    may_reset(&mut conn, &member, user).await?;
    let password_hash = state.passwords.hash(body.into_inner().password).await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        may_reset(conn, &member, user).await?;
        users::set_password(conn, user, None, &password_hash).await?;
        let entry = Entry {
            organization: Some(member.organization.id),
            actor: member.identity.actor(),
            action: AuditAction::UserPasswordReset,
            subject: audit::Subject::User(user),
            details: json!({}),
        };
        Ok(audit::append(conn, entry).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Whoever sets a password can be that user, everywhere: so not beyond what the administrator administers.
async fn may_reset(conn: &mut Connection, member: &Member, user: UserId) -> Result<(), Problem> {
    let no_member = || Problem::not_found("user");
    organizations::role_of(conn, member.organization.id, user).await?.ok_or_else(no_member)?;
    if member.identity.is_superuser {
        return Ok(());
    }
    if users::get(conn, user).await?.user.is_superuser || organizations::count_of(conn, user).await? > 1 {
        let detail = "this user belongs to more than this organization; a superuser resets the password";
        return Err(Problem::forbidden(detail));
    }
    Ok(())
}
