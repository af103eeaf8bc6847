//! A proof that is kept: by foreign tools, while versions are active, and in a long history.

use std::process::Command;

use serde_json::{Value, json};
use store_tests::image::Image;
use store_tests::object_server::interop_tool;
use store_tests::store::{Store, module_manifest, text};
use store_tests::told;

use super::scene::Scene;
use crate::commands::Program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_proof_changes_nothing_active() {
    let scene = Scene::new().await;
    let claim = scene.claim(&scene.acme, "acme/*").await;
    scene.push(&claim.challenge, &claim.nonce()).await;
    claim.look(&scene.store).await;
    let manifest = module_manifest("app", "1.0.0");
    let image = Image::of_module(&manifest).push(&scene.registry.address, "acme/app", "1.0.0").await.reference;
    assert_eq!(scene.acme.intake(&manifest, &image).await["outcome"], "active");
    let anybody = scene.store.root.logged_out();
    let seen = async || {
        let version = anybody.get("/v1/packages/acme/app/versions/1.0.0").await.expect(200);
        let listed = anybody.get("/v1/packages?q=app").await.expect(200);
        let pulled = anybody.get("/v2/acme/app/manifests/1.0.0").await;
        assert_eq!(pulled.status, 200);
        let layer = text(&pulled.json()["layers"][0]["digest"]);
        assert_eq!(anybody.get(&format!("/v2/acme/app/blobs/{layer}")).await.status, 200);
        (version, listed["items"].clone(), pulled.body)
    };
    let before = seen().await;
    assert_eq!((&before.0["state"], before.1.as_array().unwrap().len()), (&json!("active"), 1));

    scene.push(&claim.challenge, "somebody else's").await;
    for _ in 0..3 {
        claim.look(&scene.store).await;
    }
    assert_eq!(claim.state().await, "suspended");
    let next = module_manifest("app", "1.1.0");
    scene.acme.publish(&next, &image).await.expect_problem(403, "REGISTRY_PROOF_LOST");
    assert_eq!(seen().await, before);
    told::assert_all_is_told(&scene.store.database).await;
}

/// Postgres counts the uses of each index by the very queries that run.
#[tokio::test]
async fn a_long_history_comes_in_pages_along_its_index() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let mut ids = Vec::new();
    for path in ["one", "two"] {
        let pattern = json!({"pattern": format!("ghcr.io/{path}/*")});
        ids.push(text(&acme.admin.post("/v1/orgs/acme/registries", pattern).await.expect(201)["id"]));
    }
    let sql = store.database.connect().await;
    let fill = "INSERT INTO namespace_history (namespace_id, organization_id, pattern, state, how, actor)
        SELECT CASE WHEN n % 40 = 0 THEN $1::text::uuid ELSE $2::text::uuid END, $3::text::uuid, 'ghcr.io/x/*',
            CASE WHEN n % 80 = 0 THEN 'suspended' ELSE 'verified' END, 'person', 'user:' || n FROM generate_series(1, 40000) n";
    sql.execute(fill, &[&ids[0], &ids[1], &acme.id]).await.unwrap();
    sql.batch_execute(
        "ANALYZE namespace_history; SELECT pg_stat_reset_single_table_counters('namespace_history'::regclass)",
    )
    .await
    .unwrap();
    let (mut seen, mut cursor): (Vec<Value>, _) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/orgs/acme/registries/{}/history?limit=200{cursor}", ids[0]);
        let page = acme.admin.get(&path).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|holding| holding["actor"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let newest_first: Vec<_> = (1..=1000).rev().map(|n| json!(format!("user:{}", n * 40))).collect();
    assert_eq!(seen, newest_first);
    let plan = "EXPLAIN SELECT * FROM namespace_history WHERE organization_id = $1::text::uuid AND namespace_id = $2::text::uuid \
                AND id < 9223372036854775807 ORDER BY id DESC LIMIT 201";
    let plan = sql.query(plan, &[&acme.id, &ids[0]]).await.unwrap();
    let plan: String = plan.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
    assert!(plan.contains("namespace_history_namespace_idx") && !plan.contains("Sort"), "{plan}");
    told::assert_all_is_told(&store.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_told_not_to_wait_only_asks() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let made = acme.admin.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/acme/*"})).await.expect(201);
    let id = text(&made["id"]);
    let admin = Program::of(&store, "admin@acme.example.org").await;
    assert!(admin.refused(&["registry", "prove", &id, "--no-wait"]).await.contains("challenge"));
    admin.done(&["registry", "challenge", &id]).await;
    // No worker would ever look.
    assert_eq!(admin.done(&["registry", "prove", &id, "--no-wait"]).await["looked_at"], Value::Null);
    let queued = "SELECT count(*) FROM jobs WHERE kind = 'namespace_proof'";
    assert_eq!(store.database.connect().await.query_one(queued, &[]).await.unwrap().get::<_, i64>(0), 1);
}

/// The commands of `docs/onboarding.md`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_crane_pushes_the_challenge() {
    let Some(crane) = interop_tool("crane") else { return };
    let scene = Scene::new().await;
    for pattern in ["acme/*", "acme/app"] {
        let claim = scene.claim(&scene.acme, pattern).await;
        let reference = text(&claim.challenge["reference"]);
        let annotation = format!("{}={}", text(&claim.challenge["annotation"]), claim.nonce());
        for arguments in [
            vec!["append", "--oci-empty-base", "--new_layer", "/dev/null", "--new_tag", &reference],
            vec!["mutate", &reference, "--annotation", &annotation, "--tag", &reference],
        ] {
            let mut command = Command::new(&crane);
            command.args(&arguments);
            let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let found = claim.look(&scene.store).await;
        assert_eq!((found["last_result"].clone(), claim.state().await), (json!("found"), "verified".to_owned()));
    }
}
