//! Onboarding a registry namespace: patterns, approval, credentials that only go in.

use intake_worker::verdict::VerdictKey;
use registry_db::jobs::{self, ClaimLimits};
use registry_db::key_ring::{KeyRing, KeyRingSettings, reseal_all};
use registry_db::registries::{self, credential_for_job};
use registry_db::{DbError, Pool};
use registry_types::ids::{OrganizationId, RegistryNamespaceId};
use registry_types::job::JobKind;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use store_tests::store::{Organization, Store, text};

const TOKEN: &str = "ghp_a-token-that-must-not-be-seen";

async fn add(organization: &Organization, pattern: &str) -> Value {
    let body = json!({"pattern": pattern, "provider": "generic"});
    organization.admin.post(&format!("/v1/orgs/{}/registries", organization.slug), body).await.expect(201)
}

fn path_of(organization: &Organization, namespace: &Value) -> String {
    format!("/v1/orgs/{}/registries/{}", organization.slug, text(&namespace["id"]))
}

#[tokio::test]
async fn an_administrator_s_namespace_waits_for_approval() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let added = add(&acme, "GHCR.io/my-org/*").await;
    assert_eq!((text(&added["pattern"]), text(&added["state"])), ("ghcr.io/my-org/*".into(), "pending".into()));
    let path = path_of(&acme, &added);
    acme.admin.post(&format!("{path}/approve"), json!({})).await.expect_problem(403, "FORBIDDEN");
    assert_eq!(store.root.post(&format!("{path}/approve"), json!({})).await.expect(200)["state"], "verified");
    assert_eq!(store.root.post(&format!("{path}/suspend"), json!({})).await.expect(200)["state"], "suspended");
    acme.admin.post(&format!("{path}/test"), json!({})).await.expect_problem(409, "CONFLICT");
    // Or it could be added anew, and proven.
    acme.admin.delete(&path).await.expect_problem(409, "CONFLICT");
    store.root.delete(&path).await.expect(204);
    acme.admin.get(&path).await.expect_problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn overlapping_verified_patterns_are_refused_without_naming_their_owner() {
    let store = Store::start_without_worker().await;
    let (acme, other) = (store.organization("acme").await, store.organization("other").await);
    let first = add(&acme, "ghcr.io/shared/*").await;
    let second = add(&other, "ghcr.io/shared/tools/*").await;
    let approve = async |organization: &Organization, namespace: &Value| {
        store.root.post(&format!("{}/approve", path_of(organization, namespace)), json!({})).await
    };
    approve(&acme, &first).await.expect(200);
    let problem = approve(&other, &second).await.expect_problem(409, "REGISTRY_PATTERN_TAKEN");
    assert!(!problem.to_string().contains("acme"), "{problem}");
    let taken = json!({"pattern": "ghcr.io/shared/app", "provider": "ghcr"});
    store.root.post("/v1/orgs/other/registries", taken).await.expect_problem(409, "REGISTRY_PATTERN_TAKEN");
    // Beside it, and below it for the same organization, is fine.
    approve(&other, &add(&other, "ghcr.io/shared-too/*").await).await.expect(200);
    approve(&acme, &add(&acme, "ghcr.io/shared/app").await).await.expect(200);
}

#[tokio::test]
async fn of_two_approvals_at_the_same_time_one_wins() {
    let store = Store::start_without_worker().await;
    let (acme, other) = (store.organization("acme").await, store.organization("other").await);
    let paths =
        [path_of(&acme, &add(&acme, "quay.io/race/*").await), path_of(&other, &add(&other, "quay.io/race/*").await)];
    let approve = async |path: &str| store.root.post(&format!("{path}/approve"), json!({})).await.status;
    let (one, two) = tokio::join!(approve(&paths[0]), approve(&paths[1]));
    assert_eq!([one.min(two), one.max(two)], [200, 409]);
}

