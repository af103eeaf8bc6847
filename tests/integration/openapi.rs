//! The API's description: complete, readable, and the one that is checked in.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

fn description() -> Value {
    serde_json::to_value(registry_api::openapi()).unwrap()
}

fn operations(api: &Value) -> impl Iterator<Item = (String, &Value)> {
    api["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods = METHODS.iter().filter_map(|method| item.get(*method).map(|operation| (method, operation)));
        methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

/// `UPDATE_OPENAPI=1 cargo test -p store-tests openapi` writes the description that the code gives.
#[test]
#[expect(clippy::disallowed_methods, reason = "tests have no settings struct")]
fn the_description_is_the_one_that_is_checked_in() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/registry.json");
    let now = serde_json::to_string_pretty(&description()).unwrap() + "\n";
    if std::env::var("UPDATE_OPENAPI").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &now).unwrap();
    }
    let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = now.lines().zip(checked_in.lines()).find(|(now, then)| now != then);
    assert!(
        now == checked_in,
        "the API has changed, first at {differs:?}: look at the change, then run the tests with UPDATE_OPENAPI=1"
    );
}

#[test]
fn every_operation_says_what_it_does_and_how_it_fails() {
    let api = description();
    let mut ids = HashSet::new();
    let mut faults = Vec::new();
    for (name, operation) in operations(&api) {
        let mut fault = |what: &str| faults.push(format!("{name}: {what}"));
        if operation["summary"].as_str().is_none_or(str::is_empty) {
            fault("no summary");
        }
        if operation["tags"].as_array().is_none_or(Vec::is_empty) {
            fault("no tag");
        }
        match operation["operationId"].as_str() {
            None | Some("") => fault("no operation id"),
            Some(id) if !id.chars().all(|c| c.is_ascii_alphanumeric()) => {
                fault("an operation id that is not camelCase")
            }
            Some(id) if !ids.insert(id.to_owned()) => fault("an operation id that another operation has"),
            Some(_) => {}
        }
        let statuses: Vec<_> =
            operation["responses"].as_object().into_iter().flatten().map(|(status, _)| status).collect();
        if !statuses.iter().any(|status| status.starts_with('4')) {
            fault("no error answer");
        }
        if statuses.iter().all(|status| status.starts_with('4') || status.starts_with('5'))
            && !operation["summary"].as_str().unwrap_or_default().contains("refused")
        {
            fault("no answer that is not an error");
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(ids.len() > 40, "only {} operations were found", ids.len());
}

#[test]
fn nothing_is_referred_to_that_is_not_described() {
    let api = description();
    let mut missing = Vec::new();
    find_references(&api, &mut |reference| {
        let pointer = reference.trim_start_matches('#');
        if api.pointer(pointer).is_none() {
            missing.push(reference.to_owned());
        }
    });
    assert!(missing.is_empty(), "{missing:?}");
}

fn find_references(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(reference) if name == "$ref" => found(reference),
                    _ => find_references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| find_references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
