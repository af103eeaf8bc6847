//! Who may do what, for every operation of the API's description: the table that the program goes by
//! (`registry_api::rights::Operation`), tried out by everybody. And that what is private cannot be inferred.

mod canary;
mod matrix;
mod things;

use registry_api::rights::{Access, Operation, Rule};
use reqwest::Method;
use serde_json::Value;
use store_tests::store::text;

/// An operation as it is described.
#[derive(Debug, Clone)]
struct Described {
    operation: Operation,
    method: Method,
    /// With its parameters in braces.
    path: String,
    has_security: bool,
}

impl Described {
    const fn rule(&self) -> Rule {
        self.operation.rule()
    }
}

/// All of them.
fn described() -> Vec<Described> {
    let api = serde_json::to_value(registry_api::openapi()).unwrap();
    let paths = api["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let item: &serde_json::Map<String, Value> = item.as_object().unwrap();
        item.iter().filter(|(_, operation)| operation["responses"].is_object()).map(move |(method, operation)| {
            let id = text(&operation["operationId"]);
            Described {
                operation: Operation::named(&id).unwrap_or_else(|| panic!("{id} has no rule")),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                has_security: operation["security"].as_array().is_some_and(|security| !security.is_empty()),
            }
        })
    });
    operations.collect()
}

#[test]
fn the_table_and_the_description_are_about_the_same_operations() {
    let described = described();
    assert_eq!(described.len(), Operation::ALL.len());
    for one in &described {
        let is_public = one.rule().access == Access::Public;
        assert_eq!(is_public, !one.has_security, "{one:?}: they disagree about who may call it");
    }
}
