//! What people decide about a claim.

use serde_json::json;
use store_tests::store::text;
use store_tests::told;

use super::scene::Scene;
use crate::commands::Program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superuser_refuses_a_claim_with_a_reason_and_it_can_be_asked_for_anew() {
    let scene = Scene::new().await;
    let (claim, root) = (scene.claim(&scene.acme, "acme/*").await, &scene.store.root);
    let refuse = format!("{}/refuse", claim.path);
    for reason in ["", "  ", &"x".repeat(1001)] {
        root.post(&refuse, json!({"reason": reason})).await.expect_problem(400, "BAD_REQUEST");
    }
    scene.acme.admin.post(&refuse, json!({"reason": "mine"})).await.expect_problem(403, "FORBIDDEN");
    let refused = root.post(&refuse, json!({"reason": "acme is somebody else"})).await.expect(200);
    assert_eq!((&refused["state"], &refused["refusal"]), (&json!("refused"), &json!("acme is somebody else")));
    assert_eq!(claim.state().await, "refused");
    scene.dry_run(&scene.acme).await.expect_problem(403, "REGISTRY_UNAUTHORIZED");

    // Nothing proves or tests it, and it is refused once.
    scene.push(&claim.challenge, &claim.nonce()).await;
    for action in ["prove", "test"] {
        scene.acme.admin.post(&format!("{}/{action}", claim.path), json!({})).await.expect_problem(409, "CONFLICT");
    }
    root.post(&refuse, json!({"reason": "again"})).await.expect_problem(409, "CONFLICT");
    let history = claim.history().await;
    assert_eq!((&history[0]["state"], &history[0]["how"]), (&json!("refused"), &json!("person")));
    assert_eq!(history[0]["reason"], "acme is somebody else");
    let entry = &scene.acme.admin.get("/v1/audit?org=acme&action=registry.refused").await.expect(200)["items"][0];
    assert_eq!(entry["details"]["reason"], "acme is somebody else");

    let reopen = format!("{}/reopen", claim.path);
    scene.acme.developer.post(&reopen, json!({})).await.expect_problem(403, "FORBIDDEN");
    let reopened = scene.acme.admin.post(&reopen, json!({})).await.expect(200);
    assert_eq!((&reopened["state"], &reopened["refusal"]), (&json!("pending"), &json!(null)));
    scene.acme.admin.post(&reopen, json!({})).await.expect_problem(409, "CONFLICT");
    claim.look(&scene.store).await;
    assert_eq!(claim.state().await, "verified");
    root.post(&refuse, json!({"reason": "too late"})).await.expect_problem(409, "CONFLICT");
    let states: Vec<_> = claim.history().await.iter().map(|holding| text(&holding["state"])).collect();
    assert_eq!(states, ["verified", "pending", "refused"]);
    told::assert_all_is_told(&scene.store.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superuser_may_approve_what_was_refused_and_a_suspension_after_it_is_no_refusal() {
    let scene = Scene::new().await;
    let (claim, root) = (scene.claim(&scene.acme, "acme/*").await, &scene.store.root);
    root.post(&format!("{}/refuse", claim.path), json!({"reason": "a mistake"})).await.expect(200);
    root.post(&format!("{}/approve", claim.path), json!({})).await.expect(200);
    let suspended = root.post(&format!("{}/suspend", claim.path), json!({})).await.expect(200);
    assert_eq!((&suspended["state"], &suspended["refusal"]), (&json!("suspended"), &json!(null)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_refuse_and_reopen() {
    let scene = Scene::new().await;
    let claim = scene.claim(&scene.acme, "acme/*").await;
    let id = claim.path.rsplit('/').next().unwrap();
    let (root, admin) = (
        Program::of(&scene.store, "root@example.org").await,
        Program::of(&scene.store, "admin@acme.example.org").await,
    );
    let refused = root.done(&["registry", "refuse", id, "--reason", "whose is it?", "--org", "acme"]).await;
    assert_eq!(refused["refusal"], "whose is it?");
    assert!(admin.refused(&["registry", "refuse", id, "--reason", "mine"]).await.contains("FORBIDDEN"));
    assert_eq!(admin.done(&["registry", "history", id]).await["items"][0]["reason"], "whose is it?");
    assert_eq!(admin.done(&["registry", "reopen", id]).await["state"], "pending");
    told::assert_all_is_told(&scene.store.database).await;
}
