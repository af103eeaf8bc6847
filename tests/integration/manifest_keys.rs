//! Signatures of package manifests: keys that organizations enrol, and what is demanded of whom.

use company_store::signing_key::SigningKey;
use registry_types::policy::{ManifestSignatureDemand, ManifestSignaturePolicy, Policy};
use reqwest::Method;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::image::Image;
use store_tests::registry::Registry;
use store_tests::store::{Organization, Store, module_manifest, text};

const IMAGE: &str = "ghcr.io/acme/app:1";

/// A store that demands what it does by default, and an organization of a tier.
async fn store_with(slug: &str, tier: &str) -> (Store, Organization) {
    let store = Store::start_without_worker().await;
    store.set_policy(&Policy::default()).await;
    let organization = store.organization(slug).await;
    let set = "UPDATE organizations SET trust_tier = $1 WHERE slug = $2";
    store.database.connect().await.execute(set, &[&tier, &slug]).await.unwrap();
    allow(&store, slug).await;
    (store, organization)
}

async fn allow(store: &Store, slug: &str) {
    let namespace = json!({"pattern": format!("ghcr.io/{slug}/*")});
    store.root.post(&format!("/v1/orgs/{slug}/registries"), namespace).await.expect(201);
}

fn key() -> SigningKey {
    SigningKey::generate().unwrap()
}

fn public_key(key: &SigningKey) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(key.public_key().unwrap().as_der())
}

fn fingerprint(key: &SigningKey) -> String {
    key.public_key().unwrap().fingerprint().to_string()
}

fn signed(key: &SigningKey, manifest: &Value) -> Value {
    let manifest = RawValue::from_string(manifest.to_string()).unwrap();
    serde_json::from_str(key.sign(&manifest).unwrap().get()).unwrap()
}

async fn enrol(organization: &Organization, key: &SigningKey) -> Value {
    let body = json!({"public_key": public_key(key), "label": "Dana's laptop"});
    organization.admin.post(&format!("/v1/orgs/{}/keys", organization.slug), body).await.expect(201)
}

async fn revoke(organization: &Organization, key: &Value, from: Option<&str>) -> Answer {
    let path = format!("/v1/orgs/{}/keys/{}/revoke", organization.slug, text(&key["id"]));
    organization.admin.post(&path, json!({"reason": "stolen", "from": from})).await
}

/// Asks twice, in a dry run and for good, and holds the two against each other.
async fn publish(client: &StoreClient, manifest: &Value, image: &str) -> Answer {
    let body = |dry: bool| json!({"imageRef": image, "manifest": manifest, "dryRun": dry});
    let dry = client.post("/v1/modules/publish", body(true)).await;
    let done = client.post("/v1/modules/publish", body(false)).await;
    match done.status {
        202 => assert_eq!(dry.expect(200)["state"], "VALIDATED"),
        status => assert_eq!(dry.expect(status)["code"], done.json()["code"]),
    }
    done
}

