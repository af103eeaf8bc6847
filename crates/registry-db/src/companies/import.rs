//! A template becomes a company, in one transaction and a fixed number of statements.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::ids::{AgentId, CompanyId, GoalId, IssueId, OrganizationId, ProjectId, UserId, VersionId};
use registry_types::template::{LocalRef, Template};
use serde_json::{Value, json};

use crate::audit::{self, Actor, Entry};
use crate::schema::{companies, company_activity, company_agents, company_goals, company_issues, company_projects};
use crate::{Connection, DbError, DbResult};

/// Rows of one statement; Postgres takes 65,535 parameters.
const ROWS_PER_STATEMENT: usize = 1_000;

#[derive(Debug, Clone)]
pub struct NewCompany<'a> {
    pub organization: OrganizationId,
    /// The template's name, or the importer's own.
    pub name: &'a str,
    pub template: &'a Template,
    /// The published version that the template is, if it was not sent inline.
    pub template_version: Option<VersionId>,
    pub created_by: UserId,
    pub actor: Actor,
}

/// What became of the template's refs; issues have none and stand in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    pub company: CompanyId,
    pub agents: BTreeMap<LocalRef, AgentId>,
    pub goals: BTreeMap<LocalRef, GoalId>,
    pub projects: BTreeMap<LocalRef, ProjectId>,
    pub issues: Vec<IssueId>,
}

/// Creates the company with everything in the template. Call in a transaction.
///
/// # Errors
/// When the database refuses; nothing of it is left then.
pub async fn import(conn: &mut Connection, new: &NewCompany<'_>) -> DbResult<Imported> {
    let template = new.template;
    let imported = Imported {
        company: CompanyId::new(),
        agents: template.agents.iter().map(|agent| (agent.local_ref.clone(), AgentId::new())).collect(),
        goals: template.goals.iter().map(|goal| (goal.local_ref.clone(), GoalId::new())).collect(),
        projects: template.projects.iter().map(|project| (project.local_ref.clone(), ProjectId::new())).collect(),
        issues: template.issues.iter().map(|_| IssueId::new()).collect(),
    };
    insert_company(conn, new, imported.company).await?;
    insert_agents(conn, template, &imported).await?;
    insert_goals(conn, template, &imported).await?;
    insert_projects(conn, template, &imported).await?;
    insert_issues(conn, template, &imported).await?;
    insert_activity(conn, new, &imported).await?;
    note(conn, new, &imported).await?;
    Ok(imported)
}

/// What of a template is not in the company's other rows.
fn identity(template: &Template) -> Value {
    let mut identity = json!({ "id": template.id, "version": template.version });
    if let Some(author) = &template.author {
        identity["author"] = json!(author);
    }
    if let Some(metadata) = &template.metadata {
        identity["metadata"] = json!(metadata);
    }
    identity
}

