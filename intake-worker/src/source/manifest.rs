//! Reading manifests and indexes so that they mean the same to us and to every client that reads them later.

use std::collections::BTreeMap;

use bytes::Bytes;
use package_formats::json::parse_strict_up_to;
use registry_types::digest::Digest;
use registry_types::limits;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// All forms that are read, for the `Accept` header.
pub(super) const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// A manifest as it was sent, with its digest and what it says.
#[derive(Debug, Clone)]
pub struct RawManifest {
    /// Exactly the bytes of the registry; the digest is over these.
    pub bytes: Bytes,
    pub media_type: String,
    pub digest: Digest,
    pub content: Manifest,
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    Index(Box<Index>),
    Image(Box<ImageManifest>),
}

/// An image index or Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub manifests: Vec<Descriptor>,
    #[serde(default)]
    pub subject: Option<Descriptor>,
}

/// An image manifest, also one that carries an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    #[serde(default)]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    #[serde(deserialize_with = "null_as_default")]
    pub layers: Vec<Descriptor>,
    #[serde(default)]
    pub subject: Option<Descriptor>,
}

/// A descriptor of the OCI image specification.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    /// Where else the content could be had. Never followed.
    #[serde(default, deserialize_with = "null_as_default")]
    pub urls: Vec<String>,
    #[serde(default)]
    pub artifact_type: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub platform: Option<Platform>,
}

/// The platform that an index names for a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub variant: Option<String>,
    #[serde(default, rename = "os.version")]
    pub os_version: Option<String>,
}

/// Go writes `null` for empty lists and maps.
fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("it is not strict JSON: {0}")]
    Json(String),
    #[error("it is a schema 1 manifest; push the image with a current tool")]
    Schema1,
    #[error("it can be read both as an index and as an image manifest")]
    Ambiguous,
    #[error("it is served as {content_type} but says {media_type}")]
    MediaTypeContradiction { content_type: String, media_type: String },
    #[error("media type {0} is not an image manifest or index")]
    MediaType(String),
    #[error("the key {0:?} differs only in case from a key with a meaning, which some clients read as that key")]
    KeyCase(String),
    #[error("{0}")]
    Form(String),
    #[error("its entry in the index says {0}")]
    Entry(&'static str),
    #[error("layer media type {0} is not supported")]
    LayerType(String),
    #[error("its config has media type {0}, which is not an image config")]
    ConfigType(String),
    #[error("it holds no image")]
    NoImage,
    #[error("blob {0} is listed with different sizes")]
    BlobSizes(Digest),
}

impl RawManifest {
    /// Reads `bytes`, which `digest` has been checked or computed for. `content_type` is the header as sent.
    ///
    /// # Errors
    /// When it is no image manifest or index, or clients could read it in two ways.
    pub fn read(bytes: Bytes, digest: Digest, content_type: Option<&str>) -> Result<Self, ManifestError> {
        let limit = usize::try_from(limits::MAX_MANIFEST_BYTES).unwrap_or(usize::MAX);
        let value = parse_strict_up_to(&bytes, limit).map_err(|errors| {
            let first = errors.first();
            ManifestError::Json(first.map(|e| format!("{} at {:?}", e.code, e.pointer)).unwrap_or_default())
        })?;
        let Value::Object(document) = value else {
            return Err(ManifestError::Form("it is not a JSON object".to_owned()));
        };
        check_key_case(&document)?;
        let media_type = media_type(&document, content_type)?;
        let content = Manifest::read(document, &media_type)?;
        Ok(Self { bytes, media_type, digest, content })
    }
}

impl Manifest {
    fn read(document: Map<String, Value>, media_type: &str) -> Result<Self, ManifestError> {
        let form = |error: serde_json::Error| ManifestError::Form(error.to_string());
        let document = Value::Object(document);
        match media_type {
            OCI_INDEX | DOCKER_LIST => Ok(Self::Index(serde_json::from_value(document).map_err(form)?)),
            OCI_MANIFEST | DOCKER_MANIFEST => Ok(Self::Image(serde_json::from_value(document).map_err(form)?)),
            other => Err(ManifestError::MediaType(other.chars().take(128).collect())),
        }
    }

