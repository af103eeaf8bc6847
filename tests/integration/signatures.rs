//! Images under a namespace's signature policy, through the whole pipeline.

use bytes::Bytes;
use chrono::Utc;
use intake_worker::verdict::{Subject, VerdictKey, VerdictReferrer, attach};
use registry_types::digest::Digest;
use serde_json::{Value, json};
use store_tests::image::{Blob, Image, PushedImage};
use store_tests::registry::Registry;
use store_tests::store::{Organization, Store, module_manifest};

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
