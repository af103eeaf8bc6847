//! Keyless signatures through the whole pipeline: the signed module under `tests/fixtures/sigstore/module`.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use registry_types::digest::Digest;
use serde_json::{Value, json};
use store_tests::image::Blob;
use store_tests::registry::{DockerRegistry, Registry, RegistryAddress};
use store_tests::store::{Organization, Store, module_manifest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sigstore/module").join(file)
}

fn fixture(file: &str) -> Bytes {
    std::fs::read(path(file)).unwrap_or_else(|error| panic!("{file}: {error}")).into()
}

/// The release workflow of the fixtures.
fn policy() -> Value {
    let subject = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0";
    let issuer = "https://token.actions.githubusercontent.com";
    json!({"mode": "required", "identities": [{"issuer": issuer, "subject": {"exact": subject}}]})
}

/// The signed module in a repository of its own.
struct Module<'a> {
    registry: &'a RegistryAddress,
    repository: String,
    manifest: Blob,
}

impl<'a> Module<'a> {
    async fn push(registry: &'a RegistryAddress, repository: &str) -> Self {
        registry.put_blob(repository, &Blob::new(CONFIG, fixture("config.json"))).await;
        registry.put_blob(repository, &Blob::new("application/octet-stream", fixture("layer.tar.gz"))).await;
        let manifest = Blob::new(MANIFEST, fixture("manifest.json"));
        registry.put_manifest(repository, "1.0.0", &manifest).await;
        Self { registry, repository: repository.to_owned(), manifest }
    }

    /// As cosign v3 does: a referrer, and the fallback tag for registries that do not list referrers.
    async fn attach_bundle(&self, file: &str) {
        let bundle = Blob::new(BUNDLE, fixture(file));
        let config = Blob::new(EMPTY, Bytes::from_static(b"{}"));
        for blob in [&bundle, &config] {
            self.registry.put_blob(&self.repository, blob).await;
        }
        let referrer = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": config.descriptor(),
            "layers": [bundle.descriptor()],
            "subject": self.manifest.descriptor(),
        });
        let referrer = self.put(MANIFEST, None, &referrer).await;
        let listed = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [referrer.descriptor()]});
        self.put(INDEX, Some(format!("sha256-{}", self.manifest.digest.hex())), &listed).await;
    }

    /// As cosign v2 does.
    async fn attach_legacy(&self, prefix: &str) {
        let payload = Blob::new(SIMPLE_SIGNING, fixture(&format!("{prefix}legacy-payload.json")));
        let config = Blob::new(CONFIG, Bytes::from_static(b"{}"));
        for blob in [&payload, &config] {
            self.registry.put_blob(&self.repository, blob).await;
        }
        let mut layer = payload.descriptor();
        layer["annotations"] = serde_json::from_slice(&fixture(&format!("{prefix}legacy-annotations.json"))).unwrap();
        let signature =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(), "layers": [layer]});
        self.put(MANIFEST, Some(format!("sha256-{}.sig", self.manifest.digest.hex())), &signature).await;
    }

    async fn put(&self, media_type: &'static str, tag: Option<String>, document: &Value) -> Blob {
        let manifest = Blob::new(media_type, document.to_string().into());
        let reference = tag.unwrap_or_else(|| manifest.digest.to_string());
        self.registry.put_manifest(&self.repository, &reference, &manifest).await;
        manifest
    }

    async fn intake(&self, organization: &Organization) -> Value {
        let reference = format!("{}/{}:1.0.0", self.registry.host, self.repository);
        organization.intake(&module_manifest("ranker", "1.0.0"), &reference).await
    }
}

#[derive(Clone, Copy, Debug)]
enum Layout {
    Bundle,
    Legacy,
}

