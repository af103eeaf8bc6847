//! The page of one webhook: what is done with it, and its delivery log.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use askama::Template;
use chrono::{TimeDelta, Utc};
use registry_db::users::Identity;
use registry_types::webhook::DeliveryState;
use serde::Deserialize;
use uuid::Uuid;

use super::filled_form::filled;
use super::frame::{Frame, Section, log_in_first, render, see_other};
use super::organization::named;
use super::text;
use crate::paging::{List, PageQuery};
use crate::problem::Problem;
use crate::rights::{Authenticated, MaybeAuthenticated, MemberOrganization, Operation};
use crate::state::AppState;
use crate::webhooks::deliveries::{self, DeliveryQuery};
use crate::webhooks::endpoints;
use crate::webhooks::manager::{DeliveryPath, Manager, WebhookPath};
use crate::webhooks::wire::{AttemptItem, ChangeWebhook, DeliveryItem, ReplayFailed, RotateSecret, WebhookItem};

/// So long is the delivery log kept.
const LOG: TimeDelta = TimeDelta::days(30);

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    frame: Frame,
    organization: MemberOrganization,
    webhook: WebhookItem,
    events: String,
    standing: &'static str,
    badge: &'static str,
    made: String,
    /// Why and since when nothing is sent, or what is sent does not arrive.
    trouble: Option<String>,
    disclosed: Option<Disclosed>,
    may: Rights,
    states: &'static [DeliveryState],
    state: Option<DeliveryState>,
    deliveries: Vec<DeliveryView>,
    next: Option<String>,
}

/// A secret made a moment ago, which is shown this once.
pub(super) struct Disclosed {
    pub(super) secret: String,
    /// Until then deliveries are signed with the old one, too.
    pub(super) old_until: Option<String>,
}

/// Which buttons are there.
struct Rights {
    change: bool,
    rotate: bool,
    test: bool,
    replay: bool,
    remove: bool,
}

impl Rights {
    fn new(identity: &Identity, organization: &MemberOrganization) -> Self {
        let may = |operation: Operation| operation.demand(identity, organization).is_ok();
        Self {
            change: may(Operation::ChangeWebhook),
            rotate: may(Operation::RotateWebhookSecret),
            test: may(Operation::TestWebhook),
            replay: may(Operation::ReplayDelivery) && may(Operation::ReplayFailedDeliveries),
            remove: may(Operation::RemoveWebhook),
        }
    }
}

struct DeliveryView {
    id: Uuid,
    event_type: &'static str,
    event: Uuid,
    state: &'static str,
    badge: &'static str,
    planned: String,
    next_attempt: Option<String>,
    attempts: Vec<String>,
    is_over: bool,
}

impl From<DeliveryItem> for DeliveryView {
    fn from(delivery: DeliveryItem) -> Self {
        let badge = match delivery.state {
            "delivered" => "pass",
            "failed" => "fail",
            _ => "pending",
        };
        Self {
            id: delivery.id,
            event_type: delivery.event_type,
            event: delivery.event,
            state: delivery.state,
            badge,
            planned: text::time(delivery.created_at),
            next_attempt: delivery.next_attempt_at.map(text::time),
            attempts: delivery.attempts.into_iter().map(attempted).collect(),
            is_over: delivery.ended_at.is_some(),
        }
    }
}

fn attempted(attempt: AttemptItem) -> String {
    let at = text::time(attempt.at);
    let took = text::duration(TimeDelta::milliseconds(attempt.duration_ms.into()));
    let came = match (attempt.status, attempt.error) {
        (Some(status), Some(error)) => format!("{status}, {error}"),
        (Some(status), None) => status.to_string(),
        (None, Some(error)) => error.to_owned(),
        (None, None) => "no answer".to_owned(),
    };
    format!("{at}: {came}, in {took}")
}

/// The word for how a webhook stands, and the class that colours it.
pub(super) const fn standing(webhook: &WebhookItem) -> (&'static str, &'static str) {
    match (webhook.enabled, webhook.failing_since.is_some()) {
        (false, _) => ("paused", "fail"),
        (true, true) => ("failing", "warn"),
        (true, false) => ("enabled", "pass"),
    }
}

/// What a webhook hears of.
pub(super) fn heard(webhook: &WebhookItem) -> String {
    if webhook.events.is_empty() { "all events".to_owned() } else { webhook.events.join(", ") }
}

fn trouble(webhook: &WebhookItem) -> Option<String> {
    if let (Some(reason), Some(at)) = (webhook.disabled_reason, webhook.disabled_at) {
        let why = match reason {
            "person" => "paused by a person",
            "gone" => "paused by the store, because it answered 410",
            _ => "paused by the store, because nothing arrived for days",
        };
        return Some(format!("{why}, since {}", text::time(at)));
    }
    webhook.failing_since.map(|since| format!("nothing has arrived since {}", text::time(since)))
}

/// The organization in a path.
#[derive(Deserialize)]
struct OrganizationPath {
    org: String,
}

#[get("/webhooks/{org}/{id}")]
pub(super) async fn webhook_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    organization: web::Path<OrganizationPath>,
    path: web::Path<WebhookPath>,
    filter: web::Query<DeliveryQuery>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/webhooks")) };
    let organization = named(&state, &identity, &organization.org).await?;
    let manager = Manager::of(&identity, &organization, Operation::GetWebhook)?;
    Operation::ListDeliveries.demand(&identity, &organization)?;
    let chosen = filter.state;
    let webhook = endpoints::get_as(&state, &manager, web::Path::from(WebhookPath::of(path.id()))).await?.into_inner();
    let log = deliveries::list_as(&state, &manager, path, filter, page).await?.into_inner();
    let page = page_of(&state, &identity, organization, webhook, log, chosen);
    Ok(render(StatusCode::OK, &page))
}

