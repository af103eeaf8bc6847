//! The way of a publish from an image in a source registry to its verdict, through the real pipeline.

use serde_json::{Value, json};
use store_tests::client::StoreClient;
use store_tests::image::{Blob, Image, PushedImage, push_index};
use store_tests::object_server::S3Server;
use store_tests::registry::{DockerRegistry, Registry};
use store_tests::store::{Organization, Store, module_manifest, text};

/// A store with a worker, the organization `acme`, and a registry below whose `acme/` it may publish.
pub(crate) async fn onboarded() -> (Store, Organization, Registry) {
    onboard(Store::start().await).await
}

async fn onboard(store: Store) -> (Store, Organization, Registry) {
    let registry = Registry::start().await;
    let acme = store.organization("acme").await;
    store.allow(&acme, &registry.address, "acme").await;
    (store, acme, registry)
}

/// A base that many modules share, and the module in a layer of its own.
fn module(manifest: &Value) -> Image {
    Image::new()
        .debian_12()
        .ballast("usr/share/data", 7, 2_000_000)
        .layer()
        .wheel("Jinja2", "3.1.6")
        .layer()
        .hla_module(manifest)
}

#[track_caller]
pub(crate) fn assert_active(intake: &Value) {
    assert_eq!((&intake["state"], &intake["outcome"]), (&json!("decided"), &json!("active")), "{intake:#}");
}

#[track_caller]
pub(crate) fn assert_rejected<'a>(intake: &'a Value, code: &str, check: &str) -> &'a Value {
    assert_eq!((&intake["state"], &intake["outcome"]), (&json!("decided"), &json!("rejected")), "{intake:#}");
    assert_eq!(intake["failure_code"], code, "{intake:#}");
    let check = check_of(intake, check);
    assert_eq!(check["outcome"], "fail", "{check:#}");
    check
}

pub(crate) fn check_of<'a>(intake: &'a Value, name: &str) -> &'a Value {
    let checks = intake["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}: {intake:#}"))
}

