//! The page of an organization's members, and its forms.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use askama::Template;
use registry_types::ids::UserId;
use registry_types::names::{Email, OrganizationSlug};
use registry_types::people::Role;
use serde::Deserialize;
use uuid::Uuid;

use super::frame::{Frame, Section, log_in_first, render, see_other};
use super::organization::{Address, chosen, named, own, slug};
use super::text;
use crate::organizations::members::{self, MemberItem};
use crate::paging::{List, PageQuery};
use crate::problem::Problem;
use crate::rights::{Authenticated, MaybeAuthenticated, MemberOrganization, Operation};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "members.html")]
struct MembersPage {
    frame: Frame,
    /// `None` for somebody who belongs to no organization.
    organization: Option<MemberOrganization>,
    organizations: Vec<(OrganizationSlug, String)>,
    may_change: bool,
    roles: Vec<&'static str>,
    members: Vec<MemberView>,
    next: Option<String>,
}

struct MemberView {
    id: Uuid,
    email: String,
    role: &'static str,
    since: String,
}

impl From<MemberItem> for MemberView {
    fn from(member: MemberItem) -> Self {
        Self { id: member.id, email: member.email, role: member.role, since: text::date(member.since) }
    }
}

#[get("/members")]
pub(super) async fn members_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    address: web::Query<Address>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/members")) };
    let organization = chosen(&state, &identity, address.org.as_deref()).await?;
    let mut listed = List { items: Vec::new(), next_cursor: None };
    if let Some(organization) = &organization {
        listed = members::page(&state, organization.id, &page).await?;
    }
    let may = |operation: Operation| organization.as_ref().is_some_and(|one| operation.demand(&identity, one).is_ok());
    let slug = slug(organization.as_ref());
    let page = MembersPage {
        frame: Frame::new(&state, Some(&identity), Section::Organization),
        may_change: may(Operation::SetMember),
        organizations: own(&identity),
        roles: Role::ALL.iter().map(|role| role.as_str()).collect(),
        next: listed.next_cursor.map(|cursor| format!("/members?org={slug}&cursor={cursor}")),
        members: listed.items.into_iter().map(MemberView::from).collect(),
        organization,
    };
    Ok(render(StatusCode::OK, &page))
}

#[derive(Deserialize)]
struct MemberForm {
    email: Email,
    role: Role,
}

#[post("/members/{org}")]
pub(super) async fn set(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    org: web::Path<String>,
    form: web::Form<MemberForm>,
) -> Result<HttpResponse, Problem> {
    let organization = named(&state, &identity, &org).await?;
    members::set_as(&state, &identity, &organization, &form.email, form.role).await?;
    Ok(see_other(&format!("/members?org={}", organization.slug)))
}

#[post("/members/{org}/{user}/remove")]
pub(super) async fn remove(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Problem> {
    let (org, user) = path.into_inner();
    let organization = named(&state, &identity, &org).await?;
    members::remove_as(&state, &identity, &organization, UserId(user)).await?;
    Ok(see_other(&format!("/members?org={}", organization.slug)))
}