async fn insert_company(conn: &mut Connection, new: &NewCompany<'_>, id: CompanyId) -> DbResult<()> {
    diesel::insert_into(companies::table)
        .values((
            companies::id.eq(id.0),
            companies::organization_id.eq(new.organization.0),
            companies::name.eq(new.name),
            companies::description.eq(new.template.description.as_deref().unwrap_or_default()),
            companies::template.eq(identity(new.template)),
            companies::template_version_id.eq(new.template_version.map(|id| id.0)),
            companies::created_by.eq(new.created_by.0),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

async fn insert_agents(conn: &mut Connection, template: &Template, imported: &Imported) -> DbResult<()> {
    let ordinals = ordinals(template.agents.iter().map(|agent| &agent.local_ref));
    let rows = template
        .agents_in_order()
        .map_err(|cycle| DbError::corrupt("template")(Box::new(cycle)))?
        .into_iter()
        .map(|agent| {
            Ok((
                company_agents::id.eq(id_of(&imported.agents, &agent.local_ref)?.0),
                company_agents::company_id.eq(imported.company.0),
                company_agents::ordinal.eq(ordinals[&agent.local_ref]),
                company_agents::local_ref.eq(agent.local_ref.as_str()),
                company_agents::name.eq(&agent.name),
                company_agents::role.eq(agent.role.as_str()),
                company_agents::reports_to.eq(optional_id(&imported.agents, agent.reports_to.as_ref())?.map(|id| id.0)),
                company_agents::budget_cents.eq(agent.budget_cents),
                company_agents::metadata.eq(agent.metadata.clone().map(Value::Object)),
            ))
        })
        .collect::<DbResult<Vec<_>>>()?;
    for rows in chunks(rows) {
        diesel::insert_into(company_agents::table).values(rows).execute(conn).await?;
    }
    Ok(())
}

async fn insert_goals(conn: &mut Connection, template: &Template, imported: &Imported) -> DbResult<()> {
    let ordinals = ordinals(template.goals.iter().map(|goal| &goal.local_ref));
    let rows = template
        .goals_in_order()
        .map_err(|cycle| DbError::corrupt("template")(Box::new(cycle)))?
        .into_iter()
        .map(|goal| {
            Ok((
                company_goals::id.eq(id_of(&imported.goals, &goal.local_ref)?.0),
                company_goals::company_id.eq(imported.company.0),
                company_goals::ordinal.eq(ordinals[&goal.local_ref]),
                company_goals::local_ref.eq(goal.local_ref.as_str()),
                company_goals::title.eq(&goal.title),
                company_goals::level.eq(goal.level.as_str()),
                company_goals::parent.eq(optional_id(&imported.goals, goal.parent_ref.as_ref())?.map(|id| id.0)),
                company_goals::owner.eq(optional_id(&imported.agents, goal.owner_ref.as_ref())?.map(|id| id.0)),
            ))
        })
        .collect::<DbResult<Vec<_>>>()?;
    for rows in chunks(rows) {
        diesel::insert_into(company_goals::table).values(rows).execute(conn).await?;
    }
    Ok(())
}

async fn insert_projects(conn: &mut Connection, template: &Template, imported: &Imported) -> DbResult<()> {
    let rows = template
        .projects
        .iter()
        .zip(0i32..)
        .map(|(project, ordinal)| {
            Ok((
                company_projects::id.eq(id_of(&imported.projects, &project.local_ref)?.0),
                company_projects::company_id.eq(imported.company.0),
                company_projects::ordinal.eq(ordinal),
                company_projects::local_ref.eq(project.local_ref.as_str()),
                company_projects::name.eq(&project.name),
                company_projects::description.eq(project.description.as_deref()),
            ))
        })
        .collect::<DbResult<Vec<_>>>()?;
    for rows in chunks(rows) {
        diesel::insert_into(company_projects::table).values(rows).execute(conn).await?;
    }
    Ok(())
}

async fn insert_issues(conn: &mut Connection, template: &Template, imported: &Imported) -> DbResult<()> {
    let rows = template
        .issues
        .iter()
        .zip(&imported.issues)
        .zip(0i32..)
        .map(|((issue, id), ordinal)| {
            let project = optional_id(&imported.projects, issue.project_ref.as_ref())?;
            let assignee = optional_id(&imported.agents, issue.assignee_ref.as_ref())?;
            let goal = optional_id(&imported.goals, issue.goal_ref.as_ref())?;
            Ok((
                company_issues::id.eq(id.0),
                company_issues::company_id.eq(imported.company.0),
                company_issues::ordinal.eq(ordinal),
                company_issues::title.eq(&issue.title),
                company_issues::status.eq(issue.status.as_str()),
                company_issues::priority.eq(issue.priority.as_str()),
                company_issues::project.eq(project.map(|id| id.0)),
                company_issues::assignee.eq(assignee.map(|id| id.0)),
                company_issues::goal.eq(goal.map(|id| id.0)),
            ))
        })
        .collect::<DbResult<Vec<_>>>()?;
    for rows in chunks(rows) {
        diesel::insert_into(company_issues::table).values(rows).execute(conn).await?;
    }
    Ok(())
}

/// One event for the company and one for everything in it, in the order of creation.
async fn insert_activity(conn: &mut Connection, new: &NewCompany<'_>, imported: &Imported) -> DbResult<()> {
    let template = new.template;
    let company = json!({ "name": new.name, "template": template.id, "version": template.version });
    let mut events = vec![("company.created", format!("company:{}", imported.company), company)];
    for agent in template.agents_in_order().map_err(|cycle| DbError::corrupt("template")(Box::new(cycle)))? {
        let id = id_of(&imported.agents, &agent.local_ref)?;
        events.push(("agent.created", format!("agent:{id}"), json!({ "name": agent.name, "ref": agent.local_ref })));
    }
    for goal in template.goals_in_order().map_err(|cycle| DbError::corrupt("template")(Box::new(cycle)))? {
        let id = id_of(&imported.goals, &goal.local_ref)?;
        events.push(("goal.created", format!("goal:{id}"), json!({ "name": goal.title, "ref": goal.local_ref })));
    }
    for project in &template.projects {
        let id = id_of(&imported.projects, &project.local_ref)?;
        let details = json!({ "name": project.name, "ref": project.local_ref });
        events.push(("project.created", format!("project:{id}"), details));
    }
    for (issue, id) in template.issues.iter().zip(&imported.issues) {
        events.push(("issue.created", format!("issue:{id}"), json!({ "name": issue.title })));
    }
    let actor = new.actor.to_string();
    let rows = events
        .into_iter()
        .map(|(action, subject, details)| {
            (
                company_activity::company_id.eq(imported.company.0),
                company_activity::actor.eq(actor.clone()),
                company_activity::action.eq(action),
                company_activity::subject.eq(subject),
                company_activity::details.eq(details),
            )
        })
        .collect();
    for rows in chunks(rows) {
        diesel::insert_into(company_activity::table).values(rows).execute(conn).await?;
    }
    Ok(())
}

async fn note(conn: &mut Connection, new: &NewCompany<'_>, imported: &Imported) -> DbResult<()> {
    let entry = Entry {
        organization: Some(new.organization),
        actor: new.actor,
        action: AuditAction::CompanyImported,
        subject: audit::Subject::Company(imported.company),
        details: json!({
            "name": new.name,
            "template": new.template.id,
            "version": new.template.version,
            "template_version": new.template_version,
        }),
    };
    audit::append(conn, entry).await
}

/// The place of each ref in its document.
fn ordinals<'a>(refs: impl Iterator<Item = &'a LocalRef>) -> HashMap<&'a LocalRef, i32> {
    refs.zip(0i32..).collect()
}

/// A template whose references don't resolve is not one; see `Template::parse`.
fn id_of<T: Copy>(ids: &BTreeMap<LocalRef, T>, local_ref: &LocalRef) -> DbResult<T> {
    ids.get(local_ref).copied().ok_or(DbError::Corrupt { what: "template", source: None })
}

fn optional_id<T: Copy>(ids: &BTreeMap<LocalRef, T>, local_ref: Option<&LocalRef>) -> DbResult<Option<T>> {
    local_ref.map(|local_ref| id_of(ids, local_ref)).transpose()
}

/// `rows` in pieces that fit into one statement each.
fn chunks<T>(rows: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let piece: Vec<T> = rows.by_ref().take(ROWS_PER_STATEMENT).collect();
        (!piece.is_empty()).then_some(piece)
    })
}
