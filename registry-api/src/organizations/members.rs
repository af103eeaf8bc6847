//! Who belongs to an organization, and in which role.

use actix_web::{HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use registry_db::audit::{self, Entry};
use registry_db::organizations::{self, Removal};
use registry_db::{transaction, users};
use registry_types::ids::UserId;
use registry_types::names::Email;
use registry_types::people::Role;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::paging::{List, PageQuery};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::Member;
use crate::state::AppState;

#[derive(Serialize, ToSchema)]
pub(crate) struct MemberItem {
    id: Uuid,
    email: String,
    /// `viewer`, `developer` or `admin`.
    role: &'static str,
    /// When the person became a member.
    since: DateTime<Utc>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddMember {
    /// Of an existing user.
    #[schema(value_type = String, example = "dev@example.org")]
    email: Email,
    #[schema(value_type = String, example = "developer")]
    role: Role,
}

/// The members of an organization, by e-mail address
#[utoipa::path(
    tag = "organizations",
    operation_id = "listMembers",
    params(("org" = String, Path, description = "Id or slug"), PageQuery),
    responses((status = 200, description = "One page", body = List<MemberItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/members")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    member: Member,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<MemberItem>>, Problem> {
    let after: Option<Email> = query.after()?;
    let mut conn = state.pool.get().await?;
    let page = organizations::members(&mut conn, member.organization.id, after.as_ref(), query.size()).await?;
    let page = page.map(|member| MemberItem {
        id: member.user.0,
        email: member.email.to_string(),
        role: member.role.as_str(),
        since: member.since,
    });
    Ok(web::Json(List::of(page)?))
}

/// Make an existing user a member, or change a member's role (admin)
#[utoipa::path(
    tag = "organizations",
    operation_id = "setMember",
    params(("org" = String, Path, description = "Id or slug")),
    request_body = AddMember,
    responses((status = 204, description = "Done"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/members")]
pub(crate) async fn add(
    state: web::Data<AppState>,
    member: Member,
    body: web::Json<AddMember>,
) -> Result<HttpResponse, Problem> {
    let organization = member.organization.id;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        let record = users::find(conn, &body.email).await?.ok_or_else(|| Problem::not_found("user"))?;
        organizations::set_member(conn, organization, record.user.id, body.role).await?;
        if organizations::admin_count(conn, organization).await? == 0 {
            return Err(last_admin());
        }
        let entry = Entry {
            organization: Some(organization),
            actor: member.identity.actor(),
            action: "member.set",
            subject: format!("user:{}", record.user.id),
            details: json!({ "role": body.role }),
        };
        Ok(audit::append(conn, entry).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Remove a member, and its API keys for this organization (admin)
#[utoipa::path(
    tag = "organizations",
    operation_id = "removeMember",
    params(("org" = String, Path, description = "Id or slug"), ("user" = Uuid, Path)),
    responses(
        (status = 204, description = "Removed"),
        (status = 409, description = "`CONFLICT`: the last administrator stays", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[delete("/v1/orgs/{org}/members/{user}")]
pub(crate) async fn remove(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Problem> {
    let organization = member.organization.id;
    let user = UserId(path.into_inner().1);
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        match organizations::remove_member(conn, organization, user).await? {
            Removal::Removed => {}
            Removal::NotAMember => return Err(Problem::not_found("member")),
            Removal::LastAdmin => return Err(last_admin()),
        }
        let entry = Entry {
            organization: Some(organization),
            actor: member.identity.actor(),
            action: "member.removed",
            subject: format!("user:{user}"),
            details: json!({}),
        };
        Ok(audit::append(conn, entry).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

fn last_admin() -> Problem {
    Problem::new(ProblemCode::Conflict, "an organization keeps at least one administrator")
}
