//! Findings that a person accepts for a while, and what becomes of the versions when the while is over.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use store_tests::advised::{Scene, about, check, coverage, coverage_and, jinja, jinja_escape};
use store_tests::client::StoreClient;
use store_tests::clock;
use store_tests::image::Image;
use store_tests::store::text;
use store_tests::told;
use store_tests::wait;

fn request() -> Value {
    json!({
        "package": "ranker", "versions": "^1.0", "advisory": "GHSA-test-escape",
        "component": {"package": "pkg:pypi/Jinja2", "before": "3.2"},
        "reason": "vulnerable_code_not_in_execute_path", "statement": "no template comes from outside", "days": 10,
    })
}

async fn ask(by: &StoreClient, request: Value) -> String {
    text(&by.post("/v1/orgs/acme/waivers", request).await.expect(201)["id"])
}

async fn approve(by: &StoreClient, id: &str) -> Value {
    by.post(&format!("/v1/orgs/acme/waivers/{id}/approve"), json!({})).await.expect(200)
}

async fn waiver(by: &StoreClient, id: &str) -> Value {
    by.get(&format!("/v1/orgs/acme/waivers/{id}")).await.expect(200)
}

fn expiry(waiver: &Value) -> DateTime<Utc> {
    text(&waiver["expires_at"]).parse().unwrap()
}

