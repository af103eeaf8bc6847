//! Layers that are made to deceive or to be too much, through the whole intake: the code says why, and nothing of them
//! stays.

use blob_store::ObjectKey;
use image_scan::archive::LayerCompression;
use serde_json::Value;
use store_tests::image::Image;
use store_tests::store::{Store, module_manifest, text};
use store_tests::wait;

use crate::intake::{assert_active, assert_rejected, check_of, is_shown, onboarded};
use table::{Case, Expected};

#[path = "../../crates/image-scan/tests/hostile/layer.rs"]
mod layer;
#[path = "../../crates/image-scan/tests/hostile/table.rs"]
#[expect(dead_code, reason = "what other readers make of a layer is judged beside the table")]
mod table;

/// One or two of each kind in the table.
const TELLING: &[&str] = &[
    "parent in name",
    "absolute by PAX path",
    "name not UTF-8",
    "file through an absolute directory link",
    "hard link out of the root",
    "overlay whiteout",
    "PAX sparse file 1.0",
    "PAX size hides entries",
    "duplicate PAX path",
    "GNU long name before PAX path",
    "GNU header with a second size",
    "archive after the end",
    "eStargz",
    "wrong gzip checksum",
    "zstd window of 2 TiB",
    "gzip bomb",
    "file, then link",
    "whiteout after its file",
];

const fn media_type(compression: LayerCompression) -> &'static str {
    match compression {
        LayerCompression::Plain => "application/vnd.oci.image.layer.v1.tar",
        LayerCompression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        LayerCompression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
    }
}

/// Uploads of the layers beside the hostile one once stayed until they were stale.
async fn nothing_is_staged(store: &Store) {
    wait::until("staging to be free", async || (store.unfinished_uploads() == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_layers_are_rejected_and_leave_nothing_behind() {
    let (store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let telling: Vec<Case> = table::all().into_iter().filter(|case| TELLING.contains(&case.name)).collect();
    assert_eq!(telling.len(), TELLING.len());
    for case in telling {
        println!("{}", case.name);
        let Expected::Refused(code, why) = case.expected else { panic!("{} is accepted", case.name) };
        let built = Image::of_module(&manifest).raw_layer(media_type(case.compression), case.layer).build();
        let image = built.push(&registry.address, "acme/ranker", "1.0.0").await;
        let intake = acme.intake(&manifest, &image.reference).await;
        let check = assert_rejected(&intake, code.as_str(), "archive");
        let reason = &check["reasons"][0];
        let hostile = &built.layers[2].digest;
        assert!(text(&reason["message"]).contains(why), "{reason:#}");
        assert_eq!(reason["layer"], hostile.to_string(), "{reason:#}");
        assert!(!is_shown(&acme.developer, "ranker", "1.0.0", &image).await);
        assert_eq!(store.objects().head(&ObjectKey::Blob(hostile.clone())).await.unwrap(), None);
        nothing_is_staged(&store).await;
    }
    // The version is free for a good image.
    let image = Image::of_module(&manifest).push(&registry.address, "acme/ranker", "1.0.0").await;
    assert_active(&acme.intake(&manifest, &image.reference).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_that_belies_its_layers_is_rejected() {
    let (store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let built = Image::of_module(&manifest).build().with_diff_id_of(1, 0);
    let image = built.push(&registry.address, "acme/ranker", "1.0.0").await;
    let intake = acme.intake(&manifest, &image.reference).await;
    assert_rejected(&intake, "DIGEST_MISMATCH", "archive");
    assert!(!is_shown(&acme.developer, "ranker", "1.0.0", &image).await);
    nothing_is_staged(&store).await;
}

/// The reasons of the vulnerability check, which could not tell: a person has to.
fn incomplete(intake: &Value) -> String {
    assert_eq!(intake["outcome"], "in_review", "{intake:#}");
    let check = check_of(intake, "vulnerabilities");
    assert_eq!(check["outcome"], "unknown", "{check:#}");
    check["reasons"].to_string()
}

type Hide = fn(Image) -> Image;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_database_that_an_upper_layer_hides_is_not_clean() {
    let (_store, acme, registry) = onboarded().await;
    let hidings: [(&str, Hide); 6] = [
        ("removes the package database", |image| image.whiteout("var/lib/dpkg/status")),
        ("removes the package database", |image| image.whiteout("var/lib")),
        ("removes the package database", |image| image.opaque("var/lib/dpkg")),
        ("symbolic link takes the place", |image| image.symlink("var/lib/dpkg/status", "/dev/null")),
        ("elsewhere", |image| image.symlink("var/lib/dpkg", "/opt/dpkg")),
        ("directory takes the place", |image| image.file("var/lib/dpkg/status/x", "")),
    ];
    for (number, (why, hide)) in hidings.into_iter().enumerate() {
        let version = format!("1.0.{number}");
        let manifest = module_manifest("ranker", &version);
        let image = hide(Image::of_module(&manifest).layer()).push(&registry.address, "acme/ranker", &version).await;
        let reasons = incomplete(&acme.intake(&manifest, &image.reference).await);
        assert!(reasons.contains(why), "{why}: {reasons}");
        assert!(!is_shown(&acme.developer, "ranker", &version, &image).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_database_of_a_lower_layer_alone_is_read() {
    let (_store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = Image::of_module(&manifest).layer().file("app/more.txt", "").layer().file("app/still.txt", "");
    let image = image.push(&registry.address, "acme/ranker", "1.0.0").await;
    assert_active(&acme.intake(&manifest, &image.reference).await);
    let sbom = acme.developer.get("/v1/packages/acme/ranker/versions/1.0.0/sbom").await.expect(200);
    assert!(sbom.to_string().contains("pkg:deb/debian/base-files@12.4"), "{sbom:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_takes_the_place_of_the_package_manifest_hides_it() {
    let (_store, acme, registry) = onboarded().await;
    let manifest = module_manifest("ranker", "1.0.0");
    let image = Image::of_module(&manifest).layer().file("app/manifest.json/x", "");
    let image = image.push(&registry.address, "acme/ranker", "1.0.0").await;
    let intake = acme.intake(&manifest, &image.reference).await;
    assert_rejected(&intake, "PACKAGE_MANIFEST_MISSING", "package_manifest");
}
