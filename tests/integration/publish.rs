//! What a publish answers at once, and what it leaves behind.

use company_store::signing_key::SigningKey;
use intake_worker::verdict::VerdictKey;
use reqwest::Method;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::store::{Organization, Store, module_manifest, text};

const IMAGE: &str = "ghcr.io/acme-images/app:1.0.0";

async fn onboarded() -> (Store, Organization) {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let body = json!({"pattern": "ghcr.io/acme-images/*", "provider": "ghcr"});
    store.root.post("/v1/orgs/acme/registries", body).await.expect(201);
    (store, acme)
}

fn body(manifest: &Value, image: &str) -> Value {
    json!({"imageRef": image, "manifest": manifest, "scope": "org", "orgId": null})
}

async fn publish(client: &StoreClient, body: &Value, key: Option<&str>) -> Answer {
    let mut request = client.request(Method::POST, "/v1/modules/publish").json(body);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    Answer::to(request).await
}

async fn count(store: &Store, table: &str) -> i64 {
    let client = store.database.connect().await;
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn an_accepted_publish_waits_for_its_intake() {
    let (store, acme) = onboarded().await;
    let answer = publish(&acme.developer, &body(&module_manifest("app", "1.0.0"), IMAGE), None).await;
    let accepted = answer.expect(202);
    let id = text(&accepted["publishId"]);
    assert_eq!(answer.headers["location"], format!("/v1/intakes/{id}").as_str());
    assert_eq!(accepted["package"], "acme/app");
    assert_eq!((&accepted["status"], &accepted["state"]), (&json!("in_progress"), &json!("PENDING")));
    assert!(accepted.get("success").is_none());

    let status = acme.developer.get(&format!("/v1/modules/publish/{id}")).await.expect(200);
    assert_eq!((&status["status"], &status["currentPhase"]), (&json!("in_progress"), &json!("queued")));
    assert_eq!(status["moduleId"], accepted["moduleId"]);
    let intake = acme.developer.get(&format!("/v1/intakes/{id}")).await.expect(200);
    assert_eq!((&intake["state"], &intake["package"]), (&json!("queued"), &json!("acme/app")));
    let listed = acme.developer.get("/v1/orgs/acme/intakes").await.expect(200);
    assert_eq!(listed["items"][0]["id"], id.as_str());
    let modules = acme.developer.get("/v1/modules?limit=100").await.expect(200);
    assert_eq!(modules["modules"][0]["state"], "pending");
    assert_eq!(modules["modules"][0]["author"]["email"], "developer@acme.example.org");
    let module = acme.developer.get(&format!("/v1/modules/{}", text(&accepted["moduleId"]))).await.expect(200);
    assert_eq!(module["versions"][0]["version"], "1.0.0");

    // To others it does not exist.
    let other = store.organization("other").await;
    for path in [format!("/v1/intakes/{id}"), format!("/v1/modules/publish/{id}"), format!("/v1/intakes/{id}/events")] {
        other.admin.get(&path).await.expect_problem(404, "NOT_FOUND");
    }
    assert_eq!(other.admin.get("/v1/modules").await.expect(200)["modules"], json!([]));
    let foreign = format!("/v1/modules/{}", text(&accepted["moduleId"]));
    other.admin.get(&foreign).await.expect_problem(404, "NOT_FOUND");
    assert_eq!(count(&store, "jobs").await, 1);
}

#[tokio::test]
async fn what_can_be_judged_at_once_is_refused_at_once_and_leaves_nothing() {
    let (store, acme) = onboarded().await;
    let manifest = module_manifest("app", "1.0.0");
    let refused = async |client: &StoreClient, body: Value, status: u16, code: &str| {
        let problem = publish(client, &body, None).await.expect_problem(status, code);
        assert!(text(&problem["error"]["message"]).starts_with(&format!("{code}: ")), "{problem}");
        problem
    };
    for image in ["ghcr.io/acme-images-evil/app:1", "ghcr.io/acme-images:app-1.0.0", "quay.io/acme-images/app:1"] {
        refused(&acme.developer, body(&manifest, image), 403, "REGISTRY_UNAUTHORIZED").await;
    }
    for image in ["https://ghcr.io/acme-images/app", "ghcr.io/acme-images/../x", "ghcr.io/acme-images/a%2fb", ""] {
        refused(&acme.developer, body(&manifest, image), 400, "BAD_REQUEST").await;
    }
    let broken = json!({"type": "no-ui", "name": "X", "version": "one", "execution": {}});
    let problem = refused(&acme.developer, body(&broken, IMAGE), 422, "MANIFEST_INVALID").await;
    let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| text(&error["pointer"])).collect();
    for pointer in ["/name", "/version", "/execution/entrypoint"] {
        assert!(pointers.iter().any(|found| found == pointer), "{pointer} is not in {pointers:?}");
    }
    let viewer = store.user("acme", "viewer").await;
    refused(&viewer, body(&manifest, IMAGE), 403, "FORBIDDEN").await;
    let other = store.organization("other").await;
    let mut foreign = body(&manifest, IMAGE);
    foreign["orgId"] = json!(acme.id);
    refused(&other.developer, foreign, 403, "FORBIDDEN").await;
    refused(&other.developer, body(&manifest, IMAGE), 403, "REGISTRY_UNAUTHORIZED").await;
    // A superuser belongs everywhere, so it has to say where.
    refused(&store.root, body(&manifest, IMAGE), 400, "BAD_REQUEST").await;
    let source = json!({"manifest": manifest, "sourceZipBase64": "UEs="});
    refused(&acme.developer, source, 403, "SOURCE_PUBLISH_UNSUPPORTED").await;
    for table in ["packages", "versions", "intakes", "jobs", "intake_events"] {
        assert_eq!(count(&store, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_namespace_that_is_not_verified_allows_nothing() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let pending = json!({"pattern": "ghcr.io/acme-images/*"});
    let namespace = acme.admin.post("/v1/orgs/acme/registries", pending).await.expect(201);
    let manifest = module_manifest("app", "1.0.0");
    let refuse = async || {
        publish(&acme.developer, &body(&manifest, IMAGE), None).await.expect_problem(403, "REGISTRY_UNAUTHORIZED")
    };
    assert!(text(&refuse().await["detail"]).contains("approval"));
    let path = format!("/v1/orgs/acme/registries/{}", text(&namespace["id"]));
    store.root.post(&format!("{path}/suspend"), json!({})).await.expect(200);
    assert!(text(&refuse().await["detail"]).contains("suspended"));
}

#[tokio::test]
async fn a_repeated_request_is_answered_again() {
    let (store, acme) = onboarded().await;
    let author = SigningKey::generate().unwrap();
    let manifest = RawValue::from_string(module_manifest("app", "1.0.0").to_string()).unwrap();
    let signed = || serde_json::from_str::<Value>(author.sign(&manifest).unwrap().get()).unwrap();
    let manifest = signed();
    let first = publish(&acme.developer, &body(&manifest, IMAGE), Some("key-1")).await;
    // Signed anew, it is the same request.
    assert_ne!(manifest["signature"], signed()["signature"]);
    let manifest = signed();
    let again = publish(&acme.developer, &body(&manifest, IMAGE), Some("key-1")).await;
    assert_eq!(first.expect(202), again.expect(202));
    assert_eq!(first.headers["location"], again.headers["location"]);
    assert_eq!(count(&store, "intakes").await, 1);

    let another = body(&manifest, "ghcr.io/acme-images/app:2.0.0");
    publish(&acme.developer, &another, Some("key-1")).await.expect_problem(409, "IDEMPOTENCY_KEY_REUSED");
    publish(&acme.developer, &body(&manifest, IMAGE), Some("key-2")).await.expect_problem(409, "INTAKE_IN_PROGRESS");
    publish(&acme.developer, &body(&manifest, IMAGE), Some(&"k".repeat(257))).await.expect_problem(400, "BAD_REQUEST");
    // Another user's key is another key.
    publish(&acme.admin, &body(&manifest, IMAGE), Some("key-1")).await.expect_problem(409, "INTAKE_IN_PROGRESS");
}

#[tokio::test]
async fn of_many_publishes_at_the_same_time_one_wins() {
    let (store, acme) = onboarded().await;
    let same = body(&module_manifest("app", "1.0.0"), IMAGE);
    let answers = futures_util::future::join_all((0..20).map(|_| publish(&acme.developer, &same, None))).await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(accepted, 1);
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        answer.expect_problem(409, "INTAKE_IN_PROGRESS");
    }
    // With one key, all are the same request.
    let other = body(&module_manifest("app", "2.0.0"), IMAGE);
    let answers = futures_util::future::join_all((0..10).map(|_| publish(&acme.developer, &other, Some("k")))).await;
    let first = answers[0].expect(202);
    assert!(answers.iter().all(|answer| answer.expect(202) == first));
    assert_eq!(count(&store, "intakes").await, 2);
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let (store, acme) = onboarded().await;
    let mut dry = body(&module_manifest("app", "1.0.0"), IMAGE);
    dry["dryRun"] = json!(true);
    let answer = publish(&acme.developer, &dry, Some("key")).await.expect(200);
    assert_eq!((&answer["dryRun"], &answer["publishId"]), (&json!(true), &Value::Null));
    for table in ["packages", "versions", "intakes", "jobs", "idempotency_keys"] {
        assert_eq!(count(&store, table).await, 0, "{table}");
    }
    publish(&acme.developer, &body(&module_manifest("app", "1.0.0"), IMAGE), Some("key")).await.expect(202);
    publish(&acme.developer, &dry, None).await.expect_problem(409, "INTAKE_IN_PROGRESS");
}

/// A dry run never repeats a publish, nor the other way round.
#[tokio::test]
async fn a_dry_run_is_another_request_than_the_publish() {
    let (_store, acme) = onboarded().await;
    let mut asked = body(&module_manifest("app", "1.0.0"), IMAGE);
    publish(&acme.developer, &asked, Some("key")).await.expect(202);
    asked["dryRun"] = json!(true);
    publish(&acme.developer, &asked, Some("key")).await.expect_problem(409, "IDEMPOTENCY_KEY_REUSED");
}

/// Found by reading: two manifests whose numbers are one as floats were taken for one.
#[tokio::test]
async fn a_number_that_differs_beyond_a_float_is_another_publish() {
    let (_store, acme) = onboarded().await;
    let manifest = module_manifest("app", "1.0.0").to_string();
    let with = async |number: &str| {
        let manifest = manifest.replacen('{', &format!(r#"{{"x-number":{number},"#), 1);
        let request = acme.developer.request(Method::POST, "/v1/modules/publish").header("Idempotency-Key", "key");
        let body = format!(r#"{{"imageRef":"{IMAGE}","manifest":{manifest}}}"#);
        Answer::to(request.header("content-type", "application/json").body(body)).await
    };
    with("123456789012345678901234567890").await.expect(202);
    with("123456789012345678901234567890").await.expect(202);
    with("123456789012345678901234567891").await.expect_problem(409, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn a_dry_run_names_the_signers_that_the_namespace_trusts() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let key = VerdictKey::from_pem(&VerdictKey::generate_pem().unwrap()).unwrap();
    let identity = json!({"issuer": "https://issuer.example", "subject": {"exact": "ci@acme.example"}});
    let policy = json!({"mode": "required", "keys": [key.public_key_pem()], "identities": [identity]});
    let namespace = json!({"pattern": "ghcr.io/acme-images/*", "signature_policy": policy});
    store.root.post("/v1/orgs/acme/registries", namespace).await.expect(201);
    let mut dry = body(&module_manifest("app", "1.0.0"), IMAGE);
    dry["dryRun"] = json!(true);
    let signers = publish(&acme.developer, &dry, None).await.expect(200)["trustedSigners"].clone();
    assert_eq!(signers[0]["publicKeyPem"], key.public_key_pem());
    assert_eq!(signers[1]["identityRegexp"], r"^ci\@acme\.example$");
    assert_eq!(signers[1]["source"], "ghcr.io/acme-images/*");
}

/// The header chooses among the caller's own organizations, and must name one of them whatever the body says.
#[tokio::test]
async fn the_organization_is_one_that_the_caller_belongs_to() {
    let (store, acme) = onboarded().await;
    let other = store.organization("other").await;
    let mut asked = body(&module_manifest("app", "1.0.0"), IMAGE);
    asked["dryRun"] = json!(true);
    let publish = async |client: &StoreClient, in_body: Option<&str>, in_header: Option<&str>| {
        let asked =
            json!({"orgId": in_body, "imageRef": asked["imageRef"], "manifest": asked["manifest"], "dryRun": true});
        let mut request = client.request(Method::POST, "/v1/modules/publish").json(&asked);
        if let Some(header) = in_header {
            request = request.header("X-Organization-Id", header);
        }
        Answer::to(request).await
    };
    let (own, foreign) = (acme.id.as_str(), other.id.as_str());
    for (in_body, in_header) in [(None, None), (Some(own), None), (None, Some(own)), (Some("acme"), Some(own))] {
        assert_eq!(publish(&acme.developer, in_body, in_header).await.expect(200)["package"], "acme/app");
    }
    for (in_body, in_header) in [
        (Some(foreign), None),
        (None, Some(foreign)),
        (Some(foreign), Some(own)),
        (Some(own), Some(foreign)),
        (Some("no-such-org"), None),
        (None, Some("01990000-0000-7000-8000-000000000000")),
    ] {
        publish(&acme.developer, in_body, in_header).await.expect_problem(403, "FORBIDDEN");
    }
    // A member of both chooses; the body goes first.
    let email = json!({"email": "developer@acme.example.org", "role": "developer"});
    other.admin.post("/v1/orgs/other/members", email).await.expect(204);
    publish(&acme.developer, Some(foreign), Some(own)).await.expect_problem(403, "REGISTRY_UNAUTHORIZED");
    assert_eq!(publish(&acme.developer, Some(own), Some(foreign)).await.expect(200)["package"], "acme/app");
    let listed = acme.developer.request(Method::GET, "/v1/modules").header("X-Organization-Id", foreign);
    Answer::to(listed).await.expect(200);
    // A superuser belongs everywhere and must say where.
    publish(&store.root, None, None).await.expect_problem(400, "BAD_REQUEST");
    publish(&store.root, Some(own), None).await.expect(200);
    // A key stays where it was made.
    let key = text(&acme.developer.post("/v1/orgs/acme/api-keys", json!({"label": "ci"})).await.expect(201)["key"]);
    for (method, path) in [(Method::POST, "/v1/api/modules/publish"), (Method::GET, "/v1/api/modules")] {
        let request = store.root.logged_out().request(method, path).header("X-API-Key", &key);
        Answer::to(request.header("X-Organization-Id", foreign).json(&asked)).await.expect_problem(403, "FORBIDDEN");
    }
}

#[tokio::test]
async fn a_module_is_shown_with_the_version_that_is_asked_for() {
    let (_store, acme) = onboarded().await;
    for version in ["1.0.0", "1.1.0"] {
        let mut manifest = module_manifest("app", version);
        manifest["description"] = json!(format!("the {version}"));
        manifest["tags"] = json!(["proteomics"]);
        publish(&acme.developer, &body(&manifest, IMAGE), None).await.expect(202);
    }
    let listed = acme.developer.get("/v1/modules?category=proteomics").await.expect(200);
    let module = format!("/v1/modules/{}", text(&listed["modules"][0]["id"]));
    assert_eq!(acme.developer.get("/v1/modules?category=other").await.expect(200)["modules"], json!([]));
    assert_eq!(acme.developer.get(&module).await.expect(200)["version"], "1.1.0");
    let older = acme.developer.get(&format!("{module}?version=1.0.0")).await.expect(200);
    assert_eq!((&older["version"], &older["description"]), (&json!("1.0.0"), &json!("the 1.0.0")));
    assert_eq!(older["versions"].as_array().unwrap().len(), 2);
    acme.developer.get(&format!("{module}?version=9.9.9")).await.expect_problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn only_a_rejected_version_s_number_is_free_again() {
    let (store, acme) = onboarded().await;
    let same = body(&module_manifest("app", "1.0.0"), IMAGE);
    let first = publish(&acme.developer, &same, None).await.expect(202);
    let database = store.database.connect().await;
    let settle = async |state: &str, code: Option<&str>| {
        let done = "UPDATE intakes SET state = 'decided', outcome = $1, finished_at = now() WHERE state = 'queued'";
        database.execute(done, &[&state]).await.unwrap();
        let set = "UPDATE versions SET state = $1, rejection_code = $2, activated_at = now()";
        database.execute(set, &[&state, &code]).await.unwrap();
    };
    settle("rejected", Some("SECURITY_SCAN_FAILED")).await;
    let second = publish(&acme.developer, &same, None).await.expect(202);
    assert_eq!(first["versionId"], second["versionId"]);
    assert_ne!(first["publishId"], second["publishId"]);
    for state in ["active", "in_review", "quarantined", "yanked"] {
        settle(state, None).await;
        publish(&acme.developer, &same, None).await.expect_problem(409, "VERSION_EXISTS");
    }
}

#[tokio::test]
async fn the_manifest_is_kept_as_it_was_written() {
    let (store, acme) = onboarded().await;
    let manifest = module_manifest("app", "1.0.0").to_string().replacen(
        '{',
        r#"{"x-number": 1.0e+16, "x-big":123456789012345678901234567890,"#,
        1,
    );
    let body = format!(r#"{{"imageRef": "{IMAGE}", "manifest": {manifest}}}"#);
    let request =
        acme.developer.request(Method::POST, "/v1/modules/publish").header("content-type", "application/json");
    Answer::to(request.body(body)).await.expect(202);
    let database = store.database.connect().await;
    let kept: String = database.query_one("SELECT package_manifest::text FROM versions", &[]).await.unwrap().get(0);
    assert_eq!(kept, manifest);
}

#[tokio::test]
async fn a_wider_scope_is_taken_and_a_narrower_one_is_only_the_client_s_default() {
    let (store, acme) = onboarded().await;
    let visibility = async |version: &str, scope: &str| {
        let mut body = body(&module_manifest("app", version), IMAGE);
        body["scope"] = json!(scope);
        publish(&acme.developer, &body, None).await.expect(202);
        text(&acme.developer.get("/v1/modules").await.expect(200)["modules"][0]["visibility"])
    };
    assert_eq!(visibility("1.0.0", "org").await, "organization");
    assert_eq!(visibility("1.1.0", "public").await, "public");
    assert_eq!(visibility("1.2.0", "org").await, "public");
    drop(store);
}

#[tokio::test]
async fn api_key_clients_use_their_own_paths() {
    let (store, acme) = onboarded().await;
    let key = text(&acme.developer.post("/v1/orgs/acme/api-keys", json!({"label": "ci"})).await.expect(201)["key"]);
    let anonymous = store.root.logged_out();
    let request = anonymous.request(Method::POST, "/v1/api/modules/publish").header("X-API-Key", &key);
    let accepted = Answer::to(request.json(&body(&module_manifest("app", "1.0.0"), IMAGE))).await.expect(202);
    let get = async |path: String| Answer::to(anonymous.request(Method::GET, &path).header("X-API-Key", &key)).await;
    get(format!("/v1/api/modules/publish/{}", text(&accepted["publishId"]))).await.expect(200);
    assert_eq!(get("/v1/api/modules".into()).await.expect(200)["modules"].as_array().unwrap().len(), 1);
    get(format!("/v1/api/modules/{}", text(&accepted["moduleId"]))).await.expect(200);
    get("/v1/modules/publish/config".into()).await.expect(200);
    let post = async |path: &str| Answer::to(anonymous.request(Method::POST, path).header("X-API-Key", &key)).await;
    post("/v1/api/modules/publish/source-upload").await.expect_problem(403, "SOURCE_PUBLISH_UNSUPPORTED");
    for path in ["/v1/module-runs", "/v1/api/module-runs"] {
        post(path).await.expect_problem(403, "MODULE_RUNS_UNSUPPORTED");
        get(path.into()).await.expect_problem(403, "MODULE_RUNS_UNSUPPORTED");
    }
}
