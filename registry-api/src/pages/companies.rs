//! The pages of companies: those of an organization, one company, and the form that makes one of a template.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use askama::Template;
use registry_db::companies::{self, CompanySummary};
use registry_db::packages::Viewer;
use registry_db::users::Identity;
use registry_types::ids::CompanyId;
use serde::Deserialize;
use uuid::Uuid;

use super::company_view::CompanyView;
use super::frame::{Frame, Section, log_in_first, render, see_other};
use super::organization;
use crate::companies::detail;
use crate::paging::{List, PageQuery};
use crate::problem::Problem;
use crate::rights::{MaybeAuthenticated, Operation};
use crate::state::AppState;
use crate::templates::import::{self, PackageReference, Source};
use crate::templates::plan::Plan;

/// Events shown on a company's page.
const SHOWN_EVENTS: usize = 12;

pub(super) fn routes(cfg: &mut web::ServiceConfig) {
    // The form first: its last segment would be read as an id.
    cfg.service(companies_page).service(import_form).service(submit_import).service(company_page);
}

#[derive(Template)]
#[template(path = "companies.html")]
struct CompaniesPage {
    frame: Frame,
    organizations: Vec<OrganizationLink>,
    organization: String,
    companies: Vec<CompanySummary>,
    next: Option<String>,
    may_import: bool,
}

struct OrganizationLink {
    slug: String,
    name: String,
    is_current: bool,
}

#[derive(Template)]
#[template(path = "company.html")]
struct CompanyPage {
    frame: Frame,
    company: companies::Company,
    view: CompanyView,
    next_issues: Option<String>,
    events: Vec<EventRow>,
}

struct EventRow {
    at: chrono::DateTime<chrono::Utc>,
    action: String,
    name: String,
}

#[derive(Template)]
#[template(path = "company_import.html")]
struct ImportPage {
    frame: Frame,
    organizations: Vec<OrganizationLink>,
    package: String,
    name: String,
    /// Why the last attempt was refused.
    refusal: Option<String>,
    plan: Option<Plan>,
}

#[derive(Deserialize)]
struct ListAddress {
    org: Option<String>,
    cursor: Option<String>,
}

#[get("/companies")]
async fn companies_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    address: web::Query<ListAddress>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/companies")) };
    let address = address.into_inner();
    let page = PageQuery::behind(address.cursor);
    let chosen = organization::chosen(&state, &identity, address.org.as_deref()).await?;
    let mut companies = List { items: Vec::new(), next_cursor: None };
    if let Some(organization) = &chosen {
        let mut conn = state.pool.get().await?;
        companies = List::of(companies::list(&mut conn, organization.id, page.after()?, page.size()).await?)?;
    }
    let page = CompaniesPage {
        organizations: links(&identity, chosen.as_ref().map(|organization| organization.slug.as_str())),
        may_import: chosen.as_ref().is_some_and(|one| Operation::ImportTemplate.demand(&identity, one).is_ok()),
        organization: chosen.map(|organization| organization.slug.to_string()).unwrap_or_default(),
        companies: companies.items,
        next: companies.next_cursor,
        frame: Frame::new(&state, Some(&identity), Section::Companies),
    };
    Ok(render(StatusCode::OK, &page))
}

#[get("/companies/{id}")]
async fn company_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    id: web::Path<Uuid>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first(&format!("/companies/{id}"))) };
    let id = CompanyId(*id);
    let mut conn = state.pool.get().await?;
    let detail = detail(&mut conn, &identity, id).await?;
    let issues = List::of(companies::issues(&mut conn, id, page.after()?, page.size()).await?)?;
    let events = companies::activity(&mut conn, id, None, SHOWN_EVENTS).await?.items;
    let page = CompanyPage {
        view: CompanyView::of_company(&detail, &issues.items),
        company: detail.company,
        next_issues: issues.next_cursor,
        events: events
            .into_iter()
            .map(|event| EventRow {
                at: event.at,
                action: event.action.replace('.', " "),
                name: event.details.get("name").and_then(|name| name.as_str()).unwrap_or(&event.subject).to_owned(),
            })
            .collect(),
        frame: Frame::new(&state, Some(&identity), Section::Companies),
    };
    Ok(render(StatusCode::OK, &page))
}

#[derive(Deserialize)]
struct FormAddress {
    #[serde(default)]
    package: String,
    org: Option<String>,
}

#[get("/companies/import")]
async fn import_form(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    address: web::Query<FormAddress>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/companies/import")) };
    let address = address.into_inner();
    let page = ImportPage {
        organizations: links(&identity, address.org.as_deref()),
        package: address.package,
        name: String::new(),
        refusal: None,
        plan: None,
        frame: Frame::new(&state, Some(&identity), Section::Companies),
    };
    Ok(render(StatusCode::OK, &page))
}

#[derive(Deserialize)]
struct ImportForm {
    org: String,
    package: String,
    #[serde(default)]
    name: String,
    action: FormAction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormAction {
    Plan,
    Import,
}

#[post("/companies/import")]
async fn submit_import(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    form: web::Form<ImportForm>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/companies/import")) };
    let form = form.into_inner();
    let (plan, refusal) = match attempt(&state, &identity, &form).await {
        Ok(Attempt::Made(company)) => return Ok(see_other(&format!("/companies/{company}"))),
        Ok(Attempt::Planned(plan)) => (Some(plan), None),
        Err(problem) if problem.code.status().is_client_error() => (None, Some(problem)),
        Err(problem) => return Err(problem),
    };
    let status = refusal.as_ref().map_or(StatusCode::OK, |problem| problem.code.status());
    let page = ImportPage {
        organizations: links(&identity, Some(&form.org)),
        package: form.package,
        name: form.name,
        refusal: refusal.map(|problem| problem.detail),
        plan,
        frame: Frame::new(&state, Some(&identity), Section::Companies),
    };
    Ok(render(status, &page))
}

enum Attempt {
    Planned(Plan),
    Made(Uuid),
}

async fn attempt(state: &AppState, identity: &Identity, form: &ImportForm) -> Result<Attempt, Problem> {
    let organization = import::target(state, identity, Some(&form.org), Operation::ImportTemplate).await?;
    let reference: PackageReference = form.package.trim().parse().map_err(Problem::bad_request)?;
    let mut conn = state.pool.get().await?;
    let chosen = import::choose(&mut conn, &Viewer::of(Some(identity)), Source::Package(reference)).await?;
    let own_name = Some(form.name.trim().to_owned()).filter(|name| !name.is_empty());
    let name = import::company_name(own_name, &chosen.template)?;
    let is_dry = form.action == FormAction::Plan;
    let answer = import::carry_out(&mut conn, identity, &organization, &chosen, name, is_dry).await?;
    Ok(answer.company.map_or(Attempt::Planned(answer.plan), Attempt::Made))
}

fn links(identity: &Identity, current: Option<&str>) -> Vec<OrganizationLink> {
    let mut links: Vec<_> = identity
        .memberships
        .iter()
        .map(|own| OrganizationLink {
            slug: own.slug.to_string(),
            name: own.display_name.clone(),
            is_current: current.map_or(own.is_primary, |current| current == own.slug.as_str()),
        })
        .collect();
    // A superuser may look at organizations that it does not belong to.
    if let Some(current) = current
        && links.iter().all(|link| link.slug != current)
    {
        links.push(OrganizationLink { slug: current.to_owned(), name: current.to_owned(), is_current: true });
    }
    links
}
