//! A template document into a [`Template`].

use serde_json::{Map, Value};

use super::{
    Agent, Goal, Issue, LocalRef, MAX_AGENTS, MAX_BUDGET_CENTS, MAX_DESCRIPTION_CHARS, MAX_GOALS, MAX_ISSUES,
    MAX_NAME_CHARS, MAX_PROJECTS, Project, Template, references,
};
use crate::document::{Errors, Node, Object};
use crate::pointer::PointerError;

impl Template {
    /// Reads and validates a template. `document` must come from a strict JSON reader (no duplicate keys, bounded depth).
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its JSON pointer.
    pub fn parse(document: &Value) -> Result<Self, Vec<PointerError>> {
        let mut errors = Errors::default();
        let template = Node::root(document).object(&mut errors).and_then(|root| {
            let template = template(&root, &mut errors);
            references::check(&root, &mut errors);
            template
        });
        errors.finish(template)
    }

    /// Whether a text may be a company's name: the rule of a template's `name`.
    ///
    /// # Errors
    /// What is wrong with it, at `pointer`.
    pub fn check_name(name: &str, pointer: &str) -> Result<(), PointerError> {
        let value = Value::from(name);
        let mut errors = Errors::default();
        Node { pointer: pointer.to_owned(), value: &value }.line(1..=MAX_NAME_CHARS, &mut errors);
        errors.into_list().into_iter().next().map_or(Ok(()), Err)
    }
}

/// `None` as soon as a part is missing or wrong; by then all parts have been looked at and noted.
fn template(root: &Object<'_>, errors: &mut Errors) -> Option<Template> {
    let known = ["id", "name", "description", "version", "author", "metadata", "agents", "goals", "projects", "issues"];
    root.refuse_unknown(&known, errors);
    let id = root.required("id", errors).and_then(|n| n.parse("pattern", errors));
    let name = required_line(root, "name", errors);
    let description = description(root, errors);
    let version = root.required("version", errors).and_then(|n| n.parse("version", errors));
    let author = root.optional("author").and_then(|n| n.line(1..=MAX_NAME_CHARS, errors)).map(str::to_owned);
    let metadata = metadata(root, errors);
    let agents = list(root, "agents", MAX_AGENTS, errors, agent);
    let goals = list(root, "goals", MAX_GOALS, errors, goal);
    let projects = list(root, "projects", MAX_PROJECTS, errors, project);
    let issues = list(root, "issues", MAX_ISSUES, errors, issue);
    Some(Template {
        id: id?,
        name: name?,
        description,
        version: version?,
        author,
        metadata,
        agents: agents?,
        goals: goals?,
        projects: projects?,
        issues: issues?,
    })
}

fn agent(object: &Object<'_>, errors: &mut Errors) -> Option<Agent> {
    object.refuse_unknown(&["ref", "name", "role", "reportsTo", "budgetCents", "metadata"], errors);
    let local_ref = required_ref(object, errors);
    let name = required_line(object, "name", errors);
    let role = object.required("role", errors).and_then(|n| n.choice(errors));
    let reports_to = reference(object, "reportsTo", errors);
    let budget_cents = object.optional("budgetCents").and_then(|n| n.integer(0..=MAX_BUDGET_CENTS, errors));
    let metadata = metadata(object, errors);
    Some(Agent { local_ref: local_ref?, name: name?, role: role?, reports_to, budget_cents, metadata })
}

fn goal(object: &Object<'_>, errors: &mut Errors) -> Option<Goal> {
    object.refuse_unknown(&["ref", "title", "level", "parentRef", "ownerRef"], errors);
    let local_ref = required_ref(object, errors);
    let title = required_line(object, "title", errors);
    let level = object.required("level", errors).and_then(|n| n.choice(errors));
    let parent_ref = reference(object, "parentRef", errors);
    let owner_ref = reference(object, "ownerRef", errors);
    Some(Goal { local_ref: local_ref?, title: title?, level: level?, parent_ref, owner_ref })
}

