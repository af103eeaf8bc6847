//! Many intakes at once: what one organization does costs and tells the others nothing.

use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::Answer;
use store_tests::image::Image;
use store_tests::registry::{LoggedRequest, Registry};
use store_tests::store::{Organization, Store, module_manifest, text};
use store_tests::wait;

/// A large layer that images share, below the module's own.
fn module(manifest: &Value, seed: u64) -> Image {
    Image::new().debian_12().ballast("usr/share/data", seed, 2_000_000).layer().hla_module(manifest)
}

async fn organization_with_registry(store: &Store, slug: &str) -> (Organization, Registry) {
    let organization = store.organization(slug).await;
    let registry = Registry::start().await;
    store.allow(&organization, &registry.address, slug).await;
    (organization, registry)
}

#[track_caller]
fn assert_active(intake: &Value) {
    assert_eq!((&intake["state"], &intake["outcome"]), (&json!("decided"), &json!("active")), "{intake:#}");
}

/// An image in a registry, and the digest of the layer that images share.
struct Pushed {
    reference: String,
    shared: String,
    own: String,
    source_bytes: u64,
}

async fn push(manifest: &Value, seed: u64, registry: &Registry, publisher: &str) -> Pushed {
    let built = module(manifest, seed).build();
    let repository = format!("{publisher}/{}", text(&manifest["name"]));
    let reference = built.push(&registry.address, &repository, "1.0.0").await.reference;
    let [shared, own] = [0, 1].map(|layer| built.layers[layer].digest.to_string());
    Pushed { reference, shared, own, source_bytes: built.source_bytes() }
}

/// Publishes for the organization alone; gives the intake.
async fn publish(organization: &Organization, manifest: &Value, reference: &str) -> String {
    let body = json!({"imageRef": reference, "manifest": manifest, "scope": "org", "orgId": organization.id});
    let accepted = organization.developer.post("/v1/modules/publish", body).await.expect(202);
    text(&accepted["publishId"])
}

