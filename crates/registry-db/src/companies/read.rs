//! What people see of companies.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{AgentId, CompanyId, GoalId, IssueId, OrganizationId, ProjectId, UserId};
use registry_types::names::{OrganizationSlug, PackageName, PackageSlug};
use registry_types::template::{AgentRole, GoalLevel, IssuePriority, IssueStatus, LocalRef};
use semver::Version;
use serde_json::{Map, Value};

use crate::error::stored;
use crate::packages::Viewer;
use crate::paging::{Page, one_more};
use crate::schema::{
    companies, company_activity, company_agents, company_goals, company_issues, company_projects, organizations,
    packages, versions,
};
use crate::{Connection, DbError, DbResult};

/// One company as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanySummary {
    pub id: CompanyId,
    pub organization: OrganizationId,
    pub organization_slug: OrganizationSlug,
    pub name: String,
    /// Empty if the template had none.
    pub description: String,
    /// The template it came from.
    pub template_id: PackageSlug,
    pub template_version: Version,
    pub created_by: UserId,
    pub created_at: DateTime<Utc>,
}

/// Where a page of companies begins: behind this one.
pub type CompanyCursor = (DateTime<Utc>, CompanyId);

/// One company with where it came from and how much is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Company {
    pub summary: CompanySummary,
    /// The store's package, if the template was imported by reference.
    pub template_package: Option<PackageName>,
    pub template_author: Option<String>,
    pub template_metadata: Option<Map<String, Value>>,
    pub issue_count: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CompanyAgent {
    pub id: AgentId,
    pub local_ref: LocalRef,
    pub name: String,
    pub role: AgentRole,
    pub reports_to: Option<AgentId>,
    /// Monthly, in cents.
    pub budget_cents: Option<i64>,
    pub metadata: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyGoal {
    pub id: GoalId,
    pub local_ref: LocalRef,
    pub title: String,
    pub level: GoalLevel,
    pub parent: Option<GoalId>,
    pub owner: Option<AgentId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyProject {
    pub id: ProjectId,
    pub local_ref: LocalRef,
    pub name: String,
    pub description: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyIssue {
    pub id: IssueId,
    /// Place in the company's list.
    pub ordinal: i32,
    pub title: String,
    pub status: IssueStatus,
    pub priority: IssuePriority,
    pub project: Option<ProjectId>,
    pub assignee: Option<AgentId>,
    pub goal: Option<GoalId>,
}

/// One event of a company's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    pub id: i64,
    pub at: DateTime<Utc>,
    /// `user:<uuid>` or `api_key:<uuid>`.
    pub actor: String,
    /// `thing.verb`.
    pub action: String,
    /// `thing:<uuid>`.
    pub subject: String,
    pub details: Value,
}

type SummaryRow = (uuid::Uuid, uuid::Uuid, String, String, String, Value, uuid::Uuid, DateTime<Utc>);
type SummaryColumns = (
    companies::id,
    companies::organization_id,
    organizations::slug,
    companies::name,
    companies::description,
    companies::template,
    companies::created_by,
    companies::created_at,
);
const SUMMARY_COLUMNS: SummaryColumns = (
    companies::id,
    companies::organization_id,
    organizations::slug,
    companies::name,
    companies::description,
    companies::template,
    companies::created_by,
    companies::created_at,
);

/// The stored identity of a company's template.
struct Identity {
    id: PackageSlug,
    version: Version,
    author: Option<String>,
    metadata: Option<Map<String, Value>>,
}

fn identity(value: Value) -> DbResult<Identity> {
    let corrupt = || DbError::Corrupt { what: "template identity", source: None };
    let Value::Object(mut members) = value else { return Err(corrupt()) };
    let text = |members: &Map<String, Value>, key: &str| members.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(Identity {
        id: stored("template id", &text(&members, "id").ok_or_else(corrupt)?)?,
        version: stored("template version", &text(&members, "version").ok_or_else(corrupt)?)?,
        author: text(&members, "author"),
        metadata: object("template metadata", members.remove("metadata"))?,
    })
}

fn object(what: &'static str, value: Option<Value>) -> DbResult<Option<Map<String, Value>>> {
    match value {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(DbError::Corrupt { what, source: None })
        }
    }
}

fn summary(row: SummaryRow) -> DbResult<(CompanySummary, Identity)> {
    let (id, organization, slug, name, description, template, created_by, created_at) = row;
    let identity = identity(template)?;
    let summary = CompanySummary {
        id: id.into(),
        organization: organization.into(),
        organization_slug: stored("organization slug", &slug)?,
        name,
        description,
        template_id: identity.id.clone(),
        template_version: identity.version.clone(),
        created_by: created_by.into(),
        created_at,
    };
    Ok((summary, identity))
}

/// An organization's companies, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    organization: OrganizationId,
    after: Option<CompanyCursor>,
    size: usize,
) -> DbResult<Page<CompanySummary, CompanyCursor>> {
    let mut query = companies::table
        .inner_join(organizations::table.on(organizations::id.eq(companies::organization_id)))
        .filter(companies::organization_id.eq(organization.0))
        .order((companies::created_at.desc(), companies::id.desc()))
        .limit(one_more(size))
        .select(SUMMARY_COLUMNS)
        .into_boxed();
    if let Some((at, id)) = after {
        // The first condition is implied by the second; it is there for the index.
        query =
            query.filter(companies::created_at.le(at)).filter(companies::created_at.lt(at).or(companies::id.lt(id.0)));
    }
    let rows: Vec<SummaryRow> = query.load(conn).await?;
    let rows = rows.into_iter().map(|row| Ok(summary(row)?.0)).collect::<DbResult<Vec<_>>>()?;
    Ok(Page::from_rows(rows, size, |company| (company.created_at, company.id)))
}

