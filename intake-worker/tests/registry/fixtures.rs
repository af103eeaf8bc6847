//! The images and signatures under `tests/fixtures/sigstore`, made once; see the README there.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use registry_types::digest::Digest;
use serde_json::{Value, json};

use crate::stub::{OCI_MANIFEST, Registry};

pub(crate) const IDENTITY: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0";
pub(crate) const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/sigstore").join(file)
}

pub(crate) fn bytes(file: &str) -> Bytes {
    std::fs::read(path(file)).unwrap_or_else(|error| panic!("{file}: {error}")).into()
}

pub(crate) fn text(file: &str) -> String {
    String::from_utf8(bytes(file).to_vec()).unwrap()
}

/// Pushes the single-platform image `name` and gives its digest.
pub(crate) fn push_image(registry: &mut Registry, name: &str, tag: Option<&str>) -> Digest {
    registry.blob(bytes(&format!("{name}/config.json")));
    registry.blob(bytes(&format!("{name}/layer.tar.gz")));
    registry.manifest(tag, bytes(&format!("{name}/manifest.json")))
}

/// Pushes the index over `amd64` and `arm64`.
pub(crate) fn push_index(registry: &mut Registry, tag: Option<&str>) -> Digest {
    push_image(registry, "amd64", None);
    push_image(registry, "arm64", None);
    registry.manifest(tag, bytes("index/manifest.json"))
}

pub(crate) const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Attaches a bundle to `subject` as cosign v3 does.
pub(crate) fn attach_bundle(registry: &mut Registry, subject: &Digest, bundle: impl Into<Bytes>) -> Digest {
    let layer = registry.descriptor(BUNDLE_TYPE, bundle);
    let config = registry.descriptor("application/vnd.oci.empty.v1+json", "{}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": BUNDLE_TYPE,
        "config": config,
        "layers": [layer],
        "subject": {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1},
    });
    registry.referrer(subject, &manifest)
}

/// Attaches legacy signatures to `subject`: payload and annotations each.
pub(crate) fn attach_legacy(registry: &mut Registry, subject: &Digest, signatures: &[(Bytes, Value)]) -> Digest {
    let layers: Vec<Value> = signatures
        .iter()
        .map(|(payload, annotations)| {
            let media_type = "application/vnd.dev.cosign.simplesigning.v1+json";
            let mut layer = registry.descriptor(media_type, payload.clone());
            layer["annotations"] = annotations.clone();
            layer
        })
        .collect();
    let config = registry.descriptor("application/vnd.oci.image.config.v1+json", "{}");
    let manifest =
        json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}).to_string();
    registry.manifest(Some(&format!("sha256-{}.sig", subject.hex())), manifest)
}

/// The legacy signature made for the fixture image `name`.
pub(crate) fn legacy(name: &str) -> (Bytes, Value) {
    let annotations = serde_json::from_slice(&bytes(&format!("{name}/legacy-annotations.json"))).unwrap();
    (bytes(&format!("{name}/legacy-payload.json")), annotations)
}
