//! What the pages about one organization share.

use registry_db::organizations::OrganizationKey;
use registry_db::users::Identity;
use registry_types::names::OrganizationSlug;
use serde::Deserialize;

use crate::problem::Problem;
use crate::rights::{MemberOrganization, organization_of};
use crate::state::AppState;

/// Whose things a page shows.
#[derive(Deserialize)]
pub(super) struct Address {
    pub(super) org: Option<String>,
}

/// The organization that the address names, else the caller's primary or first one.
pub(super) async fn chosen(
    state: &AppState,
    identity: &Identity,
    named: Option<&str>,
) -> Result<Option<MemberOrganization>, Problem> {
    let key: OrganizationKey = match named {
        Some(named) => named.parse().map_err(|_| Problem::not_found("organization"))?,
        None => {
            let primary = identity.memberships.iter().find(|own| own.is_primary);
            let Some(own) = primary.or_else(|| identity.memberships.first()) else { return Ok(None) };
            OrganizationKey::Id(own.organization)
        }
    };
    organization_of(state, identity, &key).await.map(Some)
}

/// The organization that a form's address names.
pub(super) async fn named(state: &AppState, identity: &Identity, org: &str) -> Result<MemberOrganization, Problem> {
    let key = org.parse().map_err(|_| Problem::not_found("organization"))?;
    organization_of(state, identity, &key).await
}

/// Those that the caller may choose among, with their names.
pub(super) fn own(identity: &Identity) -> Vec<(OrganizationSlug, String)> {
    identity.memberships.iter().map(|own| (own.slug.clone(), own.display_name.clone())).collect()
}

/// Of the link to the next page.
pub(super) fn slug(organization: Option<&MemberOrganization>) -> String {
    organization.map(|organization| organization.slug.to_string()).unwrap_or_default()
}