fn reads_of(registry: &Registry, digest: &str) -> usize {
    registry.requests().iter().filter(|request| request.reads_blob() && request.path.ends_with(digest)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_that_need_the_same_layer_transfer_it_once() {
    let mut store = Store::start().await;
    store.start_worker();
    let (acme, registry) = organization_with_registry(&store, "acme").await;
    let mut publishes = Vec::new();
    for name in ["ranker", "sorter", "reader"] {
        let manifest = module_manifest(name, "1.0.0");
        let image = push(&manifest, 7, &registry, "acme").await;
        publishes.push((manifest, image));
    }
    let shared = publishes[0].1.shared.clone();
    let mut hold = registry.hold(&shared);
    let mut intakes = Vec::new();
    for (manifest, image) in &publishes {
        intakes.push(publish(&acme, manifest, &image.reference).await);
    }
    hold.reached(1).await;
    // Meanwhile the others have read everything else.
    for (_, image) in &publishes {
        wait::until("the module's own layer to be read", async || (reads_of(&registry, &image.own) == 1).then_some(()))
            .await;
    }
    hold.release();
    for intake in intakes {
        assert_active(&acme.intake_end(&intake).await);
    }
    assert_eq!(reads_of(&registry, &shared), 1, "{:#?}", registry.requests());
}

/// What a registry sees of an intake, without names that differ.
fn seen(registry: &Registry, layer: &str) -> Vec<(String, u64)> {
    let of_layer = |request: &LoggedRequest| request.path.ends_with(layer);
    let requests = registry.requests();
    requests.iter().filter(|request| of_layer(request)).map(|r| (r.method.clone(), r.bytes_sent)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_learns_by_time_or_bytes_that_another_organization_holds_a_layer() {
    let store = Store::start().await;
    let (acme, registry) = organization_with_registry(&store, "acme").await;
    let manifest = module_manifest("secret", "1.0.0");
    let image = push(&manifest, 1, &registry, "acme").await;
    let intake = publish(&acme, &manifest, &image.reference).await;
    assert_active(&acme.intake_end(&intake).await);

    let (spy, lair) = organization_with_registry(&store, "spy").await;
    // The layer that acme keeps private, and one that nobody has shown yet.
    let mut views = Vec::new();
    for (name, seed) in [("held", 1), ("new", 2)] {
        let manifest = module_manifest(name, "1.0.0");
        let image = push(&manifest, seed, &lair, "spy").await;
        let layer = &image.shared;
        lair.forget_requests();
        let mut hold = lair.hold(layer);
        let intake = publish(&spy, &manifest, &image.reference).await;
        // Its time is the time of the spy's own registry: before the last byte there is no verdict.
        hold.reached(1).await;
        let now = spy.developer.get(&format!("/v1/intakes/{intake}")).await.expect(200);
        assert_eq!((&now["state"], &now["step"]), (&json!("running"), &json!("transfer")), "{now:#}");
        hold.release();
        let ended = spy.intake_end(&intake).await;
        assert_active(&ended);
        assert!(
            ended["checks"]
                .as_array()
                .unwrap()
                .iter()
                .any(|check| { check["name"] == "archive" && check["evidence"]["reused_bytes"] == 0 }),
            "{ended:#}"
        );
        views.push((seen(&lair, layer), image.source_bytes));
    }
    let [(held, held_bytes), (new, new_bytes)] = &views[..] else { panic!("two views") };
    let shape =
        |view: &[(String, u64)]| view.iter().map(|(method, sent)| (method.clone(), *sent > 0)).collect::<Vec<_>>();
    assert_eq!(shape(held), shape(new));
    assert!(held_bytes.abs_diff(*new_bytes) < 10_000, "the two images must be alike");
    assert!(held.iter().any(|(method, sent)| method == "GET" && *sent > 1_000_000), "{held:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_that_anybody_may_pull_is_not_read_again() {
    let store = Store::start().await;
    let (acme, registry) = organization_with_registry(&store, "acme").await;
    let manifest = module_manifest("base", "1.0.0");
    let image = push(&manifest, 1, &registry, "acme").await;
    let accepted = acme.publish(&manifest, &image.reference).await.expect(202);
    assert_active(&acme.intake_end(&text(&accepted["publishId"])).await);

    let (zeta, other) = organization_with_registry(&store, "zeta").await;
    let manifest = module_manifest("user", "1.0.0");
    let image = push(&manifest, 1, &other, "zeta").await;
    other.forget_requests();
    assert_active(&zeta.intake(&manifest, &image.reference).await);
    assert_eq!(reads_of(&other, &image.shared), 0, "{:#?}", other.requests());
}

async fn cancel(organization: &Organization, intake: &str) -> Answer {
    organization.developer.post(&format!("/v1/intakes/{intake}/cancel"), json!({})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_intake_ends_at_once_and_its_number_is_free_again() {
    let store = Store::start().await;
    let (acme, registry) = organization_with_registry(&store, "acme").await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = push(&manifest, 1, &registry, "acme").await;
    let mut hold = registry.hold(&image.shared);
    let intake = publish(&acme, &manifest, &image.reference).await;
    hold.reached(1).await;

    let viewer = store.user("acme", "viewer").await;
    viewer.post(&format!("/v1/intakes/{intake}/cancel"), json!({})).await.expect_problem(403, "FORBIDDEN");
    let stranger = store.organization("zeta").await;
    cancel(&stranger, &intake).await.expect_problem(404, "NOT_FOUND");

    let cancelled = cancel(&acme, &intake).await.expect(200);
    assert_eq!((&cancelled["state"], &cancelled["failure_code"]), (&json!("failed"), &json!("INTAKE_CANCELLED")));
    cancel(&acme, &intake).await.expect_problem(409, "CONFLICT");
    // What its worker still has under way changes nothing; the same number is published and taken in.
    hold.release();
    let again = publish(&acme, &manifest, &image.reference).await;
    assert_active(&acme.intake_end(&again).await);
    let first = acme.developer.get(&format!("/v1/intakes/{intake}")).await.expect(200);
    assert_eq!(first["failure_code"], "INTAKE_CANCELLED", "{first:#}");
    cancel(&acme, &again).await.expect_problem(409, "CONFLICT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queued_intake_can_be_cancelled() {
    let store = Store::start_without_worker().await;
    let (acme, registry) = organization_with_registry(&store, "acme").await;
    let reference = format!("{}/acme/ranker:1.0.0", registry.address.host);
    let intake = publish(&acme, &module_manifest("ranker", "1.0.0"), &reference).await;
    assert_eq!(cancel(&acme, &intake).await.expect(200)["failure_code"], "INTAKE_CANCELLED");
    let jobs = "SELECT count(*) FROM jobs WHERE kind = 'intake'";
    let left: i64 = store.database.connect().await.query_one(jobs, &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
    assert!(registry.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_takes_too_long_is_an_outage() {
    let mut store = Store::start_without_worker().await;
    store.start_worker_with(|settings| settings.steps.transfer_seconds = 1);
    let (acme, registry) = organization_with_registry(&store, "acme").await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = push(&manifest, 1, &registry, "acme").await;
    let hold = registry.hold(&image.shared);
    let ended = acme.intake_end(&publish(&acme, &manifest, &image.reference).await).await;
    assert_eq!((&ended["state"], &ended["failure_code"]), (&json!("failed"), &json!("INTAKE_FAILED")), "{ended:#}");
    assert_eq!(ended["failure_reason"], "the step transfer took longer than 1 seconds");
    // Every attempt was made.
    assert_eq!(hold.readers(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_publish_call_s_request_id_goes_as_far_as_the_source_registry() {
    let store = Store::start().await;
    let (acme, registry) = organization_with_registry(&store, "acme").await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = push(&manifest, 1, &registry, "acme").await;
    registry.forget_requests();
    let body = json!({"manifest": manifest, "imageRef": image.reference});
    let call = acme.developer.request(Method::POST, "/v1/modules/publish").header("X-Request-Id", "call-7").json(&body);
    let accepted = Answer::to(call).await.expect(202);
    assert_active(&acme.intake_end(&text(&accepted["publishId"])).await);
    let requests = registry.requests();
    assert!(!requests.is_empty());
    assert!(requests.iter().all(|request| request.request_id.as_deref() == Some("call-7")), "{requests:#?}");
}