/// On `registry`, in `layout`: the module becomes active, and the store shows who signed it.
async fn assert_accepted(registry: &RegistryAddress, layout: Layout) {
    let store = Store::start_trusting(&path("trusted_root.json")).await;
    let acme = store.organization("acme").await;
    store.allow_signed(&acme, registry, "acme", policy()).await;
    let module = Module::push(registry, &format!("acme/{layout:?}").to_lowercase()).await;
    match layout {
        Layout::Bundle => module.attach_bundle("signature.json").await,
        Layout::Legacy => module.attach_legacy("").await,
    }
    let intake = module.intake(&acme).await;
    assert_eq!(intake["outcome"], "active", "{layout:?}: {intake:#}");
    let shown = acme.developer.get("/v1/packages/acme/ranker/versions/1.0.0/signatures").await.expect(200);
    let signer = &shown["evidence"]["images"][0]["candidates"][0];
    assert_eq!((&signer["outcome"], &signer["signer"]), (&json!("accepted"), &json!("identity")), "{shown:#}");
    assert_eq!(signer["subject"], policy()["identities"][0]["subject"]["exact"]);
    assert!(signer["log_index"].is_u64() && signer["signed_at"].is_string(), "{shown:#}");
    assert_eq!(signer["trusted_root"], json!(Digest::sha256_of(&fixture("trusted_root.json"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_layouts_are_accepted_where_the_registry_lists_referrers() {
    let registry = Registry::start().await;
    assert_accepted(&registry.address, Layout::Bundle).await;
    assert_accepted(&registry.address, Layout::Legacy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_layouts_are_accepted_where_the_registry_has_tags_only() {
    let registry = DockerRegistry::start().await;
    assert_accepted(&registry.address, Layout::Bundle).await;
    assert_accepted(&registry.address, Layout::Legacy).await;
}

/// Code and a part of the text with which an intake must end.
#[track_caller]
fn assert_refused(intake: &Value, code: &str, because: &str) {
    assert_eq!((&intake["outcome"], &intake["failure_code"]), (&json!("rejected"), &json!(code)), "{intake:#}");
    assert_reason(intake, code, because);
}

#[track_caller]
fn assert_reason(intake: &Value, code: &str, because: &str) {
    let check = intake["checks"].as_array().unwrap().iter().find(|check| check["name"] == "signature").unwrap();
    let reasons = check["reasons"].as_array().unwrap();
    let is_told = |reason: &Value| reason["code"] == code && reason["message"].as_str().unwrap().contains(because);
    assert!(reasons.iter().any(is_told), "no {code} with {because:?} in {reasons:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_signature_that_does_not_count_is_refused_for_its_own_reason() {
    let store = Store::start_trusting(&path("trusted_root.json")).await;
    let registry = Registry::start().await;
    let acme = store.organization("acme").await;
    store.allow_signed(&acme, &registry.address, "acme", policy()).await;

    let unsigned = Module::push(&registry.address, "acme/unsigned").await;
    assert_refused(&unsigned.intake(&acme).await, "SIGNATURE_REQUIRED", "the image is not signed");

    for (bundle, code, because) in [
        ("other-signature.json", "SIGNATURE_INVALID", "names another image"),
        ("provenance.json", "SIGNATURE_REQUIRED", "(https://slsa.dev/provenance/v1), not a signature"),
        // Signed while the log could not be reached: a time stamp, and nothing that anybody could have seen in public.
        ("signature-without-log.json", "SIGNATURE_INVALID", "must have an inclusion proof"),
        ("stranger-signature.json", "SIGNATURE_IDENTITY_MISMATCH", "the policy does not name this identity"),
    ] {
        let module = Module::push(&registry.address, &format!("acme/{}", bundle.trim_end_matches(".json"))).await;
        module.attach_bundle(bundle).await;
        assert_refused(&module.intake(&acme).await, code, because);
    }
    let legacy = Module::push(&registry.address, "acme/other-legacy").await;
    legacy.attach_legacy("other-").await;
    assert_refused(&legacy.intake(&acme).await, "SIGNATURE_INVALID", "names another image");
}

/// Signed well, and nobody can look: that is neither "not signed" nor good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_that_cannot_be_looked_for_or_judged_is_left_to_people() {
    let registry = Registry::start().await;
    for (trusted, hidden, code, because) in [
        (true, true, "REGISTRY_ACCESS_DENIED", "it could not be checked whether the image is signed"),
        (false, false, "INTAKE_FAILED", "no trusted root is configured"),
    ] {
        let store =
            if trusted { Store::start_trusting(&path("trusted_root.json")).await } else { Store::start().await };
        let acme = store.organization("acme").await;
        store.allow_signed(&acme, &registry.address, "acme", policy()).await;
        let repository = format!("acme/hidden-{hidden}");
        let module = Module::push(&registry.address, &repository).await;
        module.attach_bundle("signature.json").await;
        if hidden {
            registry.answer_part_with(&format!("{repository}/referrers/"), 403);
        }
        let intake = module.intake(&acme).await;
        assert_eq!(intake["outcome"], "in_review", "{intake:#}");
        assert_reason(&intake, code, because);
    }
}