#[tokio::test]
async fn bad_patterns_say_what_is_wrong() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    for (pattern, provider) in [
        ("ghcr.io/*", "ghcr"),
        ("https://ghcr.io/a/*", "ghcr"),
        ("ghcr.io/a/../b/*", "ghcr"),
        ("ghcr.io/a%2fb/*", "ghcr"),
        ("quay.io/a/*", "ghcr"),
        ("ghcr.io/a:1", "generic"),
    ] {
        let body = json!({"pattern": pattern, "provider": provider});
        let problem = acme.admin.post("/v1/orgs/acme/registries", body).await;
        let problem = problem.expect_problem(422, "REGISTRY_PATTERN_INVALID");
        assert_eq!(problem["errors"][0]["pointer"], "/pattern", "{pattern}");
    }
    add(&acme, "ghcr.io/a/*").await;
    let twice = json!({"pattern": "ghcr.io/a/*"});
    acme.admin.post("/v1/orgs/acme/registries", twice).await.expect_problem(409, "CONFLICT");
}

#[tokio::test]
async fn a_signature_policy_that_could_never_be_met_is_not_taken() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let path = path_of(&acme, &add(&acme, "ghcr.io/a/*").await);
    let framed = |body: &str| format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    let good = VerdictKey::from_pem(&VerdictKey::generate_pem().unwrap()).unwrap().public_key_pem().to_owned();
    let anybody = json!([{"issuer": "https://issuer.example", "subject": {"pattern": "**"}}]);
    for (policy, pointer) in [
        (json!({"mode": "required"}), "/signature_policy"),
        (json!({"mode": "required", "keys": [], "identities": []}), "/signature_policy"),
        (json!({"mode": "required", "identities": anybody}), "/signature_policy"),
        (json!({"mode": "perhaps"}), "/signature_policy"),
        (json!({"mode": "required", "keys": [good, framed("Z2FyYmFnZQ==")]}), "/signature_policy/keys/1"),
        (json!({"mode": "required", "keys": [framed("no base64 at all")]}), "/signature_policy/keys/0"),
    ] {
        let body = json!({"pattern": "ghcr.io/b/*", "signature_policy": policy});
        for answer in [
            acme.admin.post("/v1/orgs/acme/registries", body.clone()).await,
            acme.admin.patch(&path, json!({"signature_policy": policy})).await,
        ] {
            let problem = answer.expect_problem(422, "SIGNATURE_POLICY_INVALID");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
        }
    }
    let policy = json!({"signature_policy": {"mode": "required", "keys": [good]}});
    let changed = acme.admin.patch(&path, policy).await.expect(200);
    assert_eq!(changed["signature_policy"]["keys"], json!([good]));
}

#[tokio::test]
async fn a_credential_only_goes_in() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let body = json!({"pattern": "ghcr.io/my-org/*", "credential": {"username": "robot", "token": TOKEN}});
    let created = acme.admin.post("/v1/orgs/acme/registries", body).await.expect(201);
    assert_eq!(created["has_credential"], true);
    let path = path_of(&acme, &created);
    let (got, listed) =
        (acme.admin.get(&path).await.expect(200), acme.admin.get("/v1/orgs/acme/registries").await.expect(200));
    for shown in [&created, &got, &listed] {
        assert!(!shown.to_string().contains(TOKEN) && !shown.to_string().contains("robot"), "{shown}");
    }
    // Nor in any row of the database in clear.
    let everywhere = store.database.connect().await;
    let query = "SELECT count(*) FROM registry_namespaces n, audit_entries a WHERE n::text LIKE $1 OR a::text LIKE $1";
    let rows = everywhere.query_one(query, &[&format!("%{TOKEN}%")]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 0);

    let policy = json!({"signature_policy": {"mode": "none"}});
    assert_eq!(acme.admin.patch(&path, policy).await.expect(200)["has_credential"], true);
    assert_eq!(acme.admin.patch(&path, json!({"credential": null})).await.expect(200)["has_credential"], false);
    acme.developer.patch(&path, json!({"credential": null})).await.expect_problem(403, "FORBIDDEN");
}

