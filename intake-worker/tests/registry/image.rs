//! From a reference to the pinned tree.

use intake_worker::source::image::{ImageTree, ManifestRole, resolve};
use intake_worker::source::{FailureClass, SourceError};
use registry_types::digest::Digest;
use registry_types::limits;
use registry_types::rejection_code::RejectionCode;
use serde_json::{Value, json};

use crate::fixtures::{push_image, push_index};
use crate::stub::{OCI_INDEX, OCI_MANIFEST, REPOSITORY, Registry, Stub, index};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

async fn resolve_tag(registry: Registry) -> Result<ImageTree, SourceError> {
    let stub = Stub::registry(registry).await;
    let reference = format!("{}/{REPOSITORY}:v1", stub.host()).parse().unwrap();
    resolve(&stub.session(), &reference).await
}

async fn refusal(registry: Registry) -> RejectionCode {
    match resolve_tag(registry).await.unwrap_err().class() {
        FailureClass::Reject(code) => code,
        other => panic!("{other:?}"),
    }
}

fn manifest(registry: &mut Registry, config: &str, layers: Vec<Value>) -> Value {
    let config = registry.descriptor(config, "{}");
    json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers})
}

fn entry(registry: &mut Registry, manifest: &Value, platform: Option<Value>) -> Value {
    let text = manifest.to_string();
    let (size, media_type) = (text.len(), manifest["mediaType"].clone());
    let digest = registry.manifest(None, text);
    let mut entry = json!({"mediaType": media_type, "digest": digest, "size": size});
    if let Some(platform) = platform {
        entry["platform"] = platform;
    }
    entry
}

fn plain_image(registry: &mut Registry, content: &str) -> Value {
    let layer = registry.descriptor(LAYER, content.to_owned());
    manifest(registry, CONFIG, vec![layer])
}

fn with_index(mut registry: Registry, entries: Vec<Value>) -> Registry {
    registry.manifest(Some("v1"), index(entries).to_string());
    registry
}

#[tokio::test]
async fn a_single_image_is_its_own_root() {
    let mut registry = Registry::default();
    let digest = push_image(&mut registry, "amd64", Some("v1"));
    let tree = resolve_tag(registry).await.unwrap();
    assert_eq!(*tree.digest(), digest);
    assert_eq!((tree.nodes().len(), tree.blobs().len()), (1, 2));
}

#[tokio::test]
async fn an_index_brings_all_its_platforms_children_first() {
    let mut registry = Registry::default();
    let digest = push_index(&mut registry, Some("v1"));
    let tree = resolve_tag(registry).await.unwrap();
    assert_eq!(*tree.digest(), digest);
    assert_eq!((tree.nodes().len(), tree.images().count(), tree.blobs().len()), (3, 2, 4));
    let ManifestRole::Index { children } = &tree.root().role else { panic!("the root is the index") };
    assert!(children.iter().all(|child| tree.nodes()[..2].iter().any(|node| node.raw.digest == *child)));
    let architectures: Vec<_> = tree
        .images()
        .filter_map(|node| match &node.role {
            ManifestRole::Image { platform, .. } => platform.as_ref().map(|p| p.architecture.clone()),
            ManifestRole::Index { .. } | ManifestRole::Artifact { .. } => None,
        })
        .collect();
    assert!(architectures.contains(&"amd64".to_owned()) && architectures.contains(&"arm64".to_owned()));
}

#[tokio::test]
async fn layers_that_lie_elsewhere_are_refused() {
    let foreign_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let mut registry = Registry::default();
    let layer = registry.descriptor(foreign_type, "x");
    let image = manifest(&mut registry, CONFIG, vec![layer]);
    registry.manifest(Some("v1"), image.to_string());
    assert_eq!(refusal(registry).await, RejectionCode::ForeignLayer);

    let mut registry = Registry::default();
    let mut layer = registry.descriptor(LAYER, "x");
    layer["urls"] = json!(["https://elsewhere.test/x"]);
    let image = manifest(&mut registry, CONFIG, vec![layer]);
    registry.manifest(Some("v1"), image.to_string());
    assert_eq!(refusal(registry).await, RejectionCode::ForeignLayer);
}

