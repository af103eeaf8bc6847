//! Packages over the API: who sees which version, and what a publisher changes about one afterwards.

use blob_store::ObjectKey;
use bytes::Bytes;
use registry_types::digest::Digest;
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::shelf::{Shelf, described};
use store_tests::store::{Organization, Store};
use store_tests::told;
use store_tests::wait;

async fn numbers(client: &StoreClient, package: &str) -> Vec<(String, String)> {
    let versions = client.get(&format!("/v1/packages/{package}/versions")).await.expect(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    versions["items"].as_array().unwrap().iter().map(|one| (text(&one["version"]), text(&one["state"]))).collect()
}

async fn put(client: &StoreClient, path: &str, body: &Value) -> Answer {
    Answer::to(client.request(Method::PUT, path).json(body)).await
}

/// `acme/tool` with two active versions.
async fn shop() -> (Store, Shelf, Organization) {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let shelf = Shelf::of(&store.database).await;
    let tool = shelf.package(acme.id.parse().unwrap(), "tool", "hla-compass.module", "public").await;
    for number in ["1.0.0", "1.1.0"] {
        let version = shelf.version(tool, number, "active", &described("Tool", "", &[])).await;
        shelf.image(&store.objects(), version, number.as_bytes()).await;
    }
    shelf.refresh(tool.id).await;
    (store, shelf, acme)
}

#[tokio::test]
async fn a_yanked_version_leaves_the_index_and_can_no_longer_be_pulled() {
    let (store, _shelf, acme) = shop().await;
    let anybody = store.root.logged_out();
    let other = store.organization("other").await;
    let viewer = store.user("acme", "viewer").await;
    let path = "/v1/packages/acme/tool/versions/1.1.0/yank";
    let body = || json!({"reason": "leaks"});
    anybody.post(path, body()).await.expect_problem(401, "UNAUTHENTICATED");
    other.admin.post(path, body()).await.expect_problem(404, "NOT_FOUND");
    viewer.post(path, body()).await.expect_problem(403, "FORBIDDEN");
    acme.developer.post("/v1/packages/acme/tool/versions/9.0.0/yank", body()).await.expect_problem(404, "NOT_FOUND");
    assert_eq!(anybody.get("/index.json").await.expect(200)["modules"][0]["version"], "1.1.0");

    acme.developer.post(path, body()).await.expect(204);
    wait::until("the index without it", async || {
        let index = anybody.get("/index.json").await.expect(200);
        (index["modules"][0]["version"] == "1.0.0").then_some(())
    })
    .await;
    assert_eq!(anybody.get("/v2/acme/tool/manifests/1.1.0").await.status, 404);
    assert_eq!(anybody.get("/v2/acme/tool/manifests/1.0.0").await.status, 200);
    let package = anybody.get("/v1/packages/acme/tool").await.expect(200);
    assert_eq!((&package["latest_version"], &package["latest"]["version"]), (&json!("1.0.0"), &json!("1.0.0")));
    let yanked = anybody.get("/v1/packages/acme/tool/versions/1.1.0").await.expect(200);
    assert_eq!((&yanked["state"], &yanked["pull"]), (&json!("yanked"), &Value::Null));
    acme.developer.post(path, body()).await.expect_problem(409, "CONFLICT");
    let sql = store.database.connect().await;
    let logged = "SELECT details->>'reason' FROM audit_entries WHERE action = 'version.yanked'";
    let reasons: Vec<String> = sql.query(logged, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(reasons, ["leaks"]);
    told::assert_all_is_told(&store.database).await;
}

#[tokio::test]
async fn a_deprecation_is_shown_until_it_is_withdrawn() {
    let (store, _shelf, acme) = shop().await;
    let anybody = store.root.logged_out();
    let path = "/v1/packages/acme/tool/versions/1.0.0/deprecation";
    put(&anybody, path, &json!({"note": "x"})).await.expect_problem(401, "UNAUTHENTICATED");
    put(&acme.developer, path, &json!({"note": " "})).await.expect_problem(400, "BAD_REQUEST");
    put(&acme.developer, path, &json!({"note": "x".repeat(501)})).await.expect_problem(400, "BAD_REQUEST");
    put(&acme.developer, path, &json!({"note": "use 1.1.0"})).await.expect(204);
    let note = async || anybody.get("/v1/packages/acme/tool/versions/1.0.0").await.expect(200)["deprecated"].clone();
    assert_eq!(note().await, "use 1.1.0");
    assert_eq!(anybody.get("/v2/acme/tool/manifests/1.0.0").await.status, 200, "a warning takes nothing away");
    acme.developer.delete(path).await.expect(204);
    assert_eq!(note().await, Value::Null);
    told::assert_all_is_told(&store.database).await;
}

#[tokio::test]
async fn strangers_see_only_what_was_active_once() {
    let (store, shelf, acme) = shop().await;
    let anybody = store.root.logged_out();
    let id =
        shelf.sql.query_one("SELECT id FROM packages WHERE name = 'tool'", &[]).await.unwrap().get::<_, uuid::Uuid>(0);
    let insert = "INSERT INTO versions (id, package_id, version, state, package_manifest, rejection_code, published_by, \
                    image_reference, created_at) \
                  SELECT gen_random_uuid(), $1, $2, $3, '{}', $4, published_by, 'ghcr.io/acme/hidden:1', now() \
                  FROM versions LIMIT 1";
    for (number, state, code) in
        [("2.0.0", "rejected", Some("SECRET_DETECTED")), ("2.1.0", "pending", None), ("2.2.0", "in_review", None)]
    {
        shelf.sql.execute(insert, &[&id, &number, &state, &code]).await.unwrap();
    }
    let own = |numbers: Vec<(String, String)>| numbers.into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!(own(numbers(&anybody, "acme/tool").await), ["1.1.0", "1.0.0"]);
    assert_eq!(own(numbers(&acme.developer, "acme/tool").await), ["2.2.0", "2.1.0", "2.0.0", "1.1.0", "1.0.0"]);
    let hidden = "/v1/packages/acme/tool/versions/2.0.0";
    for part in ["", "/findings", "/components", "/signatures", "/verdict", "/sbom", "/manifest"] {
        anybody.get(&format!("{hidden}{part}")).await.expect_problem(404, "NOT_FOUND");
    }
    let seen = acme.developer.get(hidden).await.expect(200);
    assert_eq!(seen["rejection_code"], "SECRET_DETECTED");
    assert_eq!(seen["image_reference"], "ghcr.io/acme/hidden:1");
    let first = acme.developer.get("/v1/packages/acme/tool/versions?limit=2").await.expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest =
        acme.developer.get(&format!("/v1/packages/acme/tool/versions?limit=3&cursor={cursor}")).await.expect(200);
    assert_eq!(rest["items"][0]["version"], "2.0.0");
    assert_eq!(rest["next_cursor"], Value::Null);
    anybody.get("/v1/packages/acme/tool/versions?cursor=bm8").await.expect_problem(400, "BAD_REQUEST");
    anybody.get("/v1/packages?tag=a%00b").await.expect_problem(400, "BAD_REQUEST");
    anybody.get("/v1/packages?q=a%00b").await.expect(200);
}

#[tokio::test]
async fn a_licensed_package_is_known_to_all_and_opened_to_its_organization() {
    let (store, shelf, acme) = shop().await;
    let package = shelf.package(acme.id.parse().unwrap(), "plan", "company.template", "licensed").await;
    shelf.version(package, "1.0.0", "active", &described("Plan", "", &[])).await;
    let anybody = store.root.logged_out();
    anybody.get("/v1/packages/acme/plan/versions/1.0.0").await.expect(200);
    let manifest = "/v1/packages/acme/plan/versions/1.0.0/manifest";
    anybody.get(manifest).await.expect_problem(403, "FORBIDDEN");
    assert_eq!(acme.developer.get(manifest).await.expect(200)["title"], "Plan");
}

#[tokio::test]
async fn an_sbom_comes_in_the_form_that_is_asked_for() {
    let (store, shelf, _acme) = shop().await;
    let anybody = store.root.logged_out();
    let document = Bytes::from_static(b"{\"bomFormat\":\"CycloneDX\"}");
    let digest = Digest::sha256_of(&document);
    store.objects().put(&ObjectKey::Document(digest.clone()), document.clone()).await.unwrap();
    let insert = "INSERT INTO version_documents (version_id, kind, digest, media_type, size_bytes) \
                  SELECT id, 'cyclonedx', $1, 'application/vnd.cyclonedx+json', $2 FROM versions WHERE version = '1.1.0'";
    let size = i64::try_from(document.len()).unwrap();
    shelf.sql.execute(insert, &[&digest.to_string(), &size]).await.unwrap();
    let path = "/v1/packages/acme/tool/versions/1.1.0/sbom";
    for query in ["", "?format=cyclonedx"] {
        let answer = anybody.get(&format!("{path}{query}")).await;
        assert_eq!((answer.status, &answer.body), (200, &document));
        assert_eq!(answer.headers["content-type"], "application/vnd.cyclonedx+json");
        let name = answer.headers["content-disposition"].to_str().unwrap();
        assert_eq!(name, "attachment; filename=\"acme-tool-1.1.0.cyclonedx.json\"");
    }
    anybody.get(&format!("{path}?format=spdx")).await.expect_problem(404, "NOT_FOUND");
    anybody.get(&format!("{path}?format=pdf")).await.expect_problem(400, "BAD_REQUEST");
}
