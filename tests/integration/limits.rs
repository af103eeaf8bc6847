//! How much anybody may ask for, as the policy document says; and that document itself.

use std::time::{Duration, Instant};

use registry_types::limits::MAX_BODY_BYTES;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::store::{PASSWORD, Store, module_manifest, text, unsigned_policy};

use crate::commands::Program;

/// The document in force and its name.
async fn policy(store: &Store) -> (Value, String) {
    let answer = store.root.get("/v1/policy").await;
    (answer.expect(200), answer.headers["etag"].to_str().unwrap().to_owned())
}

async fn put(by: &StoreClient, policy: &Value, etag: &str) -> Answer {
    Answer::to(by.request(Method::PUT, "/v1/policy").header("If-Match", etag).json(policy)).await
}

/// Puts these limits in force instead of those of the tests.
async fn limit(store: &Store, limits: Value) {
    let (mut policy, etag) = policy(store).await;
    for (name, value) in limits.as_object().unwrap() {
        policy["limits"][name] = value.clone();
    }
    put(&store.root, &policy, &etag).await.expect(200);
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).unwrap_or_else(|| panic!("no {name}: {answer:?}")).to_str().unwrap()
}

fn retry_after(answer: &Answer) -> u64 {
    header(answer, "retry-after").parse().unwrap()
}

#[tokio::test]
async fn a_policy_document_replaces_the_one_that_it_names() {
    let store = Store::start_without_worker().await;
    let (document, etag) = policy(&store).await;
    assert_eq!(document, serde_json::to_value(unsigned_policy()).unwrap());
    let mut stricter = document.clone();
    stricter["vulnerabilities"]["reject_at"] = json!("MEDIUM");
    let set = put(&store.root, &stricter, &etag).await;
    assert_eq!(set.expect(200), stricter);
    let (in_force, now) = policy(&store).await;
    assert_eq!((&in_force, now.as_str()), (&stricter, header(&set, "etag")));
    assert_ne!(now, etag);

    // Somebody who had read the earlier one.
    put(&store.root, &document, &etag).await.expect_problem(412, "PRECONDITION_FAILED");
    put(&store.root, &document, "\"anything\"").await.expect_problem(412, "PRECONDITION_FAILED");
    let unnamed = Answer::to(store.root.request(Method::PUT, "/v1/policy").json(&document)).await;
    unnamed.expect_problem(428, "PRECONDITION_REQUIRED");
    assert_eq!(policy(&store).await.0, stricter);

    let digest = |etag: &str| etag.trim_matches('"').to_owned();
    let entries = store.root.get("/v1/audit?action=policy.changed").await.expect(200);
    assert_eq!(entries["items"].as_array().unwrap().len(), 1);
    let details = &entries["items"][0]["details"];
    assert_eq!((&details["before"], &details["after"]), (&json!(digest(&etag)), &json!(digest(&now))));
}

#[tokio::test]
async fn a_policy_document_that_contradicts_itself_is_refused() {
    let store = Store::start_without_worker().await;
    let (document, etag) = policy(&store).await;
    for (pointer, value) in [
        ("/vulnerabilities/warn_at", json!("CRITICAL")),
        ("/requirements/image/required", json!(false)),
        ("/limits/max_body_bytes", json!(MAX_BODY_BYTES + 1)),
        ("/limits/logins/delay_ms", json!(60_000)),
        ("/limits/requests/per_address", json!({"per_minute": 0, "burst": 1})),
        ("/limits/quotas/community/packages", json!(-1)),
        ("/limits/quotas", json!({"everybody": {}})),
    ] {
        let mut wrong = document.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        put(&store.root, &wrong, &etag).await.expect_problem(422, "POLICY_INVALID");
    }
    assert_eq!(policy(&store).await, (document, etag));
}

#[tokio::test]
async fn a_superuser_changes_the_policy_by_command() {
    let store = Store::start_without_worker().await;
    let operator = Program::of(&store, "root@example.org").await;
    let mut shown = operator.done(&["policy", "show"]).await;
    shown["policy"]["vulnerabilities"]["max_advisory_age_hours"] = json!(24);
    operator.write("policy.json", &shown.to_string());
    operator.done(&["policy", "set", "policy.json"]).await;
    assert_eq!(policy(&store).await.0, shown["policy"]);
    assert!(operator.refused(&["policy", "set", "policy.json"]).await.contains("PRECONDITION_FAILED"));
    operator.write("bare.json", &shown["policy"].to_string());
    assert!(operator.refused(&["policy", "set", "bare.json"]).await.contains("policy show"));
}