fn project(object: &Object<'_>, errors: &mut Errors) -> Option<Project> {
    object.refuse_unknown(&["ref", "name", "description"], errors);
    let local_ref = required_ref(object, errors);
    let name = required_line(object, "name", errors);
    let description = description(object, errors);
    Some(Project { local_ref: local_ref?, name: name?, description })
}

fn issue(object: &Object<'_>, errors: &mut Errors) -> Option<Issue> {
    object.refuse_unknown(&["title", "status", "priority", "projectRef", "assigneeRef", "goalRef"], errors);
    let title = required_line(object, "title", errors);
    let status = object.required("status", errors).and_then(|n| n.choice(errors));
    let priority = object.required("priority", errors).and_then(|n| n.choice(errors));
    let project_ref = reference(object, "projectRef", errors);
    let assignee_ref = reference(object, "assigneeRef", errors);
    let goal_ref = reference(object, "goalRef", errors);
    Some(Issue { title: title?, status: status?, priority: priority?, project_ref, assignee_ref, goal_ref })
}

/// A required list of objects; `None` when it is absent or one of its elements is wrong.
fn list<T>(
    root: &Object<'_>,
    key: &str,
    max: usize,
    errors: &mut Errors,
    read: impl Fn(&Object<'_>, &mut Errors) -> Option<T>,
) -> Option<Vec<T>> {
    let elements = root.required(key, errors)?.array(max, errors)?;
    // Two passes: `collect` into an Option would stop at the first wrong element and leave the others' errors unseen.
    let read: Vec<_> = elements.iter().map(|n| n.object(errors).and_then(|object| read(&object, errors))).collect();
    read.into_iter().collect()
}

fn required_line(object: &Object<'_>, key: &str, errors: &mut Errors) -> Option<String> {
    object.required(key, errors)?.line(1..=MAX_NAME_CHARS, errors).map(str::to_owned)
}

fn description(object: &Object<'_>, errors: &mut Errors) -> Option<String> {
    object.optional("description")?.text(1..=MAX_DESCRIPTION_CHARS, errors).map(str::to_owned)
}

fn required_ref(object: &Object<'_>, errors: &mut Errors) -> Option<LocalRef> {
    object.required("ref", errors)?.parse("pattern", errors)
}

fn reference(object: &Object<'_>, key: &str, errors: &mut Errors) -> Option<LocalRef> {
    object.optional(key)?.parse("pattern", errors)
}

fn metadata(object: &Object<'_>, errors: &mut Errors) -> Option<Map<String, Value>> {
    object.optional("metadata")?.object(errors).map(|metadata| metadata.members.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::template::generate::templates;

    fn small() -> Value {
        json!({
            "id": "startup-in-a-box", "name": "Startup in a Box", "version": "1.0.0",
            "agents": [
                {"ref": "eng", "name": "Engineer", "role": "engineer", "reportsTo": "ceo", "budgetCents": 30000},
                {"ref": "ceo", "name": "Chief", "role": "ceo", "metadata": {"focus": ["hiring", 1.5]}}
            ],
            "goals": [{"ref": "north", "title": "Launch", "level": "company", "ownerRef": "ceo"}],
            "projects": [{"ref": "mvp", "name": "MVP", "description": "first\nversion"}],
            "issues": [{"title": "Set up CI", "status": "blocked", "priority": "high",
                        "projectRef": "mvp", "assigneeRef": "eng", "goalRef": "north"}]
        })
    }

    fn errors_of(document: &Value) -> Vec<(String, String)> {
        Template::parse(document).unwrap_err().into_iter().map(|e| (e.pointer, e.code)).collect()
    }

    fn expect(document: &Value, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(p, c)| ((*p).to_owned(), (*c).to_owned())).collect();
        assert_eq!(errors_of(document), expected);
    }

    #[test]
    fn a_template_is_read_and_written_unchanged() {
        let template = Template::parse(&small()).unwrap();
        assert_eq!(template.to_value().unwrap(), small());
        let order: Vec<_> = template.agents_in_order().unwrap().iter().map(|a| a.local_ref.as_str()).collect();
        assert_eq!(order, ["ceo", "eng"]);
    }

    #[test]
    fn all_errors_come_at_once_with_pointers() {
        let mut document = small();
        document["agents"][0]["role"] = json!("janitor");
        document["agents"][1]["budgetCents"] = json!(-1);
        document["agents"][1]["budget"] = json!(5);
        document["goals"][0]["level"] = json!(null);
        document["goals"][0]["ownerRef"] = json!("nobody");
        document["projects"][0]["ref"] = json!("has space");
        document["issues"][0]["title"] = json!("two\nlines");
        document["version"] = json!("1.0");
        document["extra"] = json!(true);
        document.as_object_mut().unwrap().remove("name");
        expect(
            &document,
            &[
                ("/extra", "unknown_key"),
                ("/name", "missing"),
                ("/version", "version"),
                ("/agents/0/role", "unknown_value"),
                ("/agents/1/budget", "unknown_key"),
                ("/agents/1/budgetCents", "range"),
                ("/goals/0/level", "type"),
                ("/projects/0/ref", "pattern"),
                ("/issues/0/title", "control_character"),
                ("/goals/0/ownerRef", "dangling_reference"),
                ("/issues/0/projectRef", "dangling_reference"),
            ],
        );
    }

    #[test]
    fn repeated_refs_and_cycles_are_found() {
        let mut document = small();
        document["agents"][1]["reportsTo"] = json!("eng");
        document["goals"] = json!([
            {"ref": "north", "title": "a", "level": "company", "parentRef": "north"},
            {"ref": "north", "title": "b", "level": "team"}
        ]);
        expect(
            &document,
            &[
                ("/goals/1/ref", "duplicate_reference"),
                ("/agents/0/reportsTo", "cycle"),
                ("/goals/0/parentRef", "cycle"),
            ],
        );
        let message = &Template::parse(&document).unwrap_err()[1].message;
        assert_eq!(message, "reportsTo goes in a circle: eng → ceo → eng");
    }

    #[test]
    fn counts_and_budgets_are_limited() {
        let mut document = small();
        document["agents"][0]["budgetCents"] = json!(MAX_BUDGET_CENTS + 1);
        document["agents"][1]["budgetCents"] = json!(1.5);
        document["issues"] = vec![small()["issues"][0].clone(); MAX_ISSUES + 1].into();
        expect(
            &document,
            &[("/agents/0/budgetCents", "range"), ("/agents/1/budgetCents", "type"), ("/issues", "too_many")],
        );
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        expect(&json!([]), &[("", "type")]);
        expect(
            &json!({"id": "abc", "name": "x", "version": "1.0.0", "agents": {}, "goals": [], "projects": [], "issues": [1]}),
            &[("/agents", "type"), ("/issues/0", "type")],
        );
    }

    proptest! {
        #[test]
        fn a_generated_template_survives_its_own_document(template in templates()) {
            let document = template.to_value().unwrap();
            prop_assert_eq!(Template::parse(&document).unwrap(), template.clone());
            // Through text too, and the same bytes every time.
            let text = serde_json::to_string(&template).unwrap();
            let again = Template::parse(&serde_json::from_str(&text).unwrap()).unwrap();
            prop_assert_eq!(serde_json::to_string(&again).unwrap(), text);
        }

        #[test]
        fn breaking_a_reference_is_always_found(template in templates(), pick in any::<prop::sample::Index>()) {
            prop_assume!(!template.issues.is_empty());
            let mut document = template.to_value().unwrap();
            let index = pick.index(template.issues.len());
            document["issues"][index]["assigneeRef"] = json!("nobody-of-that-name");
            let place = format!("/issues/{index}/assigneeRef");
            let errors = Template::parse(&document).unwrap_err();
            prop_assert!(errors.iter().any(|e| e.pointer == place && e.code == "dangling_reference"));
        }
    }
}
