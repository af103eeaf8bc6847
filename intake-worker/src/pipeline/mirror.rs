//! Manifests in the form in which they are kept.

use registry_db::content::NewManifest;
use serde_json::Value;

use crate::source::RawManifest;
use crate::source::manifest::{Manifest, Platform};

pub(super) fn manifest_row(raw: &RawManifest) -> NewManifest {
    let (subject, artifact_type) = match &raw.content {
        Manifest::Index(index) => (index.subject.as_ref(), None),
        Manifest::Image(image) => {
            // The distribution specification's rule for the type in a list of referrers.
            let artifact_type = image.artifact_type.clone().unwrap_or_else(|| image.config.media_type.clone());
            (image.subject.as_ref(), Some(artifact_type))
        }
    };
    let document: Value = serde_json::from_slice(&raw.bytes).unwrap_or_default();
    NewManifest {
        digest: raw.digest.clone(),
        media_type: raw.media_type.clone(),
        bytes: raw.bytes.to_vec(),
        subject: subject.map(|subject| subject.digest.clone()),
        artifact_type,
        annotations: document
            .get("annotations")
            .filter(|a| a.is_object())
            .cloned()
            .unwrap_or_else(|| Value::Object(Default::default())),
    }
}

/// `os/architecture[/variant]`.
pub(super) fn platform_text(platform: &Platform) -> String {
    match &platform.variant {
        Some(variant) => format!("{}/{}/{variant}", platform.os, platform.architecture),
        None => format!("{}/{}", platform.os, platform.architecture),
    }
}
