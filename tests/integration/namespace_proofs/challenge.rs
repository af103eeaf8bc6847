//! The challenge: asked for, pushed, found, looked for again.

use chrono::TimeDelta;
use serde_json::{Value, json};
use store_tests::clock;
use store_tests::store::text;
use store_tests::told;

use super::scene::{Scene, looked};
use crate::commands::Program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_challenge_proves_the_namespace_and_stands_in_its_history() {
    let scene = Scene::new().await;
    for pattern in ["acme/*", "exact/app"] {
        let claim = scene.claim(&scene.acme, pattern).await;
        assert!(claim.look(&scene.store).await["last_result"].as_str().unwrap().contains("IMAGE_NOT_FOUND"));
        assert_eq!(claim.state().await, "pending");
        scene.push(&claim.challenge, &claim.nonce()).await;
        let found = claim.look(&scene.store).await;
        assert!(found["proven_at"].is_string(), "{found}");
        assert_eq!(claim.state().await, "verified");
        let history = claim.history().await;
        assert_eq!(
            (history.len(), &history[0]["how"], &history[0]["actor"]),
            (1, &json!("challenge"), &json!("worker"))
        );
        assert!(text(&history[0]["evidence"]).starts_with("sha256:"));
    }
    told::assert_all_is_told(&scene.store.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_another_s_nonce_nor_an_earlier_one_nor_none_proves_anything() {
    let scene = Scene::new().await;
    let other = scene.store.organization("other").await;
    let (claim, others) = (scene.claim(&scene.acme, "acme/*").await, scene.claim(&other, "acme/*").await);
    for nonce in [others.nonce(), "guessed".to_owned(), String::new()] {
        scene.push(&claim.challenge, &nonce).await;
        assert_eq!(claim.look(&scene.store).await["proven_at"], Value::Null);
    }
    // An earlier one of its own.
    let earlier = claim.nonce();
    let again = scene.acme.admin.post(&format!("{}/challenge", claim.path), json!({})).await.expect(201);
    scene.push(&again, &earlier).await;
    assert_eq!(claim.look(&scene.store).await["proven_at"], Value::Null);
    assert_eq!(claim.state().await, "pending");
    scene.push(&again, &text(&again["nonce"])).await;
    claim.look(&scene.store).await;
    assert_eq!(claim.state().await, "verified");
    // The right to ask is an administrator's, in the own organization.
    scene.acme.developer.post(&format!("{}/challenge", claim.path), json!({})).await.expect_problem(403, "FORBIDDEN");
    other.admin.get(&format!("{}/challenge", claim.path)).await.expect_problem(404, "NOT_FOUND");
    told::assert_all_is_told(&scene.store.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_organizations_that_prove_overlapping_namespaces_at_the_same_time_one_wins() {
    let scene = Scene::new().await;
    let other = scene.store.organization("other").await;
    let (wide, narrow) = (scene.claim(&scene.acme, "shared/*").await, scene.claim(&other, "shared/team/*").await);
    scene.push(&wide.challenge, &wide.nonce()).await;
    scene.push(&narrow.challenge, &narrow.nonce()).await;
    tokio::join!(wide.look(&scene.store), narrow.look(&scene.store));
    looked(&scene.store).await;
    let mut states = [wide.state().await, narrow.state().await];
    states.sort();
    assert_eq!(states, ["pending", "verified"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_misses_stop_publishing_an_outage_is_none_and_the_next_success_lifts_it() {
    let scene = Scene::new().await;
    let claim = scene.claim(&scene.acme, "acme/*").await;
    scene.push(&claim.challenge, &claim.nonce()).await;
    claim.look(&scene.store).await;
    scene.dry_run(&scene.acme).await.expect(200);

    scene.registry.answer_all_with(Some(503));
    for _ in 0..4 {
        assert_eq!(claim.look(&scene.store).await["misses"], 0, "an outage counted");
    }
    scene.registry.answer_all_with(None);
    scene.push(&claim.challenge, "somebody else's").await;
    for misses in 1..=3 {
        scene.dry_run(&scene.acme).await.expect(200);
        // By itself, when its time has come: housekeeping plans it.
        assert_eq!(claim.look(&scene.store).await["misses"], misses);
    }
    assert_eq!(claim.state().await, "suspended");
    scene.dry_run(&scene.acme).await.expect_problem(403, "REGISTRY_PROOF_LOST");
    let history = claim.history().await;
    assert_eq!((&history[0]["state"], &history[0]["how"]), (&json!("suspended"), &json!("proof_lost")));

    scene.push(&claim.challenge, &claim.nonce()).await;
    claim.look(&scene.store).await;
    assert_eq!(claim.state().await, "verified");
    scene.dry_run(&scene.acme).await.expect(200);
    assert_eq!(claim.history().await.len(), 3);

    // What a superuser suspends no proof lifts.
    scene.store.root.post(&format!("{}/suspend", claim.path), json!({})).await.expect(200);
    let prove = scene.acme.admin.post(&format!("{}/prove", claim.path), json!({})).await;
    prove.expect_problem(409, "CONFLICT");
    assert_eq!(claim.state().await, "suspended");
    scene.dry_run(&scene.acme).await.expect_problem(403, "REGISTRY_UNAUTHORIZED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_is_looked_for_again_when_its_time_has_come() {
    let scene = Scene::new().await;
    let claim = scene.claim(&scene.acme, "acme/*").await;
    scene.push(&claim.challenge, &claim.nonce()).await;
    claim.look(&scene.store).await;
    let pool = registry_db::Pool::new(scene.store.database.url().clone(), 1).unwrap();
    // The worker's housekeeping may plan at the same moment, which gives no second look.
    let plan = async || {
        let request = async |conn: &mut _| registry_db::namespace_proofs::request_due(conn).await;
        registry_db::transaction(&mut pool.get().await.unwrap(), request).await.unwrap();
    };
    scene.push(&claim.challenge, "another").await;
    plan().await;
    looked(&scene.store).await;
    assert_eq!(claim.read().await["misses"], 0, "looked for before its time");
    let later = clock::now(&scene.store.database).await + TimeDelta::days(7);
    clock::set(&scene.store.database, later).await;
    for _ in 0..2 {
        plan().await;
        looked(&scene.store).await;
    }
    assert_eq!(claim.read().await["misses"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_decided_stands_in_the_history_too_and_the_commands_show_it() {
    let scene = Scene::new().await;
    let claim = scene.claim(&scene.acme, "acme/*").await;
    scene.store.root.post(&format!("{}/approve", claim.path), json!({})).await.expect(200);
    let history = claim.history().await;
    assert_eq!((&history[0]["state"], &history[0]["how"]), (&json!("verified"), &json!("person")));
    let admin = Program::of(&scene.store, "admin@acme.example.org").await;
    let id = claim.path.rsplit('/').next().unwrap();
    assert_eq!(admin.done(&["registry", "history", id]).await["items"], json!(history));
    // The command stays until the worker has looked, and tells by its exit status.
    let challenge = admin.done(&["registry", "challenge", id]).await;
    let missing = admin.run(&["registry", "prove", id]).await;
    assert_eq!(missing.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&missing.stdout).unwrap();
    assert!(text(&told["last_result"]).contains("IMAGE_NOT_FOUND"), "{told}");
    scene.push(&challenge, &text(&challenge["nonce"])).await;
    assert!(admin.done(&["registry", "prove", id]).await["proven_at"].is_string());
}