#[tokio::test]
async fn a_key_is_enrolled_listed_and_revoked_with_a_date() {
    let (store, acme) = store_with("acme", "verified").await;
    let key = key();
    let made = enrol(&acme, &key).await;
    assert_eq!(made["fingerprint"], fingerprint(&key));
    assert_eq!(made["enrolled_by"], "admin@acme.example.org");
    assert_eq!((&made["revocation"], &made["signed_versions"]), (&Value::Null, &json!(0)));
    let again = json!({"public_key": public_key(&key), "label": "again"});
    acme.admin.post("/v1/orgs/acme/keys", again.clone()).await.expect_problem(409, "CONFLICT");
    assert_eq!(acme.developer.get("/v1/orgs/acme/keys").await.expect(200)["items"], json!([made]));
    let path = format!("/v1/orgs/acme/keys/{}", text(&made["id"]));
    assert_eq!(acme.developer.get(&path).await.expect(200), made);

    // Only administrators, only in their organization, and not with an API key.
    acme.developer.post("/v1/orgs/acme/keys", again.clone()).await.expect_problem(403, "FORBIDDEN");
    acme.developer.post(&format!("{path}/revoke"), json!({"reason": "x"})).await.expect_problem(403, "FORBIDDEN");
    let other = store.organization("other").await;
    other.admin.get(&path).await.expect_problem(404, "NOT_FOUND");
    let foreign = format!("/v1/orgs/other/keys/{}", text(&made["id"]));
    other.admin.get(&foreign).await.expect_problem(404, "NOT_FOUND");
    other.admin.post(&format!("{foreign}/revoke"), json!({"reason": "x"})).await.expect_problem(404, "NOT_FOUND");
    let api_key = text(&acme.admin.post("/v1/orgs/acme/api-keys", json!({"label": "ci"})).await.expect(201)["key"]);
    let by_key = store.root.logged_out().request(Method::POST, "/v1/orgs/acme/keys").header("X-API-Key", api_key);
    Answer::to(by_key.json(&again)).await.expect_problem(403, "FORBIDDEN");
    // Another organization may enrol the same key.
    other.admin.post("/v1/orgs/other/keys", again).await.expect(201);

    let revoked = revoke(&acme, &made, Some("2026-03-01T00:00:00Z")).await.expect(200);
    assert_eq!(revoked["revocation"]["from"], "2026-03-01T00:00:00Z");
    assert_eq!(revoked["revocation"]["by"], "admin@acme.example.org");
    revoke(&acme, &made, None).await.expect_problem(409, "CONFLICT");
    revoke(&acme, &made, Some("2126-01-01T00:00:00Z")).await.expect_problem(400, "BAD_REQUEST");
    let earlier = revoke(&acme, &made, Some("2026-02-01T00:00:00Z")).await.expect(200);
    assert_eq!(earlier["revocation"]["from"], "2026-02-01T00:00:00Z");

    let entries = "SELECT action, actor, details FROM audit_entries WHERE action LIKE 'manifest_key.%' ORDER BY id";
    let entries = store.database.connect().await.query(entries, &[]).await.unwrap();
    let actions: Vec<String> = entries.iter().map(|row| row.get(0)).collect();
    let expected = ["enrolled", "enrolled", "revoked", "revoked"].map(|verb| format!("manifest_key.{verb}"));
    assert_eq!(actions, expected);
    assert_eq!(entries[0].get::<_, Value>(2)["fingerprint"], fingerprint(&key));
}

#[tokio::test]
async fn what_is_no_key_is_refused_with_a_code() {
    let (store, acme) = store_with("acme", "verified").await;
    let edwards = "MCowBQYDK2VwAyEAC1ei3TbnMl028WwscDRwbVRYGUV9gt0SQrxT4HmHn6o=";
    for text in ["", "no key", edwards] {
        let body = json!({"public_key": text, "label": "key"});
        let problem = acme.admin.post("/v1/orgs/acme/keys", body).await.expect_problem(422, "MANIFEST_KEY_INVALID");
        assert_eq!(problem["errors"][0]["pointer"], "/public_key", "{text}");
    }
    let unlabelled = json!({"public_key": edwards, "label": " "});
    acme.admin.post("/v1/orgs/acme/keys", unlabelled).await.expect_problem(400, "BAD_REQUEST");
    drop(store);
}

#[tokio::test]
async fn a_publisher_s_manifest_must_be_signed_by_an_enrolled_key() {
    let (store, acme) = store_with("acme", "verified").await;
    let manifest = module_manifest("app", "1.0.0");
    publish(&acme.developer, &manifest, IMAGE).await.expect_problem(422, "MANIFEST_UNSIGNED");

    let key = key();
    let good = signed(&key, &manifest);
    let problem = publish(&acme.developer, &good, IMAGE).await.expect_problem(403, "MANIFEST_KEY_NOT_ENROLLED");
    assert!(text(&problem["detail"]).contains(&fingerprint(&key)), "{problem}");
    // Somebody else's enrolment is none.
    let other = store.organization("other").await;
    enrol(&other, &key).await;
    publish(&acme.developer, &good, IMAGE).await.expect_problem(403, "MANIFEST_KEY_NOT_ENROLLED");

    let enrolled = enrol(&acme, &key).await;
    let mut changed = good.clone();
    changed["description"] = json!("another one");
    publish(&acme.developer, &changed, IMAGE).await.expect_problem(422, "MANIFEST_SIGNATURE_INVALID");
    let mut foreign = good.clone();
    for member in ["publicKey", "keyFingerprint"] {
        foreign[member] = signed(&SigningKey::generate().unwrap(), &manifest)[member].clone();
    }
    publish(&acme.developer, &foreign, IMAGE).await.expect_problem(422, "MANIFEST_INVALID");
    let mut nested = good.clone();
    nested["execution"]["signature"] = json!("x");
    publish(&acme.developer, &nested, IMAGE).await.expect_problem(422, "MANIFEST_INVALID");
    publish(&acme.developer, &good, IMAGE).await.expect(202);

    revoke(&acme, &enrolled, None).await.expect(200);
    let next = signed(&key, &module_manifest("app", "1.1.0"));
    publish(&acme.developer, &next, IMAGE).await.expect_problem(403, "MANIFEST_KEY_REVOKED");
}

