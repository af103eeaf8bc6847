//! New users: an administrator gives them a place and a first password.

use actix_web::{HttpResponse, post, web};
use registry_db::audit::{self, Entry};
use registry_db::users::{self, EMAIL_TAKEN, NewUser, User};
use registry_db::{DbError, organizations, transaction};
use registry_types::names::Email;
use registry_types::people::Role;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::{AdminRight, Member};
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
    member: Member<AdminRight>,
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
        let entry = Entry {
            organization: Some(organization),
            actor: member.identity.actor(),
            action: "user.created",
            subject: format!("user:{}", user.id),
            details: json!({ "role": body.role }),
        };
        audit::append(conn, entry).await?;
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
