//! Generated templates for property tests: every optional part present and absent, forests of any shape, text beyond
//! ASCII, numbers of every kind in metadata.

use proptest::prelude::*;
use serde_json::{Map, Number, Value};

use super::{
    Agent, AgentRole, Goal, GoalLevel, Issue, IssuePriority, IssueStatus, LocalRef, MAX_BUDGET_CENTS, Project, Template,
};

/// Valid templates of up to a dozen things of each sort.
pub fn templates() -> impl Strategy<Value = Template> {
    let head =
        (slug(), line(), prop::option::of(text()), version(), prop::option::of(line()), prop::option::of(object()));
    (head, 0usize..10, 0usize..10, 0usize..6, 0usize..12).prop_flat_map(
        |((id, name, description, version, author, metadata), agents, goals, projects, issues)| {
            let lists = (
                agent_list(agents),
                goal_list(goals, agents),
                prop::collection::vec((line(), prop::option::of(text())), projects),
                prop::collection::vec(issue(projects, agents, goals), issues),
            );
            lists.prop_map(move |(agents, goals, projects, issues)| Template {
                id: id.parse().expect("generated slugs are valid"),
                name: name.clone(),
                description: description.clone(),
                version: version.clone(),
                author: author.clone(),
                metadata: metadata.clone(),
                agents,
                goals,
                projects: projects
                    .into_iter()
                    .enumerate()
                    .map(|(index, (name, description))| Project {
                        local_ref: local_ref("project", index),
                        name,
                        description,
                    })
                    .collect(),
                issues,
            })
        },
    )
}

fn local_ref(kind: &str, index: usize) -> LocalRef {
    format!("{kind}.{index}").parse().expect("generated refs are valid")
}

fn slug() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{1,20}[a-z0-9]"
}

fn version() -> impl Strategy<Value = semver::Version> {
    (0u64..50, 0u64..50, 0u64..50, prop::option::of("[a-z]{1,5}")).prop_map(|(major, minor, patch, pre)| {
        let pre = pre.map_or(semver::Prerelease::EMPTY, |pre| pre.parse().expect("letters are a valid pre-release"));
        semver::Version { pre, ..semver::Version::new(major, minor, patch) }
    })
}

/// One line of 1 to 40 characters of any script.
fn line() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,40}"
}

/// Several lines, without the characters that Postgres text cannot hold.
fn text() -> impl Strategy<Value = String> {
    "[^\\x00]{1,80}"
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(|f| Number::from_f64(f).map_or(Value::Null, Value::Number)),
        text().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(line(), inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(line(), value, 0..4).prop_map(|members| members.into_iter().collect())
}

/// For each of `count` things a parent or none, such that no cycle arises, in an order where parents may come later.
fn forest(count: usize) -> impl Strategy<Value = Vec<Option<usize>>> {
    let ranks = Just((0..count).collect::<Vec<_>>()).prop_shuffle();
    let picks = prop::collection::vec(prop::option::of(any::<prop::sample::Index>()), count);
    (ranks, picks).prop_map(|(ranked, picks)| {
        let mut parents = vec![None; ranked.len()];
        for (rank, pick) in picks.into_iter().enumerate().skip(1) {
            parents[ranked[rank]] = pick.map(|pick| ranked[pick.index(rank)]);
        }
        parents
    })
}

fn one_of(kind: &'static str, count: usize) -> BoxedStrategy<Option<LocalRef>> {
    if count == 0 {
        return Just(None).boxed();
    }
    prop::option::of((0..count).prop_map(move |index| local_ref(kind, index))).boxed()
}

fn agent_list(count: usize) -> impl Strategy<Value = Vec<Agent>> {
    let budget = prop::option::of(0..=MAX_BUDGET_CENTS);
    let each = (line(), prop::sample::select(AgentRole::ALL), budget, prop::option::of(object()));
    (forest(count), prop::collection::vec(each, count)).prop_map(|(parents, parts)| {
        let agent =
            |(index, ((name, role, budget_cents, metadata), parent)): (usize, ((_, _, _, _), Option<usize>))| {
                let reports_to = parent.map(|parent| local_ref("agent", parent));
                Agent { local_ref: local_ref("agent", index), name, role, reports_to, budget_cents, metadata }
            };
        parts.into_iter().zip(parents).enumerate().map(agent).collect()
    })
}

fn goal_list(count: usize, agents: usize) -> impl Strategy<Value = Vec<Goal>> {
    let each = (line(), prop::sample::select(GoalLevel::ALL), one_of("agent", agents));
    (forest(count), prop::collection::vec(each, count)).prop_map(|(parents, parts)| {
        let goal = |(index, ((title, level, owner_ref), parent)): (usize, ((_, _, _), Option<usize>))| {
            let parent_ref = parent.map(|parent| local_ref("goal", parent));
            Goal { local_ref: local_ref("goal", index), title, level, parent_ref, owner_ref }
        };
        parts.into_iter().zip(parents).enumerate().map(goal).collect()
    })
}

fn issue(projects: usize, agents: usize, goals: usize) -> impl Strategy<Value = Issue> {
    let words = (prop::sample::select(IssueStatus::ALL), prop::sample::select(IssuePriority::ALL));
    let references = (one_of("project", projects), one_of("agent", agents), one_of("goal", goals));
    (line(), words, references).prop_map(|(title, (status, priority), (project_ref, assignee_ref, goal_ref))| Issue {
        title,
        status,
        priority,
        project_ref,
        assignee_ref,
        goal_ref,
    })
}
