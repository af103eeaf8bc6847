//! Events behind a cursor.

use std::collections::BTreeSet;

use registry_db::audit::{self, Actor, Entry, Subject};
use registry_db::{DbError, transaction};
use registry_types::audit::AuditAction;
use registry_types::ids::RegistryNamespaceId;
use serde_json::{Value, json};
use store_tests::store::text;
use tokio::sync::oneshot;

use super::scene::{BASE, Scene};
use crate::commands::Program;

const EVENTS: &str = "/v1/orgs/acme/events";

/// What stands behind the cursor, and where to go on.
async fn read(scene: &Scene, cursor: Option<&str>) -> (Vec<Value>, Option<String>) {
    let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    let answer = scene.acme.admin.get(&format!("{EVENTS}?limit=200{cursor}")).await.expect(200);
    (answer["items"].as_array().unwrap().clone(), answer["next_cursor"].as_str().map(str::to_owned))
}

fn patterns(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| text(&event["data"]["pattern"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_was_down_reads_what_it_missed() {
    let scene = Scene::set_with(|settings| settings.webhooks.retry_seconds = Vec::new()).await;
    assert_eq!(read(&scene, None).await, (Vec::new(), None));
    let hook = scene.listen(&scene.receiver.url()).await;
    scene.happen("one").await;
    scene.receiver.wait_for(1).await;
    let (heard, cursor) = read(&scene, None).await;
    // In the very form in which it was delivered; only the store's name may be another where none is set.
    let (mut read_event, mut delivered) = (heard[0].clone(), scene.receiver.received()[0].event());
    for event in [&mut read_event, &mut delivered] {
        event["source"] = Value::Null;
    }
    assert_eq!((heard.len(), read_event), (1, delivered));

    // Nobody hears of these.
    scene.quiet().await;
    scene.acme.admin.patch(&format!("{BASE}/{}", hook.id), json!({"enabled": false})).await.expect(200);
    scene.happen("two").await;
    scene.happen("three").await;
    let (missed, next) = read(&scene, cursor.as_deref()).await;
    assert_eq!(patterns(&missed), ["ghcr.io/two/*", "ghcr.io/three/*"]);
    assert_ne!(next, cursor);
    assert_eq!(read(&scene, next.as_deref()).await, (Vec::new(), next.clone()), "the cursor stays good");
    scene.happen("four").await;
    assert_eq!(patterns(&read(&scene, next.as_deref()).await.0), ["ghcr.io/four/*"]);

    // A test of a webhook is nobody else's business, and another organization's events aren't either.
    scene.acme.admin.patch(&format!("{BASE}/{}", hook.id), json!({"enabled": true})).await.expect(200);
    scene.acme.admin.post(&format!("{BASE}/{}/test", hook.id), json!({})).await.expect(202);
    let other = scene.store.organization("other").await;
    other.admin.post("/v1/orgs/other/registries", json!({"pattern": "ghcr.io/canary/*"})).await.expect(201);
    let (all, _) = read(&scene, None).await;
    assert_eq!(patterns(&all), ["ghcr.io/one/*", "ghcr.io/two/*", "ghcr.io/three/*", "ghcr.io/four/*"]);
    scene.acme.developer.get(EVENTS).await.expect_problem(403, "FORBIDDEN");
    other.admin.get(EVENTS).await.expect_problem(404, "NOT_FOUND");
    scene.acme.admin.get(&format!("{EVENTS}?cursor=zebra")).await.expect_problem(400, "BAD_REQUEST");
}

/// Its id and its time were made before those of what is read meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_transaction_ends_late_is_not_missed() {
    let scene = Scene::without_worker().await;
    let pool = registry_db::Pool::new(scene.store.database.url().clone(), 1).unwrap();
    let entry = Entry {
        organization: Some(scene.acme.id.parse().unwrap()),
        actor: Actor::System,
        action: AuditAction::RegistryRemoved,
        subject: Subject::Registry(RegistryNamespaceId::new()),
        details: json!({"pattern": "ghcr.io/slow/*"}),
    };
    let ((written, is_written), (go_on, may_end)) = (oneshot::channel(), oneshot::channel::<()>());
    let slow = tokio::spawn(async move {
        let mut conn = pool.get().await.unwrap();
        let held = transaction(&mut conn, async |conn| -> Result<(), DbError> {
            audit::append(conn, entry).await?;
            written.send(()).unwrap();
            may_end.await.unwrap();
            Ok(())
        });
        held.await.unwrap();
    });
    is_written.await.unwrap();
    scene.happen("quick").await;
    let (first, cursor) = read(&scene, None).await;
    assert_eq!(patterns(&first), ["ghcr.io/quick/*"]);
    go_on.send(()).unwrap();
    slow.await.unwrap();
    let (second, _) = read(&scene, cursor.as_deref()).await;
    assert_eq!(patterns(&second), ["ghcr.io/slow/*"]);
    assert!(text(&second[0]["id"]) < text(&first[0]["id"]), "or this test tests nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_are_read_along_their_index_by_many_at_once() {
    let scene = Scene::without_worker().await;
    scene.happen("one").await;
    let other = scene.store.organization("other").await;
    other.admin.post("/v1/orgs/other/registries", json!({"pattern": "ghcr.io/canary/*"})).await.expect(201);
    let sql = scene.store.database.connect().await;
    let many = "INSERT INTO events (id, organization_id, kind, subject, data, at) \
                SELECT gen_random_uuid(), organization_id, kind, subject, data, at FROM events, generate_series(1, 10000); ANALYZE events";
    sql.batch_execute(many).await.unwrap();
    let all = async || {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let (events, next) = read(&scene, cursor.as_deref()).await;
            if events.is_empty() {
                return seen;
            }
            seen.extend(events.iter().map(|event| text(&event["id"])));
            cursor = next;
        }
    };
    // Who reads at the same time reads the same, each event once.
    let (one, two) = tokio::join!(all(), all());
    assert_eq!((one.len(), one.iter().collect::<BTreeSet<_>>().len()), (10_001, 10_001));
    assert_eq!(one, two);
    sql.batch_execute("ANALYZE events").await.unwrap();
    for (query, index) in [
        (
            "SELECT * FROM events WHERE organization_id = $1::text::uuid AND place > 500 ORDER BY place LIMIT 201",
            "events_place_idx",
        ),
        (
            "SELECT id FROM events WHERE organization_id = $1::text::uuid AND place IS NULL AND kind <> 'webhook.ping' \
             ORDER BY id LIMIT 1000",
            "events_unplaced_idx",
        ),
    ] {
        let plan = sql.query(&format!("EXPLAIN {query}"), &[&scene.acme.id]).await.unwrap();
        let plan: String = plan.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{plan}");
    }
}

#[tokio::test]
async fn an_administrator_reads_events_by_command() {
    let scene = Scene::without_worker().await;
    scene.happen("one").await;
    scene.happen("two").await;
    let admin = Program::of(&scene.store, "admin@acme.example.org").await;
    let first = admin.done(&["event", "list", "--limit", "1"]).await;
    assert_eq!((&first["has_more"], first["items"].as_array().unwrap().len()), (&json!(true), 1));
    let second = admin.done(&["event", "list", "--cursor", &text(&first["next_cursor"])]).await;
    assert_eq!(patterns(second["items"].as_array().unwrap()), ["ghcr.io/two/*"]);
    assert_eq!(second["has_more"], json!(false));
    let shown = admin.shown(&["event", "list"]).await;
    shown.assert_says(&["company-store.registry.created.v1", "ghcr.io/two/*", "Later go on: --cursor "]);
    let cursor = text(&second["next_cursor"]);
    admin.shown(&["event", "list", "--cursor", &cursor]).await.assert_says(&["Nothing new has happened.", &cursor]);
    admin.shown(&["event", "list", "--cursor", "zebra"]).await.assert_refused(1, "BAD_REQUEST");
}
