//! What an import would make, in the order in which it would make it.

use registry_types::template::{Cycle, Template};
use serde::Serialize;
use utoipa::ToSchema;

/// Everything that an import creates.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportPlan)]
pub(crate) struct Plan {
    /// Managers before their reports.
    pub(crate) agents: Vec<PlannedPart>,
    /// Parents before their parts.
    pub(crate) goals: Vec<PlannedPart>,
    pub(crate) projects: Vec<PlannedPart>,
    pub(crate) issues: Vec<PlannedIssue>,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PlannedPart {
    pub(crate) r#ref: String,
    pub(crate) name: String,
    /// Ref of the manager or of the parent goal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) below: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PlannedIssue {
    pub(crate) title: String,
    /// Ref of the agent that does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assignee: Option<String>,
}

impl Plan {
    pub(crate) fn of(template: &Template) -> Result<Self, Cycle> {
        let part = |local_ref: &dyn ToString, name: &str, below: Option<String>| PlannedPart {
            r#ref: local_ref.to_string(),
            name: name.to_owned(),
            below,
        };
        let agents = template.agents_in_order()?.into_iter();
        let goals = template.goals_in_order()?.into_iter();
        Ok(Self {
            agents: agents
                .map(|a| part(&a.local_ref, &a.name, a.reports_to.as_ref().map(ToString::to_string)))
                .collect(),
            goals: goals
                .map(|g| part(&g.local_ref, &g.title, g.parent_ref.as_ref().map(ToString::to_string)))
                .collect(),
            projects: template.projects.iter().map(|p| part(&p.local_ref, &p.name, None)).collect(),
            issues: template
                .issues
                .iter()
                .map(|issue| PlannedIssue {
                    title: issue.title.clone(),
                    assignee: issue.assignee_ref.as_ref().map(ToString::to_string),
                })
                .collect(),
        })
    }
}
