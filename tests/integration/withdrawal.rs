//! Suspended versions and deleted modules, in the words of the HLA-Compass client.

use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::image::Image;
use store_tests::registry::Registry;
use store_tests::store::{Organization, Store, module_manifest, text};
use store_tests::told;

struct Scene {
    store: Store,
    acme: Organization,
    registry: Registry,
}

impl Scene {
    async fn set() -> Self {
        let store = Store::start().await;
        let registry = Registry::start().await;
        let acme = store.organization("acme").await;
        store.allow(&acme, &registry.address, "acme").await;
        Self { store, acme, registry }
    }

    /// Takes a version in; gives the module's id.
    async fn active(&self, version: &str) -> String {
        let manifest = module_manifest("ranker", version);
        let image = Image::of_module(&manifest).push(&self.registry.address, "acme/ranker", version).await;
        assert_eq!(self.acme.intake(&manifest, &image.reference).await["outcome"], "active");
        let modules = self.acme.developer.get("/v1/modules").await.expect(200);
        text(&modules["modules"][0]["id"])
    }

    async fn state(&self, version: &str) -> Value {
        let version =
            self.acme.developer.get(&format!("/v1/packages/acme/ranker/versions/{version}")).await.expect(200);
        version["state"].clone()
    }
}

/// As the client sends it: no body, and yet a content type.
async fn suspend(client: &StoreClient, module: &str, version: &str) -> Answer {
    let request = client.request(Method::POST, &format!("/v1/modules/{module}/versions/{version}/suspend"));
    Answer::to(request.header("content-type", "application/json")).await
}

