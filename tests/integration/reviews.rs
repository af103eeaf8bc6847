//! What waits for a person, and what a person decides about it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use registry_db::packages::Viewer;
use registry_db::reviews::{self, Filter};
use registry_types::policy::Policy;
use serde_json::{Value, json};
use store_tests::advised::{Scene, about, coverage, coverage_and, jinja};
use store_tests::client::{Answer, StoreClient};
use store_tests::clock;
use store_tests::image::Image;
use store_tests::store::{module_manifest, text};
use store_tests::told;
use store_tests::wait;

/// A store whose `acme` is of this tier.
async fn scene(tier: &str) -> Scene {
    let scene = Scene::set(&coverage()).await;
    scene.trust(tier).await;
    scene
}

/// Publishes `acme/ranker` with these permissions, and returns how the intake ended.
async fn publish(scene: &Scene, version: &str, permissions: Value) -> Value {
    let mut manifest = module_manifest("ranker", version);
    manifest["permissions"] = permissions;
    let image = Image::new().debian_12().layer().hla_module(&manifest);
    let pushed = image.push(&scene.registry.address, "acme/ranker", version).await;
    scene.acme.intake(&manifest, &pushed.reference).await
}

async fn queue(by: &StoreClient) -> Vec<Value> {
    by.get("/v1/reviews").await.expect(200)["items"].as_array().unwrap().clone()
}

/// The one review that waits.
async fn waiting(by: &StoreClient) -> Value {
    let queue = queue(by).await;
    assert_eq!(queue.len(), 1, "{queue:#?}");
    queue[0].clone()
}

/// What a reviewer says about what the queue shows.
fn about_it(review: &Value, reason: Option<&str>) -> Value {
    json!({"verdict": review["verdict"], "digest": review["digest"], "reason": reason})
}

async fn decide(by: &StoreClient, review: &Value, choice: &str, reason: Option<&str>) -> Answer {
    by.post(&format!("/v1/reviews/{}/{choice}", text(&review["id"])), about_it(review, reason)).await
}

/// Waits until the decision about a review is written.
async fn settled(by: &StoreClient, review: &Value) -> Value {
    let path = format!("/v1/reviews/{}", text(&review["id"]));
    wait::until("the review to be settled", async || {
        let review = by.get(&path).await.expect(200);
        (!review["settled_at"].is_null()).then_some(review)
    })
    .await
}

async fn version(scene: &Scene, number: &str) -> Value {
    scene.acme.developer.get(&format!("/v1/packages/acme/ranker/versions/{number}")).await.expect(200)
}

/// One more of the platform's people.
async fn another_superuser(scene: &Scene) -> StoreClient {
    let client = scene.store.user("first", "viewer").await;
    scene.store.root.post("/v1/superusers", json!({"email": "viewer@first.example.org"})).await.expect(204);
    client
}

