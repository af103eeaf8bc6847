//! A worker that dies, is stopped or freezes in the middle of an intake: the intake ends as if nothing had happened.

use std::path::Path;

use serde_json::{Value, json};
use store_tests::image::{BuiltImage, Image};
use store_tests::process::ChildProcess;
use store_tests::registry::Registry;
use store_tests::store::{Organization, Store, module_manifest, text};

const WORKER: &str = env!("CARGO_BIN_EXE_test-intake-worker");

/// A store without a worker, and an image that waits to be published.
struct Scene {
    store: Store,
    acme: Organization,
    registry: Registry,
    manifest: Value,
    image: BuiltImage,
    reference: String,
}

impl Scene {
    async fn set() -> Self {
        let store = Store::start_without_worker().await;
        let registry = Registry::start().await;
        let acme = store.organization("acme").await;
        store.allow(&acme, &registry.address, "acme").await;
        let manifest = module_manifest("ranker", "1.0.0");
        let image =
            Image::new().debian_12().ballast("usr/share/data", 3, 3_000_000).layer().hla_module(&manifest).build();
        let reference = image.push(&registry.address, "acme/ranker", "1.0.0").await.reference;
        Self { store, acme, registry, manifest, image, reference }
    }

    fn worker(&self) -> ChildProcess {
        self.store.start_worker_process(Path::new(WORKER))
    }

    async fn publish(&self) -> String {
        text(&self.acme.publish(&self.manifest, &self.reference).await.expect(202)["publishId"])
    }

    /// The intake must have ended as an undisturbed one does, once.
    async fn assert_whole(&self, intake: &str) {
        let ended = self.acme.intake_end(intake).await;
        assert_eq!((&ended["state"], &ended["outcome"]), (&json!("decided"), &json!("active")), "{ended:#}");
        assert_eq!(ended["checks"].as_array().unwrap().len(), 8, "{ended:#}");
        assert_eq!(self.count("verdicts").await, 1);
        assert_eq!(self.count("intake_events WHERE kind = 'decided'").await, 1);
        assert_eq!(self.count("jobs WHERE kind = 'intake'").await, 0);
        let pulled = self.store.root.logged_out().get("/v2/acme/ranker/manifests/1.0.0").await;
        assert_eq!(pulled.body, self.image.manifest.bytes);
        for blob in &self.image.layers {
            let pulled = self.store.root.logged_out().get(&format!("/v2/acme/ranker/blobs/{}", blob.digest)).await;
            assert!(pulled.body == blob.bytes, "{} came back different", blob.digest);
        }
    }

    async fn count(&self, of: &str) -> i64 {
        let database = self.store.database.connect().await;
        database.query_one(&format!("SELECT count(*) FROM {of}"), &[]).await.unwrap().get(0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_at_any_of_the_source_s_answers() {
    let scene = Scene::set().await;
    let layers = scene.image.layers.iter().map(|layer| layer.digest.to_string());
    let places = ["1.0.0".to_owned(), scene.image.config.digest.to_string()].into_iter().chain(layers);
    // All are held from the start: layers are read side by side, and none may be finished before its turn.
    let holds: Vec<_> = places.map(|place| (scene.registry.hold(&place), place)).collect();
    let intake = scene.publish().await;
    for (mut hold, place) in holds {
        let next = hold.readers() + 1;
        let worker = scene.worker();
        hold.reached(next).await;
        // As kill -9: no destructor runs, no connection is closed in order.
        drop(worker);
        let now = scene.acme.developer.get(&format!("/v1/intakes/{intake}")).await.expect(200);
        assert_eq!(now["state"], "running", "killed at {place}: {now:#}");
        hold.release();
    }
    let _last = scene.worker();
    scene.assert_whole(&intake).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_stopped_gives_its_intake_back() {
    let scene = Scene::set().await;
    let mut hold = scene.registry.hold(&scene.image.layers[0].digest.to_string());
    let mut worker = scene.worker();
    let intake = scene.publish().await;
    hold.reached(1).await;
    worker.signal("TERM");
    worker.ended().await;
    let given_back =
        "jobs WHERE kind = 'intake' AND (locked_until IS NULL OR locked_until <= now()) AND max_attempts - attempt = 5";
    assert_eq!(scene.count(given_back).await, 1, "{}", worker.output());
    hold.release();
    let _next = scene.worker();
    scene.assert_whole(&intake).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_froze_and_wakes_up_late_changes_nothing() {
    let scene = Scene::set().await;
    let mut hold = scene.registry.hold(&scene.image.layers[0].digest.to_string());
    let mut frozen = scene.worker();
    let intake = scene.publish().await;
    hold.reached(1).await;
    frozen.signal("STOP");
    let _other = scene.worker();
    // The lease of the frozen one runs out.
    hold.reached(2).await;
    hold.release();
    scene.assert_whole(&intake).await;
    let before = scene.acme.intake_end(&intake).await;

    frozen.signal("CONT");
    frozen.signal("TERM");
    frozen.ended().await;
    scene.assert_whole(&intake).await;
    assert_eq!(scene.acme.intake_end(&intake).await, before);
}