/// Versions before 1.6.20 of the client.
#[tokio::test]
async fn a_signature_without_a_key_counts_as_that_of_the_enrolled_key_that_made_it() {
    let (_store, acme) = store_with("acme", "community").await;
    let (key, another) = (key(), key());
    enrol(&acme, &another).await;
    let mut old = signed(&key, &module_manifest("app", "1.0.0"));
    for member in ["publicKey", "keyFingerprint", "signatureAlgorithm", "hashAlgorithm"] {
        old.as_object_mut().unwrap().remove(member);
    }
    publish(&acme.developer, &old, IMAGE).await.expect_problem(422, "MANIFEST_SIGNATURE_INVALID");
    enrol(&acme, &key).await;
    let accepted = publish(&acme.developer, &old, IMAGE).await.expect(202);
    let version = acme.developer.get("/v1/packages/acme/app/versions/1.0.0").await.expect(200);
    assert_eq!(version["id"], accepted["versionId"]);
    assert_eq!(version["manifest_signature"]["key_fingerprint"], fingerprint(&key));
}

#[tokio::test]
async fn the_policy_says_what_a_tier_s_manifests_need() {
    let (store, acme) = store_with("acme", "internal").await;
    let key = key();
    let standing = async |version: &str| {
        let version = acme.developer.get(&format!("/v1/packages/acme/app/versions/{version}")).await.expect(200);
        text(&version["manifest_signature"]["standing"])
    };
    // By default, recorded.
    publish(&acme.developer, &module_manifest("app", "1.0.0"), IMAGE).await.expect(202);
    assert_eq!(standing("1.0.0").await, "unsigned");
    let mut changed = signed(&key, &module_manifest("app", "1.1.0"));
    changed["description"] = json!("another one");
    publish(&acme.developer, &changed, IMAGE).await.expect_problem(422, "MANIFEST_SIGNATURE_INVALID");

    let signed_only = ManifestSignaturePolicy { internal: ManifestSignatureDemand::Signed, ..Default::default() };
    store.set_policy(&Policy { manifest_signatures: signed_only, ..Policy::default() }).await;
    publish(&acme.developer, &module_manifest("app", "1.2.0"), IMAGE).await.expect_problem(422, "MANIFEST_UNSIGNED");
    publish(&acme.developer, &signed(&key, &module_manifest("app", "1.2.0")), IMAGE).await.expect(202);
    assert_eq!(standing("1.2.0").await, "not_enrolled");

    let enrolled = enrol(&acme, &key).await;
    publish(&acme.developer, &signed(&key, &module_manifest("app", "1.3.0")), IMAGE).await.expect(202);
    assert_eq!(standing("1.3.0").await, "enrolled");
    // What it signed before it was enrolled stays what it was.
    assert_eq!(standing("1.2.0").await, "not_enrolled");

    // Revoked from before the last publish on.
    let revoked = revoke(&acme, &enrolled, Some("2026-01-01T00:00:00Z")).await.expect(200);
    assert_eq!((&revoked["signed_versions"], &revoked["revocation"]["signed_versions"]), (&json!(1), &json!(1)));
    assert_eq!(standing("1.3.0").await, "revoked");
    // A revoked key is refused where nothing is demanded, too.
    store.set_policy(&Policy::default()).await;
    let next = signed(&key, &module_manifest("app", "1.4.0"));
    publish(&acme.developer, &next, IMAGE).await.expect_problem(403, "MANIFEST_KEY_REVOKED");
}

