//! Image configs: what platform an image is for, and that its layers unpack to what it says.

use std::collections::BTreeMap;

use image_scan::catalog::LayerCatalog;
use package_formats::json::parse_strict_up_to;
use registry_types::digest::Digest;
use registry_types::intake::{CheckName, Reason};
use registry_types::limits;
use registry_types::rejection_code::RejectionCode;
use serde::Deserialize;

use super::super::step_error::StepError;
use super::Moved;
use crate::source::image::{ImageTree, ManifestRole};
use crate::source::manifest::Descriptor;

const RULE: &str = "image_config.matches_layers";

/// What is read of an image config (OCI image specification, config).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ImageConfig {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default)]
    rootfs: RootFs,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct RootFs {
    /// Digests of the unpacked layers, the lowest first.
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

impl ImageConfig {
    /// # Errors
    /// When the bytes are not an image config in strict JSON.
    pub(super) fn parse(digest: &Digest, bytes: &[u8]) -> Result<Self, StepError> {
        let limit = usize::try_from(limits::MAX_MANIFEST_BYTES).unwrap_or(usize::MAX);
        let document = parse_strict_up_to(bytes, limit).map_err(|errors| {
            let first = errors.first().map(|error| error.message.clone()).unwrap_or_default();
            invalid(digest, format!("the image config is not strict JSON: {first}"))
        })?;
        // serde reads a struct from an array as well.
        if !document.is_object() {
            return Err(invalid(digest, "the image config is not an object".to_owned()));
        }
        serde_json::from_value(document)
            .map_err(|error| invalid(digest, format!("the image config cannot be read: {error}")))
    }

    /// `os/architecture[/variant]`.
    pub(super) fn platform(&self) -> String {
        match self.variant.as_deref().filter(|variant| !variant.is_empty()) {
            Some(variant) => format!("{}/{}/{variant}", self.os, self.architecture),
            None => format!("{}/{}", self.os, self.architecture),
        }
    }
}

/// The configs of all images, by manifest, each compared with what its layers really unpack to: a client that unpacks them
/// would refuse anything else.
pub(super) fn check(image: &ImageTree, moved: &Moved) -> Result<BTreeMap<Digest, ImageConfig>, StepError> {
    let mut configs = BTreeMap::new();
    for node in image.nodes() {
        match &node.role {
            ManifestRole::Index { .. } | ManifestRole::Artifact { .. } => {}
            ManifestRole::Image { config, layers, .. } => {
                let document = moved
                    .configs
                    .get(&config.digest)
                    .ok_or_else(|| invalid(&config.digest, "the image config is used as a layer as well".to_owned()))?;
                check_layers(&config.digest, document, layers, |digest| moved.catalogs.get(digest))?;
                configs.insert(node.raw.digest.clone(), document.clone());
            }
        }
    }
    Ok(configs)
}

fn check_layers<'a>(
    digest: &Digest,
    config: &ImageConfig,
    layers: &[Descriptor],
    catalog: impl Fn(&Digest) -> Option<&'a LayerCatalog>,
) -> Result<(), StepError> {
    let diff_ids = config.rootfs.diff_ids.as_deref().unwrap_or_default();
    if diff_ids.len() != layers.len() {
        let message = format!("the image config names {} layers, the manifest {}", diff_ids.len(), layers.len());
        return Err(invalid(digest, message));
    }
    for (layer, expected) in layers.iter().zip(diff_ids) {
        let actual = catalog(&layer.digest).map(|catalog| &catalog.diff_id);
        if actual != Some(expected) {
            let message = format!("the layer does not unpack to {expected}, as the image config says");
            let reason = Reason::new(RejectionCode::DigestMismatch, RULE, message).in_layer(&layer.digest);
            return Err(StepError::refused(CheckName::Archive, reason.fixed_by("build and push the image again")));
        }
    }
    Ok(())
}

fn invalid(digest: &Digest, message: String) -> StepError {
    let reason = Reason::new(RejectionCode::ImageManifestInvalid, RULE, message).in_layer(digest);
    StepError::refused(CheckName::Archive, reason.fixed_by("build and push the image again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_name_their_platform() {
        let digest = Digest::sha256_of(b"config");
        let read = |text: &str| ImageConfig::parse(&digest, text.as_bytes()).map(|config| config.platform());
        assert_eq!(read(r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#).unwrap(), "linux/arm64/v8");
        assert_eq!(read(r#"{"os":"linux","architecture":"amd64"}"#).unwrap(), "linux/amd64");
        assert!(read(r#"{"os":"linux","os":"windows"}"#).is_err());
        assert!(read("[]").is_err());
    }

    #[test]
    fn a_config_that_names_other_layers_is_refused() {
        let digest = Digest::sha256_of(b"config");
        let diff_id = Digest::sha256_of(b"layer");
        let config =
            ImageConfig::parse(&digest, format!(r#"{{"rootfs":{{"diff_ids":["{diff_id}"]}}}}"#).as_bytes()).unwrap();
        assert!(check_layers(&digest, &config, &[], |_| None).is_err());
        let layer: Descriptor =
            serde_json::from_value(serde_json::json!({"mediaType": "x", "digest": digest, "size": 1})).unwrap();
        assert!(check_layers(&digest, &config, &[layer], |_| None).is_err());
    }
}
