//! The API's reads of companies.

use actix_web::{get, web};
use registry_db::packages::Viewer;
use registry_db::users::Identity;
use registry_db::{Connection, DbError, companies};
use registry_types::ids::CompanyId;
use uuid::Uuid;

use super::CompanyDetail;
use super::answers::{ActivityAnswer, CompanyAnswer, IssueAnswer, SummaryAnswer};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::rights::{Authenticated, Member};
use crate::state::AppState;

/// An organization's companies, the newest first
#[utoipa::path(
    tag = "companies",
    operation_id = "listCompanies",
    params(("org" = String, Path, description = "Organization, by id or slug"), PageQuery),
    responses((status = 200, description = "A page of companies", body = List<SummaryAnswer>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/companies")]
pub(super) async fn list(
    state: web::Data<AppState>,
    member: Member,
    page: web::Query<PageQuery>,
) -> Result<web::Json<List<SummaryAnswer>>, Problem> {
    let after = page.after()?;
    let mut conn = state.pool.get().await?;
    let companies = companies::list(&mut conn, member.organization.id, after, page.size()).await?;
    Ok(web::Json(List::of(companies.map(Into::into))?))
}

/// A company with its agents, goals and projects
#[utoipa::path(
    tag = "companies",
    operation_id = "getCompany",
    params(("id" = Uuid, Path, description = "Company")),
    responses((status = 200, description = "The company", body = CompanyAnswer), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/companies/{id}")]
pub(super) async fn get(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    id: web::Path<Uuid>,
) -> Result<web::Json<CompanyAnswer>, Problem> {
    let mut conn = state.pool.get().await?;
    Ok(web::Json(detail(&mut conn, &identity, CompanyId(*id)).await?.into()))
}

/// A company's issues, in their order
#[utoipa::path(
    tag = "companies",
    operation_id = "listCompanyIssues",
    params(("id" = Uuid, Path, description = "Company"), PageQuery),
    responses((status = 200, description = "A page of issues", body = List<IssueAnswer>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/companies/{id}/issues")]
pub(super) async fn issues(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    id: web::Path<Uuid>,
    page: web::Query<PageQuery>,
) -> Result<web::Json<List<IssueAnswer>>, Problem> {
    let after = page.after()?;
    let mut conn = state.pool.get().await?;
    let company = find(&mut conn, &identity, CompanyId(*id)).await?.summary.id;
    let issues = companies::issues(&mut conn, company, after, page.size()).await?;
    Ok(web::Json(List::of(issues.map(Into::into))?))
}

/// What happened in a company, the newest first
#[utoipa::path(
    tag = "companies",
    operation_id = "listCompanyActivity",
    params(("id" = Uuid, Path, description = "Company"), PageQuery),
    responses((status = 200, description = "A page of events", body = List<ActivityAnswer>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/companies/{id}/activity")]
pub(super) async fn activity(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    id: web::Path<Uuid>,
    page: web::Query<PageQuery>,
) -> Result<web::Json<List<ActivityAnswer>>, Problem> {
    let before = page.after()?;
    let mut conn = state.pool.get().await?;
    let company = find(&mut conn, &identity, CompanyId(*id)).await?.summary.id;
    let events = companies::activity(&mut conn, company, before, page.size()).await?;
    Ok(web::Json(List::of(events.map(Into::into))?))
}

/// The company, if it belongs to one of the caller's organizations.
pub(crate) async fn find(
    conn: &mut Connection,
    identity: &Identity,
    id: CompanyId,
) -> Result<companies::Company, Problem> {
    companies::find(conn, &Viewer::of(Some(identity)), id).await.map_err(no_company)
}

/// The company with everything but its issues and activity.
pub(crate) async fn detail(
    conn: &mut Connection,
    identity: &Identity,
    id: CompanyId,
) -> Result<CompanyDetail, Problem> {
    let company = find(conn, identity, id).await?;
    Ok(CompanyDetail {
        company,
        agents: companies::agents(conn, id).await?,
        goals: companies::goals(conn, id).await?,
        projects: companies::projects(conn, id).await?,
    })
}

pub(crate) fn no_company(error: DbError) -> Problem {
    match error {
        DbError::NotFound => Problem::not_found("company"),
        other => other.into(),
    }
}
