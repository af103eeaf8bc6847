//! What the documents promise stands in the code.

use std::collections::BTreeSet;
use std::path::Path;

use registry_api::problem::ProblemCode;
use registry_types::event::EventType;
use registry_types::rejection_code::RejectionCode;
use registry_types::webhook::DeliveryError;
use serde_json::{Map, Value};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(project().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_code_is_documented_with_cause_and_cure() {
    let document = read("docs/errors.md");
    for code in ProblemCode::ALL {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{code}` | {} |", code.status().as_u16())));
        let row = row.unwrap_or_else(|| panic!("{code} with status {} is not documented", code.status()));
        assert_eq!(row.matches(" | ").count(), 3, "{row}");
    }
    for code in RejectionCode::ALL {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{code}` | ")));
        let row = row.unwrap_or_else(|| panic!("{code} is not documented"));
        assert_eq!(row.matches(" | ").count(), 2, "{row}");
    }
}

#[test]
fn every_documented_code_exists() {
    let document = read("docs/errors.md");
    let documented =
        document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(code, _)| code);
    for code in documented {
        let known = code.parse::<ProblemCode>().is_ok() || code.parse::<RejectionCode>().is_ok();
        assert!(known, "{code} is documented, but no such code exists");
    }
}

/// The row of each type, the form of its subject, and its example with exactly the fields that go out.
#[test]
fn every_event_is_documented_with_an_example() {
    let document = read("docs/events.md");
    let rows: Vec<&str> =
        document.lines().skip_while(|line| *line != "## Types").filter(|l| l.starts_with("| `")).collect();
    assert_eq!(rows.len(), EventType::ALL.len());
    for (row, kind) in rows.iter().zip(EventType::ALL) {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [name, subject, when, example] = cells[..] else { panic!("{row}") };
        assert_eq!(name, format!("`{kind}`"));
        assert!(subject.ends_with(":<id>`") && !when.is_empty(), "{row}");
        let example: Map<String, Value> = serde_json::from_str(example.trim_matches('`')).unwrap();
        assert_eq!(
            example.keys().map(String::as_str).collect::<BTreeSet<_>>(),
            kind.fields().iter().copied().collect()
        );
    }
    for error in DeliveryError::ALL {
        assert!(document.lines().any(|line| line.starts_with(&format!("| `{error}` | "))), "{error}");
    }
    for (name, _) in document.match_indices("company-store.").map(|(at, _)| document[at..].split_once('`').unwrap()) {
        let name = name.split('"').next().unwrap();
        let known = EventType::ALL.iter().any(|kind| kind.full_name() == name);
        assert!(known || name == "company-store.<type>.v1", "{name}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/onboarding.md",
        "docs/publishing.md",
        "docs/operating.md",
        "docs/errors.md",
        "docs/reviewing.md",
        "docs/cli.md",
        "docs/events.md",
    ] {
        let folder = project().join(name);
        let text = read(name);
        for (_, rest) in text.match_indices("](").map(|(at, _)| text.split_at(at + 2)) {
            let target = rest.split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(folder.parent().unwrap().join(target).exists(), "{name} links to {target}");
            }
        }
    }
}

#[test]
fn the_architecture_stays_on_one_page() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(lines <= 150, "{lines} lines");
}
