//! The page of the keys that an organization's authors sign package manifests with.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, web};
use askama::Template;
use registry_db::manifest_keys::{self, EnrolledKey};
use registry_db::store_settings;
use registry_types::ids::ManifestKeyId;
use registry_types::names::OrganizationSlug;
use registry_types::policy::ManifestSignatureDemand;

use super::frame::{Frame, Section, log_in_first, render};
use super::organization::{Address, chosen};
use super::text;
use crate::paging::{List, PageQuery};
use crate::problem::Problem;
use crate::rights::{MaybeAuthenticated, MemberOrganization};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    /// `None` for somebody who belongs to no organization.
    organization: Option<MemberOrganization>,
    organizations: Vec<(OrganizationSlug, String)>,
    /// What is demanded of the organization's manifests.
    demand: &'static str,
    keys: Vec<KeyView>,
    next: Option<String>,
}

struct KeyView {
    label: String,
    fingerprint: String,
    enrolled: String,
    signed_versions: u64,
    revocation: Option<RevocationView>,
}

struct RevocationView {
    from: String,
    by: String,
    reason: String,
    signed_versions: u64,
}

#[get("/keys")]
pub(super) async fn keys_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    address: web::Query<Address>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/keys")) };
    let after: Option<ManifestKeyId> = page.after()?;
    let organization = chosen(&state, &identity, address.org.as_deref()).await?;
    let mut keys = List { items: Vec::new(), next_cursor: None };
    let mut demand = "";
    if let Some(organization) = &organization {
        let mut conn = state.pool.get().await?;
        demand = demanded(store_settings::policy(&mut conn).await?.manifest_signatures.of(organization.trust_tier));
        let found = manifest_keys::list(&mut conn, organization.id, after, page.size()).await?;
        keys = List::of(found.map(KeyView::from))?;
    }
    let slug = organization.as_ref().map(|organization| organization.slug.to_string()).unwrap_or_default();
    let page = KeysPage {
        frame: Frame::new(&state, Some(&identity), Section::Organization),
        organizations: identity.memberships.into_iter().map(|own| (own.slug, own.display_name)).collect(),
        organization,
        demand,
        next: keys.next_cursor.map(|cursor| format!("/keys?org={slug}&cursor={cursor}")),
        keys: keys.items,
    };
    Ok(render(StatusCode::OK, &page))
}

const fn demanded(demand: ManifestSignatureDemand) -> &'static str {
    match demand {
        ManifestSignatureDemand::Enrolled => "Its package manifests must be signed by one of these keys.",
        ManifestSignatureDemand::Signed => "Its package manifests must be signed, by these or other keys.",
        ManifestSignatureDemand::Recorded => "Its package manifests need no signature; who signed is recorded.",
    }
}

impl From<EnrolledKey> for KeyView {
    fn from(key: EnrolledKey) -> Self {
        let signed_versions = key.signed_after_revocation;
        Self {
            label: key.label,
            fingerprint: key.fingerprint.to_string(),
            enrolled: format!("{} by {}", text::time(key.enrolled_at), key.enrolled_by),
            signed_versions: key.signed_versions,
            revocation: key.revocation.map(|revocation| RevocationView {
                from: text::time(revocation.from),
                by: revocation.by.to_string(),
                reason: revocation.reason,
                signed_versions,
            }),
        }
    }
}
