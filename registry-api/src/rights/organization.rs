//! The organization that a request acts in. One that the caller does not belong to is not there (404).

use actix_web::HttpRequest;
use registry_db::organizations::{self, OrganizationKey};
use registry_db::users::{Identity, Membership};
use registry_types::ids::OrganizationId;
use registry_types::names::OrganizationSlug;
use registry_types::people::{Role, TrustTier};

use crate::problem::Problem;
use crate::state::AppState;

/// The organization that a request acts in, and the caller's role there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberOrganization {
    pub id: OrganizationId,
    pub slug: OrganizationSlug,
    pub display_name: String,
    pub trust_tier: TrustTier,
    pub role: Role,
}

/// The organization that `key` names, if `identity` belongs to it.
pub(crate) fn own_organization(identity: &Identity, key: &OrganizationKey) -> Option<MemberOrganization> {
    let is_named = |membership: &&Membership| match key {
        OrganizationKey::Id(id) => membership.organization == *id,
        OrganizationKey::Slug(slug) => membership.slug == *slug,
    };
    identity.memberships.iter().find(is_named).map(|own| MemberOrganization {
        id: own.organization,
        slug: own.slug.clone(),
        display_name: own.display_name.clone(),
        trust_tier: own.trust_tier,
        role: if identity.is_superuser { Role::Admin } else { own.role },
    })
}

/// The organization that `key` names, if `identity` belongs to it or is a superuser.
///
/// # Errors
/// 404 for all others, whether it exists or not.
pub(crate) async fn organization_of(
    state: &AppState,
    identity: &Identity,
    key: &OrganizationKey,
) -> Result<MemberOrganization, Problem> {
    if let Some(own) = own_organization(identity, key) {
        return Ok(own);
    }
    if !identity.is_superuser {
        return Err(no_organization());
    }
    let found = organizations::find(&mut *state.pool.get().await?, key).await?.ok_or_else(no_organization)?;
    Ok(MemberOrganization {
        id: found.id,
        slug: found.slug,
        display_name: found.display_name,
        trust_tier: found.trust_tier,
        role: Role::Admin,
    })
}

/// The organization that the header `X-Organization-Id` names, by id or slug.
///
/// # Errors
/// When it names none: as an organization that the caller does not belong to.
pub(crate) fn organization_in_header(request: &HttpRequest) -> Result<Option<OrganizationKey>, Problem> {
    let Some(value) = request.headers().get("x-organization-id") else { return Ok(None) };
    let named = value.to_str().unwrap_or_default().trim();
    if named.is_empty() {
        return Ok(None);
    }
    named.parse().map(Some).map_err(|_| not_a_member(named))
}

/// The same whether the organization exists or not.
pub(crate) fn not_a_member(named: &str) -> Problem {
    let named: String = named.chars().filter(|c| !c.is_control()).take(64).collect();
    Problem::forbidden(format!("you do not belong to the organization {named}"))
}

pub(super) fn no_organization() -> Problem {
    Problem::not_found("organization")
}