fn predicate(verdict: &Value) -> Value {
    let statement: Value = serde_json::from_slice(&STANDARD.decode(text(&verdict["payload"])).unwrap()).unwrap();
    statement["predicate"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_community_version_becomes_active_by_a_person_and_its_verdict_names_the_review() {
    let scene = scene("community").await;
    let root = &scene.store.root;
    let anybody = root.logged_out();
    let is_served = async || anybody.get("/v2/acme/ranker/manifests/1.0.0").await.status == 200;
    let intake = publish(&scene, "1.0.0", json!({"network": ["api.example.org"]})).await;
    assert_eq!(intake["outcome"], "in_review", "{intake:#}");
    assert!(!is_served().await);
    scene.registry.forget_requests();

    let review = waiting(root).await;
    assert_eq!((&review["state"], &review["compared_with"]), (&json!("open"), &Value::Null), "{review:#}");
    assert_eq!(review["reasons"][0]["code"], "REVIEW_REQUIRED");
    let changes = review["changes"].as_array().unwrap();
    assert_eq!((changes.len(), &changes[0]["what"]), (1, &json!("api.example.org")));
    // Its publisher sees that it waits and why, others don't see it.
    assert_eq!(waiting(&scene.acme.developer).await["id"], review["id"]);
    let stranger = scene.store.organization("strangers").await.admin;
    assert_eq!(queue(&stranger).await, Vec::<Value>::new());
    decide(&stranger, &review, "approve", None).await.expect_problem(404, "NOT_FOUND");
    decide(&scene.acme.admin, &review, "approve", None).await.expect_problem(403, "FORBIDDEN");

    let mut other = review.clone();
    other["verdict"] = json!("00000000-0000-7000-8000-000000000000");
    decide(root, &other, "approve", None).await.expect_problem(409, "REVIEW_OUTDATED");
    let mut other = review.clone();
    other["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
    decide(root, &other, "approve", None).await.expect_problem(409, "REVIEW_OUTDATED");
    assert!(!is_served().await);

    let approved = decide(root, &review, "approve", Some("looks fine")).await.expect(202);
    assert_eq!(approved["state"], "approved");
    settled(root, &review).await;
    assert!(is_served().await);
    assert_eq!(version(&scene, "1.0.0").await["state"], "active");
    let verdict = anybody.get("/v1/packages/acme/ranker/versions/1.0.0/verdict").await.expect(200);
    let predicate = predicate(&verdict);
    assert_eq!(predicate["verificationResult"], "PASSED");
    let named = &predicate["companyStore"]["review"];
    assert_eq!((&named["id"], &named["verdict"]), (&review["id"], &review["verdict"]), "{named:#}");
    assert_eq!((&named["reason"], &named["decision"]), (&json!("looks fine"), &json!("approved")));
    let digest = text(&review["digest"]);
    let referrers = anybody.get(&format!("/v2/acme/ranker/referrers/{digest}")).await.expect(200);
    assert_eq!(referrers["manifests"].as_array().unwrap().len(), 1, "the verdict: {referrers:#}");
    assert_eq!(scene.decisions("ranker").await, ["in_review", "active"]);
    for action in ["review.approved", "version.reviewed"] {
        assert_eq!(scene.count(&format!("audit_entries WHERE action = '{action}'")).await, 1, "{action}");
    }
    decide(root, &review, "reject", Some("no")).await.expect_problem(409, "REVIEW_NOT_OPEN");
    let publish = scene.acme.developer.get(&format!("/v1/modules/publish/{}", text(&intake["id"]))).await.expect(200);
    assert_eq!(publish["status"], "completed");
    assert!(scene.registry.requests().is_empty(), "{:?}", scene.registry.requests());
    told::assert_all_is_told(&scene.store.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_version_waits_only_when_it_grew() {
    let scene = scene("verified").await;
    let root = &scene.store.root;
    let network = json!({"network": ["api.example.org"]});
    assert_eq!(publish(&scene, "1.0.0", network.clone()).await["outcome"], "in_review", "a first version");
    let first = waiting(root).await;
    decide(root, &first, "approve", None).await.expect(202);
    settled(root, &first).await;

    assert_eq!(publish(&scene, "1.0.1", network).await["outcome"], "active", "nothing grew");
    assert_eq!(publish(&scene, "1.0.2", json!({})).await["outcome"], "active", "it asks for less");
    assert_eq!(queue(root).await, Vec::<Value>::new());
    // What was given up is asked for anew.
    let grown = publish(&scene, "1.1.0", json!({"network": ["other.example.org"], "database": ["write"]})).await;
    assert_eq!(grown["outcome"], "in_review", "{grown:#}");
    let review = waiting(root).await;
    assert_eq!(review["compared_with"], "1.0.2");
    let whats: Vec<_> = review["changes"].as_array().unwrap().iter().map(|change| text(&change["what"])).collect();
    assert_eq!(whats, ["other.example.org", "database: write"], "{review:#}");

    let nothing = decide(root, &review, "reject", None).await.expect_problem(400, "BAD_REQUEST");
    assert!(text(&nothing["detail"]).contains("reason"));
    decide(root, &review, "reject", Some("why does it write?")).await.expect(202);
    settled(root, &review).await;
    let rejected = version(&scene, "1.1.0").await;
    assert_eq!(
        (&rejected["state"], &rejected["rejection_code"]),
        (&json!("rejected"), &json!("REVIEW_REJECTED")),
        "{rejected:#}"
    );
    assert_eq!(rejected["reasons"][0]["message"], "why does it write?");
    assert_eq!(publish(&scene, "1.1.0", json!({})).await["outcome"], "active", "the number may be published again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_version_needs_nobody() {
    let scene = scene("internal").await;
    let intake = publish(&scene, "1.0.0", json!({"network": ["api.example.org"]})).await;
    assert_eq!(intake["outcome"], "active", "{intake:#}");
    assert_eq!(scene.count("reviews").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_is_about_one_verdict_and_a_later_one_supersedes_it() {
    let scene = scene("community").await;
    let root = &scene.store.root;
    assert_eq!(scene.publish("ranker", jinja()).await["outcome"], "in_review");
    let seen = waiting(root).await;
    scene.load_and_judge(&coverage_and(&[about("PyPI", "jinja2", "GHSA-mild", "MEDIUM", "9.9.9")])).await;
    let problem = decide(root, &seen, "approve", None).await.expect_problem(409, "REVIEW_OUTDATED");
    assert!(text(&problem["detail"]).contains("later verdict"), "{problem}");
    assert_eq!(scene.state("ranker").await, "in_review", "the path still asks for a person");

    let now = waiting(root).await;
    assert_ne!((&now["id"], &now["verdict"]), (&seen["id"], &seen["verdict"]));
    assert!(now["warnings"].to_string().contains("GHSA-mild"), "{now:#}");
    decide(root, &now, "approve", None).await.expect(202);
    settled(root, &now).await;
    assert_eq!(scene.state("ranker").await, "active");
    assert_eq!(scene.decisions("ranker").await, ["in_review", "in_review", "active"]);

    // What comes to be known later still quarantines it, and when that goes, no person is asked once more.
    scene.load_and_judge(&coverage_and(&[about("PyPI", "jinja2", "GHSA-bad", "CRITICAL", "9.9.9")])).await;
    assert_eq!(scene.state("ranker").await, "quarantined");
    scene.load_and_judge(&coverage()).await;
    assert_eq!(scene.state("ranker").await, "active");
    told::assert_all_is_told(&scene.store.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_finding_rejects_what_waits_and_no_person_can_approve_it() {
    let scene = scene("community").await;
    let root = &scene.store.root;
    assert_eq!(scene.publish("ranker", jinja()).await["outcome"], "in_review");
    let seen = waiting(root).await;
    scene.load_and_judge(&coverage_and(&[about("PyPI", "jinja2", "GHSA-bad", "CRITICAL", "9.9.9")])).await;
    assert_eq!(scene.state("ranker").await, "rejected");
    decide(root, &seen, "approve", None).await.expect_problem(409, "REVIEW_OUTDATED");
    assert_eq!(queue(root).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_told_is_accepted_by_a_person_where_the_policy_lets_one() {
    let only_debian = [about("Debian:12", "covered", "COVERS-DEBIAN", "LOW", "1")];
    let scene = Scene::set(&only_debian).await;
    let root = &scene.store.root;
    let nobody = Policy {
        reviews: registry_types::policy::ReviewPolicy { acceptable: Vec::new(), ..Default::default() },
        ..Policy::default()
    };
    scene.store.set_policy(&nobody).await;
    assert_eq!(scene.publish("ranker", jinja()).await["outcome"], "in_review", "internal, but not looked at");
    let review = waiting(root).await;
    assert_eq!(review["reasons"][0]["code"], "SECURITY_SCAN_INCOMPLETE");
    let problem = decide(root, &review, "approve", None).await.expect_problem(409, "REVIEW_NOT_DECIDABLE");
    assert!(text(&problem["detail"]).contains("pypi"), "{problem}");

    scene.store.set_policy(&Policy::default()).await;
    // Its own administrator may decide: the organization is the platform's own. Its publisher is another one.
    decide(&scene.acme.developer, &review, "approve", None).await.expect_problem(403, "FORBIDDEN");
    decide(&scene.acme.admin, &review, "approve", Some("we know it")).await.expect(202);
    settled(root, &review).await;
    let version = scene.version("ranker").await;
    assert_eq!(version["state"], "active");
    let vulnerabilities = store_tests::advised::check(&version, "vulnerabilities");
    assert_eq!(vulnerabilities["outcome"], "unknown", "nobody says that it is clean: {version:#}");

    // The same gap in later advisories was accepted; another one was not.
    scene.load_and_judge(&only_debian).await;
    assert_eq!(scene.state("ranker").await, "active");
    scene.load_and_judge(&[about("PyPI", "covered", "COVERS-PYPI", "LOW", "1")]).await;
    assert_eq!(scene.state("ranker").await, "quarantined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reviews_an_own_publish_and_a_claim_keeps_others_away_for_a_day() {
    let scene = scene("community").await;
    let (root, other) = (&scene.store.root, another_superuser(&scene).await);
    let manifest = module_manifest("ranker", "1.0.0");
    let reference = scene.push("ranker", &Image::new().debian_12().layer().hla_module(&manifest)).await;
    let body = json!({"imageRef": reference, "manifest": manifest, "scope": "public", "orgId": scene.acme.id});
    let accepted = root.post("/v1/modules/publish", body).await.expect(202);
    assert_eq!(scene.acme.intake_end(&text(&accepted["publishId"])).await["outcome"], "in_review");
    let review = waiting(root).await;
    let claim = format!("/v1/reviews/{}/claim", text(&review["id"]));
    root.post(&claim, json!({})).await.expect_problem(403, "ANOTHER_PERSON_REQUIRED");
    decide(root, &review, "approve", None).await.expect_problem(403, "ANOTHER_PERSON_REQUIRED");
    decide(root, &review, "reject", Some("no")).await.expect_problem(403, "ANOTHER_PERSON_REQUIRED");

    let claimed = other.post(&claim, json!({})).await.expect(200);
    assert_eq!(claimed["claimed_by"]["email"], "viewer@first.example.org");
    assert_eq!(waiting(&scene.acme.developer).await["claimed_by"], Value::Null, "reviewers are shown to reviewers");
    // A third person finds it taken, until a day has passed.
    let email = "third@first.example.org";
    let user = json!({"email": email, "password": "a password of the tests", "role": "viewer"});
    root.post("/v1/orgs/first/users", user).await.expect(201);
    root.post("/v1/superusers", json!({"email": email})).await.expect(204);
    let third = root.login(email, "a password of the tests").await;
    decide(&third, &review, "approve", None).await.expect_problem(409, "REVIEW_NOT_OPEN");
    let now = clock::now(&scene.store.database).await;
    clock::set(&scene.store.database, now + TimeDelta::hours(24)).await;
    decide(&third, &review, "approve", None).await.expect(202);
    settled(root, &review).await;
    assert_eq!(scene.state("ranker").await, "active");
    told::assert_all_is_told(&scene.store.database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_waits_for_a_person_as_well() {
    let scene = scene("community").await;
    let root = &scene.store.root;
    let template = json!({
        "id": "small-studio", "name": "Small studio", "version": "1.0.0", "description": "A studio of one.",
        "agents": [{"ref": "ceo", "name": "Chief", "role": "ceo"}], "goals": [], "projects": [], "issues": [],
    });
    let body = json!({"organization": "acme", "template": template});
    let accepted = scene.acme.developer.post("/v1/templates/publish", body).await;
    assert!(accepted.status < 300, "{accepted:?}");
    let review = wait::until("the template to wait", async || queue(root).await.first().cloned()).await;
    assert_eq!(review["digest"], Value::Null);
    decide(root, &review, "approve", None).await.expect(202);
    settled(root, &review).await;
    let version = scene.acme.developer.get("/v1/packages/acme/small-studio/versions/1.0.0").await.expect(200);
    assert_eq!(version["state"], "active");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_that_no_worker_carries_out_is_carried_out_by_the_next() {
    let mut scene = scene("community").await;
    assert_eq!(publish(&scene, "1.0.0", json!({})).await["outcome"], "in_review");
    scene.store.stop_workers();
    let root = scene.store.root.clone();
    let review = waiting(&root).await;
    decide(&root, &review, "approve", None).await.expect(202);
    assert_eq!(scene.state("ranker").await, "in_review", "only a signed verdict makes it active");
    scene.store.start_worker();
    settled(&root, &review).await;
    assert_eq!(scene.state("ranker").await, "active");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_waits_for_nobody() {
    let scene = scene("community").await;
    assert_eq!(publish(&scene, "1.0.0", json!({})).await["outcome"], "in_review");
    let review = waiting(&scene.store.root).await;
    let modules = scene.acme.admin.get("/v1/modules").await.expect(200);
    let module = text(&modules["modules"][0]["id"]);
    let deleted = scene.acme.admin.delete(&format!("/v1/modules/{module}")).await;
    assert!(deleted.status < 300, "{deleted:?}");
    assert_eq!(queue(&scene.store.root).await, Vec::<Value>::new());
    decide(&scene.store.root, &review, "approve", None).await.expect_problem(409, "REVIEW_OUTDATED");
    told::assert_all_is_told(&scene.store.database).await;
}

/// 20,000 reviews of which one waits.
const MANY: &str = "
    INSERT INTO versions (id, package_id, version, state, package_manifest, published_by)
    SELECT gen_random_uuid(), v.package_id, '2.0.' || n, 'yanked', '{}', v.published_by
    FROM versions v, generate_series(1, 20000) n WHERE v.version = '1.0.0';
    INSERT INTO verdicts (id, version_id, intake_id, decision, envelope, key_id, advisory_snapshot, vulnerabilities)
    SELECT gen_random_uuid(), v.id, d.intake_id, d.decision, '', '', 0, '{}'
    FROM versions v, verdicts d WHERE v.version LIKE '2.0.%';
    INSERT INTO reviews (id, version_id, organization_id, intake_id, verdict_id, state, decided_by, decided_at, settled_at)
    SELECT gen_random_uuid(), d.version_id, r.organization_id, r.intake_id, d.id, 'approved', v.published_by, now(), now()
    FROM verdicts d JOIN versions v ON v.id = d.version_id, reviews r
    WHERE v.version LIKE '2.0.%' AND r.state = 'open';
    ANALYZE;
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_read_by_pages_and_filters_among_twenty_thousand() {
    let scene = scene("community").await;
    assert_eq!(publish(&scene, "1.0.0", json!({})).await["outcome"], "in_review");
    scene.store.database.connect().await.batch_execute(MANY).await.unwrap();
    let root = &scene.store.root;
    let list = async |query: &str| root.get(&format!("/v1/reviews?{query}")).await.expect(200);
    let count = |page: &Value| page["items"].as_array().unwrap().len();
    assert_eq!(count(&list("").await), 1);
    for query in ["state=open", "tier=community", "org=acme", "package=acme/ranker"] {
        assert_eq!(count(&list(query).await), 1, "{query}");
    }
    for query in ["state=rejected", "tier=verified", "org=first", "package=acme/other", "mine=true"] {
        assert_eq!(count(&list(query).await), 0, "{query}");
    }
    let first = list("state=approved&limit=200").await;
    let second = list(&format!("state=approved&limit=200&cursor={}", text(&first["next_cursor"]))).await;
    assert_eq!((count(&first), count(&second)), (200, 200));
    assert_ne!(first["items"][0]["id"], second["items"][0]["id"]);
    root.get("/v1/reviews?state=done").await.expect_problem(400, "BAD_REQUEST");
    let pool = scene.pool();
    let plan = reviews::plan(&mut pool.get().await.unwrap(), &Viewer::Superuser, &Filter::default()).await.unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("reviews_state_idx") && !plan.contains("Seq Scan on reviews"), "{plan}");
}
