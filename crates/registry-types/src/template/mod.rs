//! Company templates in the JSON form of the Paperclip design document: data only, no code.
//!
//! A [`Template`] comes only out of [`Template::parse`] and is therefore valid: references are unique and resolve,
//! `reportsTo` and `parentRef` have no cycles. The form is closed: unknown members are refused (free data belongs into
//! `metadata`), because an exported template must equal the imported one and nothing may get lost on the way.

mod order;
mod parse;
mod references;
mod words;

#[cfg(any(test, feature = "generate"))]
pub mod generate;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::names::PackageSlug;

pub use order::{Cycle, topological_order};
pub use words::{AgentRole, GoalLevel, IssuePriority, IssueStatus};

/// Most agents of one template; the largest published company has some 60.
pub const MAX_AGENTS: usize = 1_000;
pub const MAX_GOALS: usize = 1_000;
pub const MAX_PROJECTS: usize = 1_000;
pub const MAX_ISSUES: usize = 5_000;
/// Largest monthly budget of one agent, in cents: 100 million.
pub const MAX_BUDGET_CENTS: i64 = 10_000_000_000;
/// Characters of a name or title.
pub const MAX_NAME_CHARS: usize = 200;
/// Characters of a description.
pub const MAX_DESCRIPTION_CHARS: usize = 4_000;

/// A local name inside one template by which its parts refer to one another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct LocalRef(String);

impl LocalRef {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LocalRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a [`LocalRef`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 letters, digits, '.', '_' or '-', starting with a letter or digit")]
pub struct LocalRefError;

impl FromStr for LocalRef {
    type Err = LocalRefError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let starts_well = value.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let is_ref = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if starts_well && value.len() <= 64 && value.bytes().all(is_ref) {
            Ok(Self(value.to_owned()))
        } else {
            Err(LocalRefError)
        }
    }
}

impl<'de> Deserialize<'de> for LocalRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A whole company as data. Serialises in declaration order, so that equal templates give equal bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Template {
    /// The package's name part when it is published.
    pub id: PackageSlug,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub version: semver::Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    pub agents: Vec<Agent>,
    pub goals: Vec<Goal>,
    pub projects: Vec<Project>,
    pub issues: Vec<Issue>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Agent {
    #[serde(rename = "ref")]
    pub local_ref: LocalRef,
    pub name: String,
    pub role: AgentRole,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reports_to: Option<LocalRef>,
    /// Monthly budget in cents, 0 to [`MAX_BUDGET_CENTS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_cents: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Goal {
    #[serde(rename = "ref")]
    pub local_ref: LocalRef,
    pub title: String,
    pub level: GoalLevel,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_ref: Option<LocalRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_ref: Option<LocalRef>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Project {
    #[serde(rename = "ref")]
    pub local_ref: LocalRef,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Issue {
    pub title: String,
    pub status: IssueStatus,
    pub priority: IssuePriority,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_ref: Option<LocalRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee_ref: Option<LocalRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal_ref: Option<LocalRef>,
}

impl Template {
    /// The agents, managers before their reports, otherwise in document order.
    ///
    /// # Errors
    /// Never for a template that came out of [`Template::parse`] and was not changed since.
    pub fn agents_in_order(&self) -> Result<Vec<&Agent>, Cycle> {
        in_order(&self.agents, |agent| &agent.local_ref, |agent| agent.reports_to.as_ref())
    }

    /// The goals, parents before their parts, otherwise in document order.
    ///
    /// # Errors
    /// Never for a template that came out of [`Template::parse`] and was not changed since.
    pub fn goals_in_order(&self) -> Result<Vec<&Goal>, Cycle> {
        in_order(&self.goals, |goal| &goal.local_ref, |goal| goal.parent_ref.as_ref())
    }

    /// The document as a JSON value.
    ///
    /// # Errors
    /// When the value cannot be built; no known template does that.
    pub fn to_value(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

fn in_order<'a, T>(
    items: &'a [T],
    local_ref: impl Fn(&'a T) -> &'a LocalRef,
    parent: impl Fn(&'a T) -> Option<&'a LocalRef>,
) -> Result<Vec<&'a T>, Cycle> {
    let positions: std::collections::HashMap<_, _> =
        items.iter().enumerate().map(|(index, item)| (local_ref(item), index)).collect();
    let parents: Vec<_> = items.iter().map(|item| parent(item).and_then(|p| positions.get(p).copied())).collect();
    match topological_order(&parents) {
        Ok(order) => Ok(order.into_iter().map(|index| &items[index]).collect()),
        Err(mut cycles) => Err(cycles.swap_remove(0)),
    }
}
