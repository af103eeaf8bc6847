//! Version 6.0.2: organizations, a dry run at the store, API keys, suspend and delete, logout.

use serde_json::{Value, json};
use store_tests::hla_compass::Run;
use store_tests::image::Image;
use store_tests::store::text;

use super::scene::{AUTHOR, MODULE, Scene, after};

const CLIENT: &str = "6.0.2";
const WAIT: [&str; 5] = ["--wait", "--interval", "1", "--timeout", "60"];

impl Scene {
    /// An author who is logged in, with an enrolled key and a module.
    async fn with_author_6() -> Option<Self> {
        let scene = Self::with_client(CLIENT).await?;
        scene.log_in().await.expect(0);
        scene.author.run(&["init", MODULE, "--yes"]).await.expect(0);
        scene.make_key().await;
        Some(scene)
    }

    /// This version makes its key at the first publish.
    async fn make_key(&self) {
        let image = self.build("1.0.0").await.reference;
        let refused = self.publish(&image, &["--dry-run", "--generate-keys"]).await;
        refused.expect_shown(1, "Dry-run failed: MANIFEST_KEY_NOT_ENROLLED: ");
        self.enrol_key_of(&self.author).await;
    }

    async fn module_id(&self) -> String {
        text(&self.acme.developer.get("/v1/modules").await.expect(200)["modules"][0]["id"])
    }

    async fn modules(&self, arguments: &[&str]) -> Run {
        self.author.run(&[&["modules"], arguments].concat()).await
    }
}

