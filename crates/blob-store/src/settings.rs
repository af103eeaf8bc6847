//! Which store, and how to reach it.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::directory::DirectoryStore;
use crate::s3::S3Store;
use crate::{BlobError, BlobStore};

/// Where objects are kept. Its `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ObjectStoreSettings {
    Directory {
        path: PathBuf,
        /// Whether an object outlives a power cut once it is visible. Switch off only where losing all of it is fine.
        #[serde(default = "yes")]
        durable: bool,
    },
    S3(Box<S3Settings>),
}

/// An S3 bucket, of AWS or anything that speaks its protocol. The bucket must exist.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Settings {
    /// `None` is AWS itself.
    #[serde(default)]
    pub endpoint: Option<Url>,
    #[serde(default = "default_region")]
    pub region: String,
    pub bucket: String,
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    /// Where clients of the store reach the bucket, for links; `None` gives no links and the store streams objects itself.
    #[serde(default)]
    pub public_endpoint: Option<Url>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`; most servers other than AWS want it.
    #[serde(default = "yes")]
    pub path_style: bool,
}

const fn yes() -> bool {
    true
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

/// Opens the store. A directory is made if it is missing; a bucket is not contacted yet.
///
/// # Errors
/// [`BlobError::Refused`] or [`BlobError::Unavailable`] when the directory cannot be made.
pub fn open(settings: ObjectStoreSettings) -> Result<Arc<dyn BlobStore>, BlobError> {
    Ok(match settings {
        ObjectStoreSettings::Directory { path, durable } => Arc::new(DirectoryStore::open(path, durable)?),
        ObjectStoreSettings::S3(settings) => Arc::new(S3Store::new(&settings)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_sound_defaults_and_hide_the_secret() {
        let directory: ObjectStoreSettings =
            serde_json::from_value(serde_json::json!({"kind": "directory", "path": "objects"})).unwrap();
        assert!(matches!(directory, ObjectStoreSettings::Directory { durable: true, .. }));
        let s3: ObjectStoreSettings = serde_json::from_value(serde_json::json!({
            "kind": "s3", "endpoint": "http://localhost:7070", "bucket": "store",
            "access_key_id": "me", "secret_access_key": "hush-hush",
        }))
        .unwrap();
        let shown = format!("{s3:?}");
        assert!(shown.contains("us-east-1") && !shown.contains("hush-hush"), "{shown}");
    }
}