    /// What the manifest is about, if it is a referrer.
    #[must_use]
    pub const fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Index(index) => index.subject.as_ref(),
            Self::Image(image) => image.subject.as_ref(),
        }
    }
}

/// The one media type that header, body and shape agree on.
fn media_type(document: &Map<String, Value>, content_type: Option<&str>) -> Result<String, ManifestError> {
    let by_shape = shape(document)?;
    let declared = match document.get("mediaType") {
        None => None,
        Some(Value::String(declared)) => Some(declared.as_str()),
        Some(_) => return Err(ManifestError::Form("mediaType is not a string".to_owned())),
    };
    let served = content_type.map(bare_media_type).filter(|served| !says_nothing(served));
    let agreed = match (declared, served) {
        (Some(declared), Some(served)) if declared != served => {
            return Err(ManifestError::MediaTypeContradiction {
                content_type: served.chars().take(128).collect(),
                media_type: declared.chars().take(128).collect(),
            });
        }
        (Some(declared), _) => declared.to_owned(),
        (None, Some(served)) => served,
        // The image specification only recommends the field.
        (None, None) => by_shape.to_owned(),
    };
    let is_index = |media_type: &str| matches!(media_type, OCI_INDEX | DOCKER_LIST);
    let known = matches!(agreed.as_str(), OCI_INDEX | DOCKER_LIST | OCI_MANIFEST | DOCKER_MANIFEST);
    if known && is_index(&agreed) != is_index(by_shape) {
        return Err(ManifestError::Form(format!("it says {agreed} but is not built so")));
    }
    Ok(agreed)
}

/// Index or image manifest by the fields that are there; never both.
fn shape(document: &Map<String, Value>) -> Result<&'static str, ManifestError> {
    let has = |key: &str| document.contains_key(key);
    let version = document.get("schemaVersion").and_then(Value::as_u64);
    if version == Some(1) || has("fsLayers") || has("signatures") {
        return Err(ManifestError::Schema1);
    }
    if version != Some(2) {
        return Err(ManifestError::Form("schemaVersion must be 2".to_owned()));
    }
    match (has("manifests"), has("config") || has("layers") || has("blobs")) {
        (true, true) => Err(ManifestError::Ambiguous),
        (true, false) => Ok(OCI_INDEX),
        (false, _) => Ok(OCI_MANIFEST),
    }
}

fn bare_media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Content types of servers that do not know what they serve.
fn says_nothing(content_type: &str) -> bool {
    matches!(content_type, "" | "application/json" | "application/octet-stream" | "binary/octet-stream" | "text/plain")
}

const MANIFEST_KEYS: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "fsLayers",
    "history",
    "signatures",
    "blobs",
];
const DESCRIPTOR_KEYS: &[&str] =
    &["mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"];

/// Go's JSON reader takes `Layers` for `layers`. A key that only such readers understand would mean two things.
fn check_key_case(document: &Map<String, Value>) -> Result<(), ManifestError> {
    check_keys(document, MANIFEST_KEYS)?;
    let single = ["config", "subject"].into_iter().filter_map(|key| document.get(key));
    let listed = ["layers", "manifests"].into_iter().filter_map(|key| document.get(key)?.as_array()).flatten();
    for descriptor in single.chain(listed).filter_map(Value::as_object) {
        check_keys(descriptor, DESCRIPTOR_KEYS)?;
    }
    Ok(())
}

