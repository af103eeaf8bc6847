//! Following an intake by server-sent events.

use futures_util::StreamExt as _;
use registry_types::ids::IntakeId;
use reqwest::{Method, Response};
use serde_json::json;
use store_tests::store::{Organization, Store, module_manifest, text};
use uuid::Uuid;

async fn queued(store: &Store) -> (Organization, Uuid) {
    let acme = store.organization("acme").await;
    store.root.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/acme/*"})).await.expect(201);
    let accepted = acme.publish(&module_manifest("app", "1.0.0"), "ghcr.io/acme/app:1").await.expect(202);
    let id = text(&accepted["publishId"]).parse::<IntakeId>().unwrap();
    (acme, id.0)
}

async fn follow(acme: &Organization, intake: Uuid, after: Option<i64>) -> Response {
    let mut request = acme.developer.request(Method::GET, &format!("/v1/intakes/{intake}/events"));
    if let Some(after) = after {
        request = request.header("Last-Event-ID", after);
    }
    let response = request.header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(!response.headers().contains_key("content-encoding"));
    response
}

async fn happen(store: &Store, intake: Uuid, kind: &str, data: &str) -> i64 {
    let insert = "INSERT INTO intake_events (intake_id, kind, data) VALUES ($1, $2, $3::text::jsonb) RETURNING id";
    let database = store.database.connect().await;
    database.query_one(insert, &[&intake, &kind, &data]).await.unwrap().get(0)
}

/// Reads until `text` has arrived.
async fn read_until(
    response: Response,
    text: &str,
) -> (String, impl futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin) {
    let mut stream = response.bytes_stream();
    let mut seen = String::new();
    while !seen.contains(text) {
        seen += std::str::from_utf8(&stream.next().await.expect("the stream ended").unwrap()).unwrap();
    }
    (seen, stream)
}

#[tokio::test]
async fn what_was_is_sent_again_and_what_happens_is_sent_at_once() {
    let store = Store::start_without_worker().await;
    let (acme, intake) = queued(&store).await;
    let (seen, mut stream) = read_until(follow(&acme, intake, None).await, "\"queued\"").await;
    assert!(seen.contains("event: state\n"), "{seen}");

    let step = happen(&store, intake, "step", r#"{"step": "resolve"}"#).await;
    let mut live = String::new();
    while !live.contains("resolve") {
        live += std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap();
    }
    assert!(live.contains(&format!("id: {step}\nevent: step\n")), "{live}");

    happen(&store, intake, "decided", r#"{"decision": "active"}"#).await;
    let mut end = String::new();
    while let Some(chunk) = stream.next().await {
        end += std::str::from_utf8(&chunk.unwrap()).unwrap();
    }
    assert!(end.contains("event: decided\n"), "{end}");
}

#[tokio::test]
async fn a_client_that_was_cut_off_resumes_behind_what_it_saw() {
    let store = Store::start_without_worker().await;
    let (acme, intake) = queued(&store).await;
    let seen = happen(&store, intake, "step", r#"{"step": "resolve"}"#).await;
    happen(&store, intake, "step", r#"{"step": "transfer"}"#).await;
    let last = happen(&store, intake, "decided", r#"{"decision": "active"}"#).await;
    let rest = follow(&acme, intake, Some(seen)).await.text().await.unwrap();
    assert!(!rest.contains("resolve") && rest.contains("transfer") && rest.contains("decided"), "{rest}");

    // Behind the last event of an intake that has ended there is nothing to wait for.
    let database = store.database.connect().await;
    let end = "UPDATE intakes SET state = 'decided', outcome = 'active', finished_at = now() WHERE id = $1";
    database.execute(end, &[&intake]).await.unwrap();
    assert_eq!(follow(&acme, intake, Some(last)).await.text().await.unwrap(), "");
}

#[tokio::test]
async fn a_store_that_stops_ends_its_streams() {
    let store = Store::start_without_worker().await;
    let (acme, intake) = queued(&store).await;
    let (_, mut stream) = read_until(follow(&acme, intake, None).await, "\"queued\"").await;
    // On a thread of its own: stopping waits for the streams, and this one is read here.
    let stopped = std::thread::spawn(move || drop(store));
    while let Some(chunk) = stream.next().await {
        chunk.unwrap();
    }
    stopped.join().unwrap();
}
