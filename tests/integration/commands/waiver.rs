//! `company-store waiver`: its verbs, as programs and as people use them. (`import` is with the documents that it imports.)

use serde_json::{Value, json};
use store_tests::advised::{Scene, coverage_and, jinja, jinja_escape};
use store_tests::store::{Store, text};

use super::Program;

const STATEMENT: &str = "no template comes from outside";

fn ask<'a>(advisory: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let asked = ["waiver", "ask", advisory, "pkg:pypi/jinja2", "--reason", "fix_planned", "--statement", STATEMENT];
    [&asked, more].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiver_is_asked_for_decided_taken_back_and_exported_by_command() {
    let scene = Scene::set(&coverage_and(&[jinja_escape()])).await;
    let developer = Program::of(&scene.store, "developer@acme.example.org").await;
    let admin = Program::of(&scene.store, "admin@acme.example.org").await;
    developer.shown(&["waiver", "list"]).await.assert_says(&["ID", "ADVISORY", "EXPIRES"]);

    let narrow = ["--from", "2.0", "--before", "3.2", "--package", "ranker", "--versions", "^1.0", "--days", "7"];
    let asked = developer.done(&ask("GHSA-test-escape", &narrow)).await;
    let id = text(&asked["id"]);
    let component = &asked["component"];
    assert_eq!((&component["from"], &component["before"]), (&json!("2.0"), &json!("3.2")));
    assert_eq!(
        (&asked["package"], &asked["versions"], &asked["state"]),
        (&json!("ranker"), &json!("^1.0"), &json!("asked"))
    );
    developer.shown(&["waiver", "show", &id]).await.assert_says(&[
        "GHSA-test-escape  asked",
        STATEMENT,
        "pkg:pypi/jinja2",
        "developer@acme.example.org",
    ]);
    for (filter, is_there) in [
        (["--state", "asked"], true),
        (["--package", "ranker"], true),
        (["--advisory", "GHSA-test-escape"], true),
        (["--state", "refused"], false),
        (["--advisory", "CVE-2026-2"], false),
    ] {
        let listed = developer.done(&[&["waiver", "list"], &filter[..]].concat()).await;
        assert_eq!(!listed["items"].as_array().unwrap().is_empty(), is_there, "{filter:?}");
    }
    developer.shown(&["waiver", "list"]).await.assert_says(&[&id, "GHSA-test-escape", "^1.0", "asked"]);

    // Another person decides, who may.
    developer.shown(&["waiver", "approve", &id]).await.assert_refused(4, "FORBIDDEN");
    let own = text(&admin.done(&ask("CVE-2026-2", &["--version", "3.1"])).await["id"]);
    admin.shown(&["waiver", "approve", &own]).await.assert_refused(4, "ANOTHER_PERSON_REQUIRED");
    let approved = admin.done(&["waiver", "approve", &id, "--note", "until the next release"]).await;
    assert_eq!((&approved["state"], &approved["note"]), (&json!("approved"), &json!("until the next release")));
    admin.shown(&["waiver", "approve", &id]).await.assert_refused(1, "WAIVER_NOT_OPEN");

    // What is in force goes out as OpenVEX, for the versions that it is about, the same to people and programs.
    scene.publish_active("ranker", jinja()).await;
    let document = developer.done(&["waiver", "export"]).await;
    let statements = document["statements"].as_array().unwrap();
    assert_eq!(
        (statements.len(), &statements[0]["vulnerability"]["name"]),
        (1, &json!("GHSA-test-escape")),
        "{document:#}"
    );
    let printed = developer.shown(&["waiver", "export"]).await;
    assert_eq!(serde_json::from_str::<Value>(&printed.text).unwrap()["statements"], document["statements"]);

    assert_eq!(developer.done(&["waiver", "withdraw", &id]).await["state"], "withdrawn");
    assert_eq!(developer.done(&["waiver", "export"]).await["statements"], json!([]));
    let third = text(&developer.done(&ask("CVE-2026-3", &[])).await["id"]);
    let refuse = ["waiver", "refuse", &third, "--note", "mend it instead"];
    admin.shown(&refuse).await.assert_says(&["CVE-2026-3  refused", "admin@acme.example.org", "mend it instead"]);
    developer.shown(&["waiver", "withdraw", &third]).await.assert_refused(1, "WAIVER_NOT_OPEN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiver_that_cannot_be_is_refused_with_the_exit_status_that_says_so() {
    let store = Store::start_without_worker().await;
    store.organization("acme").await;
    let developer = Program::of(&store, "developer@acme.example.org").await;
    developer.shown(&ask("CVE-2026-1", &["--version", "1", "--before", "2"])).await.assert_refused(2, "--before");
    developer.shown(&["waiver", "ask", "CVE-2026-1", "pkg:pypi/jinja2"]).await.assert_refused(2, "--reason");
    developer.shown(&ask("CVE-2026-1", &["--days", "31"])).await.assert_refused(1, "WAIVER_INVALID");
    developer.shown(&ask("CVE-2026-1", &["--versions", "newer"])).await.assert_refused(1, "WAIVER_INVALID");
    let nothing = uuid::Uuid::nil().to_string();
    for verb in ["show", "withdraw"] {
        developer.shown(&["waiver", verb, &nothing]).await.assert_refused(1, "NOT_FOUND");
    }
    Program::new(&store).shown(&["--org", "acme", "waiver", "list"]).await.assert_refused(4, "not logged in");
    assert_eq!(developer.done(&["waiver", "list"]).await["items"], json!([]));
}
