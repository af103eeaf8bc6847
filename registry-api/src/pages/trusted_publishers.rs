//! The pages of the jobs that may publish an organization's packages, and of the tokens that they were given.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use askama::Template;
use chrono::Utc;
use registry_types::identity_provider::CiProvider;
use registry_types::ids::{PublishTokenId, TrustedPublisherId};
use registry_types::names::OrganizationSlug;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::filled_form::{Faults, Reader, filled};
use super::frame::{Frame, Section, log_in_first, render, see_other};
use super::organization::{Address, chosen, named, own, slug};
use super::text;
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, ProblemCode};
use crate::request::RequestId;
use crate::rights::{Authenticated, MaybeAuthenticated, MemberOrganization, Operation};
use crate::state::AppState;
use crate::trusted_publishing::wire::{AddTrustedPublisher, PublishTokenItem, TrustedPublisherItem};
use crate::trusted_publishing::{publishers, tokens};

#[derive(Template)]
#[template(path = "trusted_publishers.html")]
struct PublishersPage {
    frame: Frame,
    /// `None` for somebody who belongs to no organization.
    organization: Option<MemberOrganization>,
    organizations: Vec<(OrganizationSlug, String)>,
    may_add: bool,
    may_remove: bool,
    providers: &'static [CiProvider],
    publishers: Vec<PublisherView>,
    next: Option<String>,
    form: PublisherForm,
    faults: Faults,
}

struct PublisherView {
    bound: TrustedPublisherItem,
    since: String,
    last_used: Option<String>,
}

impl From<TrustedPublisherItem> for PublisherView {
    fn from(bound: TrustedPublisherItem) -> Self {
        let (since, last_used) = (text::time(bound.created_at), bound.last_used_at.map(text::time));
        Self { bound, since, last_used }
    }
}

#[get("/trusted-publishers")]
pub(super) async fn publishers_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    address: web::Query<Address>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/trusted-publishers")) };
    let (form, faults) = (PublisherForm::default(), Faults::default());
    shown(&state, Authenticated(identity), address.org.as_deref(), &page, form, faults).await
}

async fn shown(
    state: &AppState,
    Authenticated(identity): Authenticated,
    org: Option<&str>,
    page: &PageQuery,
    form: PublisherForm,
    faults: Faults,
) -> Result<HttpResponse, Problem> {
    let organization = chosen(state, &identity, org).await?;
    let mut listed = List { items: Vec::new(), next_cursor: None };
    if let Some(organization) = &organization {
        Operation::ListTrustedPublishers.demand(&identity, organization)?;
        listed = publishers::page(state, organization.id, page).await?;
    }
    let may = |operation: Operation| organization.as_ref().is_some_and(|one| operation.demand(&identity, one).is_ok());
    let slug = slug(organization.as_ref());
    let status = faults.status();
    let page = PublishersPage {
        frame: Frame::new(state, Some(&identity), Section::Organization),
        may_add: may(Operation::AddTrustedPublisher),
        may_remove: may(Operation::RemoveTrustedPublisher),
        organizations: own(&identity),
        providers: CiProvider::ALL,
        next: listed.next_cursor.map(|cursor| format!("/trusted-publishers?org={slug}&cursor={cursor}")),
        publishers: listed.items.into_iter().map(PublisherView::from).collect(),
        organization,
        form,
        faults,
    };
    Ok(render(status, &page))
}

/// As a form sends it: what is not filled in is empty.
#[derive(Clone, Default, Deserialize)]
struct PublisherForm {
    package: String,
    provider: String,
    issuer: String,
    repository: String,
    repository_id: String,
    owner_id: String,
    workflow: String,
    environment: String,
    r#ref: String,
}

impl PublisherForm {
    fn read(self) -> Result<AddTrustedPublisher, Problem> {
        let mut reader = Reader::default();
        let (package, provider) = (reader.read("package", &self.package), reader.read("provider", &self.provider));
        let repository_id = reader.read("repository_id", &self.repository_id);
        let owner_id = reader.read("owner_id", &self.owner_id);
        let (Some(package), Some(provider), Some(repository_id), Some(owner_id)) =
            (package, provider, repository_id, owner_id)
        else {
            return Err(reader.refusal(ProblemCode::TrustedPublisherInvalid));
        };
        Ok(AddTrustedPublisher {
            package,
            provider,
            issuer: filled(&self.issuer),
            repository: self.repository.trim().to_owned(),
            repository_id,
            owner_id,
            workflow: self.workflow.trim().to_owned(),
            environment: filled(&self.environment),
            r#ref: filled(&self.r#ref),
        })
    }
}

