//! An organization proves that a registry namespace is its own by pushing what only the store could have told it.

use chrono::TimeDelta;
use registry_types::digest::Digest;
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::clock;
use store_tests::image::Blob;
use store_tests::registry::Registry;
use store_tests::store::{Organization, Store, module_manifest, text};
use store_tests::wait::until;

use crate::commands::Program;

struct Scene {
    store: Store,
    registry: Registry,
    acme: Organization,
}

/// A claim of an organization: the path of its namespace.
struct Claim<'a> {
    organization: &'a Organization,
    path: String,
    challenge: Value,
}

impl Scene {
    async fn new() -> Self {
        let store = Store::start().await;
        let acme = store.organization("acme").await;
        Self { store, registry: Registry::start().await, acme }
    }

    async fn claim<'a>(&self, organization: &'a Organization, pattern: &str) -> Claim<'a> {
        let namespaces = format!("/v1/orgs/{}/registries", organization.slug);
        let body = json!({"pattern": format!("{}/{pattern}", self.registry.address.host)});
        let made = organization.admin.post(&namespaces, body).await.expect(201);
        assert_eq!(made["state"], "pending");
        let path = format!("{namespaces}/{}", text(&made["id"]));
        let challenge = organization.admin.post(&format!("{path}/challenge"), json!({})).await.expect(201);
        Claim { organization, path, challenge }
    }

    /// Pushes an artifact with this nonce where the challenge wants it.
    async fn push(&self, challenge: &Value, nonce: &str) {
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

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn blob(media_type: &'static str, value: &Value) -> Blob {
    let bytes = value.to_string().into_bytes();
    Blob { media_type, digest: Digest::sha256_of(&bytes), bytes: bytes.into() }
}

impl Claim<'_> {
    fn nonce(&self) -> String {
        text(&self.challenge["nonce"])
    }

    async fn state(&self) -> String {
        text(&self.organization.admin.get(&self.path).await.expect(200)["state"])
    }

    async fn read(&self) -> Value {
        self.organization.admin.get(&format!("{}/challenge", self.path)).await.expect(200)
    }

    /// Has the worker look, and waits until it has.
    async fn look(&self, store: &Store) -> Value {
        self.organization.admin.post(&format!("{}/prove", self.path), json!({})).await.expect(202);
        looked(store).await;
        self.read().await
    }

    async fn history(&self) -> Vec<Value> {
        let page = self.organization.admin.get(&format!("{}/history", self.path)).await.expect(200);
        page["items"].as_array().unwrap().clone()
    }
}

