//! The platform's people: who may be one, decided by those who are.

use actix_web::{HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use registry_db::audit::{self, Entry, Subject};
use registry_db::transaction;
use registry_db::users::{self, Identity, Removal};
use registry_types::audit::AuditAction;
use registry_types::ids::UserId;
use registry_types::names::Email;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::paging::{List, PageQuery};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::Authenticated;
use crate::state::AppState;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(list).service(add).service(remove);
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SuperuserItem {
    id: Uuid,
    email: String,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddSuperuser {
    /// Of an existing user.
    #[schema(value_type = String, example = "ops@example.org")]
    email: Email,
}

/// The platform's people (superuser)
#[utoipa::path(
    tag = "superusers",
    operation_id = "listSuperusers",
    params(PageQuery),
    responses((status = 200, description = "One page", body = List<SuperuserItem>), Problems),
    security(("bearer" = []))
)]
#[get("/v1/superusers")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    _caller: Authenticated,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<SuperuserItem>>, Problem> {
    let after: Option<Email> = query.after()?;
    let page = users::superusers(&mut *state.pool.get().await?, after.as_ref(), query.size()).await?;
    let page =
        page.map(|user| SuperuserItem { id: user.id.0, email: user.email.to_string(), created_at: user.created_at });
    List::of(page).map(web::Json)
}

/// Make an existing user one of the platform's people (superuser)
///
/// Some decisions want two of them: nobody reviews an own publish or approves an own waiver.
#[utoipa::path(
    tag = "superusers",
    operation_id = "addSuperuser",
    request_body = AddSuperuser,
    responses((status = 204, description = "The user is a superuser"), Problems),
    security(("bearer" = []))
)]
#[post("/v1/superusers")]
pub(crate) async fn add(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    body: web::Json<AddSuperuser>,
) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        let found = users::find(conn, &body.email).await?.ok_or_else(|| Problem::not_found("user"))?;
        users::add_superuser(conn, found.user.id).await?;
        Ok(audit::append(conn, entry(&identity, AuditAction::SuperuserAdded, found.user.id)).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Make a superuser a user like others (superuser)
#[utoipa::path(
    tag = "superusers",
    operation_id = "removeSuperuser",
    params(("user" = Uuid, Path, description = "Id of the user")),
    responses(
        (status = 204, description = "The user keeps account and memberships"),
        (status = 409, description = "`CONFLICT`: the last one stays", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []))
)]
#[delete("/v1/superusers/{user}")]
pub(crate) async fn remove(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    user: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let user = UserId(user.into_inner());
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        match users::remove_superuser(conn, user).await? {
            Removal::Removed => {}
            Removal::NoSuperuser => return Err(Problem::not_found("superuser")),
            Removal::LastOne => {
                let detail = "the last superuser stays: nobody could make another one";
                return Err(Problem::new(ProblemCode::Conflict, detail));
            }
        }
        Ok(audit::append(conn, entry(&identity, AuditAction::SuperuserRemoved, user)).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

fn entry(identity: &Identity, action: AuditAction, user: UserId) -> Entry {
    let (actor, subject) = (identity.actor(), Subject::User(user));
    Entry { organization: None, actor, action, subject, details: json!({}) }
}
