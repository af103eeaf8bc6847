//! Images under a namespace's signature policy, through the whole pipeline.

use std::path::PathBuf;

use bytes::Bytes;
use chrono::Utc;
use intake_worker::verdict::{Subject, VerdictKey, VerdictReferrer, attach};
use registry_types::digest::Digest;
use serde_json::{Value, json};
use store_tests::image::{Blob, Image, PushedImage};
use store_tests::object_server::interop_tool;
use store_tests::registry::{DockerRegistry, Registry, RegistryAddress};
use store_tests::store::{Organization, Store, module_manifest};
use tempfile::TempDir;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const SIGNS: &str = "https://sigstore.dev/cosign/sign/v1";

struct Scene {
    store: Store,
    acme: Organization,
    registry: Registry,
    key: VerdictKey,
}

impl Scene {
    /// A namespace that demands a signature by one key.
    async fn set() -> Self {
        let store = Store::start().await;
        let registry = Registry::start().await;
        let acme = store.organization("acme").await;
        let key = new_key();
        let policy = json!({"mode": "required", "keys": [key.public_key_pem()]});
        store.allow_signed(&acme, &registry.address, "acme", policy).await;
        Self { store, acme, registry, key }
    }

    async fn push(&self, manifest: &Value, tag: &str) -> PushedImage {
        Image::of_module(manifest).push(&self.registry.address, "acme/ranker", tag).await
    }

    /// A bundle by `key` that says that the image with `digest` is signed, attached to `image`.
    async fn sign(&self, key: &VerdictKey, image: &PushedImage, digest: &Digest) -> VerdictReferrer {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "", "digest": {"sha256": digest.hex()}}],
            "predicateType": SIGNS,
            "predicate": {},
        });
        let envelope = key.sign("application/vnd.in-toto+json", statement.to_string().into_bytes());
        let size = image.manifest.bytes.len();
        let subject = Subject { media_type: MANIFEST, digest: &image.manifest.digest, size };
        let signature = attach(&envelope, key, subject, Utc::now());
        for (_, bytes) in &signature.blobs {
            self.registry.address.put_blob("acme/ranker", &Blob::new("application/octet-stream", bytes.clone())).await;
        }
        let manifest = Blob::new(MANIFEST, Bytes::from(signature.manifest.bytes.clone()));
        self.registry.address.put_manifest("acme/ranker", &manifest.digest.to_string(), &manifest).await;
        signature
    }
}

fn new_key() -> VerdictKey {
    VerdictKey::from_pem(&VerdictKey::generate_pem().unwrap()).unwrap()
}

