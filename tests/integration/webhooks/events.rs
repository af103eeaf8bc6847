//! What is told, and to whom.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use registry_db::audit::{self, Actor, Entry, Subject};
use registry_db::{DbError, transaction};
use registry_types::audit::AuditAction;
use registry_types::event::EventType;
use registry_types::ids::RegistryNamespaceId;
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::advised::{Scene as Advised, coverage, coverage_and, jinja, jinja_escape};
use store_tests::client::Answer;
use store_tests::clock;
use store_tests::image::Image;
use store_tests::store::{module_manifest, text};
use store_tests::webhook_receiver::WebhookReceiver;

use super::scene::{BASE, Scene, add};

/// Every event must have the fields of its type, and the whole documented form.
fn assert_whole(events: &[Value]) {
    for event in events {
        let word = text(&event["type"]);
        let word = word.strip_prefix("company-store.").unwrap().strip_suffix(".v1").unwrap();
        let kind: EventType = word.parse().unwrap();
        let had: Vec<&String> = event["data"].as_object().unwrap().keys().collect();
        let mut expected = kind.fields().to_vec();
        expected.sort_unstable();
        assert_eq!(had, expected, "{event:#}");
        assert!(event["subject"].is_string() && event["time"].is_string(), "{event:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_s_life_with_its_waiver_is_told() {
    let scene = Advised::set(&coverage_and(&[jinja_escape()])).await;
    let receiver = WebhookReceiver::start().await;
    add(&scene.acme.admin, BASE, json!({ "url": receiver.url() })).await;
    let waiver = json!({
        "package": "ranker", "advisory": "GHSA-test-escape", "component": {"package": "pkg:pypi/Jinja2"},
        "reason": "fix_planned", "statement": "the next release has it", "days": 10,
    });
    let waiver = scene.acme.developer.post("/v1/orgs/acme/waivers", waiver).await.expect(201);
    let asked = receiver.event("waiver.asked").await;
    assert_eq!(asked["subject"], format!("waiver:{}", text(&waiver["id"])));
    assert_eq!((&asked["data"]["advisory"], &asked["data"]["package"]), (&json!("GHSA-test-escape"), &json!("ranker")));
    let approve = format!("/v1/orgs/acme/waivers/{}/approve", text(&waiver["id"]));
    let approved = scene.store.root.post(&approve, json!({})).await.expect(200);
    receiver.event("waiver.approved").await;

    scene.publish_active("ranker", jinja()).await;
    let submitted = receiver.event("version.submitted").await;
    let active = receiver.event("version.active").await;
    assert_eq!(submitted["data"]["package"], "acme/ranker");
    assert_eq!(active["data"], json!({"package": "acme/ranker", "version": "1.0.0", "from": "pending", "code": null}));
    assert_eq!(active["subject"], submitted["subject"]);

    let end = text(&approved["expires_at"]).parse().unwrap();
    clock::set(&scene.store.database, end - TimeDelta::days(5)).await;
    receiver.event("waiver.expiring").await;
    clock::set(&scene.store.database, end).await;
    receiver.event("waiver.expired").await;
    let quarantined = receiver.event("version.quarantined").await;
    assert_eq!(
        (&quarantined["data"]["from"], &quarantined["data"]["code"]),
        (&json!("active"), &json!("SECURITY_SCAN_FAILED"))
    );

    let refused = scene.publish("other", jinja()).await;
    assert_eq!(refused["outcome"], "rejected");
    assert_eq!(receiver.event("version.rejected").await["data"]["package"], "acme/other");
    assert_whole(&receiver.received().iter().map(|received| received.event()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reviews_withdrawals_and_namespaces_are_told() {
    let scene = Advised::set(&coverage()).await;
    let receiver = WebhookReceiver::start().await;
    add(&scene.acme.admin, BASE, json!({ "url": receiver.url() })).await;
    scene.trust("community").await;
    let tier = receiver.event("organization.trust_tier_changed").await;
    assert_eq!(tier["data"], json!({"from": "internal", "to": "community"}));
    let manifest = module_manifest("ranker", "1.0.0");
    let image = Image::new().debian_12().layer().hla_module(&manifest);
    let pushed = image.push(&scene.registry.address, "acme/ranker", "1.0.0").await;
    scene.acme.intake(&manifest, &pushed.reference).await;
    receiver.event("version.in_review").await;
    let review = scene.store.root.get("/v1/reviews").await.expect(200)["items"][0].clone();
    let approve = json!({"verdict": review["verdict"], "digest": review["digest"]});
    let path = format!("/v1/reviews/{}/approve", text(&review["id"]));
    assert!(scene.store.root.post(&path, approve).await.status < 300);
    let approved = receiver.event("review.approved").await;
    assert_eq!(approved["subject"], format!("review:{}", text(&review["id"])));
    assert_eq!(receiver.event("version.active").await["data"]["from"], "in_review");

    let version = "/v1/packages/acme/ranker/versions/1.0.0";
    let note = scene.acme.admin.request(Method::PUT, &format!("{version}/deprecation"));
    assert_eq!(Answer::to(note.json(&json!({"note": "use 2.0.0"}))).await.status, 204);
    assert_eq!(receiver.event("version.deprecated").await["data"]["note"], "use 2.0.0");
    scene.acme.admin.post(&format!("{version}/yank"), json!({"reason": "broken"})).await;
    assert_eq!(receiver.event("version.yanked").await["data"]["reason"], "broken");

    let registry = scene.acme.admin.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/acme/*"})).await;
    let registry = format!("/v1/orgs/acme/registries/{}", text(&registry.expect(201)["id"]));
    receiver.event("registry.created").await;
    for (step, told) in [("approve", "registry.approved"), ("suspend", "registry.suspended")] {
        scene.store.root.post(&format!("{registry}/{step}"), json!({})).await.expect(200);
        assert_eq!(receiver.event(told).await["data"], json!({"pattern": "ghcr.io/acme/*"}));
    }
    scene.acme.admin.patch(&registry, json!({"credential": null})).await.expect(200);
    receiver.event("registry.changed").await;
    assert_eq!(scene.store.root.delete(&registry).await.status, 204);
    receiver.event("registry.removed").await;

    let claim = scene.acme.admin.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/other/*"})).await;
    let claim = format!("/v1/orgs/acme/registries/{}", text(&claim.expect(201)["id"]));
    scene.store.root.post(&format!("{claim}/refuse"), json!({"reason": "not yours"})).await.expect(200);
    let refused = json!({"pattern": "ghcr.io/other/*", "reason": "not yours"});
    assert_eq!(receiver.event("registry.refused").await["data"], refused);
    scene.acme.admin.post(&format!("{claim}/reopen"), json!({})).await.expect(200);
    receiver.event("registry.reopened").await;
    assert_whole(&receiver.received().iter().map(|received| received.event()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_hears_of_another_organization_but_the_store() {
    let scene = Scene::set().await;
    let other = scene.store.organization("other").await;
    let (of_other, of_store) = (WebhookReceiver::start().await, WebhookReceiver::start().await);
    let hook = scene.listen(&scene.receiver.url()).await;
    let others = add(&other.admin, "/v1/orgs/other/webhooks", json!({ "url": of_other.url() })).await;
    add(&scene.store.root, "/v1/webhooks", json!({ "url": of_store.url() })).await;

    other.admin.post("/v1/orgs/other/registries", json!({"pattern": "ghcr.io/canary/*"})).await.expect(201);
    scene.happen("acme").await;
    let heard = of_store.wait_for(2).await;
    let organizations: BTreeMap<String, String> = heard
        .iter()
        .map(|received| received.event())
        .map(|event| (text(&event["organization"]), text(&event["type"])))
        .collect();
    assert_eq!(organizations.keys().collect::<Vec<_>>().len(), 2, "{organizations:?}");
    of_other.wait_for(1).await;
    scene.receiver.wait_for(1).await;
    scene.quiet().await;
    for (receiver, own, foreign) in [(&scene.receiver, "acme", "canary"), (&of_other, "canary", "ghcr.io/acme")] {
        let received = receiver.received();
        assert_eq!(received.len(), 1);
        let body = String::from_utf8(received[0].body.to_vec()).unwrap();
        assert!(body.contains(own) && !body.contains(foreign), "{body}");
    }

    // Nor does anybody see what others were sent.
    let delivery = text(&scene.deliveries(&hook.id).await[0]["id"]);
    for path in [
        format!("/v1/orgs/other/webhooks/{}", hook.id),
        format!("/v1/orgs/other/webhooks/{}/deliveries", hook.id),
        format!("/v1/orgs/other/webhooks/{}/deliveries/{delivery}", others.id),
        format!("{BASE}/{}", hook.id),
        "/v1/webhooks".to_owned(),
    ] {
        let status = other.admin.get(&path).await.status;
        assert!(matches!(status, 403 | 404), "{path} answers {status}");
    }
    scene.acme.developer.get(BASE).await.expect_problem(403, "FORBIDDEN");
    let stolen = format!("/v1/orgs/other/webhooks/{}/rotate-secret", hook.id);
    other.admin.post(&stolen, json!({})).await.expect_problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_hears_only_of_the_types_that_it_wants() {
    let scene = Scene::set().await;
    let wanted = json!({"url": scene.receiver.url(), "events": ["registry.removed", "registry.removed"]});
    let hook = add(&scene.acme.admin, BASE, wanted).await;
    assert_eq!(scene.webhook(&hook.id).await["events"], json!(["registry.removed"]));
    let made =
        scene.acme.admin.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/acme/*"})).await.expect(201);
    scene.acme.admin.delete(&format!("/v1/orgs/acme/registries/{}", text(&made["id"]))).await;
    scene.receiver.event("registry.removed").await;
    scene.quiet().await;
    assert_eq!(scene.receiver.received().len(), 1);
}

#[tokio::test]
async fn what_is_rolled_back_never_happened() {
    let scene = Scene::without_worker().await;
    scene.listen(&scene.receiver.url()).await;
    let before = (scene.count("events").await, scene.count("jobs").await);
    let pool = registry_db::Pool::new(scene.store.database.url().clone(), 1).unwrap();
    let mut conn = pool.get().await.unwrap();
    let entry = Entry {
        organization: Some(scene.acme.id.parse().unwrap()),
        actor: Actor::System,
        action: AuditAction::RegistryRemoved,
        subject: Subject::Registry(RegistryNamespaceId::new()),
        details: json!({"pattern": "ghcr.io/acme/*"}),
    };
    let rolled_back = transaction(&mut conn, async |conn| -> Result<(), DbError> {
        audit::append(conn, entry).await?;
        Err(DbError::Stale)
    });
    assert!(rolled_back.await.is_err());
    // Refused by the API: the transaction ends half-way.
    let body = json!({"pattern": "ghcr.io/acme/*"});
    scene.acme.admin.post("/v1/orgs/acme/registries", body.clone()).await.expect(201);
    assert!(scene.acme.admin.post("/v1/orgs/acme/registries", body).await.status >= 400);
    assert_eq!((scene.count("events").await, scene.count("jobs").await), (before.0 + 1, before.1 + 1));
}
