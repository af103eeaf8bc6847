//! The challenge in registries that redirect, or answer what no registry should: nothing proves but the nonce in its place.

use registry_types::digest::Digest;
use serde_json::{Value, json};
use store_tests::hostile_registry::{HostileRegistry, Place, Reply, Script, Venue};
use store_tests::image::Blob;
use store_tests::store::{Organization, Store, text};

use super::scene::{MANIFEST, blob, looked};

/// A claim of a namespace of a registry that does not play yet.
struct Claim {
    venue: Venue,
    path: String,
    nonce: String,
}

impl Claim {
    async fn of(organization: &Organization) -> Self {
        let venue = Venue::take().await;
        let namespaces = format!("/v1/orgs/{}/registries", organization.slug);
        let credential = json!({"username": "robot", "token": CANARY});
        let body = json!({"pattern": format!("{}/acme/*", venue.host), "credential": credential});
        let path =
            format!("{namespaces}/{}", text(&organization.admin.post(&namespaces, body).await.expect(201)["id"]));
        let challenge = organization.admin.post(&format!("{path}/challenge"), json!({})).await.expect(201);
        Self { venue, path, nonce: text(&challenge["nonce"]) }
    }

    /// Lets the registry play and the worker look; gives what it found and the state that follows.
    async fn look(
        self,
        store: &Store,
        organization: &Organization,
        script: Script,
    ) -> (String, String, HostileRegistry) {
        let registry = self.venue.play(script);
        organization.admin.post(&format!("{}/prove", self.path), json!({})).await.expect(202);
        looked(store).await;
        let found = organization.admin.get(&format!("{}/challenge", self.path)).await.expect(200);
        let state = organization.admin.get(&self.path).await.expect(200)["state"].clone();
        (found["last_result"].as_str().unwrap_or_default().to_owned(), text(&state), registry)
    }
}

/// The credential that nobody but the registry may see.
const CANARY: &str = "canary-of-the-namespace";

/// A whole manifest with these members beside the usual ones.
fn manifest(more: &Value) -> Blob {
    let empty = Digest::sha256_of(b"{}");
    let descriptor = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2});
    let mut whole = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": [descriptor]});
    whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    blob(MANIFEST, &whole)
}

fn annotated(annotations: &Value) -> Blob {
    manifest(&json!({"annotations": annotations}))
}

fn answer(manifest: &Blob) -> Reply {
    Reply::new(200, manifest.bytes.clone()).header("Content-Type", MANIFEST)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_but_the_nonce_in_its_annotation_proves_anything() {
    let store = Store::start().await;
    let acme = store.organization("acme").await;
    let name = "org.company-store.challenge";
    type Play = fn(&str, &str) -> Reply;
    let plays: [(&str, Play, &str); 11] = [
        ("in another annotation", |_, nonce| answer(&annotated(&json!({"org.example": nonce}))), "has no annotation"),
        ("in a list", |name, nonce| answer(&annotated(&json!({name: [nonce]}))), ""),
        ("as the beginning", |name, nonce| answer(&annotated(&json!({name: format!("{nonce}x")}))), "earlier nonce"),
        ("in the body only", |_, nonce| answer(&manifest(&json!({"nonce": nonce}))), "has no annotation"),
        ("as no JSON", |name, nonce| Reply::new(200, format!("{name}={nonce}")).header("Content-Type", MANIFEST), ""),
        ("as a page", |_, _| Reply::html(200), ""),
        ("without end", |_, _| Reply::endless(200), "IMAGE_LIMIT_EXCEEDED"),
        ("refused", |_, _| Reply::error(403, "DENIED"), "REGISTRY_ACCESS_DENIED"),
        ("sent to metadata", |_, _| Reply::redirect("http://169.254.169.254/latest/"), "REGISTRY_HOST_FORBIDDEN"),
        ("sent to a private address", |_, _| Reply::redirect("https://10.0.0.1/v2/"), "REGISTRY_HOST_FORBIDDEN"),
        ("sent in a circle", |_, _| Reply::redirect("/v2/acme/company-store-challenge/manifests/again"), ""),
    ];
    for (case, play, told) in plays {
        let claim = Claim::of(&acme).await;
        let reply = play(name, &claim.nonce);
        let (found, state, _registry) = claim.look(&store, &acme, Script::open().at(Place::Manifest, reply)).await;
        assert_eq!(state, "pending", "{case}: {found}");
        assert!(!found.is_empty() && found.contains(told), "{case}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_keeps_its_manifests_elsewhere_is_followed_without_the_credential() {
    let store = Store::start().await;
    let acme = store.organization("acme").await;
    let (claim, elsewhere) = (Claim::of(&acme).await, Venue::take().await);
    let manifest = annotated(&json!({"org.company-store.challenge": claim.nonce}));
    let target = format!("http://{}/v2/x/manifests/{}", elsewhere.host, manifest.digest);
    let elsewhere = elsewhere.play(Script::open().at(Place::Manifest, answer(&manifest)));
    let script = Script::behind_token("a-token".to_owned()).at(Place::Manifest, Reply::redirect(target));
    let (found, state, registry) = claim.look(&store, &acme, script).await;
    assert_eq!((state.as_str(), found.as_str()), ("verified", "found"));
    assert!(registry.arrived().iter().any(|request| request.header("authorization").is_some()));
    assert!(!elsewhere.arrived().is_empty());
    for request in elsewhere.arrived() {
        assert_eq!(request.header("authorization"), None, "{}", request.head);
        assert!(!request.head.contains(CANARY), "{}", request.head);
    }
}