#[track_caller]
fn assert_refused(intake: &Value, code: &str) {
    assert_eq!((&intake["outcome"], &intake["failure_code"]), (&json!("rejected"), &json!(code)), "{intake:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_image_that_the_named_key_signed_becomes_active() {
    let scene = Scene::set().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = scene.push(&manifest, "1.0.0").await;
    assert_refused(&scene.acme.intake(&manifest, &image.reference).await, "SIGNATURE_REQUIRED");

    // By somebody else.
    scene.sign(&new_key(), &image, &image.manifest.digest).await;
    assert_refused(&scene.acme.intake(&manifest, &image.reference).await, "SIGNATURE_INVALID");

    // By the right one, about another image.
    scene.sign(&scene.key, &image, &Digest::sha256_of(b"another image")).await;
    assert_refused(&scene.acme.intake(&manifest, &image.reference).await, "SIGNATURE_INVALID");

    let signature = scene.sign(&scene.key, &image, &image.manifest.digest).await;
    let intake = scene.acme.intake(&manifest, &image.reference).await;
    assert_eq!(intake["outcome"], "active", "{intake:#}");

    // Mirrored with the image.
    let anybody = scene.store.root.logged_out();
    let mirrored = anybody.get(&format!("/v2/acme/ranker/manifests/{}", signature.manifest.digest)).await;
    assert_eq!((mirrored.status, mirrored.body.to_vec()), (200, signature.manifest.bytes));
    let (bundle, bytes) = &signature.blobs[0];
    let blob = anybody.get(&format!("/v2/acme/ranker/blobs/{bundle}")).await;
    assert_eq!((blob.status, &blob.body), (200, bytes));
}

/// A pair of keys that cosign made, in a folder that is its home.
struct Cosign {
    program: PathBuf,
    home: TempDir,
}

impl Cosign {
    async fn with_keys() -> Option<Self> {
        let cosign = Self { program: interop_tool("cosign")?, home: tempfile::tempdir().unwrap() };
        cosign.run(&["generate-key-pair"]).await;
        // An empty configuration: neither log nor time stamp.
        cosign.run(&["signing-config", "create", "--out", "no-services.json"]).await;
        Some(cosign)
    }

    async fn run(&self, arguments: &[&str]) {
        let mut cosign = tokio::process::Command::new(&self.program);
        cosign.args(arguments).current_dir(&self.home).env("HOME", self.home.path()).env("COSIGN_PASSWORD", "");
        let output = cosign.output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A bundle that refers to the image.
    async fn sign(&self, image: &str) {
        let key = ["sign", "--key", "cosign.key", "--signing-config", "no-services.json"];
        self.run(&[&key[..], &["--allow-http-registry", "-y", image]].concat()).await;
    }

    /// The legacy tag.
    async fn sign_in_legacy_layout(&self, image: &str) {
        let key = ["sign", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false"];
        self.run(&[&key[..], &["--new-bundle-format=false", "--allow-http-registry", "-y", image]].concat()).await;
    }

    async fn attest(&self, image: &str) {
        std::fs::write(self.home.path().join("predicate.json"), "{}").unwrap();
        let key = ["attest", "--key", "cosign.key", "--signing-config", "no-services.json"];
        let statement = ["--type", "https://slsa.dev/provenance/v1", "--predicate", "predicate.json"];
        self.run(&[&key[..], &statement, &["--allow-http-registry", "-y", image]].concat()).await;
    }

    fn policy(&self) -> Value {
        json!({"mode": "required", "keys": [std::fs::read_to_string(self.home.path().join("cosign.pub")).unwrap()]})
    }
}

/// What cosign v3 makes with a key counts in both layouts, whether the registry lists referrers or not; its attestation does
/// not, nor what another key signed.
async fn assert_cosign_counts(registry: &RegistryAddress) {
    let (Some(cosign), Some(other)) = (Cosign::with_keys().await, Cosign::with_keys().await) else { return };
    let store = Store::start().await;
    let acme = store.organization("acme").await;
    store.allow_signed(&acme, registry, "acme", cosign.policy()).await;
    let push = async |version: &str| {
        let manifest = module_manifest("ranker", version);
        let image = Image::of_module(&manifest).push(registry, "acme/ranker", version).await;
        let by_digest = format!("{}/acme/ranker@{}", registry.host, image.manifest.digest);
        (manifest, image.reference, by_digest)
    };

    let (manifest, reference, image) = push("1.0.0").await;
    cosign.attest(&image).await;
    assert_refused(&acme.intake(&manifest, &reference).await, "SIGNATURE_REQUIRED");
    other.sign(&image).await;
    other.sign_in_legacy_layout(&image).await;
    assert_refused(&acme.intake(&manifest, &reference).await, "SIGNATURE_INVALID");
    cosign.sign(&image).await;
    let intake = acme.intake(&manifest, &reference).await;
    assert_eq!(intake["outcome"], "active", "{intake:#}");

    let (manifest, reference, image) = push("1.1.0").await;
    cosign.sign_in_legacy_layout(&image).await;
    let intake = acme.intake(&manifest, &reference).await;
    assert_eq!(intake["outcome"], "active", "{intake:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_cosign_signs_where_the_registry_lists_referrers() {
    assert_cosign_counts(&Registry::start().await.address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_cosign_signs_where_the_registry_has_tags_only() {
    assert_cosign_counts(&DockerRegistry::start().await.address).await;
}
