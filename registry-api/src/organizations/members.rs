//! Who belongs to an organization, and in which role.

use actix_web::{HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use registry_db::audit::{self, Entry};
use registry_db::organizations::{self, Removal};
use registry_db::transaction;
use registry_db::users::{self, Identity};
use registry_types::audit::AuditAction;
use registry_types::ids::{OrganizationId, UserId};
use registry_types::names::Email;
use registry_types::people::Role;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::paging::{List, PageQuery};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::{Member, MemberOrganization, Operation};
use crate::state::AppState;

#[derive(Serialize, ToSchema)]
pub(crate) struct MemberItem {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    /// `viewer`, `developer` or `admin`.
    pub(crate) role: &'static str,
    /// When the person became a member.
    pub(crate) since: DateTime<Utc>,
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
    page(&state, member.organization.id, &query).await.map(web::Json)
}

/// [`list`], for the page as well.
pub(crate) async fn page(
    state: &AppState,
    organization: OrganizationId,
    query: &PageQuery,
) -> Result<List<MemberItem>, Problem> {
    let after: Option<Email> = query.after()?;
    let mut conn = state.pool.get().await?;
    let page = organizations::members(&mut conn, organization, after.as_ref(), query.size()).await?;
    let page = page.map(|member| MemberItem {
        id: member.user.0,
        email: member.email.to_string(),
        role: member.role.as_str(),
        since: member.since,
    });
    List::of(page)
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
    set_as(&state, &member.identity, &member.organization, &body.email, body.role).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// [`add`], for a caller who was let in otherwise.
pub(crate) async fn set_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    email: &Email,
    role: Role,
) -> Result<(), Problem> {
    Operation::SetMember.demand(identity, organization)?;
    let organization = organization.id;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        let record = users::find(conn, email).await?.ok_or_else(|| Problem::not_found("user"))?;
        let was = organizations::role_of(conn, organization, record.user.id).await?;
        organizations::set_member(conn, organization, record.user.id, role).await?;
        if organizations::admin_count(conn, organization).await? == 0 {
            return Err(last_admin());
        }
        let entry = Entry {
            organization: Some(organization),
            actor: identity.actor(),
            action: AuditAction::MemberSet,
            subject: audit::Subject::Member(organization, record.user.id),
            details: json!({ "role": role, "was": was }),
        };
        Ok(audit::append(conn, entry).await?)
    })
    .await
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
    remove_as(&state, &member.identity, &member.organization, UserId(path.into_inner().1)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// [`remove`], for a caller who was let in otherwise.
pub(crate) async fn remove_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    user: UserId,
) -> Result<(), Problem> {
    Operation::RemoveMember.demand(identity, organization)?;
    let organization = organization.id;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        match organizations::remove_member(conn, organization, user).await? {
            Removal::Removed => {}
            Removal::NotAMember => return Err(Problem::not_found("member")),
            Removal::LastAdmin => return Err(last_admin()),
        }
        let entry = Entry {
            organization: Some(organization),
            actor: identity.actor(),
            action: AuditAction::MemberRemoved,
            subject: audit::Subject::Member(organization, user),
            details: json!({}),
        };
        Ok(audit::append(conn, entry).await?)
    })
    .await
}

fn last_admin() -> Problem {
    Problem::new(ProblemCode::Conflict, "an organization keeps at least one administrator")
}
