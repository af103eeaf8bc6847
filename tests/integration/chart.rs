//! The chart can set whatever the programs can be told. (That Kubernetes takes what it renders, `tests/interop/chart` shows.)

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use intake_worker::WorkerSettings;
use registry_api::ApiSettings;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Nothing that production would take: the chart knows no other profile.
const DEVELOPMENT_ONLY: [&str; 2] = ["sources.plain_http_hosts", "webhooks.plain_http_hosts"];

fn chart(file: &str) -> String {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/company-store");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// The names of all settings of a program, `a.b` for those inside others, as the program itself knows them: of a name that it
/// does not know it says which it expects.
fn settings<S: DeserializeOwned>() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut unseen = vec![Vec::new()];
    while let Some(path) = unseen.pop() {
        match fields::<S>(&path) {
            Some(fields) => unseen.extend(fields.into_iter().map(|field| [path.clone(), vec![field]].concat())),
            None => {
                found.insert(path.join("."));
            }
        }
    }
    found
}

/// The fields of the settings at this place; `None` where a value stands.
fn fields<S: DeserializeOwned>(path: &[String]) -> Option<Vec<String>> {
    const UNKNOWN: &str = "zebra";
    // Either a file on the one machine of `up`, or these, of which it does not tell.
    if path == ["key_ring"] {
        return Some(vec!["current".to_owned(), "keys".to_owned()]);
    }
    let is_objects = path == ["objects"];
    let mut probe = if is_objects { json!({"kind": "s3", UNKNOWN: 1}) } else { json!({UNKNOWN: 1}) };
    for name in path.iter().rev() {
        probe = json!({ name: probe });
    }
    let error = serde_json::from_value::<S>(probe).err()?.to_string();
    let expected = error.strip_prefix(&format!("unknown field `{UNKNOWN}`, expected "))?;
    // Every other piece stands between backticks.
    let mut fields: Vec<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    fields.extend(is_objects.then(|| "kind".to_owned()));
    Some(fields)
}

/// What a template sets by a value of its own: `PREFIX_A__B` is `a.b`.
fn set_by_templates(program: &str, template: &str) -> BTreeSet<String> {
    let shared = chart("templates/_names.tpl").replace("{{ $prefix }}", program);
    let both = shared + &chart(template);
    let names = both.lines().filter_map(|line| line.trim().strip_prefix("- name: "));
    let own = names.filter_map(|name| match name {
        "DATABASE_URL" => Some(name),
        _ => name.strip_prefix(program)?.strip_prefix('_'),
    });
    // What is left of a name that is put together: the settings by their own names.
    own.filter(|name| !name.contains('{')).map(|name| name.to_lowercase().replace("__", ".")).collect()
}

/// What stands under `settings` in the schema of the values.
fn set_by_name(service: &str) -> BTreeSet<String> {
    fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        assert_eq!(schema["additionalProperties"], json!(false), "{path} takes anything");
        for (name, property) in schema["properties"].as_object().unwrap() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if property["type"] == "object" {
                leaves(property, &path, found);
            } else {
                found.insert(path);
            }
        }
    }
    let schema: Value = serde_json::from_str(&chart("values.schema.json")).unwrap();
    let mut found = BTreeSet::new();
    leaves(&schema["properties"][service]["properties"]["settings"], "", &mut found);
    found
}

fn assert_all_can_be_set<S: DeserializeOwned>(program: &str, template: &str, service: &str) {
    let (by_templates, by_name) = (set_by_templates(program, template), set_by_name(service));
    let twice: Vec<_> = by_templates.intersection(&by_name).collect();
    assert!(twice.is_empty(), "{service}: which of both values would count? {twice:?}");
    let mut known = settings::<S>();
    for development in DEVELOPMENT_ONLY {
        known.remove(development);
    }
    let settable: BTreeSet<String> = by_templates.union(&by_name).cloned().collect();
    assert_eq!(settable, known, "{service}");
}

#[test]
fn every_setting_of_both_programs_can_be_set_by_the_chart() {
    assert!(
        settings::<ApiSettings>().is_superset(&["lifetimes.access_seconds", "objects.bucket"].map(Into::into).into())
    );
    assert_all_can_be_set::<ApiSettings>("REGISTRY_API", "templates/api.yaml", "api");
    assert_all_can_be_set::<WorkerSettings>("INTAKE_WORKER", "templates/worker.yaml", "worker");
}
