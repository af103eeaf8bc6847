//! Who binds jobs, and which bindings are taken.

use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::Answer;
use store_tests::store::text;
use store_tests::webhook_receiver::WebhookReceiver;

use super::scene::{PUBLISHERS, Scene, github_binding};
use crate::commands::Program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_administrators_bind_jobs_and_only_in_their_own_organization() {
    let scene = Scene::new().await;
    let path = format!("{PUBLISHERS}/{}", text(&scene.publisher["id"]));
    let binding = |package: &str| {
        let mut binding = github_binding();
        binding["package"] = json!(package);
        binding
    };
    assert_eq!(scene.publisher["created_by"], "admin@acme.example.org");
    assert_eq!(scene.publisher["issuer"], scene.github.issuer());
    scene.acme.admin.post(PUBLISHERS, github_binding()).await.expect_problem(409, "CONFLICT");
    scene.acme.developer.post(PUBLISHERS, binding("new")).await.expect_problem(403, "FORBIDDEN");
    scene.acme.developer.get(PUBLISHERS).await.expect_problem(403, "FORBIDDEN");
    scene.acme.developer.delete(&path).await.expect_problem(403, "FORBIDDEN");
    let other = scene.store.organization("other").await;
    let foreign = path.replace("acme", "other");
    other.admin.delete(&foreign).await.expect_problem(404, "NOT_FOUND");
    other.admin.get(&format!("{foreign}/tokens")).await.expect_problem(404, "NOT_FOUND");
    assert_eq!(other.admin.get("/v1/orgs/other/trusted-publishers").await.expect(200)["items"], json!([]));
    // What a stolen key bound would outlive it.
    let key = text(&scene.acme.admin.post("/v1/orgs/acme/api-keys", json!({"label": "ci"})).await.expect(201)["key"]);
    let by_key = scene.nobody().request(Method::POST, PUBLISHERS).header("X-API-Key", &key).json(&binding("new"));
    Answer::to(by_key).await.expect_problem(403, "FORBIDDEN");
    let by_key = scene.nobody().request(Method::DELETE, &path).header("X-API-Key", &key);
    Answer::to(by_key).await.expect_problem(403, "FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binding_that_could_never_match_or_is_nobody_s_is_refused_with_its_place() {
    let scene = Scene::new().await;
    for (field, value, pointer) in [
        ("workflow", json!("../release.yml"), "/workflow"),
        ("workflow", json!(""), "/workflow"),
        ("environment", json!(""), "/environment"),
        ("ref", json!("main"), "/ref"),
        ("ref", json!("refs/*"), "/ref"),
        ("repository", json!("app"), "/repository"),
        ("issuer", json!("https://evil.example"), "/issuer"),
        ("issuer", json!(scene.gitlab.issuer()), "/issuer"),
    ] {
        let mut binding = github_binding();
        binding[field] = value;
        let problem = scene.acme.admin.post(PUBLISHERS, binding).await;
        let problem = problem.expect_problem(422, "TRUSTED_PUBLISHER_INVALID");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    for (field, value) in [("repository_id", json!(0)), ("owner_id", json!(-1)), ("provider", json!("jenkins"))] {
        let mut binding = github_binding();
        binding[field] = value;
        scene.acme.admin.post(PUBLISHERS, binding).await.expect_problem(400, "BAD_REQUEST");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_binds_jobs_by_command() {
    let scene = Scene::new().await;
    let admin = Program::of(&scene.store, "admin@acme.example.org").await;
    let add = [
        "trusted-publisher",
        "add",
        "tool",
        "--provider",
        "github",
        "--repository",
        "acme/tool",
        "--repository-id",
        "7",
        "--owner-id",
        "8",
        "--workflow",
        ".github/workflows/release.yml",
        "--environment",
        "release",
        "--ref",
        "refs/tags/v*",
    ];
    let added = admin.done(&add).await;
    assert_eq!((&added["environment"], &added["ref"]), (&json!("release"), &json!("refs/tags/v*")));
    assert!(admin.refused(&add).await.contains("CONFLICT"));
    let id = text(&added["id"]);
    let listed = |answer: &Value| answer["items"].as_array().unwrap().iter().any(|item| item["id"] == *id);
    assert!(listed(&admin.done(&["trusted-publisher", "list"]).await));
    assert_eq!(admin.done(&["trusted-publisher", "tokens", &id]).await["items"], json!([]));
    admin.done(&["trusted-publisher", "remove", &id]).await;
    assert!(!listed(&admin.done(&["trusted-publisher", "list"]).await));

    scene.publish_token().await;
    let bound = text(&scene.publisher["id"]);
    let token = admin.done(&["trusted-publisher", "tokens", &bound]).await["items"][0].clone();
    admin.done(&["trusted-publisher", "revoke", &bound, &text(&token["id"])]).await;
    let token = admin.done(&["trusted-publisher", "tokens", &bound]).await["items"][0].clone();
    assert!(token["revoked_at"].is_string(), "{token}");

    let entries = scene.acme.admin.get("/v1/audit?org=acme&limit=200").await.expect(200);
    let actions: Vec<String> =
        entries["items"].as_array().unwrap().iter().map(|entry| text(&entry["action"])).collect();
    for action in
        ["trusted_publisher.added", "trusted_publisher.removed", "publish_token.issued", "publish_token.revoked"]
    {
        assert!(actions.iter().any(|found| found == action), "{action}: {actions:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_many_publishers_and_tokens_are_read_by_their_index() {
    let scene = Scene::new().await;
    scene.publish_token().await;
    let many = "\
        INSERT INTO trusted_publishers (id, organization_id, package_name, provider, issuer, repository_id, owner_id, workflow, repository, created_by) \
        SELECT gen_random_uuid(), organization_id, package_name, provider, issuer, 1000 + n, owner_id, workflow, repository, created_by \
        FROM trusted_publishers p, generate_series(1, 5000) n WHERE p.provider = 'github'; \
        INSERT INTO publish_tokens (id, trusted_publisher_id, token_hash, claims, expires_at) \
        SELECT gen_random_uuid(), t.trusted_publisher_id, decode(md5(n::text), 'hex'), '{}', now() FROM publish_tokens t, generate_series(1, 20000) n; \
        ANALYZE trusted_publishers; ANALYZE publish_tokens";
    let sql = scene.store.database.connect().await;
    sql.batch_execute(many).await.unwrap();
    let publisher = text(&scene.publisher["id"]);
    for (query, index) in [
        (
            "SELECT id FROM trusted_publishers WHERE organization_id = (SELECT organization_id FROM trusted_publishers LIMIT 1) \
             AND removed_at IS NULL AND id > '80000000-0000-0000-0000-000000000000' ORDER BY id LIMIT 50".to_owned(),
            "trusted_publishers_organization_idx",
        ),
        (
            format!("SELECT id FROM publish_tokens WHERE trusted_publisher_id = '{publisher}' \
             AND id < '80000000-0000-0000-0000-000000000000' ORDER BY id DESC LIMIT 50"),
            "publish_tokens_publisher_idx",
        ),
    ] {
        let plan = sql.query(&format!("EXPLAIN {query}"), &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(plan.iter().any(|line| line.contains(index)), "{plan:#?}");
    }
    let first = scene.acme.admin.get(&format!("{PUBLISHERS}?limit=200")).await.expect(200);
    let next = format!("{PUBLISHERS}?limit=200&cursor={}", text(&first["next_cursor"]));
    let second = scene.acme.admin.get(&next).await.expect(200);
    assert!(text(&first["items"][199]["id"]) < text(&second["items"][0]["id"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_listens_is_told_which_jobs_may_publish_and_not_of_their_tokens() {
    let scene = Scene::new().await;
    let receiver = WebhookReceiver::start().await;
    scene.acme.admin.post("/v1/orgs/acme/webhooks", json!({ "url": receiver.url() })).await.expect(201);
    scene.publish_token().await;
    let mut binding = github_binding();
    binding["package"] = json!("sorter");
    let added = scene.acme.admin.post(PUBLISHERS, binding).await.expect(201);
    let path = format!("{PUBLISHERS}/{}", text(&added["id"]));
    for told in ["trusted_publisher.added", "trusted_publisher.removed"] {
        let event = receiver.event(told).await;
        assert_eq!(event["data"], json!({"package": "sorter", "provider": "github", "repository": "acme/app"}));
        assert_eq!(event["subject"], format!("trusted_publisher:{}", text(&added["id"])));
        if told.ends_with("added") {
            scene.acme.admin.delete(&path).await.expect(204);
        }
    }
    let heard: Vec<String> = receiver.received().iter().map(|received| text(&received.event()["type"])).collect();
    assert!(heard.iter().all(|word| word.contains("trusted_publisher.")), "{heard:?}");
}
