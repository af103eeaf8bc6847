//! The delivery log, and what is delivered once more.

use serde_json::{Value, json};
use store_tests::advised::count;
use store_tests::store::text;
use store_tests::wait;
use store_tests::webhook_receiver::Reply;

use super::scene::{BASE, Scene, add, errors};
use crate::commands::Program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_failed_is_replayed_one_by_one_or_all_since_a_time() {
    let scene = Scene::set_with(|settings| settings.webhooks.retry_seconds = vec![0]).await;
    let hook = scene.listen(&scene.receiver.url()).await;
    scene.receiver.answer(&[Reply::Status(500), Reply::Status(500), Reply::Status(503), Reply::Status(503)]);
    scene.happen("one").await;
    scene.quiet().await;
    scene.happen("two").await;
    scene.quiet().await;
    let failed = scene.newest(&hook.id, "failed").await;
    assert_eq!(errors(&failed), ["STATUS", "STATUS"]);
    assert!(!failed["ended_at"].is_null() && failed["next_attempt_at"].is_null(), "{failed}");
    let of_webhook = format!("{BASE}/{}", hook.id);

    // One, twice: what is delivered may be wanted again.
    let replay = format!("{of_webhook}/deliveries/{}/replay", text(&failed["id"]));
    for attempts in [3, 4] {
        scene.acme.admin.post(&replay, json!({})).await.expect(202);
        scene.quiet().await;
        let replayed = scene.newest(&hook.id, "delivered").await;
        assert_eq!(errors(&replayed).len(), attempts);
    }
    let received = scene.receiver.received();
    assert_eq!(received.len(), 6);
    assert_eq!(received[5].header("webhook-id"), text(&failed["event"]));

    // The rest.
    let list = format!("{of_webhook}/deliveries?state=failed");
    assert_eq!(scene.acme.admin.get(&list).await.expect(200)["items"].as_array().unwrap().len(), 1);
    let since = |time: &str| json!({ "since": time });
    let none = scene.acme.admin.post(&format!("{of_webhook}/replay"), since("2100-01-01T00:00:00Z")).await.expect(202);
    assert_eq!(none, json!({"replayed": 0, "has_more": false}));
    let all = scene.acme.admin.post(&format!("{of_webhook}/replay"), since("2020-01-01T00:00:00Z")).await.expect(202);
    assert_eq!(all, json!({"replayed": 1, "has_more": false}));
    scene.quiet().await;
    assert_eq!(scene.acme.admin.get(&list).await.expect(200)["items"], json!([]));
    let nothing = format!("{of_webhook}/deliveries/{}/replay", uuid::Uuid::nil());
    scene.acme.admin.post(&nothing, json!({})).await.expect_problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_of_what_is_pending_adds_nothing() {
    let scene = Scene::without_worker().await;
    let hook = scene.listen(&scene.receiver.url()).await;
    let tested = scene.acme.admin.post(&format!("{BASE}/{}/test", hook.id), json!({})).await.expect(202);
    let replay = format!("{BASE}/{}/deliveries/{}/replay", hook.id, text(&tested["delivery"]));
    let pending = scene.acme.admin.post(&replay, json!({})).await.expect(202);
    assert_eq!((&pending["state"], &pending["attempts"]), (&json!("pending"), &json!([])));
    assert_eq!(scene.count("jobs WHERE kind = 'webhook_delivery'").await, 1);
}

/// Postgres counts the uses of each index by the very queries that run.
#[tokio::test]
async fn a_long_log_comes_in_pages_along_an_index() {
    let scene = Scene::without_worker().await;
    let hook = scene.listen(&scene.receiver.url()).await;
    let other = scene.listen(&scene.receiver.url()).await;
    scene.acme.admin.post(&format!("{BASE}/{}/test", hook.id), json!({})).await.expect(202);
    let sql = scene.store.database.connect().await;
    let fill = "WITH e AS (INSERT INTO events (id, organization_id, kind, subject, data)
            SELECT gen_random_uuid(), organization_id, 'webhook.ping', subject, data FROM events, generate_series(1, 20000)
            RETURNING id)
        INSERT INTO webhook_deliveries (id, webhook_id, event_id, state, ended_at)
        SELECT gen_random_uuid(), CASE WHEN row_number() OVER () % 10 = 0 THEN $1::text::uuid ELSE $2::text::uuid END, e.id,
            'delivered', now() FROM e";
    sql.execute(fill, &[&hook.id, &other.id]).await.unwrap();
    sql.batch_execute(
        "INSERT INTO webhook_attempts SELECT id, 1, now(), 204, 7, NULL FROM webhook_deliveries; ANALYZE",
    )
    .await
    .unwrap();
    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let path = format!("{BASE}/{}/deliveries?limit=200{cursor}", hook.id);
        let page = scene.acme.admin.get(&path).await.expect(200);
        seen += page["items"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, 2001);
    for (query, index) in [
        ("webhook_id = $1::text::uuid AND id < $2::text::uuid", "webhook_deliveries_webhook_idx"),
        ("webhook_id = $1::text::uuid AND state = 'failed' AND id < $2::text::uuid", "webhook_deliveries_state_idx"),
    ] {
        let plan = format!(
            "EXPLAIN SELECT d.*, e.kind FROM webhook_deliveries d JOIN events e ON e.id = d.event_id WHERE {query} \
             ORDER BY d.id DESC LIMIT 51"
        )
        .replace("webhook_id", "d.webhook_id")
        .replace(" id <", " d.id <")
        .replace(" state", " d.state");
        let plan = sql.query(&plan, &[&hook.id, &uuid::Uuid::max().to_string()]).await.unwrap();
        let plan: String = plan.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("Seq Scan"), "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn housekeeping_forgets_old_events_with_their_deliveries() {
    let scene = Scene::set().await;
    let hook = scene.listen(&scene.receiver.url()).await;
    scene.happen("old").await;
    scene.newest(&hook.id, "delivered").await;
    scene.happen("new").await;
    scene.receiver.wait_for(2).await;
    scene.quiet().await;
    let sql = scene.store.database.connect().await;
    let old = "UPDATE events SET at = now() - interval '31 days' WHERE data->>'pattern' = 'ghcr.io/old/*'";
    assert_eq!(sql.execute(old, &[]).await.unwrap(), 1);
    sql.execute("UPDATE jobs SET run_after = now() WHERE kind = 'housekeeping'", &[]).await.unwrap();
    wait::until("housekeeping", async || (scene.count("webhook_deliveries").await == 1).then_some(())).await;
    assert_eq!(count(&scene.store.database, "webhook_attempts").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_manages_webhooks_by_command() {
    let scene = Scene::set_with(|settings| settings.webhooks.retry_seconds = Vec::new()).await;
    let admin = Program::of(&scene.store, "admin@acme.example.org").await;
    let url = scene.receiver.url();
    let added = admin.done(&["webhook", "add", &url, "--event", "registry.created", "--description", "ours"]).await;
    let (id, secret) = (text(&added["id"]), text(&added["secret"]));
    assert_eq!(added["events"], json!(["registry.created"]));
    let listed = admin.done(&["webhook", "list"]).await;
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["secret"]), (&json!(id), &Value::Null));

    scene.receiver.answer(&[Reply::Status(500)]);
    let delivery = text(&admin.done(&["webhook", "test", &id]).await["delivery"]);
    let failed = scene.newest(&id, "failed").await;
    assert_eq!(failed["id"], json!(delivery));
    let deliveries = admin.done(&["webhook", "deliveries", &id, "--state", "failed"]).await;
    assert_eq!(deliveries["items"][0]["attempts"][0]["status"], 500);
    admin.done(&["webhook", "replay", &id, &delivery]).await;
    scene.newest(&id, "delivered").await;
    assert!(scene.receiver.received().iter().all(|received| received.is_signed_by(&secret)));
    let none = admin.done(&["webhook", "replay", &id, "--failed-since", "2020-01-01T00:00:00Z"]).await;
    assert_eq!(none["replayed"], 0);

    assert_ne!(admin.done(&["webhook", "rotate-secret", &id]).await["secret"], json!(secret));
    assert_eq!(admin.done(&["webhook", "disable", &id]).await["disabled_reason"], "person");
    assert!(admin.refused(&["webhook", "test", &id]).await.contains("disabled"));
    assert_eq!(admin.done(&["webhook", "enable", &id]).await["enabled"], true);
    admin.done(&["webhook", "remove", &id]).await;
    assert!(admin.refused(&["webhook", "show", &id]).await.contains("NOT_FOUND"));

    assert!(admin.refused(&["webhook", "--of-store", "list"]).await.contains("superuser"));
    let operator = Program::of(&scene.store, "root@example.org").await;
    assert_eq!(operator.done(&["webhook", "--of-store", "list"]).await["items"], json!([]));
    add(&scene.store.root, "/v1/webhooks", json!({ "url": url })).await;
    assert_eq!(operator.done(&["webhook", "--of-store", "list"]).await["items"][0]["url"], json!(url));
}
