//! The program's settings: one typed struct, from a file and the environment, judged as a whole at the start.

use std::net::SocketAddr;
use std::path::Path;

use blob_store::ObjectStoreSettings;
use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use registry_db::key_ring::{KeyRing, KeyRingSettings};
use registry_types::profile::Profile;
use registry_types::settings::{SettingsError, SettingsFault, extract, has_default_password, is_default_password};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use crate::limits::TrustedProxies;

/// Settings of the registry API. `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiSettings {
    pub profile: Profile,
    pub database_url: SecretString,
    #[serde(default = "default_connections")]
    pub database_connections: usize,
    pub objects: ObjectStoreSettings,
    pub key_ring: KeyRingSettings,
    /// Port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Where clients reach the store; `None` = the address that was bound (development only).
    #[serde(default)]
    pub public_url: Option<Url>,
    /// Threads that answer requests; `None` = one per core.
    #[serde(default)]
    pub threads: Option<usize>,
    #[serde(default)]
    pub lifetimes: TokenLifetimes,
    /// Proxies (addresses and networks) whose `X-Forwarded-For` says where a request comes from: for the audit log and the
    /// limits. Anybody else's counts for nothing.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// How long a stop waits for requests under way, in seconds.
    #[serde(default = "default_grace")]
    pub shutdown_grace_seconds: u64,
}

/// How long tokens live, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenLifetimes {
    pub access_seconds: u32,
    pub refresh_seconds: u32,
    /// A login through the pages, which have no refresh.
    pub browser_seconds: u32,
}

impl Default for TokenLifetimes {
    fn default() -> Self {
        Self { access_seconds: 3600, refresh_seconds: 30 * 24 * 3600, browser_seconds: 12 * 3600 }
    }
}

const fn default_connections() -> usize {
    16
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

const fn default_grace() -> u64 {
    25
}

/// Settings without a default.
const REQUIRED: [&str; 4] = ["profile", "database_url", "objects", "key_ring"];

impl ApiSettings {
    /// Reads `file`, if given, then the environment: `REGISTRY_API_` and the setting's name, `__` between levels
    /// (`REGISTRY_API_KEY_RING__CURRENT`); `DATABASE_URL` is understood as well.
    ///
    /// # Errors
    /// With all that does not parse, and all that [`ApiSettings::check`] finds.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        figment = figment
            .merge(Env::raw().only(&["DATABASE_URL"]))
            .merge(Env::prefixed("REGISTRY_API_").ignore(&["config"]).split("__"));
        let settings: Self = extract(&figment, &REQUIRED)?;
        settings.check()?;
        Ok(settings)
    }

    /// Judges the settings as a whole.
    ///
    /// # Errors
    /// With all faults.
    pub fn check(&self) -> Result<(), SettingsError> {
        let mut faults = Vec::new();
        let mut fault = |setting: &str, message: String| {
            faults.push(SettingsFault { setting: setting.to_owned(), message });
        };
        if let Err(error) = KeyRing::load(&self.key_ring) {
            fault("key_ring", error.to_string());
        }
        if !(1..=1000).contains(&self.database_connections) {
            fault("database_connections", "must be 1 to 1000".to_owned());
        }
        if self.threads.is_some_and(|n| !(1..=1024).contains(&n)) {
            fault("threads", "must be 1 to 1024".to_owned());
        }
        if self.lifetimes.access_seconds == 0 || self.lifetimes.access_seconds > self.lifetimes.refresh_seconds {
            fault("lifetimes", "access_seconds must be positive and not above refresh_seconds".to_owned());
        }
        if let Err(problem) = TrustedProxies::parse(&self.trusted_proxies) {
            fault("trusted_proxies", problem);
        }
        match &self.public_url {
            Some(url) if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() => {
                fault("public_url", "must be an http or https address".to_owned());
            }
            Some(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
                fault("public_url", "must have neither path nor query".to_owned());
            }
            Some(_) | None => {}
        }
        match self.profile {
            Profile::Development => {}
            Profile::Production => self.check_production(&mut fault),
        }
        if faults.is_empty() { Ok(()) } else { Err(SettingsError(faults)) }
    }

    fn check_production(&self, fault: &mut impl FnMut(&str, String)) {
        match &self.public_url {
            None => fault("public_url", "must be given in production".to_owned()),
            Some(url) if url.scheme() != "https" => fault("public_url", "must be https in production".to_owned()),
            Some(_) => {}
        }
        if has_default_password(self.database_url.expose_secret()) {
            fault("database_url", "has a default password, which production refuses".to_owned());
        }
        if let ObjectStoreSettings::S3(s3) = &self.objects
            && is_default_password(s3.secret_access_key.expose_secret())
        {
            fault("objects.secret_access_key", "is a default secret, which production refuses".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(profile: &str, public_url: &str, database_url: &str) -> ApiSettings {
        let key = KeyRing::generate_entry("k").unwrap();
        serde_json::from_value(serde_json::json!({
            "profile": profile,
            "database_url": database_url,
            "objects": {"kind": "directory", "path": "objects"},
            "key_ring": {"current": "k", "keys": key.expose_secret()},
            "public_url": public_url,
        }))
        .unwrap()
    }

    #[test]
    fn production_refuses_what_development_may_do() {
        let weak = |profile| settings(profile, "http://store.example.org", "postgres://store:postgres@db/store");
        assert_eq!(weak("development").check(), Ok(()));
        let faults = weak("production").check().unwrap_err();
        let named: Vec<_> = faults.0.iter().map(|fault| fault.setting.as_str()).collect();
        assert_eq!(named, ["public_url", "database_url"]);
        assert_eq!(settings("production", "https://store.example.org", "postgres://s:p3x9@db/store").check(), Ok(()));
    }

    #[test]
    fn all_faults_are_told_at_once_and_no_secret() {
        let mut settings = settings("development", "ftp://x/", "postgres://u:hush-hush@db/store");
        settings.key_ring =
            KeyRingSettings::Keys { current: "other".to_owned(), keys: KeyRing::generate_entry("k").unwrap() };
        settings.database_connections = 0;
        let error = settings.check().unwrap_err();
        assert_eq!(error.0.len(), 3, "{error}");
        assert!(!format!("{error} {settings:?}").contains("hush-hush"));
    }
}