/// Whether the store shows the version as active to this caller, in any way.
pub(crate) async fn is_shown(client: &StoreClient, name: &str, version: &str, image: &PushedImage) -> bool {
    let listed = client.get("/v1/packages").await.expect(200);
    let index = client.get("/index.json").await.expect(200);
    let by_name = client.get(&format!("/v1/packages/acme/{name}/versions/{version}")).await;
    let by_tag = client.get(&format!("/v2/acme/{name}/manifests/{version}")).await;
    let by_digest = client.get(&format!("/v2/acme/{name}/manifests/{}", image.manifest.digest)).await;
    // Its own people may read how a version stands before it is active.
    let is_active = by_name.status == 200 && by_name.json()["state"] == "active";
    let at_once = [
        listed["items"].as_array().unwrap().iter().any(|package| package["name"] == format!("acme/{name}")),
        is_active,
        by_tag.status == 200,
        by_digest.status == 200,
    ];
    let in_index = index.to_string().contains(name);
    assert!(at_once == [is_active; 4], "{at_once:?}");
    // The index is rendered anew a moment later.
    assert!(is_active || !in_index);
    is_active
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_image_becomes_active_and_is_pulled_byte_for_byte() {
    let (store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let built = module(&manifest).build();
    let image = built.push(&registry.address, "acme/ranker", "1.0.0").await;
    let intake = acme.intake(&manifest, &image.reference).await;
    assert_active(&intake);
    assert_eq!(intake["digest"], image.manifest.digest.to_string());
    let outcomes = |check: &Value| text(&check["outcome"]);
    let outcomes: Vec<_> = intake["checks"].as_array().unwrap().iter().map(outcomes).collect();
    assert_eq!(outcomes.len(), 8, "{intake:#}");
    assert!(outcomes.iter().all(|o| ["pass", "warn", "not_applicable"].contains(&o.as_str())), "{intake:#}");

    let anybody = store.root.logged_out();
    assert!(is_shown(&anybody, "ranker", "1.0.0", &image).await);
    for reference in ["1.0.0", &image.manifest.digest.to_string()] {
        let pulled = anybody.get(&format!("/v2/acme/ranker/manifests/{reference}")).await;
        assert_eq!((pulled.status, pulled.body), (200, image.manifest.bytes.clone()));
    }
    for blob in built.layers.iter().chain([&built.config]) {
        let pulled = anybody.get(&format!("/v2/acme/ranker/blobs/{}", blob.digest)).await;
        assert_eq!(pulled.status, 200);
        assert!(pulled.body == blob.bytes, "{} came back different", blob.digest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vulnerable_image_is_rejected_with_what_where_and_what_fixes_it() {
    let (store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let vulnerable = Image::new().debian_12().layer().wheel("Jinja2", "2.10").layer().hla_module(&manifest);
    let built = vulnerable.build();
    let image = built.push(&registry.address, "acme/ranker", "1.0.0").await;
    let intake = acme.intake(&manifest, &image.reference).await;
    let check = assert_rejected(&intake, "SECURITY_SCAN_FAILED", "vulnerabilities");
    let reasons = check["reasons"].as_array().unwrap();
    let reason = reasons.iter().find(|reason| reason["fix"].to_string().contains("2.10.1")).unwrap_or(&Value::Null);
    assert_eq!(reason["code"], "SECURITY_SCAN_FAILED", "{check:#}");
    assert!(reason["package"].to_string().to_lowercase().contains("jinja2"), "{reason:#}");
    assert!(reason["package"].to_string().contains("2.10"), "{reason:#}");
    assert_eq!(reason["layer"], built.layers[1].digest.to_string(), "{reason:#}");
    assert!(text(&intake["failure_reason"]).to_lowercase().contains("jinja2"), "{intake:#}");
    assert!(!is_shown(&acme.developer, "ranker", "1.0.0", &image).await);
    assert!(!is_shown(&store.root, "ranker", "1.0.0", &image).await);

    // The same version, repaired.
    let image = module(&manifest).push(&registry.address, "acme/ranker", "1.0.0").await;
    assert_active(&acme.intake(&manifest, &image.reference).await);
    assert!(is_shown(&acme.developer, "ranker", "1.0.0", &image).await);

    // Once active, never again.
    acme.publish(&manifest, &image.reference).await.expect_problem(409, "VERSION_EXISTS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_shown_before_the_verdict() {
    let (store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let built = module(&manifest).build();
    let image = built.push(&registry.address, "acme/ranker", "1.0.0").await;
    let mut hold = registry.hold(&built.layers[2].digest.to_string());
    let accepted = acme.publish(&manifest, &image.reference).await.expect(202);
    hold.reached(1).await;
    let unknown = store.root.logged_out().get("/v1/packages/acme/ranker/versions/1.0.0").await;
    unknown.expect_problem(404, "NOT_FOUND");
    for client in [&store.root.logged_out(), &acme.developer, &store.root] {
        assert!(!is_shown(client, "ranker", "1.0.0", &image).await);
        for blob in built.layers.iter().chain([&built.config]) {
            let answer = client.get(&format!("/v2/acme/ranker/blobs/{}", blob.digest)).await;
            assert_eq!(answer.status, 404);
        }
    }
    acme.publish(&manifest, &image.reference).await.expect_problem(409, "INTAKE_IN_PROGRESS");
    hold.release();
    assert_active(&acme.intake_end(&text(&accepted["publishId"])).await);
    assert!(is_shown(&store.root.logged_out(), "ranker", "1.0.0", &image).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_source_byte_is_read_once_and_held_layers_not_at_all() {
    let (_store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = module(&manifest).push(&registry.address, "acme/ranker", "1.0.0").await;
    registry.forget_requests();
    assert_active(&acme.intake(&manifest, &image.reference).await);
    assert_eq!(registry.blob_bytes_read(), image.source_bytes, "{:#?}", registry.requests());

    let manifest = module_manifest("ranker", "1.0.1");
    let built = module(&manifest).build();
    let image = built.push(&registry.address, "acme/ranker", "1.0.1").await;
    registry.forget_requests();
    assert_active(&acme.intake(&manifest, &image.reference).await);
    let changed = built.layers[2].bytes.len() + built.config.bytes.len();
    assert_eq!(registry.blob_bytes_read(), changed as u64, "{:#?}", registry.requests());
    for held in &built.layers[..2] {
        let of_layer = |method| {
            let path = format!("/v2/acme/ranker/blobs/{}", held.digest);
            registry.requests().iter().filter(|request| request.method == method && request.path == path).count()
        };
        assert_eq!((of_layer("HEAD"), of_layer("GET")), (1, 0), "{:#?}", registry.requests());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_platforms_are_judged_and_shared_layers_are_read_once() {
    let (store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = module(&manifest);
    let good = [image.build(), image.clone().for_architecture("arm64").build()];
    let pushed = push_index(&good, &registry.address, "acme/ranker", "1.0.0").await;
    registry.forget_requests();
    assert_active(&acme.intake(&manifest, &pushed.reference).await);
    let distinct = good[0].source_bytes() + good[1].config.bytes.len() as u64;
    assert_eq!(registry.blob_bytes_read(), distinct, "{:#?}", registry.requests());
    let anybody = store.root.logged_out();
    for platform in &good {
        let pulled = anybody.get(&format!("/v2/acme/ranker/manifests/{}", platform.manifest.digest)).await;
        assert_eq!((pulled.status, pulled.body), (200, platform.manifest.bytes.clone()));
    }

    // One bad platform spoils the whole.
    let manifest = module_manifest("ranker", "1.0.1");
    let bad = module(&manifest).layer().wheel("PyYAML", "5.1").for_architecture("arm64").build();
    let pushed = push_index(&[module(&manifest).build(), bad], &registry.address, "acme/ranker", "1.0.1").await;
    assert_rejected(&acme.intake(&manifest, &pushed.reference).await, "SECURITY_SCAN_FAILED", "vulnerabilities");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_that_a_later_layer_removes_is_not_held_against_the_image() {
    let (_store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let old = "usr/local/lib/python3.11/site-packages/Jinja2-2.10.dist-info";
    let image = Image::new().debian_12().layer().wheel("Jinja2", "2.10").layer().whiteout(old).hla_module(&manifest);
    let image = image.push(&registry.address, "acme/ranker", "1.0.0").await;
    assert_active(&acme.intake(&manifest, &image.reference).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_not_what_was_submitted_is_rejected() {
    let (_store, acme, registry) = onboarded().await;
    let submitted = module_manifest("ranker", "1.0.0");
    let mut inside = submitted.clone();
    inside["permissions"]["network"] = json!(["exfiltrate.example.org"]);
    let image = module(&inside).push(&registry.address, "acme/ranker", "1.0.0").await;
    let intake = acme.intake(&submitted, &image.reference).await;
    assert_rejected(&intake, "PACKAGE_MANIFEST_MISMATCH", "package_manifest");

    let image = Image::new().debian_12().push(&registry.address, "acme/ranker", "none").await;
    let intake = acme.intake(&submitted, &image.reference).await;
    assert_rejected(&intake, "PACKAGE_MANIFEST_MISSING", "package_manifest");

    let image = Image::new().debian_12().layer().file("app/manifest.json", submitted.to_string());
    let image = image.push(&registry.address, "acme/ranker", "no-code").await;
    let intake = acme.intake(&submitted, &image.reference).await;
    assert_rejected(&intake, "ENTRYPOINT_MISSING", "package_manifest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_with_pages_needs_its_bundle() {
    let (_store, acme, registry) = onboarded().await;
    let mut manifest = module_manifest("ranker", "1.0.0");
    manifest["type"] = json!("with-ui");
    let image = module(&manifest).push(&registry.address, "acme/ranker", "without").await;
    assert_rejected(&acme.intake(&manifest, &image.reference).await, "UI_BUNDLE_MISSING", "ui");
    let image = module(&manifest).file("app/ui/dist/bundle.js", "export default 1;\n");
    let image = image.push(&registry.address, "acme/ranker", "with").await;
    assert_active(&acme.intake(&manifest, &image.reference).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_in_a_layer_rejects_and_is_never_shown() {
    let (_store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    // Put together here, so that no scanner of this repository takes it for a real one.
    let token = format!("ghp_{}", "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17");
    let image = module(&manifest).file("app/.env", format!("GITHUB_TOKEN={token}\n"));
    let image = image.layer().whiteout("app/.env").push(&registry.address, "acme/ranker", "1.0.0").await;
    let intake = acme.intake(&manifest, &image.reference).await;
    let check = assert_rejected(&intake, "SECRET_DETECTED", "secrets");
    assert!(check.to_string().contains("app/.env"), "{check:#}");
    assert!(!intake.to_string().contains(&token), "the answer shows the secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_registry_is_read_with_its_credential_only() {
    let store = Store::start().await;
    let acme = store.organization("acme").await;
    let private = DockerRegistry::start_private().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = module(&manifest).push(&private.address, "acme/ranker", "1.0.0").await;
    store.allow(&acme, &private.address, "acme").await;
    assert_active(&acme.intake(&manifest, &image.reference).await);

    let mut wrong = private.address.clone();
    wrong.login.as_mut().unwrap().password = "wrong".into();
    let other = store.organization("other").await;
    let image = module(&manifest).push(&private.address, "other/ranker", "1.0.0").await;
    store.allow(&other, &wrong, "other").await;
    let intake = other.intake(&manifest, &image.reference).await;
    assert_ne!(intake["outcome"], "active", "{intake:#}");
    assert_eq!(intake["failure_code"], "REGISTRY_ACCESS_DENIED", "{intake:#}");
    assert!(!intake.to_string().contains("wrong"), "the answer shows the credential");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_registry_is_waited_for() {
    let (store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = module(&manifest).push(&registry.address, "acme/ranker", "1.0.0").await;
    registry.forget_requests();
    registry.answer_all_with(Some(503));
    let accepted = acme.publish(&manifest, &image.reference).await.expect(202);
    store_tests::wait::until("the worker to meet the outage", async || {
        registry.requests().iter().any(|request| request.status == 503).then_some(())
    })
    .await;
    assert!(!is_shown(&acme.developer, "ranker", "1.0.0", &image).await);
    registry.answer_all_with(None);
    assert_active(&acme.intake_end(&text(&accepted["publishId"])).await);
    assert!(is_shown(&store.root.logged_out(), "ranker", "1.0.0", &image).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_not_there_is_said_to_be_missing() {
    let (_store, acme, registry) = onboarded().await;
    let reference = format!("{}/acme/ranker:nothing", registry.address.host);
    let intake = acme.intake(&module_manifest("ranker", "1.0.0"), &reference).await;
    assert_ne!(intake["outcome"], "active", "{intake:#}");
    assert_eq!(intake["failure_code"], "IMAGE_NOT_FOUND", "{intake:#}");
}

/// Whoever knows a layer's digest has not yet the layer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_that_another_organization_mirrored_is_not_given_to_who_cannot_read_it() {
    let (store, acme, registry) = onboarded().await;
    let secret = module_manifest("secret", "1.0.0");
    let built = module(&secret).layer().file("app/secret.txt", "the formula").build();
    let image = built.push(&registry.address, "acme/secret", "1.0.0").await;
    assert_active(&acme.intake(&secret, &image.reference).await);

    let thief = store.organization("thief").await;
    let lair = Registry::start().await;
    store.allow(&thief, &lair.address, "thief").await;
    let manifest = module_manifest("loot", "1.0.0");
    let stolen = module(&manifest).build().naming_layer_of(&built, 3);
    // Registries refuse a manifest whose layers they do not have; this one lies.
    let image = module(&manifest).push(&lair.address, "thief/loot", "1.0.0").await;
    lair.address.put_blob("thief/loot", &stolen.config).await;
    lair.answer_with("1.0.0", stolen.manifest.bytes.clone());
    let missing = &built.layers[3].digest;
    let held = reqwest::get(format!("http://{}/v2/thief/loot/blobs/{missing}", lair.address.host)).await.unwrap();
    assert_eq!(held.status(), 404, "the thief must not have the layer");
    let intake = thief.intake(&manifest, &image.reference).await;
    assert_eq!(intake["failure_code"], "IMAGE_NOT_FOUND", "{intake:#}");
    assert!(!intake.to_string().contains("secret.txt"), "{intake:#}");
    let answer = thief.developer.get(&format!("/v2/thief/loot/blobs/{missing}")).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_do_not_have_their_digest_are_refused() {
    let (_store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let built = module(&manifest).build();
    let image = built.push(&registry.address, "acme/ranker", "1.0.0").await;
    let forged = Blob::new(built.layers[2].media_type, built.layers[1].bytes.clone());
    registry.answer_with(&built.layers[2].digest.to_string(), forged.bytes);
    let intake = acme.intake(&manifest, &image.reference).await;
    assert_ne!(intake["outcome"], "active", "{intake:#}");
    assert_eq!(intake["failure_code"], "DIGEST_MISMATCH", "{intake:#}");
}

async fn a_store_on_s3_takes_in_and_hands_out(server: S3Server) {
    let (store, acme, registry) = onboard(Store::start_on(server.store_settings()).await).await;
    let manifest = module_manifest("ranker", "1.0.0");
    // Three parts of a multipart upload.
    let built = module(&manifest).layer().ballast("app/model", 5, 20_000_000).build();
    let image = built.push(&registry.address, "acme/ranker", "1.0.0").await;
    assert_active(&acme.intake(&manifest, &image.reference).await);
    assert_eq!(registry.blob_bytes_read(), image.source_bytes);
    for blob in built.layers.iter().chain([&built.config]) {
        let answer = store.root.logged_out().get(&format!("/v2/acme/ranker/blobs/{}", blob.digest)).await;
        assert_eq!(answer.status, 307);
        let link = answer.headers["location"].to_str().unwrap();
        let pulled = reqwest::get(link).await.unwrap().bytes().await.unwrap();
        assert!(pulled == blob.bytes, "{} came back different", blob.digest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_on_s3s_fs() {
    a_store_on_s3_takes_in_and_hands_out(S3Server::in_process().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_a_store_on_versitygw() {
    if let Some(server) = S3Server::versitygw().await {
        a_store_on_s3_takes_in_and_hands_out(server).await;
    }
}