/// Login, init, validate, dry run, publish, wait, status, list: from nothing to an active version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_6_publishes_a_module() {
    let Some(scene) = Scene::with_client(CLIENT).await else { return };
    let author = &scene.author;
    author.login(AUTHOR, "wrong password").await.expect_shown(1, "UNAUTHENTICATED: e-mail address or password");
    scene.log_in().await.expect_shown(0, "Successfully logged in");
    let status = author.run(&["auth", "status", "--check"]).await;
    status.expect_shown(0, "Credential verified: session");
    assert!(status.output.contains(&scene.acme.id), "{}", status.output);
    author.run(&["init", MODULE, "--yes"]).await.expect(0);
    author.run_in(MODULE, &["validate", "--strict"]).await.expect_shown(0, "Module is valid");
    scene.make_key().await;

    let image = scene.build("1.0.0").await.reference;
    let published = scene.publish(&image, &WAIT).await;
    published.expect_shown(0, "Module published successfully");
    let id = after("Publish accepted:", &published.output);
    author.run(&["publish-status", "--env", "dev", id]).await.expect_shown(0, "COMPLETED");
    let as_json = author.run(&["publish-status", "--env", "dev", "--format", "json", id]).await;
    as_json.expect_shown(0, r#""state": "APPROVED""#);
    scene.modules(&["list", "--env", "dev"]).await.expect_shown(0, "active");
    let module = scene.module_id().await;
    scene.modules(&["show", "--env", "dev", &module]).await.expect_shown(0, &format!("Module: {module}"));
    scene.modules(&["show", "--env", "dev", &module[..8]]).await.expect_shown(0, "Intake:   active");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_6_dry_run_judges_and_leaves_nothing() {
    let Some(scene) = Scene::with_author_6().await else { return };
    let image = scene.build("1.0.0").await.reference;
    let tables =
        ["packages", "versions", "intakes", "jobs WHERE kind = 'intake'", "manifest_signatures", "idempotency_keys"];
    scene.publish(&image, &["--dry-run"]).await.expect_shown(0, "Dry run — no changes made");
    let elsewhere = scene.publish("ghcr.io/foreign/ranker:1", &["--dry-run"]).await;
    elsewhere.expect_shown(1, "Dry-run failed: REGISTRY_UNAUTHORIZED: ");
    for table in tables {
        assert_eq!(scene.count(table).await, 0, "{table}");
    }
    // The number is not used up, and for a used one the dry run says what a publish would.
    scene.publish(&image, &WAIT).await.expect(0);
    scene.publish(&image, &["--dry-run"]).await.expect_shown(1, "Dry-run failed: VERSION_EXISTS: ");
    scene.publish(&image, &[]).await.expect_shown(1, "Publish failed: VERSION_EXISTS: ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_6_shows_why_a_publish_fails() {
    let Some(scene) = Scene::with_author_6().await else { return };
    let other = scene.store.organization("other").await;
    let image = scene.build("1.0.0").await.reference;
    let elsewhere = scene.publish("ghcr.io/foreign/ranker:1", &[]).await;
    elsewhere.expect_shown(1, "Publish failed: REGISTRY_UNAUTHORIZED: no registry namespace of acme covers");
    for foreign in [other.id.as_str(), "01990000-0000-7000-8000-000000000000"] {
        let refused = scene.publish(&image, &["--org-id", foreign]).await;
        refused.expect_shown(1, &format!("Publish failed: FORBIDDEN: you do not belong to the organization {foreign}"));
    }
    assert_eq!(scene.count("versions").await, 0);

    let bad = Image::new().debian_12().layer().wheel("pyyaml", "5.3");
    let image = scene.build_on(bad, "1.0.1").await.reference;
    let published = scene.publish(&image, &WAIT).await;
    published.expect_shown(1, "SECURITY_SCAN_FAILED: pyyaml 5.3 has ");
    let id = after("Publish accepted:", &published.output);
    let status = scene.author.run(&["publish-status", "--env", "dev", "--format", "json", id]).await;
    assert!(status.expect(0).contains(r#""state": "REJECTED""#), "{}", status.output);
    let run = scene.author.run(&["run", "--env", "dev", &scene.module_id().await]).await;
    run.expect_shown(1, "MODULE_RUNS_UNSUPPORTED: ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_6_repeats_a_publish_under_its_key() {
    let Some(scene) = Scene::with_author_6().await else { return };
    let image = scene.build("1.0.0").await.reference;
    let first = scene.publish(&image, &["--idempotency-key", "release-1"]).await;
    // Signed anew, so that the body is another one.
    let again = scene.publish(&image, &["--idempotency-key", "release-1"]).await;
    let id = |run: &Run| after("Publish accepted:", run.expect(0)).to_owned();
    assert_eq!(id(&first), id(&again));
    assert_eq!(scene.count("intakes").await, 1);
    let other_image = scene.build("1.1.0").await.reference;
    let reused = scene.publish(&other_image, &["--idempotency-key", "release-1"]).await;
    reused.expect_shown(1, "IDEMPOTENCY_KEY_REUSED: ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_6_uses_an_api_key() {
    let Some(scene) = Scene::with_author_6().await else { return };
    let image = scene.build("1.0.0").await.reference;
    let key = scene.acme.developer.post("/v1/orgs/acme/api-keys", json!({"label": "ci"})).await.expect(201);
    let other = scene.store.organization("other").await;
    let Scene { author, store, .. } = scene;
    let ci = author.with("HLA_API_KEY", &text(&key["key"]));
    let scene = Scene { author: ci, store, ..scene };
    let status = scene.author.run(&["auth", "status", "--check"]).await;
    status.expect_shown(0, "Credential verified: api_key");
    scene.publish(&image, &["--dry-run"]).await.expect_shown(0, "no changes made");
    let published = scene.publish(&image, &WAIT).await;
    published.expect_shown(0, "Module published successfully");
    let id = after("Publish accepted:", &published.output);
    scene.author.run(&["publish-status", "--env", "dev", id]).await.expect_shown(0, "COMPLETED");
    scene.modules(&["list", "--env", "dev"]).await.expect_shown(0, "ranker");
    scene.modules(&["show", "--env", "dev", &scene.module_id().await]).await.expect_shown(0, "ranker");
    let run = scene.author.run(&["run", "--env", "dev", &scene.module_id().await]).await;
    run.expect_shown(1, "MODULE_RUNS_UNSUPPORTED: ");
    // It stays in the organization that it was made for.
    let image = scene.build("1.1.0").await.reference;
    scene.publish(&image, &["--org-id", &other.id]).await.expect_shown(1, "FORBIDDEN: ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_6_suspends_and_deletes() {
    let Some(scene) = Scene::with_author_6().await else { return };
    let image = scene.build("1.0.0").await.reference;
    scene.publish(&image, &WAIT).await.expect(0);
    let module = scene.module_id().await;
    let suspend = ["suspend", "--env", "dev", &module, "--version", "1.0.0"];
    scene.modules(&suspend).await.expect_shown(0, "Successfully suspended version 1.0.0");
    scene.modules(&["list", "--env", "dev"]).await.expect_shown(0, "yanked");

    let delete = ["delete", "--env", "dev", &module, "--reason", "a mistake"];
    scene.modules(&delete).await.expect_shown(1, "FORBIDDEN: this needs the role admin in acme");
    scene.acme.admin.post("/v1/orgs/acme/members", json!({"email": AUTHOR, "role": "admin"})).await.expect(204);
    scene.modules(&delete).await.expect_shown(0, "Successfully deleted module");
    let listed = scene.modules(&["list", "--env", "dev", "--format", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(listed.json()).unwrap(), json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_6_refreshes_its_token_and_logs_out() {
    let Some(scene) = Scene::with_author_6().await else { return };
    scene.let_access_tokens_expire().await;
    let image = scene.build("1.0.0").await.reference;
    scene.publish(&image, &["--dry-run"]).await.expect_shown(0, "no changes made");
    scene.author.run(&["auth", "logout"]).await.expect_shown(0, "Successfully logged out");
    // At the store, too: none of the login's tokens works any more.
    let living = "SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE u.email = $1 AND s.revoked_at IS NULL
          AND s.family = (SELECT family FROM sessions WHERE user_id = u.id AND rotated_at IS NOT NULL LIMIT 1)";
    let sql = scene.store.database.connect().await;
    assert_eq!(sql.query_one(living, &[&AUTHOR]).await.unwrap().get::<_, i64>(0), 0);
    scene.modules(&["list", "--env", "dev"]).await.expect_shown(1, "Not authenticated");
}

/// Sources are not what this store takes: the client stops with the reason, and does not send them another way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_6_is_told_that_sources_are_not_taken() {
    let Some(scene) = Scene::with_author_6().await else { return };
    let config = scene.acme.developer.get("/v1/modules/publish/config").await.expect(200);
    assert_eq!(config, json!({"registry": ""}));
    let run = scene.author.run_in(MODULE, &["publish", "--env", "dev"]).await;
    assert_eq!(run.code, Some(1), "{}", run.output);
    let body = json!({"manifest": {}, "scope": "org", "idempotencyKey": "k", "sha256": "0", "sizeBytes": 1});
    let upload = scene.acme.developer.post("/v1/modules/publish/source-upload", body).await;
    assert_eq!(upload.expect(403)["error"]["code"], "SOURCE_PUBLISH_UNSUPPORTED");
    assert_eq!(scene.count("versions").await, 0);
}
