//! Companies as the API shows them.

use chrono::{DateTime, Utc};
use registry_db::companies::{
    Activity, Company, CompanyAgent, CompanyGoal, CompanyIssue, CompanyProject, CompanySummary,
};
use registry_types::template::{AgentRole, GoalLevel, IssuePriority, IssueStatus};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

/// One company as a list shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = CompanySummary)]
pub(crate) struct SummaryAnswer {
    id: Uuid,
    organization: String,
    name: String,
    description: String,
    /// `id` of the template it came from.
    template: String,
    template_version: String,
    created_at: DateTime<Utc>,
}

impl From<CompanySummary> for SummaryAnswer {
    fn from(company: CompanySummary) -> Self {
        Self {
            id: company.id.0,
            organization: company.organization_slug.to_string(),
            name: company.name,
            description: company.description,
            template: company.template_id.to_string(),
            template_version: company.template_version.to_string(),
            created_at: company.created_at,
        }
    }
}

/// A company as the database gave it, with everything but its issues and activity, which are lists of their own.
pub(crate) struct CompanyDetail {
    pub(crate) company: Company,
    pub(crate) agents: Vec<CompanyAgent>,
    pub(crate) goals: Vec<CompanyGoal>,
    pub(crate) projects: Vec<CompanyProject>,
}

/// A company with its agents, goals and projects.
#[derive(Serialize, ToSchema)]
#[schema(as = Company)]
pub(crate) struct CompanyAnswer {
    #[serde(flatten)]
    summary: SummaryAnswer,
    /// `publisher/name` of the package, if the template was imported by reference.
    template_package: Option<String>,
    template_author: Option<String>,
    metadata: Option<Map<String, Value>>,
    agents: Vec<AgentAnswer>,
    goals: Vec<GoalAnswer>,
    projects: Vec<ProjectAnswer>,
    issue_count: u64,
}

impl From<CompanyDetail> for CompanyAnswer {
    fn from(detail: CompanyDetail) -> Self {
        Self {
            summary: detail.company.summary.into(),
            template_package: detail.company.template_package.map(|name| name.to_string()),
            template_author: detail.company.template_author,
            metadata: detail.company.template_metadata,
            agents: detail.agents.into_iter().map(Into::into).collect(),
            goals: detail.goals.into_iter().map(Into::into).collect(),
            projects: detail.projects.into_iter().map(Into::into).collect(),
            issue_count: detail.company.issue_count,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CompanyAgent)]
pub(crate) struct AgentAnswer {
    id: Uuid,
    r#ref: String,
    name: String,
    #[schema(value_type = String, example = "engineer")]
    role: AgentRole,
    /// Id of the agent that this one reports to.
    reports_to: Option<Uuid>,
    /// Monthly, in cents.
    budget_cents: Option<i64>,
    metadata: Option<Map<String, Value>>,
}

impl From<CompanyAgent> for AgentAnswer {
    fn from(agent: CompanyAgent) -> Self {
        Self {
            id: agent.id.0,
            r#ref: agent.local_ref.to_string(),
            name: agent.name,
            role: agent.role,
            reports_to: agent.reports_to.map(|id| id.0),
            budget_cents: agent.budget_cents,
            metadata: agent.metadata,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CompanyGoal)]
pub(crate) struct GoalAnswer {
    id: Uuid,
    r#ref: String,
    title: String,
    #[schema(value_type = String, example = "team")]
    level: GoalLevel,
    parent: Option<Uuid>,
    /// Id of the agent that owns it.
    owner: Option<Uuid>,
}

impl From<CompanyGoal> for GoalAnswer {
    fn from(goal: CompanyGoal) -> Self {
        Self {
            id: goal.id.0,
            r#ref: goal.local_ref.to_string(),
            title: goal.title,
            level: goal.level,
            parent: goal.parent.map(|id| id.0),
            owner: goal.owner.map(|id| id.0),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CompanyProject)]
pub(crate) struct ProjectAnswer {
    id: Uuid,
    r#ref: String,
    name: String,
    description: Option<String>,
}

impl From<CompanyProject> for ProjectAnswer {
    fn from(project: CompanyProject) -> Self {
        Self {
            id: project.id.0,
            r#ref: project.local_ref.to_string(),
            name: project.name,
            description: project.description,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CompanyIssue)]
pub(crate) struct IssueAnswer {
    id: Uuid,
    title: String,
    #[schema(value_type = String, example = "todo")]
    status: IssueStatus,
    #[schema(value_type = String, example = "high")]
    priority: IssuePriority,
    project: Option<Uuid>,
    /// Id of the agent that does it.
    assignee: Option<Uuid>,
    goal: Option<Uuid>,
}

impl From<CompanyIssue> for IssueAnswer {
    fn from(issue: CompanyIssue) -> Self {
        Self {
            id: issue.id.0,
            title: issue.title,
            status: issue.status,
            priority: issue.priority,
            project: issue.project.map(|id| id.0),
            assignee: issue.assignee.map(|id| id.0),
            goal: issue.goal.map(|id| id.0),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CompanyActivity)]
pub(crate) struct ActivityAnswer {
    at: DateTime<Utc>,
    /// `user:<uuid>` or `api_key:<uuid>`.
    actor: String,
    #[schema(example = "agent.created")]
    action: String,
    /// `agent:<uuid>`, `goal:<uuid>`, …
    subject: String,
    #[schema(value_type = Object)]
    details: Value,
}

impl From<Activity> for ActivityAnswer {
    fn from(event: Activity) -> Self {
        Self { at: event.at, actor: event.actor, action: event.action, subject: event.subject, details: event.details }
    }
}
