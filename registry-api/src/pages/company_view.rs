//! A company, or a template of one, as the pages show it: the agents and the goals as trees, the rest as lists.
//!
//! Both come into the same form; `templates/company_parts.html` draws it.

use std::collections::HashMap;
use std::hash::Hash;

use registry_db::companies::CompanyIssue;
use registry_types::template::Template as CompanyTemplate;

use super::text::words;
use crate::companies::CompanyDetail;

/// Issues shown on a template's page; the rest is counted.
const MAX_SHOWN_ISSUES: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompanyView {
    pub(crate) agents: Vec<TreeRow>,
    pub(crate) goals: Vec<TreeRow>,
    pub(crate) projects: Vec<ProjectRow>,
    pub(crate) issues: Vec<IssueRow>,
    /// Issues that are there but not in `issues`.
    pub(crate) more_issues: usize,
    /// Of all agents, as text; `None` when none has a budget.
    pub(crate) monthly_budget: Option<String>,
}

/// One thing of a tree, in the order of drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TreeRow {
    pub(crate) name: String,
    /// Role or level.
    pub(crate) kind: String,
    /// What else there is to say, in short pieces.
    pub(crate) notes: Vec<String>,
    /// Whether things below it follow: the list of them begins after this row.
    pub(crate) has_children: bool,
    /// Lists that end after this row.
    pub(crate) closes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProjectRow {
    pub(crate) name: String,
    pub(crate) description: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssueRow {
    pub(crate) title: String,
    pub(crate) status: String,
    pub(crate) priority: String,
    pub(crate) project: String,
    pub(crate) assignee: String,
    pub(crate) goal: String,
}

impl CompanyView {
    pub(crate) fn of_template(template: &CompanyTemplate) -> Self {
        let agents = names(template.agents.iter().map(|agent| (&agent.local_ref, agent.name.as_str())));
        let goals = names(template.goals.iter().map(|goal| (&goal.local_ref, goal.title.as_str())));
        let projects = names(template.projects.iter().map(|project| (&project.local_ref, project.name.as_str())));
        let issues = template.issues.iter().take(MAX_SHOWN_ISSUES).map(|issue| IssueRow {
            title: issue.title.clone(),
            status: words(issue.status.as_str()),
            priority: issue.priority.to_string(),
            project: name_of(&projects, issue.project_ref.as_ref()),
            assignee: name_of(&agents, issue.assignee_ref.as_ref()),
            goal: name_of(&goals, issue.goal_ref.as_ref()),
        });
        Self {
            agents: tree(
                &template.agents,
                |agent| (&agent.local_ref, agent.reports_to.as_ref()),
                |agent| TreeRow {
                    name: agent.name.clone(),
                    kind: agent.role.to_string(),
                    notes: agent_notes(agent.budget_cents, agent.metadata.as_ref()),
                    has_children: false,
                    closes: 0,
                },
            ),
            goals: tree(
                &template.goals,
                |goal| (&goal.local_ref, goal.parent_ref.as_ref()),
                |goal| TreeRow {
                    name: goal.title.clone(),
                    kind: goal.level.to_string(),
                    notes: goal_notes(&name_of(&agents, goal.owner_ref.as_ref())),
                    has_children: false,
                    closes: 0,
                },
            ),
            projects: template
                .projects
                .iter()
                .map(|project| ProjectRow {
                    name: project.name.clone(),
                    description: project.description.clone().unwrap_or_default(),
                })
                .collect(),
            issues: issues.collect(),
            more_issues: template.issues.len().saturating_sub(MAX_SHOWN_ISSUES),
            monthly_budget: total_budget(template.agents.iter().map(|agent| agent.budget_cents)),
        }
    }

    /// `issues` is the page of issues that is shown.
    pub(crate) fn of_company(detail: &CompanyDetail, issues: &[CompanyIssue]) -> Self {
        let agents = names(detail.agents.iter().map(|agent| (agent.id, agent.name.as_str())));
        let goals = names(detail.goals.iter().map(|goal| (goal.id, goal.title.as_str())));
        let projects = names(detail.projects.iter().map(|project| (project.id, project.name.as_str())));
        Self {
            agents: tree(
                &detail.agents,
                |agent| (agent.id, agent.reports_to),
                |agent| TreeRow {
                    name: agent.name.clone(),
                    kind: agent.role.to_string(),
                    notes: agent_notes(agent.budget_cents, agent.metadata.as_ref()),
                    has_children: false,
                    closes: 0,
                },
            ),
            goals: tree(
                &detail.goals,
                |goal| (goal.id, goal.parent),
                |goal| TreeRow {
                    name: goal.title.clone(),
                    kind: goal.level.to_string(),
                    notes: goal_notes(&name_of(&agents, goal.owner)),
                    has_children: false,
                    closes: 0,
                },
            ),
            projects: detail
                .projects
                .iter()
                .map(|project| ProjectRow {
                    name: project.name.clone(),
                    description: project.description.clone().unwrap_or_default(),
                })
                .collect(),
            issues: issues
                .iter()
                .map(|issue| IssueRow {
                    title: issue.title.clone(),
                    status: words(issue.status.as_str()),
                    priority: issue.priority.to_string(),
                    project: name_of(&projects, issue.project),
                    assignee: name_of(&agents, issue.assignee),
                    goal: name_of(&goals, issue.goal),
                })
                .collect(),
            more_issues: 0,
            monthly_budget: total_budget(detail.agents.iter().map(|agent| agent.budget_cents)),
        }
    }
}

fn names<'a, K: Eq + Hash>(pairs: impl Iterator<Item = (K, &'a str)>) -> HashMap<K, &'a str> {
    pairs.collect()
}

