//! The page of an organization's waivers, and its forms.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use askama::Template;
use registry_types::names::OrganizationSlug;
use serde::Deserialize;
use uuid::Uuid;

use super::frame::{Frame, Section, log_in_first, render, see_other};
use super::organization::{Address, chosen, named};
use super::text;
use crate::paging::{List, PageQuery};
use crate::problem::Problem;
use crate::rights::{Authenticated, MaybeAuthenticated, MemberOrganization, Operation};
use crate::state::AppState;
use crate::waivers::{self, WaiverItem, WaiverNote};

#[derive(Template)]
#[template(path = "waivers.html")]
struct WaiversPage {
    frame: Frame,
    /// `None` for somebody who belongs to no organization.
    organization: Option<MemberOrganization>,
    organizations: Vec<(OrganizationSlug, String)>,
    may_decide: bool,
    waivers: Vec<WaiverView>,
    next: Option<String>,
}

struct WaiverView {
    id: Uuid,
    advisory: String,
    component: String,
    scope: String,
    reason: String,
    statement: String,
    state: &'static str,
    /// How the state looks.
    badge: &'static str,
    is_open: bool,
    asked_by: String,
    decided_by: Option<String>,
    note: Option<String>,
    ends: String,
}

impl From<WaiverItem> for WaiverView {
    fn from(waiver: WaiverItem) -> Self {
        let name = |person: waivers::Person| person.email.unwrap_or_else(|| "somebody who is gone".to_owned());
        let package = waiver.package.unwrap_or_else(|| "every package".to_owned());
        let versions = waiver.versions.map_or_else(|| "every version".to_owned(), |range| format!("versions {range}"));
        let component = waiver.component;
        let bounds = [("", component.version), (" from", component.from), (" before", component.before)];
        let bounds =
            bounds.into_iter().filter_map(|(word, version)| Some(format!("{word} {}", version?))).collect::<String>();
        Self {
            id: waiver.id,
            advisory: waiver.advisory,
            component: format!("{}{bounds}", component.package),
            scope: format!("{package}, {versions}"),
            reason: text::words(waiver.reason),
            statement: waiver.statement,
            state: waiver.state,
            badge: if waiver.in_force { "verified" } else { "pending" },
            is_open: matches!(waiver.state, "asked" | "approved"),
            asked_by: name(waiver.asked_by),
            decided_by: waiver.decided_by.map(name),
            note: waiver.note,
            ends: text::time(waiver.expires_at),
        }
    }
}

#[get("/waivers")]
pub(super) async fn waivers_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    address: web::Query<Address>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/waivers")) };
    let organization = chosen(&state, &identity, address.org.as_deref()).await?;
    let mut listed = List { items: Vec::new(), next_cursor: None };
    if let Some(organization) = &organization {
        listed = waivers::page(&state, organization.id, &waivers::WaiverQuery::default(), &page).await?;
    }
    let may_decide = organization.as_ref().is_some_and(|one| Operation::ApproveWaiver.demand(&identity, one).is_ok());
    let slug = organization.as_ref().map(|organization| organization.slug.to_string()).unwrap_or_default();
    let page = WaiversPage {
        frame: Frame::new(&state, Some(&identity), Section::Waivers),
        may_decide,
        organizations: identity.memberships.into_iter().map(|own| (own.slug, own.display_name)).collect(),
        organization,
        next: listed.next_cursor.map(|cursor| format!("/waivers?org={slug}&cursor={cursor}")),
        waivers: listed.items.into_iter().map(WaiverView::from).collect(),
    };
    Ok(render(StatusCode::OK, &page))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Button {
    Approve,
    Refuse,
    Withdraw,
}

#[derive(Deserialize)]
struct WaiverForm {
    choice: Button,
}

#[post("/waivers/{org}/{id}")]
pub(super) async fn decide(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<(String, Uuid)>,
    form: web::Form<WaiverForm>,
) -> Result<HttpResponse, Problem> {
    let (org, id) = path.into_inner();
    let organization = named(&state, &identity, &org).await?;
    match form.into_inner().choice {
        Button::Approve => waivers::approve_as(&state, &identity, &organization, id, WaiverNote::default()).await?,
        Button::Refuse => waivers::refuse_as(&state, &identity, &organization, id, WaiverNote::default()).await?,
        Button::Withdraw => waivers::withdraw_as(&state, &identity, &organization, id).await?,
    };
    Ok(see_other(&format!("/waivers?org={}", organization.slug)))
}
