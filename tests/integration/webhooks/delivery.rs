//! One event on its way to one receiver.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use registry_types::profile::Profile;
use serde_json::json;
use store_tests::clock;
use store_tests::fail_points::FailPoints;
use store_tests::store::{Interruptible, text};
use store_tests::wait;
use store_tests::webhook_receiver::{Reply, WebhookReceiver};

use super::scene::{BASE, Scene, errors};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_a_signed_cloud_event() {
    let scene = Scene::set().await;
    let hook = scene.listen(&scene.receiver.url()).await;
    scene.happen("acme").await;
    let received = scene.receiver.wait_for(1).await.remove(0);
    assert_eq!(received.header("content-type"), "application/cloudevents+json");
    let event = received.event();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "company-store.registry.created.v1");
    assert!(text(&event["source"]).starts_with("urn:uuid:"), "{event}");
    assert!(text(&event["subject"]).starts_with("registry:"), "{event}");
    assert_eq!(event["datacontenttype"], "application/json");
    assert_eq!(event["organization"], scene.acme.id);
    assert_eq!(event["data"], json!({"pattern": "ghcr.io/acme/*", "state": "pending"}));
    let at: DateTime<Utc> = text(&event["time"]).parse().unwrap();
    assert!((Utc::now() - at).abs() < TimeDelta::minutes(5), "{at}");

    assert_eq!(received.header("webhook-id"), text(&event["id"]));
    let sent: i64 = received.header("webhook-timestamp").parse().unwrap();
    assert!((Utc::now().timestamp() - sent).abs() < 300, "{sent}");
    assert!(received.is_signed_by(&hook.secret), "{received:?}");
    assert!(!received.is_signed_by("whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCwgMzIgYnl0ZXM="));

    let delivery = scene.newest(&hook.id, "delivered").await;
    assert_eq!((&delivery["event_type"], &delivery["event"]), (&json!("registry.created"), &event["id"]));
    assert_eq!((errors(&delivery), &delivery["attempts"][0]["status"]), (vec!["-".to_owned()], &json!(204)));
    let shown = scene.webhook(&hook.id).await;
    assert_eq!(
        (&shown["enabled"], &shown["failing_since"], &shown["secret"]),
        (&json!(true), &json!(null), &json!(null))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_secret_is_rotated_both_sign() {
    let scene = Scene::set().await;
    let hook = scene.listen(&scene.receiver.url()).await;
    let rotate = format!("{BASE}/{}/rotate-secret", hook.id);
    let rotated = scene.acme.admin.post(&rotate, json!({})).await.expect(200);
    let secret = text(&rotated["secret"]);
    scene.happen("one").await;
    let received = scene.receiver.wait_for(1).await.remove(0);
    assert_eq!(received.header("webhook-signature").split(' ').count(), 2);
    assert!(received.is_signed_by(&secret) && received.is_signed_by(&hook.secret));

    // The next rotation ends the oldest at once; and the overlap has an end.
    let third = text(&scene.acme.admin.post(&rotate, json!({"overlap_hours": 1})).await.expect(200)["secret"]);
    scene.happen("two").await;
    let received = scene.receiver.wait_for(2).await.remove(1);
    assert!(received.is_signed_by(&third) && received.is_signed_by(&secret) && !received.is_signed_by(&hook.secret));
    scene.quiet().await;
    clock::set(&scene.store.database, clock::now(&scene.store.database).await + TimeDelta::minutes(61)).await;
    scene.happen("three").await;
    let received = scene.receiver.wait_for(3).await.remove(2);
    assert!(received.is_signed_by(&third) && !received.is_signed_by(&secret));
    scene.acme.admin.post(&rotate, json!({"overlap_hours": 169})).await.expect_problem(400, "BAD_REQUEST");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_tried_again_under_the_same_id() {
    let scene = Scene::set().await;
    scene.receiver.answer(&[Reply::Status(500), Reply::Status(404)]);
    let hook = scene.listen(&scene.receiver.url()).await;
    scene.happen("acme").await;
    let received = scene.receiver.wait_for(3).await;
    let delivery = scene.newest(&hook.id, "delivered").await;
    assert_eq!(errors(&delivery), ["STATUS", "STATUS", "-"]);
    assert_eq!(delivery["attempts"][1]["status"], 404);
    for repeated in &received[1..] {
        assert_eq!(repeated.header("webhook-id"), received[0].header("webhook-id"));
        assert_eq!(repeated.body, received[0].body);
        assert!(repeated.is_signed_by(&hook.secret));
    }
    assert_eq!(scene.webhook(&hook.id).await["failing_since"], json!(null), "the success is the last word");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_gone_gets_nothing_more() {
    let scene = Scene::set().await;
    scene.receiver.answer(&[Reply::Status(410)]);
    let hook = scene.listen(&scene.receiver.url()).await;
    scene.happen("one").await;
    let delivery = scene.newest(&hook.id, "failed").await;
    assert_eq!(errors(&delivery), ["GONE"]);
    let gone = scene.webhook(&hook.id).await;
    assert_eq!((&gone["enabled"], &gone["disabled_reason"]), (&json!(false), &json!("gone")));
    let entry = "SELECT details::text FROM audit_entries WHERE action = 'webhook.disabled'";
    let entry: String = scene.store.database.connect().await.query_one(entry, &[]).await.unwrap().get(0);
    assert!(entry.contains("gone") && !entry.contains("of-the-receiver"), "{entry}");

    scene.happen("two").await;
    scene.quiet().await;
    assert_eq!(scene.deliveries(&hook.id).await.len(), 1);
    let (test, replay) = (format!("{BASE}/{}/test", hook.id), format!("{BASE}/{}/replay", hook.id));
    scene.acme.admin.post(&test, json!({})).await.expect_problem(409, "CONFLICT");
    scene.acme.admin.post(&replay, json!({"since": "2026-01-01T00:00:00Z"})).await.expect_problem(409, "CONFLICT");
    let enabled = scene.acme.admin.patch(&format!("{BASE}/{}", hook.id), json!({"enabled": true})).await.expect(200);
    assert_eq!((&enabled["enabled"], &enabled["disabled_reason"]), (&json!(true), &json!(null)));
    scene.acme.admin.post(&test, json!({})).await.expect(202);
    assert_eq!(scene.receiver.wait_for(2).await[1].event()["type"], "company-store.webhook.ping.v1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_for_days_is_disabled() {
    let scene = Scene::set_with(|settings| settings.webhooks.retry_seconds = Vec::new()).await;
    let hook = scene.listen(&scene.receiver.url()).await;
    scene.receiver.answer(&[Reply::Status(500), Reply::Status(500), Reply::Status(500)]);
    scene.happen("one").await;
    scene.newest(&hook.id, "failed").await;
    let start = clock::now(&scene.store.database).await;
    clock::set(&scene.store.database, start + TimeDelta::hours(119)).await;
    scene.happen("two").await;
    scene.quiet().await;
    assert_eq!(scene.webhook(&hook.id).await["enabled"], true, "not yet five days");
    clock::set(&scene.store.database, start + TimeDelta::hours(121)).await;
    scene.happen("three").await;
    scene.quiet().await;
    let disabled = scene.webhook(&hook.id).await;
    assert_eq!((&disabled["enabled"], &disabled["disabled_reason"]), (&json!(false), &json!("failing")));
    assert_eq!(scene.count("audit_entries WHERE action = 'webhook.disabled'").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_to_a_disabled_webhook_ends() {
    let mut scene = Scene::without_worker().await;
    let hook = scene.listen(&scene.receiver.url()).await;
    scene.acme.admin.post(&format!("{BASE}/{}/test", hook.id), json!({})).await.expect(202);
    scene.acme.admin.patch(&format!("{BASE}/{}", hook.id), json!({"enabled": false})).await.expect(200);
    scene.store.start_worker();
    assert_eq!(errors(&scene.newest(&hook.id, "failed").await), ["DISABLED"]);
    assert!(scene.receiver.received().is_empty());
    scene.quiet().await;
    let removed = scene.acme.admin.delete(&format!("{BASE}/{}", hook.id)).await;
    assert_eq!(removed.status, 204);
    assert_eq!(scene.count("webhook_deliveries").await + scene.count("webhook_secrets").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_not_followed() {
    let scene = Scene::set_with(|settings| settings.webhooks.retry_seconds = Vec::new()).await;
    let elsewhere = WebhookReceiver::start().await;
    scene.receiver.answer(&[Reply::Redirect(elsewhere.url())]);
    let hook = scene.listen(&scene.receiver.url()).await;
    scene.happen("acme").await;
    let delivery = scene.newest(&hook.id, "failed").await;
    assert_eq!((errors(&delivery), &delivery["attempts"][0]["status"]), (vec!["REDIRECT".to_owned()], &json!(307)));
    assert!(elsewhere.received().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_receiver_is_not_waited_for() {
    let scene = Scene::set_with(|settings| {
        settings.webhooks.retry_seconds = vec![0];
        settings.webhooks.timeout_ms = 300;
    })
    .await;
    scene.receiver.answer(&[Reply::Silence]);
    let hook = scene.listen(&scene.receiver.url()).await;
    scene.happen("acme").await;
    let delivery = scene.newest(&hook.id, "delivered").await;
    assert_eq!(errors(&delivery), ["TIMEOUT", "-"]);
    assert!(delivery["attempts"][0]["duration_ms"].as_i64().unwrap() >= 300, "{delivery}");
}

/// Development onboards what production then does not reach: addresses, names of such addresses, plain http.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_connects_to_no_private_address() {
    let scene = Scene::set_with(|settings| {
        settings.profile = Profile::Production;
        settings.public_url = Some("https://store.example.org".parse().unwrap());
        settings.webhooks.retry_seconds = Vec::new();
    })
    .await;
    // Whoever connects is heard, also without speaking.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut hooks = Vec::new();
    for url in [
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        "https://10.0.0.1/".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
    ] {
        hooks.push((scene.listen(&url).await, url));
    }
    scene.happen("acme").await;
    for (hook, url) in &hooks {
        assert_eq!(errors(&scene.newest(&hook.id, "failed").await), ["ADDRESS_FORBIDDEN"], "{url}");
    }
    let connected = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(connected.is_err(), "somebody connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_between_sending_and_noting_sends_again_under_the_same_id() {
    let scene = Scene::without_worker().await;
    let hook = scene.listen(&scene.receiver.url()).await;
    scene.happen("acme").await;
    let sql = scene.store.database.connect().await;
    let event: String = sql.query_one("SELECT id::text FROM events", &[]).await.unwrap().get(0);
    let points = FailPoints::start();
    let program = Interruptible { program: env!("CARGO_BIN_EXE_interruptible").into(), fail_points: points.socket() };
    let mut sent = points.hold("webhook.sent", &event);
    let worker = scene.store.start_worker_program(&program);
    sent.reached(1).await;
    drop(worker);
    assert_eq!(scene.deliveries(&hook.id).await[0]["attempts"], json!([]), "nothing is noted yet");
    sql.execute("UPDATE jobs SET locked_until = now() - interval '1 second' WHERE locked_until IS NOT NULL", &[])
        .await
        .unwrap();
    let _next = scene.store.start_worker_program(&program);
    let delivery = scene.newest(&hook.id, "delivered").await;
    assert_eq!(errors(&delivery), ["-"]);
    let received = scene.receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!((received[0].header("webhook-id"), &received[0].body), (&*event, &received[1].body));
}

/// Receivers that do not answer hold no place that intakes need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_receivers_keep_other_jobs_from_nothing() {
    let scene = Scene::set_with(|settings| settings.concurrency = 1).await;
    scene.receiver.answer(&[Reply::Silence, Reply::Silence, Reply::Silence]);
    for _ in 0..3 {
        scene.listen(&scene.receiver.url()).await;
    }
    scene.happen("acme").await;
    scene.receiver.wait_for(3).await;
    let sql = scene.store.database.connect().await;
    sql.execute("UPDATE jobs SET run_after = now() WHERE kind = 'housekeeping'", &[]).await.unwrap();
    wait::until("another job to be done", async || {
        let done = "SELECT count(*) FROM jobs WHERE kind = 'housekeeping' AND run_after > now()";
        (sql.query_one(done, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    assert_eq!(scene.count("jobs WHERE kind = 'webhook_delivery' AND locked_until > now()").await, 3);
}
