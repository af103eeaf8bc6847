//! A company becomes a template again.

use std::collections::HashMap;
use std::hash::Hash;

use diesel_async::RunQueryDsl;
use registry_types::ids::CompanyId;
use registry_types::template::{LocalRef, MAX_ISSUES, Template};
use serde_json::{Map, Value, json};

use super::read::{self, Company, CompanyAgent, CompanyGoal, CompanyIssue, CompanyProject};
use crate::packages::Viewer;
use crate::{Connection, DbError, DbResult};

/// The company as it is now, as a template. Equal to the imported one as long as nothing was changed. Call as the
/// first thing in a transaction: all parts are read as of one moment.
///
/// # Errors
/// [`DbError::NotFound`] when this viewer may not see the company.
pub async fn export(conn: &mut Connection, viewer: &Viewer, id: CompanyId) -> DbResult<Template> {
    diesel::sql_query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(conn).await?;
    let company = read::find(conn, viewer, id).await?;
    let agents = read::agents(conn, id).await?;
    let goals = read::goals(conn, id).await?;
    let projects = read::projects(conn, id).await?;
    let issues = read::issues(conn, id, None, MAX_ISSUES).await?;
    if issues.next.is_some() {
        return Err(DbError::Corrupt { what: "number of issues", source: None });
    }
    let document = document(&company, &agents, &goals, &projects, &issues.items)?;
    Template::parse(&document).map_err(|errors| {
        let all = errors.into_iter().map(|e| format!("{}: {}", e.pointer, e.message)).collect::<Vec<_>>().join("; ");
        DbError::corrupt("company")(all.into())
    })
}

fn document(
    company: &Company,
    agents: &[CompanyAgent],
    goals: &[CompanyGoal],
    projects: &[CompanyProject],
    issues: &[CompanyIssue],
) -> DbResult<Value> {
    let agent_refs: HashMap<_, _> = agents.iter().map(|agent| (agent.id, &agent.local_ref)).collect();
    let goal_refs: HashMap<_, _> = goals.iter().map(|goal| (goal.id, &goal.local_ref)).collect();
    let project_refs: HashMap<_, _> = projects.iter().map(|project| (project.id, &project.local_ref)).collect();
    let agents = agents.iter().map(|agent| {
        let mut object =
            members([("ref", json!(agent.local_ref)), ("name", json!(agent.name)), ("role", json!(agent.role))]);
        set(&mut object, "reportsTo", ref_of(&agent_refs, agent.reports_to)?.map(Value::from));
        set(&mut object, "budgetCents", agent.budget_cents.map(Value::from));
        set(&mut object, "metadata", agent.metadata.clone().map(Value::Object));
        Ok(Value::Object(object))
    });
    let goals = goals.iter().map(|goal| {
        let mut object =
            members([("ref", json!(goal.local_ref)), ("title", json!(goal.title)), ("level", json!(goal.level))]);
        set(&mut object, "parentRef", ref_of(&goal_refs, goal.parent)?.map(Value::from));
        set(&mut object, "ownerRef", ref_of(&agent_refs, goal.owner)?.map(Value::from));
        Ok(Value::Object(object))
    });
    let projects = projects.iter().map(|project| {
        let mut object = members([("ref", json!(project.local_ref)), ("name", json!(project.name))]);
        set(&mut object, "description", project.description.clone().map(Value::from));
        Value::Object(object)
    });
    let issues = issues.iter().map(|issue| {
        let mut object = members([
            ("title", json!(issue.title)),
            ("status", json!(issue.status)),
            ("priority", json!(issue.priority)),
        ]);
        set(&mut object, "projectRef", ref_of(&project_refs, issue.project)?.map(Value::from));
        set(&mut object, "assigneeRef", ref_of(&agent_refs, issue.assignee)?.map(Value::from));
        set(&mut object, "goalRef", ref_of(&goal_refs, issue.goal)?.map(Value::from));
        Ok(Value::Object(object))
    });
    let summary = &company.summary;
    let mut root = members([
        ("id", json!(summary.template_id)),
        ("name", json!(summary.name)),
        ("version", json!(summary.template_version)),
        ("agents", Value::Array(agents.collect::<DbResult<_>>()?)),
        ("goals", Value::Array(goals.collect::<DbResult<_>>()?)),
        ("projects", Value::Array(projects.collect())),
        ("issues", Value::Array(issues.collect::<DbResult<_>>()?)),
    ]);
    // A template's description is never empty: an empty one stands for none.
    set(&mut root, "description", Some(&summary.description).filter(|text| !text.is_empty()).map(|text| json!(text)));
    set(&mut root, "author", company.template_author.clone().map(Value::from));
    set(&mut root, "metadata", company.template_metadata.clone().map(Value::Object));
    Ok(Value::Object(root))
}

fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn set(object: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value);
    }
}

fn ref_of<'a, Id: Eq + Hash>(refs: &HashMap<Id, &'a LocalRef>, id: Option<Id>) -> DbResult<Option<&'a str>> {
    let found = |id| refs.get(&id).map(|local_ref| local_ref.as_str());
    id.map(|id| found(id).ok_or(DbError::Corrupt { what: "company reference", source: None })).transpose()
}