#[tokio::test]
async fn an_address_is_limited_and_told_how_much_is_left() {
    let store = Store::start_without_worker().await;
    limit(&store, json!({"requests": {"per_address": {"per_minute": 2, "burst": 3}}})).await;
    let anonymous = store.root.logged_out();
    for left in [2, 1, 0] {
        let answer = anonymous.get("/v1/packages").await;
        assert_eq!(answer.status, 200);
        assert_eq!(header(&answer, "ratelimit-policy"), "\"address\";q=3;w=90");
        assert!(header(&answer, "ratelimit").starts_with(&format!("\"address\";r={left};t=")), "{answer:?}");
    }
    let refused = anonymous.get("/v1/packages").await;
    let problem = refused.expect_problem(429, "RATE_LIMITED");
    assert!((1..=30).contains(&retry_after(&refused)), "{refused:?}");
    assert!(text(&problem["detail"]).contains("try again in"), "{problem}");
    assert!(header(&refused, "ratelimit").starts_with("\"address\";r=0;t="));
    // Whatever is asked for, whatever is invented to prove who asks.
    for invented in ["cs_at_invented", "cs_key_invented", "nonsense"] {
        anonymous.with_token(invented).get("/v1/auth/me").await.expect_problem(429, "RATE_LIMITED");
    }
    // Fleets and probes go on; so does who is known.
    for path in ["/livez", "/readyz", "/metrics", "/index.json"] {
        assert_eq!(anonymous.get(path).await.status, 200, "{path}");
    }
    assert_eq!(store.root.get("/v1/auth/me").await.status, 200);
}

#[tokio::test]
async fn a_credential_is_limited_for_itself() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    limit(&store, json!({"requests": {"per_credential": {"per_minute": 2, "burst": 3}, "per_address": null}})).await;
    // The first request of a credential shows that it is valid; from then on it counts for itself.
    for _ in 0..4 {
        assert_eq!(acme.admin.get("/v1/auth/me").await.status, 200);
    }
    let refused = acme.admin.get("/v1/auth/me").await;
    refused.expect_problem(429, "RATE_LIMITED");
    assert_eq!(header(&refused, "ratelimit-policy"), "\"credential\";q=3;w=90");
    assert_eq!(acme.developer.get("/v1/auth/me").await.status, 200, "somebody else's is untouched");
    // The client of HLA-Compass prints this and waits that long.
    let envelope = acme.admin.get("/v1/modules").await;
    assert!(text(&envelope.json()["error"]["message"]).starts_with("RATE_LIMITED: "), "{envelope:?}");
    assert!(retry_after(&envelope) >= 1);
}

fn login(client: &StoreClient, email: &str, password: &str) -> RequestBuilder {
    client.request(Method::POST, "/v1/auth/login").json(&json!({"email": email, "password": password}))
}

/// From an address that a trusted proxy tells of.
async fn login_from(client: &StoreClient, address: &str, email: &str, password: &str) -> Answer {
    Answer::to(login(client, email, password).header("X-Forwarded-For", address)).await
}

async fn store_behind_a_proxy() -> Store {
    Store::start_behind_proxies(&["127.0.0.0/8"]).await
}

const PAIR: &str = "failures_per_account_and_address";