#[post("/trusted-publishers/{org}")]
pub(super) async fn add(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    request_id: web::ReqData<RequestId>,
    org: web::Path<String>,
    form: web::Form<PublisherForm>,
) -> Result<HttpResponse, Problem> {
    let organization = named(&state, &identity, &org).await?;
    let form = form.into_inner();
    let added = match form.clone().read() {
        Ok(wanted) => publishers::add_as(&state, &identity, &organization, request_id.into_inner(), wanted).await,
        Err(problem) => Err(problem),
    };
    match added {
        Ok(_) => Ok(see_other(&format!("/trusted-publishers?org={}", organization.slug))),
        Err(problem) => {
            let faults = Faults::of(problem)?;
            shown(&state, Authenticated(identity), Some(&org), &PageQuery::default(), form, faults).await
        }
    }
}

#[post("/trusted-publishers/{org}/{id}/remove")]
pub(super) async fn remove(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Problem> {
    let (org, id) = path.into_inner();
    let organization = named(&state, &identity, &org).await?;
    publishers::remove_as(&state, &identity, &organization, TrustedPublisherId(id)).await?;
    Ok(see_other(&format!("/trusted-publishers?org={}", organization.slug)))
}

#[derive(Template)]
#[template(path = "publish_tokens.html")]
struct TokensPage {
    frame: Frame,
    organization: MemberOrganization,
    publisher: TrustedPublisherItem,
    may_revoke: bool,
    tokens: Vec<TokenView>,
    next: Option<String>,
}

struct TokenView {
    id: Uuid,
    state: &'static str,
    badge: &'static str,
    issued: String,
    ends: String,
    /// What the job said it is.
    claims: Vec<(String, String)>,
    is_live: bool,
}

impl From<PublishTokenItem> for TokenView {
    fn from(token: PublishTokenItem) -> Self {
        let is_over = token.expires_at <= Utc::now();
        let (state, badge) = match (token.revoked_at, is_over) {
            (Some(_), _) => ("revoked", "fail"),
            (None, true) => ("expired", "pending"),
            (None, false) => ("live", "pass"),
        };
        Self {
            id: token.id,
            state,
            badge,
            issued: text::time(token.issued_at),
            ends: text::time(token.revoked_at.unwrap_or(token.expires_at)),
            claims: claims(&token.claims),
            is_live: token.revoked_at.is_none() && !is_over,
        }
    }
}

fn claims(claims: &Value) -> Vec<(String, String)> {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let all = claims.as_object().into_iter().flatten();
    all.filter(|(_, value)| !value.is_null()).map(|(name, value)| (text::words(name), shown(value))).collect()
}

#[get("/trusted-publishers/{org}/{id}")]
pub(super) async fn tokens_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    path: web::Path<(String, Uuid)>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/trusted-publishers")) };
    let (org, id) = path.into_inner();
    let organization = named(&state, &identity, &org).await?;
    Operation::ListPublishTokens.demand(&identity, &organization)?;
    let (publisher, listed) = tokens::page(&state, organization.id, TrustedPublisherId(id), &page).await?;
    let place = format!("/trusted-publishers/{}/{id}", organization.slug);
    let page = TokensPage {
        frame: Frame::new(&state, Some(&identity), Section::Organization),
        may_revoke: Operation::RevokePublishToken.demand(&identity, &organization).is_ok(),
        next: listed.next_cursor.map(|cursor| format!("{place}?cursor={cursor}")),
        tokens: listed.items.into_iter().map(TokenView::from).collect(),
        organization,
        publisher,
    };
    Ok(render(StatusCode::OK, &page))
}

#[post("/trusted-publishers/{org}/{id}/tokens/{token}/revoke")]
pub(super) async fn revoke(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<(String, Uuid, Uuid)>,
) -> Result<HttpResponse, Problem> {
    let (org, id, token) = path.into_inner();
    let organization = named(&state, &identity, &org).await?;
    let (publisher, token) = (TrustedPublisherId(id), PublishTokenId(token));
    tokens::revoke_as(&state, &identity, &organization, publisher, token).await?;
    Ok(see_other(&format!("/trusted-publishers/{}/{id}", organization.slug)))
}