async fn delete(client: &StoreClient, module: &str) -> Answer {
    let request = client.request(Method::DELETE, &format!("/v1/modules/{module}"));
    Answer::to(request.json(&json!({"reason": "a mistake", "current_password": "ignored"}))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_version_can_no_longer_be_had() {
    let scene = Scene::set().await;
    let module = scene.active("1.0.0").await;
    let other = scene.store.organization("other").await;
    let viewer = scene.store.user("acme", "viewer").await;
    suspend(&other.admin, &module, "1.0.0").await.expect_problem(404, "NOT_FOUND");
    suspend(&viewer, &module, "1.0.0").await.expect_problem(403, "FORBIDDEN");
    suspend(&scene.acme.developer, &module, "9.9.9").await.expect_problem(404, "NOT_FOUND");
    suspend(&scene.acme.developer, &module, "latest").await.expect_problem(404, "NOT_FOUND");

    let anybody = scene.store.root.logged_out();
    anybody.get("/v2/acme/ranker/manifests/1.0.0").await.expect(200);
    let suspended = suspend(&scene.acme.developer, &module, "1.0.0").await.expect(200);
    assert_eq!(suspended["state"], "yanked");
    anybody.get("/v2/acme/ranker/manifests/1.0.0").await.expect(404);
    // A client that lost the answer asks again.
    suspend(&scene.acme.developer, &module, "1.0.0").await.expect(200);

    let key = scene.acme.developer.post("/v1/orgs/acme/api-keys", json!({"label": "ci"})).await.expect(201);
    scene.active("1.1.0").await;
    let path = format!("/v1/api/modules/{module}/versions/1.1.0/suspend");
    Answer::to(anybody.request(Method::POST, &path).header("X-API-Key", text(&key["key"]))).await.expect(200);
    assert_eq!(scene.state("1.1.0").await, "yanked");
    told::assert_all_is_told(&scene.store.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_not_active_cannot_be_suspended() {
    let scene = Scene::set().await;
    let module = scene.active("1.0.0").await;
    let sql = scene.store.database.connect().await;
    sql.execute("UPDATE versions SET state = 'quarantined'", &[]).await.unwrap();
    let problem = suspend(&scene.acme.developer, &module, "1.0.0").await.expect_problem(409, "CONFLICT");
    assert!(text(&problem["detail"]).contains("quarantined"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_module_is_gone_and_its_version_numbers_stay_used() {
    let mut scene = Scene::set().await;
    let module = scene.active("1.0.0").await;
    scene.active("1.1.0").await;
    scene.active("1.2.0").await;
    scene.active("1.3.0").await;
    let sql = scene.store.database.connect().await;
    for (version, state) in [("1.1.0", "quarantined"), ("1.2.0", "in_review")] {
        sql.execute("UPDATE versions SET state = $2 WHERE version = $1", &[&version, &state]).await.unwrap();
    }
    // One that waits for a worker.
    scene.store.stop_workers();
    let manifest = module_manifest("ranker", "2.0.0");
    let image = Image::of_module(&manifest).push(&scene.registry.address, "acme/ranker", "2.0.0").await;
    let waiting = scene.acme.publish(&manifest, &image.reference).await.expect(202);

    delete(&scene.acme.developer, &module).await.expect_problem(403, "FORBIDDEN");
    let other = scene.store.organization("other").await;
    delete(&other.admin, &module).await.expect_problem(404, "NOT_FOUND");
    delete(&scene.acme.admin, &module).await.expect(200);
    delete(&scene.acme.admin, &module).await.expect(200);

    assert_eq!(scene.acme.developer.get("/v1/modules").await.expect(200)["modules"], json!([]));
    scene.acme.developer.get(&format!("/v1/modules/{module}")).await.expect_problem(404, "NOT_FOUND");
    let anybody = scene.store.root.logged_out();
    assert_eq!(anybody.get("/v1/packages").await.expect(200)["items"], json!([]));
    anybody.get("/v2/acme/ranker/manifests/1.3.0").await.expect(404);
    let status = format!("/v1/modules/publish/{}", text(&waiting["publishId"]));
    let status = scene.acme.developer.get(&status).await.expect(200);
    assert!(text(&status["failureReason"]).starts_with("INTAKE_CANCELLED: "), "{status}");
    for (version, state) in
        [("1.0.0", "yanked"), ("1.1.0", "yanked"), ("1.2.0", "rejected"), ("1.3.0", "yanked"), ("2.0.0", "rejected")]
    {
        assert_eq!(scene.state(version).await, state, "{version}");
    }
    let entry = "SELECT details - 'state' FROM audit_entries WHERE action = 'package.withdrawn'";
    let entries = sql.query(entry, &[]).await.unwrap();
    assert_eq!(
        (entries.len(), entries[0].get::<_, Value>(0)),
        (1, json!({"package": "acme/ranker", "reason": "a mistake"}))
    );

    // The next version brings it back; what was had once stays gone.
    scene
        .acme
        .publish(&module_manifest("ranker", "1.0.0"), &image.reference)
        .await
        .expect_problem(409, "VERSION_EXISTS");
    assert_eq!(scene.acme.developer.get("/v1/modules").await.expect(200)["modules"], json!([]));
    scene.store.start_worker();
    assert_eq!(scene.active("3.0.0").await, module);
    assert_eq!(scene.state("1.3.0").await, "yanked");
    told::assert_all_is_told(&scene.store.database).await;
}

#[tokio::test]
async fn a_template_is_no_module() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let template = json!({
        "id": "small-studio", "name": "Small studio", "version": "1.0.0", "description": "A studio of one.",
        "agents": [{"ref": "ceo", "name": "Chief", "role": "ceo"}], "goals": [], "projects": [], "issues": [],
    });
    let body = json!({"organization": "acme", "template": template});
    acme.admin.post("/v1/templates/publish", body).await.expect(202);
    let sql = store.database.connect().await;
    let id: uuid::Uuid = sql.query_one("SELECT id FROM packages", &[]).await.unwrap().get(0);
    delete(&acme.admin, &id.to_string()).await.expect_problem(404, "NOT_FOUND");
}
