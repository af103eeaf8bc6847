//! The settings of the two services as `up` gives them.

use blob_store::{ObjectStoreSettings, S3Settings};
use intake_worker::WorkerSettings;
use registry_api::{ApiSettings, TokenLifetimes};
use registry_types::profile::Profile;
use secrecy::SecretString;

use super::data_folder::DataFolder;
use super::secrets::Secrets;
use super::settings::UpSettings;

/// Connections of the API's pool.
const API_CONNECTIONS: usize = 16;

/// Everything that both services share.
pub struct Services<'a> {
    pub settings: &'a UpSettings,
    pub folder: &'a DataFolder,
    pub secrets: &'a Secrets,
    pub database_url: SecretString,
}

impl Services<'_> {
    pub fn api(&self) -> ApiSettings {
        ApiSettings {
            profile: Profile::Development,
            database_url: self.database_url.clone(),
            database_connections: API_CONNECTIONS,
            objects: self.objects(),
            key_ring: self.secrets.key_ring.clone(),
            listen: self.settings.listen,
            public_url: self.settings.public_url.clone(),
            threads: None,
            lifetimes: TokenLifetimes::default(),
            trusted_proxies: Vec::new(),
            shutdown_grace_seconds: 20,
        }
    }

    pub fn worker(&self, public_url: &url::Url) -> WorkerSettings {
        WorkerSettings {
            public_url: Some(public_url.clone()),
            trusted_root_file: self.settings.trusted_root.clone(),
            concurrency: self.settings.worker_concurrency,
            ..WorkerSettings::new(
                Profile::Development,
                self.database_url.clone(),
                self.objects(),
                self.secrets.key_ring.clone(),
                self.secrets.verdict_key.clone(),
            )
        }
    }

    fn objects(&self) -> ObjectStoreSettings {
        let s = self.settings;
        match (&s.s3_endpoint, &s.s3_bucket, &s.s3_access_key_id, &s.s3_secret_access_key) {
            (Some(endpoint), Some(bucket), Some(access_key_id), Some(secret_access_key)) => {
                ObjectStoreSettings::S3(Box::new(S3Settings {
                    endpoint: Some(endpoint.clone()),
                    region: s.s3_region.clone(),
                    bucket: bucket.clone(),
                    access_key_id: access_key_id.clone(),
                    secret_access_key: secret_access_key.clone(),
                    public_endpoint: s.s3_public_endpoint.clone(),
                    path_style: true,
                }))
            }
            // `UpSettings::load` has refused half-given S3 settings.
            _ => ObjectStoreSettings::Directory { path: self.folder.join("objects"), durable: true },
        }
    }
}
