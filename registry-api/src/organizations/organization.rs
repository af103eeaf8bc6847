//! Organizations themselves.

use actix_web::{HttpResponse, get, patch, post, web};
use chrono::{DateTime, Utc};
use registry_db::audit::{self, Entry};
use registry_db::organizations::{self, NewOrganization, Organization, OrganizationKey, SLUG_TAKEN};
use registry_db::paging::Page;
use registry_db::{DbError, transaction};
use registry_types::audit::AuditAction;
use registry_types::ids::OrganizationId;
use registry_types::names::OrganizationSlug;
use registry_types::people::{Role, TrustTier};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::paging::{List, PageQuery};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::{Authenticated, Member};
use crate::state::AppState;

/// Longest name that people give, in characters.
const MAX_DISPLAY_NAME: usize = 100;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateOrganization {
    /// Also the publisher part of its packages' names.
    #[schema(value_type = String, example = "acme")]
    slug: OrganizationSlug,
    #[schema(example = "Acme Ltd")]
    display_name: String,
    /// `community` if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "verified")]
    trust_tier: Option<TrustTier>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct OrganizationItem {
    id: Uuid,
    slug: String,
    display_name: String,
    /// `community`, `verified` or `internal`.
    trust_tier: &'static str,
    /// The caller's role; `admin` for superusers.
    role: &'static str,
    /// Null in the caller's own list.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<DateTime<Utc>>,
}

impl OrganizationItem {
    fn of(organization: Organization, role: Role) -> Self {
        Self {
            id: organization.id.0,
            slug: organization.slug.to_string(),
            display_name: organization.display_name,
            trust_tier: organization.trust_tier.as_str(),
            role: role.as_str(),
            created_at: Some(organization.created_at),
        }
    }
}

/// Create an organization (superuser)
#[utoipa::path(
    tag = "organizations",
    operation_id = "createOrganization",
    request_body = CreateOrganization,
    responses(
        (status = 201, description = "Created", body = OrganizationItem),
        (status = 409, description = "`CONFLICT`: the slug is taken", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs")]
pub(crate) async fn create(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    body: web::Json<CreateOrganization>,
) -> Result<HttpResponse, Problem> {
    let body = body.into_inner();
    let new = NewOrganization {
        slug: body.slug,
        display_name: display_name(&body.display_name)?,
        trust_tier: body.trust_tier.unwrap_or(TrustTier::Community),
    };
    let mut conn = state.pool.get().await?;
    let created = transaction(&mut conn, async |conn| -> Result<Organization, DbError> {
        let created = organizations::create(conn, &new).await?;
        let entry = Entry {
            organization: Some(created.id),
            actor: identity.actor(),
            action: AuditAction::OrganizationCreated,
            subject: audit::Subject::Organization(created.id),
            details: json!({ "slug": created.slug, "trust_tier": created.trust_tier }),
        };
        audit::append(conn, entry).await?;
        Ok(created)
    });
    let created = created.await.map_err(|error| {
        if error.is_constraint(SLUG_TAKEN) {
            Problem::new(ProblemCode::Conflict, "an organization of this slug exists")
        } else {
            error.into()
        }
    })?;
    let location = format!("/v1/orgs/{}", created.id);
    Ok(HttpResponse::Created().insert_header(("Location", location)).json(OrganizationItem::of(created, Role::Admin)))
}

fn display_name(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let ok = (1..=MAX_DISPLAY_NAME).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if ok {
        Ok(text.to_owned())
    } else {
        Err(Problem::bad_request(format!("display_name must have 1 to {MAX_DISPLAY_NAME} printable characters")))
    }
}

/// The caller's organizations; for a superuser, all
#[utoipa::path(
    tag = "organizations",
    operation_id = "listOrganizations",
    params(PageQuery),
    responses((status = 200, description = "One page", body = List<OrganizationItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<OrganizationItem>>, Problem> {
    let after: Option<OrganizationSlug> = query.after()?;
    let page = if identity.is_superuser {
        let mut conn = state.pool.get().await?;
        organizations::list(&mut conn, after.as_ref(), query.size())
            .await?
            .map(|organization| OrganizationItem::of(organization, Role::Admin))
    } else {
        // They came with the credential, by slug, and are few.
        let own = identity.memberships.into_iter().map(|membership| OrganizationItem {
            id: membership.organization.0,
            slug: membership.slug.to_string(),
            display_name: membership.display_name,
            trust_tier: membership.trust_tier.as_str(),
            role: membership.role.as_str(),
            created_at: None,
        });
        Page { items: own.collect(), next: None }
    };
    Ok(web::Json(List::of(page)?))
}

/// One organization
#[utoipa::path(
    tag = "organizations",
    operation_id = "getOrganization",
    params(("org" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "The organization", body = OrganizationItem), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}")]
pub(crate) async fn get(state: web::Data<AppState>, member: Member) -> Result<web::Json<OrganizationItem>, Problem> {
    let found = find(&state, member.organization.id).await?;
    Ok(web::Json(OrganizationItem::of(found, member.organization.role)))
}

async fn find(state: &AppState, id: OrganizationId) -> Result<Organization, Problem> {
    let found = organizations::find(&mut *state.pool.get().await?, &OrganizationKey::Id(id)).await?;
    found.ok_or_else(|| Problem::not_found("organization"))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeOrganization {
    /// `community`, `verified` or `internal`: the path of the versions that are published from now on.
    #[schema(value_type = String, example = "verified")]
    trust_tier: TrustTier,
}

/// Set an organization's trust tier (superuser)
///
/// It chooses whether versions wait for a person. What was decided before stays.
#[utoipa::path(
    tag = "organizations",
    operation_id = "changeOrganization",
    params(("org" = String, Path, description = "Id or slug")),
    request_body = ChangeOrganization,
    responses((status = 200, description = "Changed", body = OrganizationItem), Problems),
    security(("bearer" = []))
)]
#[patch("/v1/orgs/{org}")]
pub(crate) async fn change(
    state: web::Data<AppState>,
    member: Member,
    body: web::Json<ChangeOrganization>,
) -> Result<web::Json<OrganizationItem>, Problem> {
    let (id, tier) = (member.organization.id, body.trust_tier);
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), DbError> {
        let was = organizations::set_trust_tier(conn, id, tier).await?;
        let entry = Entry {
            organization: Some(id),
            actor: member.identity.actor(),
            action: AuditAction::OrganizationTrustTierChanged,
            subject: audit::Subject::Organization(id),
            details: json!({ "from": was, "to": tier }),
        };
        audit::append(conn, entry).await
    })
    .await?;
    drop(conn);
    Ok(web::Json(OrganizationItem::of(find(&state, id).await?, Role::Admin)))
}
