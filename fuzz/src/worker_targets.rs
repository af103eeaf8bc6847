//! What the intake worker reads from source registries.

use bytes::Bytes;
use intake_worker::signatures::legacy::check_payload;
use intake_worker::signatures::verifier::SignedBundle;
use intake_worker::source::{Challenge, RawManifest};
use registry_types::digest::Digest;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use super::targets::Target;

/// The worker's targets.
pub(crate) const TARGETS: &[Target] =
    &[("challenge", challenge), ("manifest", manifest), ("cosign_payload", cosign_payload), ("bundle", bundle)];

/// A header value per line.
fn challenge(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(20) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    if let Ok(Some(Challenge::Bearer { realm, .. })) = Challenge::of(&headers) {
        assert!(realm.len() <= data.len());
    }
}

const CONTENT_TYPES: [Option<&str>; 6] = [
    None,
    Some("application/octet-stream"),
    Some("application/vnd.oci.image.index.v1+json"),
    Some("application/vnd.oci.image.manifest.v1+json"),
    Some("application/vnd.docker.distribution.manifest.list.v2+json"),
    Some("application/vnd.docker.distribution.manifest.v2+json; charset=utf-8"),
];

/// The first byte names the content type.
fn manifest(data: &[u8]) {
    let Some((choice, document)) = data.split_first() else { return };
    let content_type = CONTENT_TYPES[usize::from(*choice) % CONTENT_TYPES.len()];
    let read = |content_type: Option<&str>| {
        RawManifest::read(Bytes::copy_from_slice(document), Digest::sha256_of(document), content_type)
    };
    let Ok(manifest) = read(content_type) else { return };
    assert_eq!(manifest.bytes, document);
    // Served as what it was taken for, it is the same.
    let again = read(Some(&manifest.media_type)).expect("the media type contradicts itself");
    assert_eq!(format!("{:?}", again.content), format!("{:?}", manifest.content));
    for other in CONTENT_TYPES.into_iter().flatten().filter(|other| other.starts_with("application/vnd.")) {
        if let Ok(reading) = read(Some(other)) {
            let is_index = |media_type: &str| media_type.contains("index") || media_type.contains("list");
            assert_eq!(is_index(&reading.media_type), is_index(&manifest.media_type), "an index and an image");
        }
    }
}

/// Of the image whose digest is that of no bytes.
fn cosign_payload(data: &[u8]) {
    let subject = Digest::sha256_of(b"");
    if check_payload(data, &subject).is_ok() {
        // The digest may be written with escapes, but it is there.
        let payload: serde_json::Value = serde_json::from_slice(data).expect("an accepted payload is JSON");
        assert!(payload.to_string().contains(subject.hex()));
        assert!(check_payload(data, &Digest::sha256_of(b"another")).is_err());
    }
}

fn bundle(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(bundle) = SignedBundle::read(text) else { return };
    std::hint::black_box((bundle.signed_with().is_ok(), bundle.content().is_ok()));
}
