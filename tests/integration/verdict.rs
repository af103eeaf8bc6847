//! Verdicts: signed, attached to what they are about, never rewritten; and the intakes that end without one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use intake_worker::verdict::VerdictKey;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use serde_json::{Value, json};
use store_tests::client::StoreClient;
use store_tests::image::{Image, PushedImage};
use store_tests::object_server::interop_tool;
use store_tests::registry::Registry;
use store_tests::store::{Organization, Store, module_manifest, text, unsigned_policy};

const PREDICATE: &str = "https://slsa.dev/verification_summary/v1";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

async fn onboarded() -> (Store, Organization, Registry) {
    let store = Store::start().await;
    let registry = Registry::start().await;
    let acme = store.organization("acme").await;
    store.allow(&acme, &registry.address, "acme").await;
    (store, acme, registry)
}

async fn push(registry: &Registry, manifest: &Value, tag: &str) -> PushedImage {
    Image::of_module(manifest).push(&registry.address, "acme/ranker", tag).await
}

/// The statement inside an envelope, whose signature must be the store's.
async fn verified(store: &StoreClient, envelope: &Value) -> Value {
    let keys = store.get("/v1/verdict-keys").await.expect(200);
    let key = VerifyingKey::from_public_key_pem(&text(&keys["items"][0]["public_key"])).unwrap();
    let payload = STANDARD.decode(text(&envelope["payload"])).unwrap();
    let payload_type = text(&envelope["payloadType"]);
    // DSSE's pre-authentication encoding, written down here once more on purpose.
    let mut signed = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    signed.extend_from_slice(&payload);
    let signature = STANDARD.decode(text(&envelope["signatures"][0]["sig"])).unwrap();
    let signature = Signature::from_der(&signature).unwrap();
    key.verify(&signed, &signature).unwrap();
    signed.push(b' ');
    assert!(key.verify(&signed, &signature).is_err());
    serde_json::from_slice(&payload).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_active_version_carries_its_verdict_as_a_referrer() {
    let (store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = push(&registry, &manifest, "1.0.0").await;
    let intake = acme.intake(&manifest, &image.reference).await;
    assert_eq!(intake["outcome"], "active", "{intake:#}");

    let anybody = store.root.logged_out();
    let referrers = anybody.get(&format!("/v2/acme/ranker/referrers/{}", image.manifest.digest)).await.expect(200);
    let found = referrers["manifests"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{referrers:#}");
    assert_eq!(found[0]["artifactType"], BUNDLE);
    let manifest = anybody.get(&format!("/v2/acme/ranker/manifests/{}", text(&found[0]["digest"]))).await.expect(200);
    assert_eq!(manifest["subject"]["digest"], image.manifest.digest.to_string());
    let layer = text(&manifest["layers"][0]["digest"]);
    let bundle = anybody.get(&format!("/v2/acme/ranker/blobs/{layer}")).await.expect(200);
    let config = text(&manifest["config"]["digest"]);
    assert_eq!(anybody.get(&format!("/v2/acme/ranker/blobs/{config}")).await.expect(200), json!({}));

    let statement = verified(&anybody, &bundle["dsseEnvelope"]).await;
    assert_eq!(statement["predicateType"], PREDICATE);
    assert_eq!(statement["subject"][0]["digest"]["sha256"], image.manifest.digest.hex());
    let predicate = &statement["predicate"];
    assert_eq!(predicate["verificationResult"], "PASSED");
    assert_eq!(predicate["companyStore"]["checks"].as_array().unwrap().len(), 8);
    assert_eq!(predicate["companyStore"]["profile"], "development");
    assert!(predicate["companyStore"]["advisories"]["digest"].is_string());

    let served = anybody.get("/v1/packages/acme/ranker/versions/1.0.0/verdict").await.expect(200);
    assert_eq!(served, bundle["dsseEnvelope"], "the same verdict wherever it is read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_signed_too_and_a_later_verdict_does_not_replace_it() {
    let (store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let missing = format!("{}/acme/ranker:missing", registry.address.host);
    let intake = acme.intake(&manifest, &missing).await;
    assert_eq!((&intake["outcome"], &intake["failure_code"]), (&json!("rejected"), &json!("IMAGE_NOT_FOUND")));
    let envelopes = async || {
        let sql = "SELECT envelope FROM verdicts ORDER BY created_at";
        let rows = store.database.connect().await.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| serde_json::from_slice(row.get(0)).unwrap()).collect::<Vec<Value>>()
    };
    let first = envelopes().await;
    assert_eq!(first.len(), 1);
    let statement = verified(&store.root, &first[0]).await;
    assert_eq!(statement["predicate"]["verificationResult"], "FAILED");
    assert_eq!(statement["predicate"]["companyStore"]["decision"]["code"], "IMAGE_NOT_FOUND");

    let image = push(&registry, &manifest, "1.0.0").await;
    assert_eq!(acme.intake(&manifest, &image.reference).await["outcome"], "active");
    let both = envelopes().await;
    assert_eq!((both.len(), &both[0]), (2, &first[0]));
    assert_eq!(verified(&store.root, &both[1]).await["predicate"]["verificationResult"], "PASSED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_in_force_decides_and_stands_in_the_verdict() {
    let (store, acme, registry) = onboarded().await;
    let mut policy = unsigned_policy();
    policy.permissions.network_allow = Some(vec!["*.allowed.example".to_owned()]);
    store.set_policy(&policy).await;
    let asking_for = |version: &str, host: &str| {
        let mut manifest = module_manifest("ranker", version);
        manifest["permissions"]["network"] = json!([host]);
        manifest
    };
    let manifest = asking_for("1.0.0", "api.other.example");
    let image = push(&registry, &manifest, "1.0.0").await;
    let intake = acme.intake(&manifest, &image.reference).await;
    assert_eq!((&intake["outcome"], &intake["failure_code"]), (&json!("rejected"), &json!("NETWORK_NOT_ALLOWED")));
    assert!(intake.to_string().contains("api.other.example"), "{intake:#}");

    let manifest = asking_for("1.0.1", "api.allowed.example");
    let image = push(&registry, &manifest, "1.0.1").await;
    assert_eq!(acme.intake(&manifest, &image.reference).await["outcome"], "active");
    let served = store.root.get("/v1/packages/acme/ranker/versions/1.0.1/verdict").await.expect(200);
    let statement = verified(&store.root, &served).await;
    assert_eq!(statement["predicate"]["companyStore"]["policy"], json!(policy));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intake_that_kills_its_workers_fails_and_the_version_may_be_published_again() {
    let mut store = Store::start_without_worker().await;
    let registry = Registry::start().await;
    let acme = store.organization("acme").await;
    store.allow(&acme, &registry.address, "acme").await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = push(&registry, &manifest, "1.0.0").await;
    let accepted = acme.publish(&manifest, &image.reference).await.expect(202);
    // As many workers died over it as may.
    let used_up = "UPDATE jobs SET attempt = max_attempts WHERE kind = 'intake'";
    assert_eq!(store.database.connect().await.execute(used_up, &[]).await.unwrap(), 1);
    registry.forget_requests();
    store.start_worker();
    let intake = acme.intake_end(&text(&accepted["publishId"])).await;
    assert_eq!((&intake["state"], &intake["failure_code"]), (&json!("failed"), &json!("INTAKE_FAILED")), "{intake:#}");
    assert!(registry.requests().is_empty(), "it was started once more");

    let intake = acme.intake(&manifest, &image.reference).await;
    assert_eq!(intake["outcome"], "active", "{intake:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_that_outlasts_every_attempt_ends_as_a_failure_and_not_as_a_verdict() {
    let mut store = Store::start_without_worker().await;
    let registry = Registry::start().await;
    let acme = store.organization("acme").await;
    store.allow(&acme, &registry.address, "acme").await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = push(&registry, &manifest, "1.0.0").await;
    registry.answer_all_with(Some(503));
    let accepted = acme.publish(&manifest, &image.reference).await.expect(202);
    let last = "UPDATE jobs SET attempt = max_attempts - 1 WHERE kind = 'intake'";
    assert_eq!(store.database.connect().await.execute(last, &[]).await.unwrap(), 1);
    store.start_worker();
    let intake = acme.intake_end(&text(&accepted["publishId"])).await;
    assert_eq!((&intake["state"], &intake["failure_code"]), (&json!("failed"), &json!("INTAKE_FAILED")), "{intake:#}");
    assert!(text(&intake["failure_reason"]).contains("registry"), "{intake:#}");
    let verdicts = store.database.connect().await.query("SELECT 1 FROM verdicts", &[]).await.unwrap();
    assert!(verdicts.is_empty());
}

/// The tool that people verify attestations with finds the verdict under the image and accepts it for the store's key
/// only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_cosign_verifies_the_verdict() {
    let Some(cosign) = interop_tool("cosign") else { return };
    let (store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = push(&registry, &manifest, "1.0.0").await;
    assert_eq!(acme.intake(&manifest, &image.reference).await["outcome"], "active");

    let folder = tempfile::tempdir().unwrap();
    let keys = store.root.get("/v1/verdict-keys").await.expect(200);
    let other = VerdictKey::from_pem(&VerdictKey::generate_pem().unwrap()).unwrap();
    let name = format!("{}/acme/ranker@{}", store.url().authority(), image.manifest.digest);
    for (key, is_the_stores) in
        [(text(&keys["items"][0]["public_key"]), true), (other.public_key_pem().to_owned(), false)]
    {
        let file = folder.path().join("key.pub");
        std::fs::write(&file, key).unwrap();
        let run = tokio::process::Command::new(&cosign)
            .args([
                "verify-attestation",
                "--insecure-ignore-tlog",
                "--allow-http-registry",
                "--type",
                PREDICATE,
                "--key",
            ])
            .args([file.as_os_str(), name.as_ref()])
            .env("HOME", folder.path())
            .output()
            .await
            .unwrap();
        assert_eq!(run.status.success(), is_the_stores, "{}", String::from_utf8_lossy(&run.stderr));
    }
}
