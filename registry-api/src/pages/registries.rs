//! The page of an organization's registry namespaces.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, web};
use askama::Template;
use registry_db::registries::{self, RegistryNamespace};
use registry_types::ids::RegistryNamespaceId;
use registry_types::names::OrganizationSlug;
use registry_types::signature_policy::SignaturePolicy;
use serde_json::Value;
use uuid::Uuid;

use super::frame::{Frame, Section, log_in_first, render};
use super::organization::{Address, chosen};
use super::text;
use crate::paging::{List, PageQuery};
use crate::problem::Problem;
use crate::rights::{MaybeAuthenticated, MemberOrganization};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "registries.html")]
struct RegistriesPage {
    frame: Frame,
    /// `None` for somebody who belongs to no organization.
    organization: Option<MemberOrganization>,
    organizations: Vec<(OrganizationSlug, String)>,
    namespaces: Vec<NamespaceView>,
    next: Option<String>,
}

/// As `namespace_facts.html` shows it.
pub(super) struct NamespaceView {
    id: Uuid,
    pub(super) pattern: String,
    pub(super) provider: &'static str,
    pub(super) state: &'static str,
    pub(super) refusal: Option<String>,
    pub(super) credential: &'static str,
    pub(super) signatures: String,
    pub(super) test: Option<TestView>,
}

/// What the worker reported last.
pub(super) struct TestView {
    pub(super) at: String,
    /// Words such as `reachable: yes`.
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) problems: Vec<String>,
}

#[get("/registries")]
pub(super) async fn registries_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    address: web::Query<Address>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/registries")) };
    let after: Option<RegistryNamespaceId> = page.after()?;
    let organization = chosen(&state, &identity, address.org.as_deref()).await?;
    let mut namespaces = List { items: Vec::new(), next_cursor: None };
    if let Some(organization) = &organization {
        let mut conn = state.pool.get().await?;
        let found = registries::list(&mut conn, organization.id, after, page.size()).await?;
        namespaces = List::of(found.map(NamespaceView::from))?;
    }
    let slug = organization.as_ref().map(|organization| organization.slug.to_string()).unwrap_or_default();
    let page = RegistriesPage {
        frame: Frame::new(&state, Some(&identity), Section::Registries),
        organizations: identity.memberships.into_iter().map(|own| (own.slug, own.display_name)).collect(),
        organization,
        next: namespaces.next_cursor.map(|cursor| format!("/registries?org={slug}&cursor={cursor}")),
        namespaces: namespaces.items,
    };
    Ok(render(StatusCode::OK, &page))
}

impl From<RegistryNamespace> for NamespaceView {
    fn from(namespace: RegistryNamespace) -> Self {
        Self {
            id: namespace.id.0,
            pattern: namespace.pattern.to_string(),
            provider: namespace.provider.as_str(),
            state: namespace.state.as_str(),
            refusal: namespace.refusal,
            credential: if namespace.has_credential { "sealed credential" } else { "anonymous" },
            signatures: signatures(&namespace.signature_policy),
            test: namespace.last_test.zip(namespace.last_tested_at).map(|(report, at)| test(&report, text::time(at))),
        }
    }
}

fn signatures(policy: &SignaturePolicy) -> String {
    match policy {
        SignaturePolicy::None => "not required".to_owned(),
        SignaturePolicy::Required(signers) => {
            let count = |number: usize, one: &str, many: &str| match number {
                0 => None,
                1 => Some(format!("one {one}")),
                number => Some(format!("{number} {many}")),
            };
            let keys = count(signers.keys().len(), "key", "keys");
            let identities = count(signers.identities().len(), "identity", "identities");
            format!("required, by {}", [keys, identities].into_iter().flatten().collect::<Vec<_>>().join(" or "))
        }
    }
}

/// The worker's report; what it does not say is left out.
fn test(report: &Value, at: String) -> TestView {
    let labels = [
        ("reachable", "reachable"),
        ("anonymous_pull", "anonymous pull"),
        ("authenticated", "authenticated"),
        ("pull_right", "may pull"),
        ("referrers", "referrers"),
        ("token_host", "token host"),
    ];
    let word = |value: &Value| match value {
        Value::Bool(true) => Some("yes".to_owned()),
        Value::Bool(false) => Some("no".to_owned()),
        Value::String(text) => Some(text::words(text)),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let facts = labels.iter().filter_map(|(key, label)| Some((*label, word(report.get(key)?)?))).collect();
    let problems = report.get("problems").and_then(Value::as_array).into_iter().flatten();
    TestView { at, facts, problems: problems.filter_map(|p| p.as_str().map(super::error::sentence)).collect() }
}