async fn looked(store: &Store) {
    let sql = store.database.connect().await;
    let open = "SELECT count(*) FROM jobs WHERE kind = 'namespace_proof'";
    until("the look for the proof to end", async || {
        let count: i64 = sql.query_one(open, &[]).await.unwrap().get(0);
        (count == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_challenge_proves_the_namespace_and_stands_in_its_history() {
    let scene = Scene::new().await;
    for pattern in ["acme/*", "exact/app"] {
        let claim = scene.claim(&scene.acme, pattern).await;
        assert!(claim.look(&scene.store).await["last_result"].as_str().unwrap().contains("IMAGE_NOT_FOUND"));
        assert_eq!(claim.state().await, "pending");
        scene.push(&claim.challenge, &claim.nonce()).await;
        let found = claim.look(&scene.store).await;
        assert!(found["proven_at"].is_string(), "{found}");
        assert_eq!(claim.state().await, "verified");
        let history = claim.history().await;
        assert_eq!(
            (history.len(), &history[0]["how"], &history[0]["actor"]),
            (1, &json!("challenge"), &json!("worker"))
        );
        assert!(text(&history[0]["evidence"]).starts_with("sha256:"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_another_s_nonce_nor_an_earlier_one_nor_none_proves_anything() {
    let scene = Scene::new().await;
    let other = scene.store.organization("other").await;
    let (claim, others) = (scene.claim(&scene.acme, "acme/*").await, scene.claim(&other, "acme/*").await);
    for nonce in [others.nonce(), "guessed".to_owned(), String::new()] {
        scene.push(&claim.challenge, &nonce).await;
        assert_eq!(claim.look(&scene.store).await["proven_at"], Value::Null);
    }
    // An earlier one of its own.
    let earlier = claim.nonce();
    let again = scene.acme.admin.post(&format!("{}/challenge", claim.path), json!({})).await.expect(201);
    scene.push(&again, &earlier).await;
    assert_eq!(claim.look(&scene.store).await["proven_at"], Value::Null);
    assert_eq!(claim.state().await, "pending");
    scene.push(&again, &text(&again["nonce"])).await;
    claim.look(&scene.store).await;
    assert_eq!(claim.state().await, "verified");
    // The right to ask is an administrator's, in the own organization.
    scene.acme.developer.post(&format!("{}/challenge", claim.path), json!({})).await.expect_problem(403, "FORBIDDEN");
    other.admin.get(&format!("{}/challenge", claim.path)).await.expect_problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_organizations_that_prove_overlapping_namespaces_at_the_same_time_one_wins() {
    let scene = Scene::new().await;
    let other = scene.store.organization("other").await;
    let (wide, narrow) = (scene.claim(&scene.acme, "shared/*").await, scene.claim(&other, "shared/team/*").await);
    scene.push(&wide.challenge, &wide.nonce()).await;
    scene.push(&narrow.challenge, &narrow.nonce()).await;
    tokio::join!(wide.look(&scene.store), narrow.look(&scene.store));
    looked(&scene.store).await;
    let mut states = [wide.state().await, narrow.state().await];
    states.sort();
    assert_eq!(states, ["pending", "verified"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_misses_stop_publishing_an_outage_is_none_and_the_next_success_lifts_it() {
    let scene = Scene::new().await;
    let claim = scene.claim(&scene.acme, "acme/*").await;
    scene.push(&claim.challenge, &claim.nonce()).await;
    claim.look(&scene.store).await;
    let dry_run = async || {
        let image = format!("{}/acme/app:1", scene.registry.address.host);
        let body = json!({"imageRef": image, "manifest": module_manifest("app", "1.0.0"), "dryRun": true});
        store_tests::client::Answer::to(scene.acme.developer.request(Method::POST, "/v1/modules/publish").json(&body))
            .await
    };
    dry_run().await.expect(200);

    scene.registry.answer_all_with(Some(503));
    for _ in 0..4 {
        assert_eq!(claim.look(&scene.store).await["misses"], 0, "an outage counted");
    }
    scene.registry.answer_all_with(None);
    scene.push(&claim.challenge, "somebody else's").await;
    for misses in 1..=3 {
        dry_run().await.expect(200);
        // By itself, when its time has come: housekeeping plans it.
        assert_eq!(claim.look(&scene.store).await["misses"], misses);
    }
    assert_eq!(claim.state().await, "suspended");
    dry_run().await.expect_problem(403, "REGISTRY_PROOF_LOST");
    let history = claim.history().await;
    assert_eq!((&history[0]["state"], &history[0]["how"]), (&json!("suspended"), &json!("proof_lost")));

    scene.push(&claim.challenge, &claim.nonce()).await;
    claim.look(&scene.store).await;
    assert_eq!(claim.state().await, "verified");
    dry_run().await.expect(200);
    assert_eq!(claim.history().await.len(), 3);

    // What a superuser suspends no proof lifts.
    scene.store.root.post(&format!("{}/suspend", claim.path), json!({})).await.expect(200);
    claim.look(&scene.store).await;
    assert_eq!(claim.state().await, "suspended");
    dry_run().await.expect_problem(403, "REGISTRY_UNAUTHORIZED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_is_looked_for_again_when_its_time_has_come() {
    let scene = Scene::new().await;
    let claim = scene.claim(&scene.acme, "acme/*").await;
    scene.push(&claim.challenge, &claim.nonce()).await;
    claim.look(&scene.store).await;
    let pool = registry_db::Pool::new(scene.store.database.url().clone(), 1).unwrap();
    // The worker's housekeeping may plan at the same moment, which gives no second look.
    let plan = async || {
        let request = async |conn: &mut _| registry_db::namespace_proofs::request_due(conn).await;
        registry_db::transaction(&mut pool.get().await.unwrap(), request).await.unwrap();
    };
    scene.push(&claim.challenge, "another").await;
    plan().await;
    looked(&scene.store).await;
    assert_eq!(claim.read().await["misses"], 0, "looked for before its time");
    let later = clock::now(&scene.store.database).await + TimeDelta::days(7);
    clock::set(&scene.store.database, later).await;
    for _ in 0..2 {
        plan().await;
        looked(&scene.store).await;
    }
    assert_eq!(claim.read().await["misses"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_decided_stands_in_the_history_too_and_the_commands_show_it() {
    let scene = Scene::new().await;
    let claim = scene.claim(&scene.acme, "acme/*").await;
    scene.store.root.post(&format!("{}/approve", claim.path), json!({})).await.expect(200);
    let history = claim.history().await;
    assert_eq!((&history[0]["state"], &history[0]["how"]), (&json!("verified"), &json!("person")));
    let admin = Program::of(&scene.store, "admin@acme.example.org").await;
    let id = claim.path.rsplit('/').next().unwrap();
    assert_eq!(admin.done(&["registry", "history", id]).await["items"], json!(history));
    let challenge = admin.done(&["registry", "challenge", id]).await;
    scene.push(&challenge, &text(&challenge["nonce"])).await;
    admin.done(&["registry", "prove", id]).await;
    looked(&scene.store).await;
    assert!(claim.read().await["proven_at"].is_string());
}