/// Waits until the job that looks after waivers has seen what is due.
async fn waivers_settled(scene: &Scene) {
    wait::until("waivers to be settled", async || {
        let due = "jobs WHERE kind = 'waivers' AND run_after <= now()";
        (scene.count(due).await == 0).then_some(())
    })
    .await;
    scene.judged().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_waiver_turns_a_version_quarantined() {
    let scene = Scene::set(&coverage_and(&[jinja_escape()])).await;
    let id = ask(&scene.acme.developer, request()).await;
    let approved = approve(&scene.store.root, &id).await;
    assert_eq!((&approved["state"], &approved["in_force"]), (&json!("approved"), &json!(true)), "{approved:#}");

    scene.publish_active("ranker", jinja()).await;
    let version = scene.version("ranker").await;
    let vulnerabilities = check(&version, "vulnerabilities");
    assert_eq!(vulnerabilities["outcome"], "warn", "what is waived is told, and never clean: {version:#}");
    let reason = &vulnerabilities["reasons"][0];
    assert_eq!(reason["rule"], format!("vulnerabilities.waived/{id}"));
    let used = &vulnerabilities["evidence"]["waivers"][0];
    assert_eq!(used["id"], json!(id), "{vulnerabilities:#}");
    assert_eq!(used["approved_by"], approved["decided_by"]["id"]);
    assert_eq!(used["statement"], "no template comes from outside");
    scene.registry.forget_requests();

    // Five days before, a warning, and nothing else.
    let end = expiry(&approved);
    clock::set(&scene.store.database, end - TimeDelta::days(5)).await;
    waivers_settled(&scene).await;
    assert_eq!(scene.count("audit_entries WHERE action = 'waiver.expiring'").await, 1);
    assert_eq!(scene.state("ranker").await, "active");
    // Near the end of its time. No nearer: the job comes back for what is due next, and by a clock that stands still it
    // would come back without a pause.
    clock::set(&scene.store.database, end - TimeDelta::seconds(5)).await;
    waivers_settled(&scene).await;
    assert_eq!(scene.state("ranker").await, "active");
    assert_eq!(waiver(&scene.acme.developer, &id).await["in_force"], true);

    clock::set(&scene.store.database, end).await;
    waivers_settled(&scene).await;
    let version = scene.version("ranker").await;
    assert_eq!(
        (&version["state"], &version["rejection_code"]),
        (&json!("quarantined"), &json!("SECURITY_SCAN_FAILED")),
        "{version:#}"
    );
    assert_eq!(check(&version, "vulnerabilities")["outcome"], "fail");
    assert_eq!(scene.decisions("ranker").await, ["active", "rejected"], "a verdict is added");
    assert_eq!(scene.store.root.logged_out().get("/v2/acme/ranker/manifests/1.0.0").await.status, 404);
    let over = waiver(&scene.acme.developer, &id).await;
    assert_eq!((&over["state"], &over["in_force"]), (&json!("expired"), &json!(false)));
    assert_eq!(scene.count("audit_entries WHERE action = 'waiver.expired'").await, 1);
    assert_eq!(scene.count("audit_entries WHERE action = 'waiver.expiring'").await, 1, "one warning");
    assert_eq!(scene.count("jobs WHERE kind = 'waivers'").await, 0, "nothing is left to wait for");
    assert!(scene.registry.requests().is_empty(), "{:?}", scene.registry.requests());
    told::assert_all_is_told(&scene.store.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiver_is_over_for_a_new_intake_before_anybody_has_noted_it() {
    let scene = Scene::set(&coverage_and(&[jinja_escape()])).await;
    let id = ask(&scene.acme.developer, request()).await;
    let end = expiry(&approve(&scene.store.root, &id).await);
    // The job that ends waivers is held up, by a worker that never ends it: only the clock can tell.
    let hold = "UPDATE jobs SET locked_until = 'infinity' WHERE kind = 'waivers'";
    scene.store.database.connect().await.execute(hold, &[]).await.unwrap();
    clock::set(&scene.store.database, end).await;
    assert_eq!(scene.count("waivers WHERE state = 'approved'").await, 1);
    let intake = scene.publish("ranker", jinja()).await;
    assert_eq!(
        (&intake["outcome"], &intake["failure_code"]),
        (&json!("rejected"), &json!("SECURITY_SCAN_FAILED")),
        "{intake:#}"
    );
    let late = waiver(&scene.acme.developer, &id).await;
    assert_eq!((&late["state"], &late["in_force"]), (&json!("expired"), &json!(false)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiver_brings_a_quarantined_version_back_until_it_is_withdrawn() {
    let scene = Scene::set(&coverage()).await;
    scene.publish_active("ranker", jinja()).await;
    scene.publish_active("other", jinja()).await;
    scene.load_and_judge(&coverage_and(&[jinja_escape()])).await;
    assert_eq!(scene.state("ranker").await, "quarantined");
    scene.registry.forget_requests();

    let id = ask(&scene.acme.developer, request()).await;
    scene.judged().await;
    assert_eq!(scene.state("ranker").await, "quarantined", "a request alone counts for nothing");
    approve(&scene.store.root, &id).await;
    scene.judged().await;
    assert_eq!(scene.state("ranker").await, "active");
    assert_eq!(scene.state("other").await, "quarantined", "another package");

    scene.acme.developer.post(&format!("/v1/orgs/acme/waivers/{id}/withdraw"), json!({})).await.expect(200);
    scene.judged().await;
    assert_eq!(scene.state("ranker").await, "quarantined");
    assert_eq!(scene.decisions("ranker").await, ["active", "rejected", "active", "rejected"]);
    assert_eq!(scene.decisions("other").await, ["active", "rejected"]);
    assert!(scene.registry.requests().is_empty(), "{:?}", scene.registry.requests());
    told::assert_all_is_told(&scene.store.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiver_covers_its_advisory_and_component_and_nothing_else() {
    let another = about("PyPI", "flask", "GHSA-another", "CRITICAL", "9.9.9");
    let scene = Scene::set(&coverage_and(&[jinja_escape(), another])).await;
    let id = ask(&scene.acme.developer, request()).await;
    approve(&scene.store.root, &id).await;
    let both = scene.publish("ranker", jinja().wheel("flask", "1.0")).await;
    assert_eq!(both["outcome"], "rejected", "{both:#}");
    assert!(text(&both["failure_reason"]).contains("GHSA-another"), "{both:#}");
    // Outside the range of the component's versions.
    let mut narrow = request();
    narrow["package"] = json!("elsewhere");
    narrow["component"]["before"] = json!("3.1.6");
    let id = ask(&scene.acme.developer, narrow).await;
    approve(&scene.store.root, &id).await;
    assert_eq!(scene.publish("elsewhere", jinja()).await["outcome"], "rejected");
    assert_eq!(scene.publish("clean", Image::new().debian_12()).await["outcome"], "active");
}

#[tokio::test]
async fn another_person_decides_and_only_one_who_may() {
    let scene = Scene::without_worker(&coverage()).await;
    let (root, admin, developer) = (&scene.store.root, &scene.acme.admin, &scene.acme.developer);
    root.patch("/v1/orgs/acme", json!({"trust_tier": "verified"})).await.expect(200);
    let id = ask(developer, request()).await;
    let decide = |what: &str| format!("/v1/orgs/acme/waivers/{id}/{what}");
    // The organization is not the platform's own: its administrator does not decide what the platform's users run.
    admin.post(&decide("approve"), json!({})).await.expect_problem(403, "FORBIDDEN");
    developer.post(&decide("approve"), json!({})).await.expect_problem(403, "FORBIDDEN");
    let own = ask(root, request()).await;
    let own = format!("/v1/orgs/acme/waivers/{own}/approve");
    root.post(&own, json!({})).await.expect_problem(403, "ANOTHER_PERSON_REQUIRED");

    // In an internal organization its administrators decide, but never about what they asked for themselves.
    root.patch("/v1/orgs/acme", json!({"trust_tier": "internal"})).await.expect(200);
    let of_admin = ask(admin, request()).await;
    let of_admin = format!("/v1/orgs/acme/waivers/{of_admin}/approve");
    admin.post(&of_admin, json!({})).await.expect_problem(403, "ANOTHER_PERSON_REQUIRED");
    let key = admin.post("/v1/orgs/acme/api-keys", json!({"label": "ci"})).await.expect(201);
    let by_key = admin.logged_out().request(reqwest::Method::POST, &decide("approve"));
    let by_key = by_key.header("x-api-key", text(&key["key"])).json(&json!({}));
    store_tests::client::Answer::to(by_key).await.expect_problem(403, "FORBIDDEN");
    let refused = admin.post(&decide("refuse"), json!({"note": "update it"})).await.expect(200);
    assert_eq!((&refused["state"], &refused["note"]), (&json!("refused"), &json!("update it")));
    admin.post(&decide("approve"), json!({})).await.expect_problem(409, "WAIVER_NOT_OPEN");
    admin.post(&decide("withdraw"), json!({})).await.expect_problem(409, "WAIVER_NOT_OPEN");
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_with_every_fault() {
    let scene = Scene::without_worker(&coverage()).await;
    let developer = &scene.acme.developer;
    let wrong = json!({
        "package": "A", "versions": "newest", "advisory": "a b", "component": {"package": "jinja2"},
        "reason": "because", "statement": " ", "days": 31,
    });
    let problem = developer.post("/v1/orgs/acme/waivers", wrong).await.expect_problem(422, "WAIVER_INVALID");
    let pointers: Vec<String> = problem["errors"].as_array().unwrap().iter().map(|e| text(&e["pointer"])).collect();
    let all = ["/package", "/versions", "/advisory", "/component/package", "/reason", "/statement", "/days"];
    assert_eq!(pointers, all);
    let viewer = scene.store.user("acme", "viewer").await;
    viewer.post("/v1/orgs/acme/waivers", request()).await.expect_problem(403, "FORBIDDEN");
    // Whatever a program does: the database holds the limit.
    let long = "INSERT INTO waivers (id, organization_id, advisory, component, reason, statement, asked_by, expires_at) \
                SELECT gen_random_uuid(), o.id, 'CVE-1', 'pkg:pypi/x', 'fix_planned', 's', u.id, now() + interval '31 days' \
                FROM organizations o, users u WHERE o.slug = 'acme' LIMIT 1";
    let refused = scene.store.database.connect().await.execute(long, &[]).await.unwrap_err();
    assert_eq!(refused.as_db_error().unwrap().constraint(), Some("waivers_expiry_check"));
}

#[tokio::test]
async fn waivers_are_listed_by_pages_and_filters() {
    let scene = Scene::without_worker(&coverage()).await;
    let developer = &scene.acme.developer;
    let mut ids = Vec::new();
    for at in 0..5 {
        let mut one = request();
        one["advisory"] = json!(format!("CVE-2026-{at}"));
        ids.push(ask(developer, one).await);
    }
    ids.reverse();
    let list = async |query: &str| developer.get(&format!("/v1/orgs/acme/waivers?{query}")).await.expect(200);
    let listed = |page: &Value| page["items"].as_array().unwrap().iter().map(|w| text(&w["id"])).collect::<Vec<_>>();
    let first = list("limit=3").await;
    assert_eq!(listed(&first), ids[..3]);
    let second = list(&format!("limit=3&cursor={}", text(&first["next_cursor"]))).await;
    assert_eq!((listed(&second), &second["next_cursor"]), (ids[3..].to_vec(), &Value::Null));
    assert_eq!(listed(&list("advisory=CVE-2026-0").await), ids[4..]);
    assert_eq!(listed(&list("state=approved").await), Vec::<String>::new());
    assert_eq!(listed(&list("package=ranker&state=asked").await), ids);
    developer.get("/v1/orgs/acme/waivers?state=open").await.expect_problem(400, "BAD_REQUEST");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waivers_that_versions_rest_on_are_exported_as_openvex() {
    let scene = Scene::set(&coverage_and(&[jinja_escape()])).await;
    let export = async || scene.acme.developer.get("/v1/orgs/acme/vex").await.expect(200);
    let id = ask(&scene.acme.developer, request()).await;
    assert_eq!(export().await["statements"], json!([]), "nobody has approved it");
    let approved = approve(&scene.store.root, &id).await;
    scene.publish_active("ranker", jinja()).await;
    let document = export().await;
    assert_eq!(document["@context"], "https://openvex.dev/ns/v0.2.0");
    let statement = &document["statements"][0];
    assert_eq!(statement["vulnerability"]["name"], "GHSA-test-escape", "{document:#}");
    assert_eq!(statement["status"], "not_affected");
    assert_eq!(statement["justification"], "vulnerable_code_not_in_execute_path");
    assert_eq!(statement["products"][0]["subcomponents"][0]["@id"], "pkg:pypi/jinja2");
    let digest = text(&scene.version("ranker").await["digest"]);
    assert_eq!(format!("sha256:{}", text(&statement["products"][0]["hashes"]["sha-256"])), digest);
    scene.store.organization("strangers").await.admin.get("/v1/orgs/acme/vex").await.expect_problem(404, "NOT_FOUND");

    clock::set(&scene.store.database, expiry(&approved)).await;
    assert_eq!(export().await["statements"], json!([]), "over is over, whoever has noted it");
}