#[tokio::test]
async fn too_much_is_refused() {
    let mut registry = Registry::default();
    let layers = (0..=limits::MAX_LAYERS).map(|n| registry.descriptor(LAYER, n.to_string())).collect();
    let image = manifest(&mut registry, CONFIG, layers);
    registry.manifest(Some("v1"), image.to_string());
    assert_eq!(refusal(registry).await, RejectionCode::ImageLimitExceeded);

    let mut registry = Registry::default();
    let mut entries = Vec::new();
    for n in 0..=limits::MAX_PLATFORMS {
        let image = plain_image(&mut registry, &n.to_string());
        entries.push(entry(&mut registry, &image, None));
    }
    assert_eq!(refusal(with_index(registry, entries)).await, RejectionCode::ImageLimitExceeded);

    let mut registry = Registry::default();
    let image = plain_image(&mut registry, "x");
    let mut nested = entry(&mut registry, &image, None);
    for _ in 0..limits::MAX_INDEX_DEPTH {
        nested = entry(&mut registry, &index(vec![nested]), None);
    }
    assert_eq!(refusal(with_index(registry, vec![nested])).await, RejectionCode::ImageLimitExceeded);
}

#[tokio::test]
async fn one_nested_index_is_followed() {
    let mut registry = Registry::default();
    let image = plain_image(&mut registry, "x");
    let inner = entry(&mut registry, &image, None);
    let inner = entry(&mut registry, &index(vec![inner]), None);
    let tree = resolve_tag(with_index(registry, vec![inner])).await.unwrap();
    let kinds: Vec<_> = tree.nodes().iter().map(|node| node.raw.media_type.as_str()).collect();
    assert_eq!(kinds, [OCI_MANIFEST, OCI_INDEX, OCI_INDEX]);
}

#[tokio::test]
async fn an_index_entry_must_describe_its_manifest() {
    for (field, value) in [("size", json!(7)), ("mediaType", json!(OCI_INDEX))] {
        let mut registry = Registry::default();
        let image = plain_image(&mut registry, "x");
        let mut lying = entry(&mut registry, &image, None);
        lying[field] = value;
        assert_eq!(refusal(with_index(registry, vec![lying])).await, RejectionCode::ImageManifestInvalid, "{field}");
    }
    let mut registry = Registry::default();
    let image = plain_image(&mut registry, "x");
    let mut missing = entry(&mut registry, &image, None);
    missing["digest"] = json!(Digest::sha256_of(b"gone"));
    assert_eq!(refusal(with_index(registry, vec![missing])).await, RejectionCode::ImageNotFound);
}

#[tokio::test]
async fn build_attestations_are_carried_along_but_nothing_runnable_hides_as_one() {
    let attestation = |registry: &mut Registry, platform: Value| {
        let layer = registry.descriptor("application/vnd.in-toto+json", "{\"predicate\":1}");
        let manifest = manifest(registry, CONFIG, vec![layer]);
        entry(registry, &manifest, Some(platform))
    };
    let mut registry = Registry::default();
    let image = plain_image(&mut registry, "x");
    let image = entry(&mut registry, &image, Some(json!({"architecture": "amd64", "os": "linux"})));
    let beside = attestation(&mut registry, json!({"architecture": "unknown", "os": "unknown"}));
    let tree = resolve_tag(with_index(registry.clone(), vec![image.clone(), beside])).await.unwrap();
    assert_eq!((tree.nodes().len(), tree.images().count()), (3, 1));

    let hidden = attestation(&mut registry, json!({"architecture": "arm64", "os": "linux"}));
    assert_eq!(refusal(with_index(registry, vec![image, hidden])).await, RejectionCode::ImageManifestInvalid);
}

#[tokio::test]
async fn what_holds_no_image_is_refused() {
    let mut registry = Registry::default();
    let layer = registry.descriptor("application/vnd.example.thing", "x");
    let artifact = manifest(&mut registry, "application/vnd.oci.empty.v1+json", vec![layer]);
    registry.manifest(Some("v1"), artifact.to_string());
    assert_eq!(refusal(registry).await, RejectionCode::ImageManifestInvalid);
    assert_eq!(refusal(with_index(Registry::default(), Vec::new())).await, RejectionCode::ImageManifestInvalid);
    assert_eq!(refusal(Registry::default()).await, RejectionCode::ImageNotFound);
}

#[tokio::test]
async fn a_blob_with_two_sizes_is_refused() {
    let mut registry = Registry::default();
    let layer = registry.descriptor(LAYER, "x");
    let mut other = layer.clone();
    other["size"] = json!(2);
    let image = manifest(&mut registry, CONFIG, vec![layer, other]);
    registry.manifest(Some("v1"), image.to_string());
    assert_eq!(refusal(registry).await, RejectionCode::ImageManifestInvalid);
}