/// A company that this viewer may see: one of its own organizations'.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn find(conn: &mut Connection, viewer: &Viewer, id: CompanyId) -> DbResult<Company> {
    let row: (SummaryRow, Option<uuid::Uuid>) = companies::table
        .inner_join(organizations::table.on(organizations::id.eq(companies::organization_id)))
        .filter(companies::id.eq(id.0))
        .select((SUMMARY_COLUMNS, companies::template_version_id))
        .first(conn)
        .await?;
    let (summary, identity) = summary(row.0)?;
    if !viewer.is_member_of(summary.organization) {
        return Err(DbError::NotFound);
    }
    let issue_count: i64 =
        company_issues::table.filter(company_issues::company_id.eq(id.0)).count().get_result(conn).await?;
    Ok(Company {
        summary,
        template_package: template_package(conn, row.1).await?,
        template_author: identity.author,
        template_metadata: identity.metadata,
        issue_count: issue_count.unsigned_abs(),
    })
}

async fn template_package(conn: &mut Connection, version: Option<uuid::Uuid>) -> DbResult<Option<PackageName>> {
    let Some(version) = version else { return Ok(None) };
    let (publisher, name): (String, String) = versions::table
        .inner_join(packages::table.on(packages::id.eq(versions::package_id)))
        .inner_join(organizations::table.on(organizations::id.eq(packages::organization_id)))
        .filter(versions::id.eq(version))
        .select((organizations::slug, packages::name))
        .first(conn)
        .await?;
    Ok(Some(PackageName { publisher: stored("organization slug", &publisher)?, name: stored("package name", &name)? }))
}

/// All agents in their order; bounded by what a template may hold.
///
/// # Errors
/// When the database does not answer.
pub async fn agents(conn: &mut Connection, company: CompanyId) -> DbResult<Vec<CompanyAgent>> {
    type Row = (uuid::Uuid, String, String, String, Option<uuid::Uuid>, Option<i64>, Option<Value>);
    let rows: Vec<Row> = company_agents::table
        .filter(company_agents::company_id.eq(company.0))
        .order(company_agents::ordinal)
        .select((
            company_agents::id,
            company_agents::local_ref,
            company_agents::name,
            company_agents::role,
            company_agents::reports_to,
            company_agents::budget_cents,
            company_agents::metadata,
        ))
        .load(conn)
        .await?;
    rows.into_iter()
        .map(|(id, local_ref, name, role, reports_to, budget_cents, metadata)| {
            Ok(CompanyAgent {
                id: id.into(),
                local_ref: stored("agent ref", &local_ref)?,
                name,
                role: stored("agent role", &role)?,
                reports_to: reports_to.map(Into::into),
                budget_cents,
                metadata: object("agent metadata", metadata)?,
            })
        })
        .collect()
}

