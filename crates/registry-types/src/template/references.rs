//! References between the parts of a template: unique, resolved, without cycles.
//!
//! Works on the document itself and not on its parsed form, so that an error elsewhere in an agent doesn't make every
//! reference to that agent look dangling.

use std::collections::HashMap;

use serde_json::Value;

use super::topological_order;
use crate::document::{Errors, Object};

/// One list of things that have a `ref`.
struct Named<'a> {
    list: &'a str,
    elements: &'a [Value],
    positions: HashMap<&'a str, usize>,
}

/// Notes repeated refs, references to nothing, and cycles in `reportsTo` and `parentRef`.
pub(super) fn check(root: &Object<'_>, errors: &mut Errors) {
    let agents = Named::read(root, "agents", errors);
    let goals = Named::read(root, "goals", errors);
    let projects = Named::read(root, "projects", errors);
    agents.refer(&agents, "reportsTo", errors);
    goals.refer(&goals, "parentRef", errors);
    goals.refer(&agents, "ownerRef", errors);
    let issues = Named { list: "issues", elements: elements(root, "issues"), positions: HashMap::new() };
    issues.refer(&projects, "projectRef", errors);
    issues.refer(&agents, "assigneeRef", errors);
    issues.refer(&goals, "goalRef", errors);
    agents.refuse_cycles("reportsTo", errors);
    goals.refuse_cycles("parentRef", errors);
}

fn elements<'a>(root: &Object<'a>, list: &str) -> &'a [Value] {
    root.members.get(list).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

impl<'a> Named<'a> {
    fn read(root: &Object<'a>, list: &'a str, errors: &mut Errors) -> Self {
        let elements = elements(root, list);
        let mut positions = HashMap::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let Some(name) = element.get("ref").and_then(Value::as_str) else { continue };
            if let Some(first) = positions.get(name) {
                let message = format!("{name:?} is already the ref of /{list}/{first}");
                errors.push(format!("/{list}/{index}/ref"), "duplicate_reference", message);
            } else {
                positions.insert(name, index);
            }
        }
        Self { list, elements, positions }
    }

    /// The position in `target` that element `index` refers to by `member`; `Err` holds the text that refers to nothing.
    fn target(&self, target: &Named<'_>, index: usize, member: &str) -> Result<Option<usize>, &'a str> {
        match self.elements[index].get(member).and_then(Value::as_str) {
            None => Ok(None),
            Some(name) => target.positions.get(name).copied().map(Some).ok_or(name),
        }
    }

    fn refer(&self, target: &Named<'_>, member: &str, errors: &mut Errors) {
        for index in 0..self.elements.len() {
            if let Err(name) = self.target(target, index, member) {
                let message = format!("{name:?} is not the ref of any of the {}", target.list);
                errors.push(format!("/{}/{index}/{member}", self.list), "dangling_reference", message);
            }
        }
    }

    fn refuse_cycles(&self, member: &str, errors: &mut Errors) {
        let parent = |index| self.target(self, index, member).ok().flatten();
        let parents: Vec<_> = (0..self.elements.len()).map(parent).collect();
        for cycle in topological_order(&parents).err().into_iter().flatten() {
            let name = |index: &usize| self.elements[*index].get("ref").and_then(Value::as_str).unwrap_or_default();
            let chain: Vec<_> = cycle.0.iter().chain(cycle.0.first()).map(name).collect();
            let place = cycle.0.iter().min().copied().unwrap_or_default();
            let message = format!("{member} goes in a circle: {}", chain.join(" → "));
            errors.push(format!("/{}/{place}/{member}", self.list), "cycle", message);
        }
    }
}
