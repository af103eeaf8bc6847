//! The page of API keys: an administrator sees all of the organization's, everybody else the own ones.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use askama::Template;
use chrono::{TimeDelta, Utc};
use registry_types::ids::ApiKeyId;
use registry_types::names::OrganizationSlug;
use serde::Deserialize;
use uuid::Uuid;

use super::frame::{Frame, Section, log_in_first, render, see_other};
use super::organization::{Address, chosen, named, own, slug};
use super::text;
use crate::organizations::api_keys::{self, ApiKeyItem, CreateApiKey};
use crate::paging::{List, PageQuery};
use crate::problem::Problem;
use crate::rights::{Authenticated, MaybeAuthenticated, MemberOrganization, Operation};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "api_keys.html")]
struct ApiKeysPage {
    frame: Frame,
    /// `None` for somebody who belongs to no organization.
    organization: Option<MemberOrganization>,
    organizations: Vec<(OrganizationSlug, String)>,
    sees_all: bool,
    /// Others, as superusers from outside, have no keys.
    is_member: bool,
    /// Made a moment ago.
    new_key: Option<String>,
    keys: Vec<KeyView>,
    next: Option<String>,
}

struct KeyView {
    id: Uuid,
    label: String,
    prefix: String,
    owner: String,
    made: String,
    ends: String,
    state: &'static str,
    badge: &'static str,
    is_open: bool,
}

impl From<ApiKeyItem> for KeyView {
    fn from(key: ApiKeyItem) -> Self {
        let is_over = key.expires_at.is_some_and(|at| at <= Utc::now());
        let (state, badge) = match (key.revoked_at, is_over) {
            (Some(_), _) => ("revoked", "fail"),
            (None, true) => ("expired", "pending"),
            (None, false) => ("valid", "pass"),
        };
        Self {
            id: key.id,
            label: key.label,
            prefix: key.prefix,
            owner: key.user_email,
            made: text::time(key.created_at),
            ends: key.revoked_at.or(key.expires_at).map_or_else(|| "never".to_owned(), text::time),
            state,
            badge,
            is_open: key.revoked_at.is_none() && !is_over,
        }
    }
}

#[get("/api-keys")]
pub(super) async fn api_keys_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    address: web::Query<Address>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/api-keys")) };
    shown(&state, Authenticated(identity), address.org.as_deref(), &page, None).await
}

async fn shown(
    state: &AppState,
    Authenticated(identity): Authenticated,
    org: Option<&str>,
    page: &PageQuery,
    new_key: Option<String>,
) -> Result<HttpResponse, Problem> {
    let organization = chosen(state, &identity, org).await?;
    let sees_all = organization.as_ref().is_some_and(|one| Operation::ListApiKeys.demand(&identity, one).is_ok());
    let mut listed = List { items: Vec::new(), next_cursor: None };
    if let Some(organization) = &organization {
        let owner = (!sees_all).then_some(identity.user);
        listed = api_keys::page(state, organization.id, owner, page).await?;
    }
    let slug = slug(organization.as_ref());
    let is_member = |one: &MemberOrganization| identity.memberships.iter().any(|own| own.organization == one.id);
    let page = ApiKeysPage {
        frame: Frame::new(state, Some(&identity), Section::Organization),
        sees_all,
        is_member: organization.as_ref().is_some_and(is_member),
        organizations: own(&identity),
        new_key,
        next: listed.next_cursor.map(|cursor| format!("/api-keys?org={slug}&cursor={cursor}")),
        keys: listed.items.into_iter().map(KeyView::from).collect(),
        organization,
    };
    Ok(render(StatusCode::OK, &page))
}

#[derive(Deserialize)]
struct KeyForm {
    label: String,
    /// Empty: never.
    days: String,
}

/// Answers with the page itself, for the key is shown this once.
#[post("/api-keys/{org}")]
pub(super) async fn create(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    org: web::Path<String>,
    form: web::Form<KeyForm>,
) -> Result<HttpResponse, Problem> {
    let organization = named(&state, &identity, &org).await?;
    let form = form.into_inner();
    let days = Some(form.days.trim()).filter(|days| !days.is_empty()).map(str::parse::<u16>).transpose();
    let days = days.map_err(|_| Problem::bad_request("the days are no number"))?;
    let expires_at = days.map(|days| Utc::now() + TimeDelta::days(i64::from(days)));
    let made =
        api_keys::create_as(&state, &identity, &organization, CreateApiKey { label: form.label, expires_at }).await?;
    shown(&state, Authenticated(identity), Some(&org), &PageQuery::default(), Some(made.key)).await
}

#[post("/api-keys/{org}/{key}/revoke")]
pub(super) async fn revoke(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Problem> {
    let (org, key) = path.into_inner();
    let organization = named(&state, &identity, &org).await?;
    api_keys::revoke_as(&state, &identity, &organization, ApiKeyId(key)).await?;
    Ok(see_other(&format!("/api-keys?org={}", organization.slug)))
}