#[tokio::test]
async fn only_a_token_host_that_a_test_showed_can_be_confirmed() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let namespace = add(&acme, "registry.example.org/my-org/*").await;
    let path = path_of(&acme, &namespace);
    let confirm = async |host: &str| acme.admin.patch(&path, json!({"confirmed_token_hosts": [host]})).await;
    confirm("auth.example.org").await.expect_problem(400, "BAD_REQUEST");

    let id = namespace["id"].as_str().unwrap().parse::<RegistryNamespaceId>().unwrap();
    let pool = Pool::new(store.database.url().clone(), 1).unwrap();
    let report = json!({"reachable": true, "token_host": "auth.example.org"});
    registries::record_test(&mut pool.get().await.unwrap(), id, &report).await.unwrap();

    confirm("evil.example.org").await.expect_problem(400, "BAD_REQUEST");
    let confirmed = confirm("auth.example.org").await.expect(200);
    assert_eq!(confirmed["confirmed_token_hosts"], json!(["auth.example.org"]));
    assert_eq!(confirmed["last_test"]["reachable"], true);
}

#[tokio::test]
async fn a_credential_opens_for_the_job_s_holder_and_after_a_rotation() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let body = json!({"pattern": "ghcr.io/my-org/*", "credential": {"username": "robot", "token": TOKEN}});
    let created = acme.admin.post("/v1/orgs/acme/registries", body).await.expect(201);
    let id: RegistryNamespaceId = text(&created["id"]).parse().unwrap();
    let path = path_of(&acme, &created);
    acme.admin.post(&format!("{path}/test"), json!({})).await.expect(202);

    let pool = Pool::new(store.database.url().clone(), 2).unwrap();
    let mut conn = pool.get().await.unwrap();
    let lease = std::time::Duration::from_secs(60);
    let limits = ClaimLimits { per_organization: 1, per_source_host: 1 };
    let job = jobs::claim(&mut conn, &[JobKind::RegistryTest], "me", lease, limits).await.unwrap().unwrap();
    let old = store.key_ring();
    let ring = KeyRing::load(old).unwrap();
    let opened = credential_for_job(&mut conn, id, job.lease, &ring).await.unwrap();
    assert_eq!(opened.credential.unwrap().token.expose_secret(), TOKEN);

    // Another attempt's lease opens nothing.
    let lost = jobs::Lease { attempt: job.lease.attempt + 1, ..job.lease };
    assert!(matches!(credential_for_job(&mut conn, id, lost, &ring).await, Err(DbError::Stale)));

    // A new key in front: everything is resealed under it, and opens with it alone.
    let new = KeyRing::generate_entry("new").unwrap();
    let KeyRingSettings::Keys { keys: old_keys, .. } = old else { panic!("the test's ring is not in a file") };
    let both = KeyRing::load(&KeyRingSettings::Keys {
        current: "new".into(),
        keys: SecretString::from(format!("{},{}", new.expose_secret(), old_keys.expose_secret())),
    });
    let report = reseal_all(&pool, &both.unwrap()).await.unwrap();
    assert_eq!((report.resealed, report.unopened.len()), (1, 0));
    let alone = KeyRing::load(&KeyRingSettings::Keys { current: "new".into(), keys: new }).unwrap();
    let opened = credential_for_job(&mut conn, id, job.lease, &alone).await.unwrap();
    assert_eq!(opened.credential.unwrap().username, "robot");
    assert!(matches!(credential_for_job(&mut conn, id, job.lease, &ring).await, Err(DbError::Corrupt { .. })));

    // Moved to another organization's row it does not open.
    let other = store.organization("other").await;
    let other_id = OrganizationId(other.id.parse().unwrap());
    let raw = store.database.connect().await;
    raw.execute("UPDATE registry_namespaces SET organization_id = $1", &[&other_id.0]).await.unwrap();
    assert!(matches!(credential_for_job(&mut conn, id, job.lease, &alone).await, Err(DbError::Corrupt { .. })));
}

#[tokio::test]
async fn a_test_asked_for_twice_is_one_job() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let path = path_of(&acme, &add(&acme, "ghcr.io/my-org/*").await);
    let first = acme.admin.post(&format!("{path}/test"), json!({})).await.expect(202);
    let second = acme.admin.post(&format!("{path}/test"), json!({})).await.expect(202);
    assert_eq!(first, second);
}
