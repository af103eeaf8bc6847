//! What a webhook may not be.

use reqwest::Method;
use serde_json::json;
use store_tests::client::Answer;
use store_tests::store::text;

use super::scene::{BASE, Scene};

#[tokio::test]
async fn a_url_is_refused_with_a_reason() {
    let scene = Scene::without_worker().await;
    let long = format!("https://hooks.example.org/{}", "x".repeat(2048));
    for url in ["", "hooks.example.org", "ftp://hooks.example.org/", "https://u:p@hooks.example.org/", &long] {
        let problem = scene.acme.admin.post(BASE, json!({ "url": url })).await.expect_problem(422, "WEBHOOK_INVALID");
        assert_eq!(problem["errors"][0]["pointer"], "/url", "{problem}");
    }
    let unknown = json!({"url": "https://hooks.example.org/", "events": ["version.exploded"]});
    scene.acme.admin.post(BASE, unknown).await.expect_problem(400, "BAD_REQUEST");
    let described = json!({"url": "https://hooks.example.org/", "description": "x".repeat(201)});
    scene.acme.admin.post(BASE, described).await.expect_problem(400, "BAD_REQUEST");
    assert_eq!(scene.count("webhooks").await, 0);
}

#[tokio::test]
async fn an_organization_has_a_bounded_number_of_webhooks() {
    let scene = Scene::without_worker().await;
    for _ in 0..20 {
        scene.listen("https://hooks.example.org/").await;
    }
    let one_more = json!({"url": "https://hooks.example.org/"});
    scene.acme.admin.post(BASE, one_more.clone()).await.expect_problem(403, "QUOTA_EXCEEDED");
    let other = scene.store.organization("other").await;
    other.admin.post("/v1/orgs/other/webhooks", one_more).await.expect(201);
}

/// What a stolen key added would outlive its revocation.
#[tokio::test]
async fn an_api_key_reads_webhooks_and_changes_none() {
    let scene = Scene::without_worker().await;
    let hook = scene.listen("https://hooks.example.org/").await;
    let key = scene.acme.admin.post("/v1/orgs/acme/api-keys", json!({"label": "robot"})).await.expect(201);
    let by_key = |method: Method, path: &str| {
        scene.store.root.logged_out().request(method, path).header("X-API-Key", text(&key["key"]))
    };
    assert_eq!(Answer::to(by_key(Method::GET, BASE)).await.status, 200);
    let body = json!({"url": "https://elsewhere.example.org/"});
    let add = Answer::to(by_key(Method::POST, BASE).json(&body)).await;
    add.expect_problem(403, "FORBIDDEN");
    let change = Answer::to(by_key(Method::PATCH, &format!("{BASE}/{}", hook.id)).json(&body)).await;
    change.expect_problem(403, "FORBIDDEN");
    let rotate = format!("{BASE}/{}/rotate-secret", hook.id);
    Answer::to(by_key(Method::POST, &rotate).json(&json!({}))).await.expect_problem(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_secret_is_sealed_and_shown_once() {
    let scene = Scene::without_worker().await;
    let hook = scene.listen("https://hooks.example.org/services/s3cret").await;
    assert!(hook.secret.starts_with("whsec_"));
    let shown = scene.acme.admin.get(BASE).await.expect(200).to_string();
    assert!(!shown.contains(&hook.secret) && !shown.contains("whsec_"), "{shown}");
    let row = "SELECT encode(ciphertext, 'escape') || encode(nonce, 'escape') FROM webhook_secrets";
    let sealed: String = scene.store.database.connect().await.query_one(row, &[]).await.unwrap().get(0);
    assert!(!sealed.contains("whsec"), "{sealed}");
    let audit = scene.acme.admin.get("/v1/audit?org=acme").await.expect(200).to_string();
    assert!(audit.contains("webhook.created") && !audit.contains("s3cret") && !audit.contains("whsec_"), "{audit}");
}