/// The page of a webhook that was changed a moment ago.
pub(super) async fn shown(
    state: &AppState,
    identity: &Identity,
    organization: MemberOrganization,
    webhook: WebhookItem,
    disclosed: Option<Disclosed>,
) -> Result<HttpResponse, Problem> {
    let manager = Manager::of(identity, &organization, Operation::ListDeliveries)?;
    let path = web::Path::from(WebhookPath::of(webhook.id.into()));
    let (filter, page) = (web::Query(DeliveryQuery::default()), web::Query(PageQuery::default()));
    let log = deliveries::list_as(state, &manager, path, filter, page).await?.into_inner();
    let page = WebhookPage { disclosed, ..page_of(state, identity, organization, webhook, log, None) };
    Ok(render(StatusCode::OK, &page))
}

fn page_of(
    state: &AppState,
    identity: &Identity,
    organization: MemberOrganization,
    webhook: WebhookItem,
    log: List<DeliveryItem>,
    chosen: Option<DeliveryState>,
) -> WebhookPage {
    let (standing, badge) = standing(&webhook);
    let place = format!("/webhooks/{}/{}", organization.slug, webhook.id);
    let only = chosen.map(|state| format!("state={state}&")).unwrap_or_default();
    WebhookPage {
        frame: Frame::new(state, Some(identity), Section::Organization),
        may: Rights::new(identity, &organization),
        organization,
        events: heard(&webhook),
        standing,
        badge,
        made: text::time(webhook.created_at),
        trouble: trouble(&webhook),
        disclosed: None,
        states: DeliveryState::ALL,
        state: chosen,
        next: log.next_cursor.map(|cursor| format!("{place}?{only}cursor={cursor}")),
        deliveries: log.items.into_iter().map(DeliveryView::from).collect(),
        webhook,
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Button {
    Pause,
    Resume,
    Test,
    ReplayFailed,
    Remove,
}

#[derive(Deserialize)]
struct ButtonForm {
    choice: Button,
}

#[post("/webhooks/{org}/{id}")]
pub(super) async fn press(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    organization: web::Path<OrganizationPath>,
    path: web::Path<WebhookPath>,
    form: web::Form<ButtonForm>,
) -> Result<HttpResponse, Problem> {
    let organization = named(&state, &identity, &organization.org).await?;
    let managing = |operation: Operation| Manager::of(&identity, &organization, operation);
    let place = format!("/webhooks/{}/{}", organization.slug, path.id());
    match form.choice {
        Button::Pause | Button::Resume => {
            let enabled = Some(matches!(form.choice, Button::Resume));
            let change = web::Json(ChangeWebhook { enabled, ..ChangeWebhook::default() });
            endpoints::change_as(&state, &managing(Operation::ChangeWebhook)?, path, change).await?;
        }
        Button::Test => {
            deliveries::test_as(&state, &managing(Operation::TestWebhook)?, path).await?;
        }
        Button::ReplayFailed => {
            let since = web::Json(ReplayFailed { since: Utc::now() - LOG });
            let manager = managing(Operation::ReplayFailedDeliveries)?;
            deliveries::replay_failed_as(&state, &manager, path, since).await?;
        }
        Button::Remove => {
            endpoints::remove_as(&state, &managing(Operation::RemoveWebhook)?, path).await?;
            return Ok(see_other(&format!("/webhooks?org={}", organization.slug)));
        }
    }
    Ok(see_other(&place))
}

#[derive(Deserialize)]
struct RotateForm {
    /// Empty: as long as the API's default.
    overlap_hours: String,
}

/// Answers with the page itself, for the new secret is shown this once.
#[post("/webhooks/{org}/{id}/rotate-secret")]
pub(super) async fn rotate(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    organization: web::Path<OrganizationPath>,
    path: web::Path<WebhookPath>,
    form: web::Form<RotateForm>,
) -> Result<HttpResponse, Problem> {
    let organization = named(&state, &identity, &organization.org).await?;
    let manager = Manager::of(&identity, &organization, Operation::RotateWebhookSecret)?;
    let overlap_hours = filled(&form.overlap_hours).map(|hours| hours.parse()).transpose();
    let overlap_hours = overlap_hours.map_err(|_| Problem::bad_request("the hours are no number"))?;
    let id = path.id();
    let rotated = web::Json(RotateSecret { overlap_hours });
    let rotated = endpoints::rotate_secret_as(&state, &manager, path, rotated).await?.into_inner();
    let webhook = endpoints::get_as(&state, &manager, web::Path::from(WebhookPath::of(id))).await?.into_inner();
    let disclosed = Disclosed { secret: rotated.secret, old_until: Some(text::time(rotated.old_secret_until)) };
    shown(&state, &identity, organization, webhook, Some(disclosed)).await
}

#[post("/webhooks/{org}/{id}/deliveries/{delivery}/replay")]
pub(super) async fn replay(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    organization: web::Path<OrganizationPath>,
    path: web::Path<DeliveryPath>,
) -> Result<HttpResponse, Problem> {
    let organization = named(&state, &identity, &organization.org).await?;
    let manager = Manager::of(&identity, &organization, Operation::ReplayDelivery)?;
    let place = format!("/webhooks/{}/{}", organization.slug, path.id);
    deliveries::replay_as(&state, &manager, path).await?;
    Ok(see_other(&place))
}