fn name_of<K: Eq + Hash>(names: &HashMap<K, &str>, key: Option<K>) -> String {
    key.and_then(|key| names.get(&key).copied()).unwrap_or_default().to_owned()
}

fn agent_notes(budget: Option<i64>, metadata: Option<&serde_json::Map<String, serde_json::Value>>) -> Vec<String> {
    let duties = metadata.and_then(|metadata| metadata.get("responsibilities")).and_then(|duties| duties.as_str());
    let budget = budget.map(|cents| format!("{} a month", money(cents)));
    duties.map(str::to_owned).into_iter().chain(budget).collect()
}

fn goal_notes(owner: &str) -> Vec<String> {
    if owner.is_empty() { Vec::new() } else { vec![format!("owned by {owner}")] }
}

fn total_budget(budgets: impl Iterator<Item = Option<i64>>) -> Option<String> {
    let total = budgets.flatten().fold(None, |sum: Option<i64>, cents| Some(sum.unwrap_or(0).saturating_add(cents)));
    total.map(money)
}

/// Cents as an amount with two decimals and grouped thousands; templates name no currency.
fn money(cents: i64) -> String {
    let whole = (cents / 100).to_string();
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped}.{:02}", cents % 100)
}

/// The forest of `items` in drawing order: each followed by what is below it. `keys` gives an item's own key and that of
/// the item above it. What stands in a circle is left out: neither templates nor companies have any.
fn tree<'a, T, K: Copy + Eq + Hash>(
    items: &'a [T],
    keys: impl Fn(&'a T) -> (K, Option<K>),
    row: impl Fn(&T) -> TreeRow,
) -> Vec<TreeRow> {
    let mut children: HashMap<Option<K>, Vec<usize>> = HashMap::new();
    for (index, item) in items.iter().enumerate().rev() {
        children.entry(keys(item).1).or_default().push(index);
    }
    let mut rows: Vec<TreeRow> = Vec::with_capacity(items.len());
    let mut depth = 0;
    // Lists are in reverse, so that the first one is taken from the end.
    let mut open: Vec<(usize, usize)> =
        children.remove(&None).unwrap_or_default().into_iter().map(|i| (i, 0)).collect();
    while let Some((index, level)) = open.pop() {
        if let Some(last) = rows.last_mut() {
            last.has_children = level > depth;
            last.closes = depth.saturating_sub(level);
        }
        depth = level;
        rows.push(row(&items[index]));
        let below = children.remove(&Some(keys(&items[index]).0)).unwrap_or_default();
        open.extend(below.into_iter().map(|child| (child, level + 1)));
    }
    if let Some(last) = rows.last_mut() {
        last.closes = depth;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(items: &[(u8, Option<u8>)]) -> String {
        let row = |item: &(u8, Option<u8>)| TreeRow {
            name: item.0.to_string(),
            kind: String::new(),
            notes: Vec::new(),
            has_children: false,
            closes: 0,
        };
        let rows = tree(items, |item| *item, row);
        rows.iter().fold(String::new(), |text, row| {
            text + &row.name + if row.has_children { "(" } else { "" } + &")".repeat(row.closes) + " "
        })
    }

    #[test]
    fn a_tree_is_drawn_depth_first_and_every_list_is_closed() {
        assert_eq!(drawn(&[(3, Some(1)), (1, None), (2, Some(1)), (4, Some(3)), (5, None)]), "1( 3( 4) 2) 5 ");
        assert_eq!(drawn(&[(1, None), (2, Some(1)), (3, Some(2))]), "1( 2( 3)) ");
        assert_eq!(drawn(&[]), "");
    }

    #[test]
    fn amounts_are_readable() {
        assert_eq!(money(0), "0.00");
        assert_eq!(money(123), "1.23");
        assert_eq!(money(10_000_000_000), "100,000,000.00");
        assert_eq!(total_budget([None, Some(150), Some(50)].into_iter()).as_deref(), Some("2.00"));
        assert_eq!(total_budget([None].into_iter()), None);
    }
}
