//! The page of an organization's audit log.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, web};
use askama::Template;
use registry_db::audit::{self, AuditEntry, Filter};
use registry_types::names::OrganizationSlug;
use serde::Deserialize;

use super::frame::{Frame, Section, log_in_first, render};
use super::organization::{Address, chosen, own, slug};
use crate::paging::{List, PageQuery};
use crate::problem::Problem;
use crate::rights::{MaybeAuthenticated, MemberOrganization, Operation};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    /// `None` for somebody who belongs to no organization.
    organization: Option<MemberOrganization>,
    organizations: Vec<(OrganizationSlug, String)>,
    action: String,
    actor: String,
    subject: String,
    entries: Vec<EntryView>,
    next: Option<String>,
}

struct EntryView {
    at: String,
    action: String,
    subject: String,
    actor: String,
    credential: Option<String>,
    address: Option<String>,
    details: Option<String>,
    place: Option<i64>,
}

impl From<AuditEntry> for EntryView {
    fn from(entry: AuditEntry) -> Self {
        let is_empty = entry.details.as_object().is_some_and(serde_json::Map::is_empty);
        Self {
            at: entry.at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            action: entry.action,
            subject: entry.subject,
            actor: entry.actor,
            credential: entry.credential,
            address: entry.address,
            details: (!is_empty).then(|| entry.details.to_string()),
            place: entry.place.map(|place| place.sequence),
        }
    }
}

/// As a form sends it: what is not filled in is empty.
#[derive(Deserialize)]
struct AuditForm {
    #[serde(default)]
    action: String,
    #[serde(default)]
    actor: String,
    #[serde(default)]
    subject: String,
}

impl AuditForm {
    fn filter(&self, organization: &MemberOrganization) -> Filter {
        let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Filter {
            organization: Some(organization.id),
            action: filled(&self.action),
            actor: filled(&self.actor),
            subject: filled(&self.subject),
            ..Filter::default()
        }
    }
}

#[get("/audit")]
pub(super) async fn audit_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    address: web::Query<Address>,
    form: web::Query<AuditForm>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/audit")) };
    let organization = chosen(&state, &identity, address.org.as_deref()).await?;
    let mut listed = List { items: Vec::new(), next_cursor: None };
    if let Some(organization) = &organization {
        Operation::ListAudit.demand(&identity, organization)?;
        let filter = form.filter(organization);
        let found = audit::list(&mut *state.pool.get().await?, &filter, page.after()?, page.size()).await?;
        listed = List::of(found.map(EntryView::from))?;
    }
    let AuditForm { action, actor, subject } = form.into_inner();
    let older = |cursor: String| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let org = slug(organization.as_ref());
        for (name, value) in
            [("org", &org), ("action", &action), ("actor", &actor), ("subject", &subject), ("cursor", &cursor)]
        {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("/audit?{}", query.finish())
    };
    let next = listed.next_cursor.map(older);
    let page = AuditPage {
        frame: Frame::new(&state, Some(&identity), Section::Organization),
        organizations: own(&identity),
        organization,
        action,
        actor,
        subject,
        entries: listed.items,
        next,
    };
    Ok(render(StatusCode::OK, &page))
}
