//! An organization that claims namespaces of a registry to which it can push.

use registry_types::digest::Digest;
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::Answer;
use store_tests::image::Blob;
use store_tests::registry::Registry;
use store_tests::store::{Organization, Store, module_manifest, text};
use store_tests::wait::until;

pub(super) struct Scene {
    pub(super) store: Store,
    pub(super) registry: Registry,
    pub(super) acme: Organization,
}

/// A claim of an organization: the path of its namespace.
pub(super) struct Claim<'a> {
    organization: &'a Organization,
    pub(super) path: String,
    pub(super) challenge: Value,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let store = Store::start().await;
        let acme = store.organization("acme").await;
        Self { store, registry: Registry::start().await, acme }
    }

    pub(super) async fn claim<'a>(&self, organization: &'a Organization, pattern: &str) -> Claim<'a> {
        let namespaces = format!("/v1/orgs/{}/registries", organization.slug);
        let body = json!({"pattern": format!("{}/{pattern}", self.registry.address.host)});
        let made = organization.admin.post(&namespaces, body).await.expect(201);
        assert_eq!(made["state"], "pending");
        let path = format!("{namespaces}/{}", text(&made["id"]));
        let challenge = organization.admin.post(&format!("{path}/challenge"), json!({})).await.expect(201);
        Claim { organization, path, challenge }
    }

    /// Whether an image below the path `acme` of the registry would be accepted from the organization.
    pub(super) async fn dry_run(&self, organization: &Organization) -> Answer {
        let image = format!("{}/acme/app:1", self.registry.address.host);
        let body = json!({"imageRef": image, "manifest": module_manifest("app", "1.0.0"), "dryRun": true});
        Answer::to(organization.developer.request(Method::POST, "/v1/modules/publish").json(&body)).await
    }

    /// Pushes an artifact with this nonce where the challenge wants it.
    pub(super) async fn push(&self, challenge: &Value, nonce: &str) {
        let reference = text(&challenge["reference"]);
        let inside = reference.strip_prefix(&format!("{}/", self.registry.address.host)).unwrap().to_owned();
        let (repository, tag) = inside.split_once(':').unwrap();
        let empty = Blob {
            media_type: "application/vnd.oci.empty.v1+json",
            ..blob("application/vnd.oci.empty.v1+json", &json!({}))
        };
        let descriptor = json!({"mediaType": empty.media_type, "digest": empty.digest, "size": empty.bytes.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.company-store.challenge",
            "config": descriptor, "layers": [descriptor], "annotations": {text(&challenge["annotation"]): nonce},
        });
        self.registry.address.put_blob(repository, &empty).await;
        self.registry.address.put_manifest(repository, tag, &blob(MANIFEST, &manifest)).await;
    }
}

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(super) fn blob(media_type: &'static str, value: &Value) -> Blob {
    let bytes = value.to_string().into_bytes();
    Blob { media_type, digest: Digest::sha256_of(&bytes), bytes: bytes.into() }
}

impl Claim<'_> {
    pub(super) fn nonce(&self) -> String {
        text(&self.challenge["nonce"])
    }

    pub(super) async fn state(&self) -> String {
        text(&self.organization.admin.get(&self.path).await.expect(200)["state"])
    }

    pub(super) async fn read(&self) -> Value {
        self.organization.admin.get(&format!("{}/challenge", self.path)).await.expect(200)
    }

    /// Has the worker look, and waits until it has.
    pub(super) async fn look(&self, store: &Store) -> Value {
        self.organization.admin.post(&format!("{}/prove", self.path), json!({})).await.expect(202);
        looked(store).await;
        self.read().await
    }

    pub(super) async fn history(&self) -> Vec<Value> {
        let page = self.organization.admin.get(&format!("{}/history", self.path)).await.expect(200);
        page["items"].as_array().unwrap().clone()
    }
}

pub(super) async fn looked(store: &Store) {
    let sql = store.database.connect().await;
    let open = "SELECT count(*) FROM jobs WHERE kind = 'namespace_proof'";
    until("the look for the proof to end", async || {
        let count: i64 = sql.query_one(open, &[]).await.unwrap().get(0);
        (count == 0).then_some(())
    })
    .await;
}