/// While programs of two versions run side by side.
#[tokio::test]
async fn a_submission_to_a_program_that_does_not_look_is_not_told_to_be_signed() {
    let (store, acme) = store_with("acme", "verified").await;
    let key = key();
    enrol(&acme, &key).await;
    publish(&acme.developer, &signed(&key, &module_manifest("app", "1.0.0")), IMAGE).await.expect(202);
    let version = "/v1/packages/acme/app/versions/1.0.0";
    assert_eq!(acme.developer.get(version).await.expect(200)["manifest_signature"]["standing"], "enrolled");
    let sql = store.database.connect().await;
    let end = "UPDATE intakes SET state = 'failed', finished_at = now()";
    let again = "INSERT INTO intakes (id, version_id, organization_id, state, requested_by)
        SELECT gen_random_uuid(), version_id, organization_id, 'queued', requested_by FROM intakes";
    sql.execute(end, &[]).await.unwrap();
    sql.execute(again, &[]).await.unwrap();
    assert_eq!(acme.developer.get(version).await.expect(200)["manifest_signature"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signed_the_manifest_is_evidence_and_stands_on_the_page() {
    let store = Store::start().await;
    store.set_policy(&Policy::default()).await;
    let registry = Registry::start().await;
    let acme = store.organization("acme").await;
    store.allow(&acme, &registry.address, "acme").await;
    let key = key();
    enrol(&acme, &key).await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = Image::of_module(&manifest).push(&registry.address, "acme/ranker", "1.0.0").await;
    let intake = acme.intake(&signed(&key, &manifest), &image.reference).await;
    assert_eq!(intake["outcome"], "active", "{intake:#}");

    let version = acme.developer.get("/v1/packages/acme/ranker/versions/1.0.0").await.expect(200);
    let signature = &version["manifest_signature"];
    let checks = version["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "package_manifest").unwrap();
    for member in ["standing", "key_fingerprint", "manifest_sha256"] {
        assert_eq!(check["evidence"]["signature"][member], signature[member], "{check:#}");
    }
    assert_eq!(signature["key_fingerprint"], fingerprint(&key));
    let page = store.root.logged_out().get("/packages/acme/ranker").await;
    let page = String::from_utf8(page.body.to_vec()).unwrap().replace("&#43;", "+").replace("&#61;", "=");
    assert!(page.contains("signed by a key of its publisher"), "{page}");
    assert!(page.contains(&fingerprint(&key)), "{page}");
}

#[tokio::test]
async fn many_keys_come_in_pages_by_an_index() {
    let (store, acme) = store_with("acme", "verified").await;
    enrol(&acme, &key()).await;
    let sql = store.database.connect().await;
    let fill = "INSERT INTO manifest_keys (id, organization_id, label, public_key, fingerprint, enrolled_by)
        SELECT gen_random_uuid(), organization_id, 'key ' || n, public_key, sha256(n::text::bytea), enrolled_by
        FROM manifest_keys, generate_series(1, 3000) n";
    sql.execute(fill, &[]).await.unwrap();
    // Of other organizations.
    let others = "WITH o AS (INSERT INTO organizations (id, slug, display_name, trust_tier)
            SELECT gen_random_uuid(), 'other-' || n, 'Other', 'community' FROM generate_series(1, 20) n RETURNING id)
        INSERT INTO manifest_keys (id, organization_id, label, public_key, fingerprint, enrolled_by)
        SELECT gen_random_uuid(), o.id, label, public_key, fingerprint, enrolled_by FROM manifest_keys, o";
    sql.execute(others, &[]).await.unwrap();
    sql.batch_execute("ANALYZE").await.unwrap();

    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let page = acme.admin.get(&format!("/v1/orgs/acme/keys?limit=200{cursor}")).await.expect(200);
        seen += page["items"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, 3001);
    let plan = "EXPLAIN SELECT * FROM manifest_keys WHERE organization_id = $1::text::uuid AND id > $2::text::uuid
        ORDER BY id LIMIT 50";
    let plan = sql.query(plan, &[&acme.id, &uuid::Uuid::nil().to_string()]).await.unwrap();
    let plan: String = plan.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
    assert!(plan.contains("manifest_keys_organization_idx"), "{plan}");
}

#[tokio::test]
async fn an_organization_has_a_bounded_number_of_keys() {
    let (store, acme) = store_with("acme", "verified").await;
    enrol(&acme, &key()).await;
    let fill = "INSERT INTO manifest_keys (id, organization_id, label, public_key, fingerprint, enrolled_by)
        SELECT gen_random_uuid(), organization_id, label, public_key, sha256(n::text::bytea), enrolled_by
        FROM manifest_keys, generate_series(1, 199) n";
    store.database.connect().await.execute(fill, &[]).await.unwrap();
    let one_more = json!({"public_key": public_key(&key()), "label": "one more"});
    acme.admin.post("/v1/orgs/acme/keys", one_more).await.expect_problem(403, "QUOTA_EXCEEDED");
}