fn check_keys(object: &Map<String, Value>, meaningful: &[&str]) -> Result<(), ManifestError> {
    // Folding over both cases also meets the two non-ASCII letters that fold to ASCII (U+017F, U+212A).
    let folded = |key: &str| key.to_uppercase().to_lowercase();
    for key in object.keys().filter(|key| !meaningful.contains(&key.as_str())) {
        if meaningful.iter().any(|meant| folded(meant) == folded(key)) {
            return Err(ManifestError::KeyCase(key.chars().take(64).collect()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn descriptor(media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": Digest::sha256_of(b"x"), "size": 1})
    }

    fn image() -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip")],
        })
    }

    fn with(mut value: Value, key: &str, new: Value) -> Value {
        value[key] = new;
        value
    }

    fn without(mut value: Value, key: &str) -> Value {
        value.as_object_mut().unwrap().remove(key);
        value
    }

    fn read(value: &Value, content_type: Option<&str>) -> Result<RawManifest, ManifestError> {
        read_text(&value.to_string(), content_type)
    }

    fn read_text(text: &str, content_type: Option<&str>) -> Result<RawManifest, ManifestError> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let digest = Digest::sha256_of(&bytes);
        RawManifest::read(bytes, digest, content_type)
    }

    #[test]
    fn media_types_come_from_body_header_or_shape_and_must_agree() {
        let media_type = |value: &Value, header| read(value, header).map(|m| m.media_type);
        assert_eq!(media_type(&image(), Some(OCI_MANIFEST)).unwrap(), OCI_MANIFEST);
        assert_eq!(media_type(&image(), Some("application/json; charset=utf-8")).unwrap(), OCI_MANIFEST);
        let silent = without(image(), "mediaType");
        assert_eq!(media_type(&silent, None).unwrap(), OCI_MANIFEST);
        assert_eq!(media_type(&silent, Some(DOCKER_MANIFEST)).unwrap(), DOCKER_MANIFEST);
        let index = json!({"schemaVersion": 2, "manifests": [descriptor(OCI_MANIFEST)]});
        assert_eq!(media_type(&index, None).unwrap(), OCI_INDEX);

        assert!(matches!(
            media_type(&image(), Some(DOCKER_MANIFEST)),
            Err(ManifestError::MediaTypeContradiction { .. })
        ));
        assert!(matches!(media_type(&silent, Some(OCI_INDEX)), Err(ManifestError::Form(_))));
        assert!(matches!(media_type(&index, Some(OCI_MANIFEST)), Err(ManifestError::Form(_))));
        let other = with(image(), "mediaType", json!("application/vnd.oci.artifact.manifest.v1+json"));
        assert!(matches!(media_type(&other, None), Err(ManifestError::MediaType(_))));
    }

    #[test]
    fn what_clients_could_read_in_two_ways_is_refused() {
        let both = with(image(), "manifests", json!([]));
        assert_eq!(read(&both, None).unwrap_err(), ManifestError::Ambiguous);
        let text = image().to_string();
        let twice = text.replacen('{', r#"{"layers":[],"#, 1);
        assert!(matches!(read_text(&twice, None), Err(ManifestError::Json(_))));
        for key in ["Layers", "MANIFESTS", "con\u{17f}ig", "layer\u{17f}", "Subject"] {
            let cased = with(image(), key, json!([]));
            let refused = read(&cased, None);
            assert_eq!(refused.is_err(), key != "con\u{17f}ig", "{key}: {refused:?}");
        }
        let mut urls = image();
        urls["layers"][0]["URLs"] = json!(["https://elsewhere.test/x"]);
        assert!(matches!(read(&urls, None), Err(ManifestError::KeyCase(_))));
    }

    #[test]
    fn old_and_broken_manifests_are_refused() {
        let one = json!({"schemaVersion": 1, "name": "a", "fsLayers": [], "signatures": []});
        assert_eq!(read(&one, None).unwrap_err(), ManifestError::Schema1);
        assert!(read(&without(image(), "schemaVersion"), None).is_err());
        assert!(read(&without(image(), "layers"), None).is_err());
        assert!(read(&without(image(), "config"), None).is_err());
        let mut digest = image();
        digest["config"]["digest"] = json!("sha256:00");
        assert!(read(&digest, None).is_err());
        let mut size = image();
        size["layers"][0]["size"] = json!(-1);
        assert!(read(&size, None).is_err());
        assert!(read_text("[]", None).is_err() && read_text("", None).is_err());
        // Go writes null for an empty list.
        assert!(read(&with(image(), "layers", Value::Null), None).is_ok());
    }
}
