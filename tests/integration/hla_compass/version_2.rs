//! Version 2.0.5.

use serde_json::json;
use store_tests::hla_compass::Run;
use store_tests::image::Image;
use store_tests::store::{PASSWORD, text};
use store_tests::unreliable_front::{Instead, UnreliableFront};

use super::scene::{AUTHOR, MODULE, Scene, after};

const CLIENT: &str = "2.0.5";

impl Scene {
    /// An author who is logged in, with an enrolled key and a module.
    async fn with_author_2() -> Option<Self> {
        let scene = Self::with_client(CLIENT).await?;
        scene.log_in().await.expect(0);
        scene.author.run(&["keys", "init"]).await.expect(0);
        scene.enrol_key_of(&scene.author).await;
        let init = ["init", MODULE, "--template", "no-ui", "--no-banner", "--yes"];
        scene.author.run(&init).await.expect_shown(0, "Module 'ranker' created");
        Some(scene)
    }

    async fn watch(&self, publish_id: &str) -> Run {
        self.author.run(&["publish-status", "--env", "dev", "--watch", "--interval", "1", publish_id]).await
    }
}

/// Login, keys, init, validate, dry run, publish, watch, list: from nothing to an active version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_2_publishes_a_module() {
    let Some(scene) = Scene::with_client(CLIENT).await else { return };
    let author = &scene.author;
    author.login(AUTHOR, "wrong password").await.expect_shown(1, "UNAUTHENTICATED: e-mail address or password");
    scene.log_in().await.expect_shown(0, "");
    author.run(&["keys", "init"]).await.expect_shown(0, "Generated keys");
    let shown = author.run(&["keys", "show"]).await;
    let enrolled = scene.enrol_key_of(author).await;
    assert_eq!(after("Fingerprint:", shown.expect(0)), text(&enrolled["fingerprint"]));
    author.run(&["init", MODULE, "--template", "no-ui", "--no-banner", "--yes"]).await.expect(0);
    let valid = r#"{"valid": true, "issues": []}"#;
    author.run_in(MODULE, &["validate-module", "--strict", "--format", "json"]).await.expect_shown(0, valid);
    author.run_in(MODULE, &["preflight", "--json"]).await.expect_shown(0, valid);

    let image = scene.build("1.0.0").await.reference;
    scene.publish(&image, &["--dry-run"]).await.expect_shown(0, "No changes were made");
    assert_eq!(scene.count("versions").await, 0);
    let published = scene.publish(&image, &[]).await;
    // What this version says of a publish to its own organization.
    published.expect_shown(0, "Module published to dev");
    let watched = scene.watch(after("Publish job:", &published.output)).await;
    watched.expect_shown(0, "completed");
    assert!(watched.output.contains("the version is active"), "{}", watched.output);

    let listed = author.run(&["list", "--env", "dev"]).await;
    assert!(["ranker", "1.0.0", "active", "passed", AUTHOR].iter().all(|word| listed.expect(0).contains(word)));
    let module = scene.acme.developer.get("/v1/modules").await.expect(200)["modules"][0].clone();
    author.run(&["module", "info", &text(&module["id"])]).await.expect_shown(0, r#""package": "acme/ranker""#);
    // The store kept who signed it.
    let version = scene.acme.developer.get("/v1/packages/acme/ranker/versions/1.0.0").await.expect(200);
    assert_eq!(version["manifest_signature"]["standing"], "enrolled");
    assert_eq!(version["manifest_signature"]["key_fingerprint"], enrolled["fingerprint"]);
    assert!(text(&version["digest"]).starts_with("sha256:"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_2_shows_why_a_publish_is_refused() {
    let Some(scene) = Scene::with_author_2().await else { return };
    let image = scene.build("1.0.0").await.reference;
    let elsewhere = scene.publish("ghcr.io/foreign/ranker:1.0.0", &[]).await;
    elsewhere.expect_shown(1, "Publish failed (403): REGISTRY_UNAUTHORIZED: no registry namespace of acme covers");
    let look_alike = image.replace("/acme/", "/acme-evil/");
    scene.publish(&look_alike, &[]).await.expect_shown(1, "REGISTRY_UNAUTHORIZED: ");
    scene.publish(&image, &["--no-sign"]).await.expect_shown(1, "MANIFEST_UNSIGNED: ");
    let unknown = scene.author.for_somebody_else();
    unknown.login(AUTHOR, PASSWORD).await.expect(0);
    unknown.run(&["keys", "init"]).await.expect(0);
    unknown.run(&["init", MODULE, "--template", "no-ui", "--no-banner", "--yes"]).await.expect(0);
    scene.publish_by(&unknown, &image, &[]).await.expect_shown(1, "MANIFEST_KEY_NOT_ENROLLED: ");
    assert_eq!(scene.count("versions").await, 0);

    // This version does not look at the manifest itself before it publishes.
    scene.author.edit_manifest(MODULE, |manifest| manifest["execution"]["entrypoint"] = "nonsense".into());
    let invalid = scene.publish(&image, &[]).await;
    invalid.expect_shown(1, "MANIFEST_INVALID: the package manifest is not valid: /execution/entrypoint");
    scene
        .author
        .edit_manifest(MODULE, |manifest| manifest["execution"]["entrypoint"] = "backend.main:NoUIModule".into());

    let published = scene.publish(&image, &[]).await;
    scene.watch(after("Publish job:", published.expect(0))).await.expect(0);
    let again = scene.publish(&image, &[]).await;
    again.expect_shown(1, "Publish failed (409): VERSION_EXISTS: ranker 1.0.0 is active");
    assert_eq!(scene.count("versions").await, 1);
    // What the store does not do.
    let module = scene.acme.developer.get("/v1/modules").await.expect(200)["modules"][0].clone();
    let run = scene.author.run(&["run", &text(&module["id"])]).await;
    run.expect_shown(1, "MODULE_RUNS_UNSUPPORTED: ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_2_shows_why_an_intake_failed() {
    let Some(scene) = Scene::with_author_2().await else { return };
    let bad = Image::new().debian_12().layer().wheel("pyyaml", "5.3");
    let image = scene.build_on(bad, "1.0.0").await.reference;
    let published = scene.publish(&image, &["--scope", "public"]).await;
    published.expect_shown(0, "Module submitted for approval (scope: public)");
    let watched = scene.watch(after("Publish job:", &published.output)).await;
    watched.expect_shown(1, "SECURITY_SCAN_FAILED: pyyaml 5.3 has ");
    let listed = scene.author.run(&["list", "--env", "dev"]).await;
    listed.expect_shown(0, "failed (error)");
    // A rejected number is free again: mended, it passes.
    let image = scene.build("1.0.0").await.reference;
    let published = scene.publish(&image, &[]).await;
    scene.watch(after("Publish job:", published.expect(0))).await.expect_shown(0, "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_2_refreshes_its_token_unasked() {
    let Some(scene) = Scene::with_author_2().await else { return };
    let image = scene.build("1.0.0").await.reference;
    scene.let_access_tokens_expire().await;
    scene.publish(&image, &[]).await.expect_shown(0, "Publish job:");
    assert_eq!(scene.count("intakes").await, 1);
    // The new refresh token works, too.
    scene.let_access_tokens_expire().await;
    scene.author.run(&["list", "--env", "dev", "--all"]).await.expect_shown(0, "ranker");
    // A login that has ended says so.
    let end = "UPDATE sessions SET revoked_at = now()";
    scene.store.database.connect().await.execute(end, &[]).await.unwrap();
    let ended = scene.author.run(&["list", "--env", "dev"]).await;
    assert_ne!(ended.code, Some(0), "{}", ended.output);
}

/// The store took the publish in, but the client never learned: it asks again by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_2_repeats_a_publish_whose_answer_was_lost() {
    let Some(mut scene) = Scene::with_author_2().await else { return };
    let front = UnreliableFront::before(scene.store.url()).await;
    scene.author = scene.author.with("HLA_API_ENDPOINT", front.url.as_str());
    for (number, instead) in [(1, Instead::Lost), (2, Instead::TooMany)] {
        let image = scene.build(&format!("1.{number}.0")).await.reference;
        front.disturb("/v1/modules/publish", instead);
        let published = scene.publish(&image, &[]).await;
        let id = after("Publish job:", published.expect(0));
        scene.acme.developer.get(&format!("/v1/modules/publish/{id}")).await.expect(200);
        assert_eq!(scene.count("intakes").await, number, "{instead:?}");
        let sent = front.sent_to("/v1/modules/publish");
        let [.., lost, repeated] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!((&lost.idempotency_key, &lost.body), (&repeated.idempotency_key, &repeated.body));
        assert!(lost.idempotency_key.is_some());
    }
}

/// The form of the publishing handbook, which no version of the client would make.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_2_publishes_the_handbook_s_manifest() {
    let Some(scene) = Scene::with_author_2().await else { return };
    scene.author.edit_manifest(MODULE, |manifest| {
        *manifest = json!({
            "name": "ranker", "version": "1.0.0", "type": "no-ui", "description": "Ranks peptides",
            "execution": {"entrypoint": "backend.main:Ranker"},
            "resources": {"cpu": "1", "memory": "2Gi", "timeout": "300s"},
            "permissions": {"network": false, "data_access": ["peptides"]},
            "inputs": {"peptides": {"type": "array", "required": true}},
            // What a trip through a float would not survive, under the signature.
            "x-numbers": [1.0, 9_007_199_254_740_993_u64, -0.0],
            "x-text": "\u{e9}\u{1f9ec}\u{7f}",
        });
    });
    let image = scene.build("1.0.0").await.reference;
    let published = scene.publish(&image, &[]).await;
    scene.watch(after("Publish job:", published.expect(0))).await.expect_shown(0, "completed");
}

/// Of two developers each sees the other's modules only when asked for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_hla_compass_2_lists_one_s_own_modules() {
    let Some(scene) = Scene::with_author_2().await else { return };
    let image = scene.build("1.0.0").await.reference;
    scene.publish(&image, &[]).await.expect(0);
    let admin = scene.author.for_somebody_else();
    admin.login("admin@acme.example.org", PASSWORD).await.expect(0);
    let own = admin.run(&["list", "--env", "dev"]).await;
    assert!(!own.expect(0).contains("ranker"), "{}", own.output);
    admin.run(&["list", "--env", "dev", "--all"]).await.expect_shown(0, "ranker");
    scene.store.organization("other").await;
    let foreign = scene.author.for_somebody_else();
    foreign.login("developer@other.example.org", PASSWORD).await.expect(0);
    let all = foreign.run(&["list", "--env", "dev", "--all"]).await;
    assert!(!all.expect(0).contains("ranker"), "{}", all.output);
}