/// All goals in their order; bounded by what a template may hold.
///
/// # Errors
/// When the database does not answer.
pub async fn goals(conn: &mut Connection, company: CompanyId) -> DbResult<Vec<CompanyGoal>> {
    type Row = (uuid::Uuid, String, String, String, Option<uuid::Uuid>, Option<uuid::Uuid>);
    let rows: Vec<Row> = company_goals::table
        .filter(company_goals::company_id.eq(company.0))
        .order(company_goals::ordinal)
        .select((
            company_goals::id,
            company_goals::local_ref,
            company_goals::title,
            company_goals::level,
            company_goals::parent,
            company_goals::owner,
        ))
        .load(conn)
        .await?;
    rows.into_iter()
        .map(|(id, local_ref, title, level, parent, owner)| {
            Ok(CompanyGoal {
                id: id.into(),
                local_ref: stored("goal ref", &local_ref)?,
                title,
                level: stored("goal level", &level)?,
                parent: parent.map(Into::into),
                owner: owner.map(Into::into),
            })
        })
        .collect()
}

/// All projects in their order; bounded by what a template may hold.
///
/// # Errors
/// When the database does not answer.
pub async fn projects(conn: &mut Connection, company: CompanyId) -> DbResult<Vec<CompanyProject>> {
    let rows: Vec<(uuid::Uuid, String, String, Option<String>)> = company_projects::table
        .filter(company_projects::company_id.eq(company.0))
        .order(company_projects::ordinal)
        .select((
            company_projects::id,
            company_projects::local_ref,
            company_projects::name,
            company_projects::description,
        ))
        .load(conn)
        .await?;
    rows.into_iter()
        .map(|(id, local_ref, name, description)| {
            Ok(CompanyProject { id: id.into(), local_ref: stored("project ref", &local_ref)?, name, description })
        })
        .collect()
}

/// Issues in their order, behind the ordinal `after`.
///
/// # Errors
/// When the database does not answer.
pub async fn issues(
    conn: &mut Connection,
    company: CompanyId,
    after: Option<i32>,
    size: usize,
) -> DbResult<Page<CompanyIssue, i32>> {
    type Row = (uuid::Uuid, i32, String, String, String, Option<uuid::Uuid>, Option<uuid::Uuid>, Option<uuid::Uuid>);
    let rows: Vec<Row> = company_issues::table
        .filter(company_issues::company_id.eq(company.0))
        .filter(company_issues::ordinal.gt(after.unwrap_or(-1)))
        .order(company_issues::ordinal)
        .limit(one_more(size))
        .select((
            company_issues::id,
            company_issues::ordinal,
            company_issues::title,
            company_issues::status,
            company_issues::priority,
            company_issues::project,
            company_issues::assignee,
            company_issues::goal,
        ))
        .load(conn)
        .await?;
    let rows = rows
        .into_iter()
        .map(|(id, ordinal, title, status, priority, project, assignee, goal)| {
            Ok(CompanyIssue {
                id: id.into(),
                ordinal,
                title,
                status: stored("issue status", &status)?,
                priority: stored("issue priority", &priority)?,
                project: project.map(Into::into),
                assignee: assignee.map(Into::into),
                goal: goal.map(Into::into),
            })
        })
        .collect::<DbResult<Vec<_>>>()?;
    Ok(Page::from_rows(rows, size, |issue| issue.ordinal))
}

/// A company's events, the newest first, before the event `before`.
///
/// # Errors
/// When the database does not answer.
pub async fn activity(
    conn: &mut Connection,
    company: CompanyId,
    before: Option<i64>,
    size: usize,
) -> DbResult<Page<Activity, i64>> {
    let rows: Vec<(i64, DateTime<Utc>, String, String, String, Value)> = company_activity::table
        .filter(company_activity::company_id.eq(company.0))
        .filter(company_activity::id.lt(before.unwrap_or(i64::MAX)))
        .order(company_activity::id.desc())
        .limit(one_more(size))
        .select((
            company_activity::id,
            company_activity::at,
            company_activity::actor,
            company_activity::action,
            company_activity::subject,
            company_activity::details,
        ))
        .load(conn)
        .await?;
    let rows = rows
        .into_iter()
        .map(|(id, at, actor, action, subject, details)| Activity { id, at, actor, action, subject, details })
        .collect();
    Ok(Page::from_rows(rows, size, |event| event.id))
}