#[tokio::test]
async fn guessing_at_a_password_ends_for_the_one_who_guesses() {
    let store = store_behind_a_proxy().await;
    store.organization("acme").await;
    let rate = |burst: u32| json!({"per_minute": 1, "burst": burst});
    limit(&store, json!({"logins": {PAIR: rate(3)}})).await;
    let anonymous = store.root.logged_out();
    let (victim, mallory) = ("admin@acme.example.org", "203.0.113.66");
    for email in [victim, "nobody@acme.example.org"] {
        let mut answers = Vec::new();
        for _ in 0..5 {
            let answer = login_from(&anonymous, mallory, email, "a guess of mallory").await;
            let problem = answer.json();
            answers.push((
                answer.status,
                text(&problem["code"]),
                text(&problem["detail"]).split(';').next().unwrap().to_owned(),
            ));
        }
        let wrong = (401, "UNAUTHENTICATED".to_owned(), "e-mail address or password is wrong".to_owned());
        let over = (429, "RATE_LIMITED".to_owned(), "too many logins from here have failed".to_owned());
        let expected = [vec![wrong; 3], vec![over; 2]].concat();
        assert_eq!(answers, expected, "the same whether there is such an account: {email}");
    }
    let refused = login_from(&anonymous, mallory, victim, PASSWORD).await;
    refused.expect_problem(429, "RATE_LIMITED");
    assert!((1..=60).contains(&retry_after(&refused)), "{refused:?}");
    // The account's owner, elsewhere, notices nothing; nor does anybody else at the same place.
    login_from(&anonymous, "198.51.100.7", victim, PASSWORD).await.expect(200);
    login_from(&anonymous, mallory, "developer@acme.example.org", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_address_that_tries_many_accounts_is_refused() {
    let store = store_behind_a_proxy().await;
    store.organization("acme").await;
    limit(&store, json!({"logins": {"failures_per_address": {"per_minute": 1, "burst": 4}}})).await;
    let anonymous = store.root.logged_out();
    for n in 0..4 {
        let tried = login_from(&anonymous, "2001:db8:1:2::1", &format!("user-{n}@acme.example.org"), "a guess").await;
        tried.expect_problem(401, "UNAUTHENTICATED");
    }
    // The same network, and another one.
    let victim = "admin@acme.example.org";
    login_from(&anonymous, "2001:db8:1:2:ffff::9", victim, PASSWORD).await.expect_problem(429, "RATE_LIMITED");
    login_from(&anonymous, "2001:db8:1:3::1", victim, PASSWORD).await.expect(200);
}

/// Guessing from everywhere makes an account's logins slow, and keeps nobody out.
#[tokio::test]
async fn nobody_can_lock_somebody_else_out() {
    let store = store_behind_a_proxy().await;
    store.organization("acme").await;
    let logins = json!({"logins": {"failures_per_account": {"per_minute": 1, "burst": 3}, "delay_ms": 700}});
    limit(&store, logins).await;
    let anonymous = store.root.logged_out();
    let victim = "admin@acme.example.org";
    for n in 0..6 {
        let guess = login_from(&anonymous, &format!("203.0.113.{n}"), victim, "a guess").await;
        guess.expect_problem(401, "UNAUTHENTICATED");
    }
    let begun = Instant::now();
    login_from(&anonymous, "198.51.100.7", victim, PASSWORD).await.expect(200);
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn only_a_trusted_proxy_says_where_a_request_comes_from() {
    for (store, expected) in
        [(store_behind_a_proxy().await, "203.0.113.9"), (Store::start_without_worker().await, "127.0.0.1")]
    {
        let acme = store.organization("acme").await;
        let made = acme.admin.request(Method::POST, "/v1/orgs/acme/registries");
        let made =
            made.header("X-Forwarded-For", "198.51.100.1, 203.0.113.9").json(&json!({"pattern": "ghcr.io/acme/*"}));
        Answer::to(made).await.expect(201);
        let entry = acme.admin.get("/v1/audit?org=acme&action=registry.created").await.expect(200);
        assert_eq!(entry["items"][0]["address"], expected);
    }
}

#[tokio::test]
async fn a_body_has_a_largest_size() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    limit(&store, json!({"max_body_bytes": 65_536})).await;
    let body = |bytes: usize| format!("{{\"pattern\": \"{}\"}}", "x".repeat(bytes));
    let request = || {
        let request = acme.admin.request(Method::POST, "/v1/orgs/acme/registries");
        request.header("Content-Type", "application/json")
    };
    let refused = Answer::to(request().body(body(70_000))).await;
    refused.expect_problem(413, "PAYLOAD_TOO_LARGE");
    // One that does not say beforehand how large it is.
    let chunks = body(70_000)
        .into_bytes()
        .chunks(10_000)
        .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
        .collect::<Vec<_>>();
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    Answer::to(request().body(stream)).await.expect_problem(413, "PAYLOAD_TOO_LARGE");
    Answer::to(request().body(body(60_000))).await.expect_problem(422, "REGISTRY_PATTERN_INVALID");
}

/// Each quota by itself, all others as they are.
#[tokio::test]
async fn an_organization_has_the_quota_of_its_tier() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    store.root.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/acme/*"})).await.expect(201);
    let publish = async |name: &str, version: &str| {
        acme.publish(&module_manifest(name, version), &format!("ghcr.io/acme/{name}:1")).await
    };
    let quota = |name: &str, most: u64| json!({"quotas": {"internal": {name: most}}});
    publish("first", "1.0.0").await.expect(202);

    limit(&store, quota("packages", 1)).await;
    let refused = publish("second", "1.0.0").await.expect_problem(403, "QUOTA_EXCEEDED");
    assert!(text(&refused["detail"]).contains("as many packages as it may (1)"), "{refused}");
    publish("first", "1.1.0").await.expect(202);
    limit(&store, quota("versions_per_day", 2)).await;
    let refused = publish("first", "1.2.0").await.expect_problem(403, "QUOTA_EXCEEDED");
    assert!(text(&refused["detail"]).contains("2 versions may be submitted"), "{refused}");
    let sql = store.database.connect().await;
    sql.execute("UPDATE intakes SET created_at = now() - interval '25 hours'", &[]).await.unwrap();
    publish("first", "1.2.0").await.expect(202);
    limit(&store, quota("open_intakes", 3)).await;
    let refused = publish("first", "1.3.0").await.expect_problem(403, "QUOTA_EXCEEDED");
    assert!(text(&refused["detail"]).contains("3 intakes may be under way"), "{refused}");

    limit(&store, quota("stored_bytes", 1_000_000)).await;
    sql.execute("UPDATE versions SET size_bytes = 2000000, state = 'rejected', rejection_code = 'UI_MISSING' WHERE version = '1.0.0'", &[])
        .await
        .unwrap();
    publish("first", "1.3.0").await.expect(202);
    sql.execute("UPDATE versions SET size_bytes = 1000000 WHERE version = '1.1.0'", &[]).await.unwrap();
    let refused = publish("first", "1.4.0").await.expect_problem(403, "QUOTA_EXCEEDED");
    assert!(text(&refused["detail"]).contains("1000000 bytes"), "{refused}");
    // Another tier's quota is another one.
    store.root.patch("/v1/orgs/acme", json!({"trust_tier": "verified"})).await.expect(200);
    publish("first", "1.4.0").await.expect(202);

    let all = json!({"registries": 1, "manifest_keys": 0, "open_waivers": 0, "webhooks": 0, "trusted_publishers": 1});
    limit(&store, json!({"quotas": {"verified": all}})).await;
    let waiver = json!({
        "advisory": "CVE-2026-1", "component": {"package": "pkg:pypi/jinja2"}, "reason": "fix_planned",
        "statement": "the next release has it", "days": 7,
    });
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let key = company_store::signing_key::SigningKey::generate().unwrap().public_key().unwrap();
    let publisher = |package: &str| {
        json!({
            "package": package, "provider": "github", "repository": "acme/app", "repository_id": 1, "owner_id": 2,
            "workflow": ".github/workflows/release.yml",
        })
    };
    let bound = acme.admin.post("/v1/orgs/acme/trusted-publishers", publisher("first")).await.expect(201);
    for (area, body) in [
        ("trusted-publishers", publisher("second")),
        ("registries", json!({"pattern": "ghcr.io/more/*"})),
        ("keys", json!({"public_key": base64(key.as_der()), "label": "key"})),
        ("waivers", waiver),
        ("webhooks", json!({"url": "https://hooks.example.org/"})),
    ] {
        acme.admin.post(&format!("/v1/orgs/acme/{area}"), body).await.expect_problem(403, "QUOTA_EXCEEDED");
    }
    // What is removed no longer counts.
    acme.admin.delete(&format!("/v1/orgs/acme/trusted-publishers/{}", text(&bound["id"]))).await.expect(204);
    acme.admin.post("/v1/orgs/acme/trusted-publishers", publisher("second")).await.expect(201);
}
