//! A verdict attached to the mirrored image: a Sigstore bundle in a manifest that refers to it (OCI 1.1).
//!
//! Written as cosign writes its attestations, so that `cosign verify-attestation --key` finds and verifies it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blob_store::{BlobError, BlobStore, ObjectKey};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use registry_db::content::NewManifest;
use registry_types::digest::Digest;
use serde_json::{Value, json};

use super::envelope::Envelope;
use super::key::VerdictKey;
use super::statement::PREDICATE_TYPE;

const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";

/// A manifest and the blobs that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictReferrer {
    pub manifest: NewManifest,
    pub blobs: Vec<(Digest, Bytes)>,
}

impl VerdictReferrer {
    /// Puts the blobs into the object store, where the database may then speak of them.
    ///
    /// # Errors
    /// When the object store refuses.
    pub async fn store(&self, objects: &dyn BlobStore) -> Result<(), BlobError> {
        let puts = self.blobs.iter().map(|(digest, bytes)| {
            let key = ObjectKey::Blob(digest.clone());
            async move { objects.put(&key, bytes.clone()).await }
        });
        futures_util::future::try_join_all(puts).await.map(|_| ())
    }
}

/// The manifest that is referred to.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub media_type: &'a str,
    pub digest: &'a Digest,
    pub size: usize,
}

/// Makes the verdict a referrer of `subject`.
#[must_use]
pub fn attach(envelope: &Envelope, key: &VerdictKey, subject: Subject<'_>, created: DateTime<Utc>) -> VerdictReferrer {
    let bundle = Bytes::from(bundle(envelope, key).to_string());
    let bundle_digest = Digest::sha256_of(&bundle);
    let empty_digest = Digest::sha256_of(EMPTY);
    let annotations = json!({
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": PREDICATE_TYPE,
        "org.opencontainers.image.created": created.to_rfc3339_opts(SecondsFormat::Secs, true),
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "artifactType": BUNDLE_MEDIA_TYPE,
        "config": { "mediaType": EMPTY_MEDIA_TYPE, "digest": empty_digest, "size": EMPTY.len() },
        "layers": [{ "mediaType": BUNDLE_MEDIA_TYPE, "digest": bundle_digest, "size": bundle.len() }],
        "subject": { "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size },
        "annotations": annotations,
    });
    let bytes = manifest.to_string().into_bytes();
    VerdictReferrer {
        manifest: NewManifest {
            digest: Digest::sha256_of(&bytes),
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            bytes,
            subject: Some(subject.digest.clone()),
            artifact_type: Some(BUNDLE_MEDIA_TYPE.to_owned()),
            annotations,
        },
        blobs: vec![(bundle_digest, bundle), (empty_digest, Bytes::from_static(EMPTY))],
    }
}

/// A bundle v0.3 verified by a managed key: no certificate and no log entry.
fn bundle(envelope: &Envelope, key: &VerdictKey) -> Value {
    json!({
        "mediaType": BUNDLE_MEDIA_TYPE,
        "verificationMaterial": { "publicKey": { "hint": STANDARD.encode(key.public_digest()) }, "tlogEntries": [] },
        "dsseEnvelope": envelope.to_json(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::statement::PAYLOAD_TYPE;
    use super::*;

    #[test]
    fn a_referrer_names_its_subject_and_holds_the_bundle() {
        let key = VerdictKey::from_pem(&VerdictKey::generate_pem().unwrap()).unwrap();
        let envelope = key.sign(PAYLOAD_TYPE, b"{}".to_vec());
        let image = Digest::sha256_of(b"image");
        let subject = Subject { media_type: MANIFEST_MEDIA_TYPE, digest: &image, size: 5 };
        let referrer = attach(&envelope, &key, subject, DateTime::UNIX_EPOCH);
        let manifest: Value = serde_json::from_slice(&referrer.manifest.bytes).unwrap();
        assert_eq!(manifest["subject"]["digest"], image.to_string());
        let (digest, bundle) = &referrer.blobs[0];
        assert_eq!(manifest["layers"][0]["digest"], digest.to_string());
        assert_eq!(manifest["layers"][0]["size"], bundle.len());
        let bundle: Value = serde_json::from_slice(bundle).unwrap();
        assert_eq!(bundle["dsseEnvelope"], envelope.to_json());
    }
}
