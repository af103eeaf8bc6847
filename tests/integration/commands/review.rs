//! `company-store review`: all its verbs, as programs and as people use them.

use serde_json::{Value, json};
use store_tests::advised::{Scene, coverage};
use store_tests::image::Image;
use store_tests::store::{module_manifest, text};
use store_tests::wait;

use super::Program;

/// Publishes `acme/ranker`, which asks for more than the version before, and waits for a person.
async fn publish(scene: &Scene, version: &str, host: &str) {
    let mut manifest = module_manifest("ranker", version);
    manifest["permissions"] = json!({"network": [host]});
    let image = Image::new().debian_12().layer().hla_module(&manifest);
    let pushed = image.push(&scene.registry.address, "acme/ranker", version).await;
    assert_eq!(scene.acme.intake(&manifest, &pushed.reference).await["outcome"], "in_review");
}

async fn settled(scene: &Scene, id: &str) -> Value {
    wait::until("the decision to be written", async || {
        let review = scene.store.root.get(&format!("/v1/reviews/{id}")).await.expect(200);
        (!review["settled_at"].is_null()).then_some(review)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reviewer_lists_shows_claims_approves_and_rejects_by_command() {
    let scene = Scene::set(&coverage()).await;
    scene.trust("community").await;
    let reviewer = Program::of(&scene.store, "root@example.org").await;
    let developer = Program::of(&scene.store, "developer@acme.example.org").await;
    reviewer.shown(&["review", "list"]).await.assert_says(&["ID", "PACKAGE", "GROWS"]);
    publish(&scene, "1.0.0", "api.example.org").await;

    // What waits, and why.
    let listed = reviewer.done(&["review", "list", "--tier", "community", "--package", "acme/ranker"]).await;
    let (id, verdict) = (text(&listed["items"][0]["id"]), text(&listed["items"][0]["verdict"]));
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    for other in [&["--tier", "internal"][..], &["--state", "approved"], &["--mine"]] {
        let none = reviewer.done(&[&["review", "list"], other].concat()).await;
        assert_eq!(none["items"], json!([]), "{other:?}");
    }
    reviewer.shown(&["review", "list"]).await.assert_says(&[&id, "acme/ranker", "1.0.0", "community", "open"]);
    assert_eq!(developer.done(&["review", "show", &id]).await["id"], json!(id), "its publisher looks");
    let shown = reviewer.shown(&["review", "show", &id]).await;
    shown.assert_says(&["acme/ranker 1.0.0  open", &verdict, "asked because", "+ network api.example.org"]);

    assert_eq!(reviewer.done(&["review", "claim", &id]).await["claimed_by"]["email"], "root@example.org");
    assert_eq!(reviewer.done(&["review", "list", "--mine"]).await["items"][0]["id"], json!(id));
    reviewer.shown(&["review", "claim", &id]).await.assert_says(&["claimed", "root@example.org"]);

    // Who may not, what is not there, what has another verdict, what lacks a reason, what is not understood.
    let approve = ["review", "approve", &id, "--verdict", &verdict];
    developer.shown(&approve).await.assert_refused(4, "FORBIDDEN");
    Program::new(&scene.store).shown(&approve).await.assert_refused(4, "not logged in");
    let nothing = uuid::Uuid::nil().to_string();
    reviewer.shown(&["review", "show", &nothing]).await.assert_refused(1, "NOT_FOUND");
    reviewer.shown(&["review", "approve", &id, "--verdict", &nothing]).await.assert_refused(1, "REVIEW_OUTDATED");
    reviewer.shown(&["review", "reject", &id, "--verdict", &verdict]).await.assert_refused(1, "reason");
    reviewer.shown(&["review", "approve", &id]).await.assert_refused(2, "--verdict");
    let refused = reviewer.run(&["review", "show", &nothing]).await;
    let refused: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(refused["exit"], 1, "programs read the refusal as JSON: {refused}");

    assert_eq!(reviewer.done(&approve).await["state"], "approved");
    settled(&scene, &id).await;
    assert_eq!(scene.state("ranker").await, "active");
    reviewer.shown(&approve).await.assert_refused(1, "REVIEW_NOT_OPEN");

    publish(&scene, "1.1.0", "more.example.org").await;
    let next = reviewer.done(&["review", "list"]).await["items"][0].clone();
    let (id, verdict) = (text(&next["id"]), text(&next["verdict"]));
    let reject = ["review", "reject", &id, "--verdict", &verdict, "--reason", "asks for more than it needs"];
    reviewer.shown(&reject).await.assert_says(&["acme/ranker 1.1.0  rejected", "asks for more than it needs"]);
    assert_eq!(settled(&scene, &id).await["state"], "rejected");
    let rejected = reviewer.done(&["review", "list", "--state", "rejected"]).await;
    assert_eq!(rejected["items"][0]["id"], json!(id));
}
