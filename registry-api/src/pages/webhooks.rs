//! The page of an organization's webhooks, and the form of a new one.

use actix_web::{HttpResponse, get, post, web};
use askama::Template;
use registry_types::event::EventType;
use registry_types::names::OrganizationSlug;
use serde::Deserialize;
use uuid::Uuid;

use super::filled_form::{Faults, Reader};
use super::frame::{Frame, Section, log_in_first, render};
use super::organization::{Address, chosen, named, own, slug};
use super::webhook::{self, Disclosed};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, ProblemCode};
use crate::rights::{Authenticated, MaybeAuthenticated, MemberOrganization, Operation};
use crate::state::AppState;
use crate::webhooks::endpoints;
use crate::webhooks::manager::Manager;
use crate::webhooks::wire::{CreateWebhook, CreatedWebhook, WebhookItem};

#[derive(Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage {
    frame: Frame,
    /// `None` for somebody who belongs to no organization.
    organization: Option<MemberOrganization>,
    organizations: Vec<(OrganizationSlug, String)>,
    may_create: bool,
    event_types: &'static [EventType],
    webhooks: Vec<WebhookView>,
    next: Option<String>,
    form: WebhookForm,
    faults: Faults,
}

struct WebhookView {
    id: Uuid,
    url: String,
    description: String,
    events: String,
    standing: &'static str,
    badge: &'static str,
}

impl From<WebhookItem> for WebhookView {
    fn from(webhook: WebhookItem) -> Self {
        let (standing, badge) = webhook::standing(&webhook);
        Self {
            id: webhook.id,
            events: webhook::heard(&webhook),
            url: webhook.url,
            description: webhook.description,
            standing,
            badge,
        }
    }
}

#[get("/webhooks")]
pub(super) async fn webhooks_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    address: web::Query<Address>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/webhooks")) };
    let (form, faults) = (WebhookForm::default(), Faults::default());
    shown(&state, Authenticated(identity), address.org.as_deref(), page, form, faults).await
}

async fn shown(
    state: &AppState,
    Authenticated(identity): Authenticated,
    org: Option<&str>,
    page: web::Query<PageQuery>,
    form: WebhookForm,
    faults: Faults,
) -> Result<HttpResponse, Problem> {
    let organization = chosen(state, &identity, org).await?;
    let mut listed = List { items: Vec::new(), next_cursor: None };
    if let Some(organization) = &organization {
        let manager = Manager::of(&identity, organization, Operation::ListWebhooks)?;
        listed = endpoints::list_as(state, &manager, page).await?.into_inner();
    }
    let slug = slug(organization.as_ref());
    let status = faults.status();
    let page = WebhooksPage {
        frame: Frame::new(state, Some(&identity), Section::Organization),
        may_create: organization.as_ref().is_some_and(|one| Operation::CreateWebhook.demand(&identity, one).is_ok()),
        organizations: own(&identity),
        event_types: EventType::ALL,
        next: listed.next_cursor.map(|cursor| format!("/webhooks?org={slug}&cursor={cursor}")),
        webhooks: listed.items.into_iter().map(WebhookView::from).collect(),
        organization,
        form,
        faults,
    };
    Ok(render(status, &page))
}

#[derive(Clone, Default, Deserialize)]
struct WebhookForm {
    url: String,
    description: String,
    /// Types with spaces or commas between them; all, if empty.
    events: String,
}

impl WebhookForm {
    fn read(self) -> Result<CreateWebhook, Problem> {
        let mut reader = Reader::default();
        let words = self.events.split([' ', ',', '\n', '\r', '\t']).filter(|word| !word.is_empty());
        let events: Option<Vec<EventType>> = words.map(|word| reader.read("events", word)).collect();
        let Some(events) = events else { return Err(reader.refusal(ProblemCode::WebhookInvalid)) };
        Ok(CreateWebhook { url: self.url.trim().to_owned(), events, description: self.description })
    }
}

/// Answers with the webhook's page, for its secret is shown this once.
#[post("/webhooks/{org}")]
pub(super) async fn create(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    org: web::Path<String>,
    form: web::Form<WebhookForm>,
) -> Result<HttpResponse, Problem> {
    let organization = named(&state, &identity, &org).await?;
    let manager = Manager::of(&identity, &organization, Operation::CreateWebhook)?;
    let form = form.into_inner();
    let created = match form.clone().read() {
        Ok(wanted) => endpoints::add(&state, &manager, wanted).await,
        Err(problem) => Err(problem),
    };
    match created {
        Ok(CreatedWebhook { webhook, secret }) => {
            let disclosed = Disclosed { secret, old_until: None };
            webhook::shown(&state, &identity, organization, webhook, Some(disclosed)).await
        }
        Err(problem) => {
            let faults = Faults::of(problem)?;
            let first_page = web::Query(PageQuery::default());
            shown(&state, Authenticated(identity), Some(&org), first_page, form, faults).await
        }
    }
}
