//! The program's settings: one typed struct, from a file and the environment, judged as a whole at the start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use blob_store::ObjectStoreSettings;
use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use registry_db::jobs::ClaimLimits;
use registry_db::key_ring::{KeyRing, KeyRingSettings};
use registry_types::image_reference::RegistryHost;
use registry_types::intake::IntakeStep;
use registry_types::profile::Profile;
use registry_types::settings::{SettingsError, SettingsFault, extract, has_default_password, is_default_password};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use crate::source::{RetryPolicy, Timeouts};
use crate::verdict::VerdictKey;
use crate::webhooks::WebhookSettings;

/// Settings of the intake worker. `Debug` shows no secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerSettings {
    pub profile: Profile,
    pub database_url: SecretString,
    pub objects: ObjectStoreSettings,
    pub key_ring: KeyRingSettings,
    /// The ECDSA P-256 key that signs verdicts, as PKCS #8 PEM.
    pub verdict_key: SecretString,
    /// Where clients reach the store: its name in verdicts. `None` names it by its id (development only).
    #[serde(default)]
    pub public_url: Option<Url>,
    /// Trusted root of Sigstore (JSON) for keyless signatures; without one they do not count.
    #[serde(default)]
    pub trusted_root_file: Option<PathBuf>,
    #[serde(default)]
    pub sources: SourceRegistries,
    /// Jobs at the same time.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    #[serde(default)]
    pub queue: QueueSettings,
    #[serde(default)]
    pub webhooks: WebhookSettings,
    #[serde(default)]
    pub steps: StepLimits,
    /// How long a stop waits for work under way before it gives it back, in seconds.
    #[serde(default = "default_grace")]
    pub shutdown_grace_seconds: u64,
    /// How much older than every intake under way an unfinished upload must be before housekeeping removes it, in seconds:
    /// the clocks of database and object store differ.
    #[serde(default = "default_upload_grace")]
    pub upload_grace_seconds: u64,
    /// Where `/metrics` and `/livez` answer; `None` = nowhere.
    #[serde(default)]
    pub metrics_listen: Option<SocketAddr>,
}

/// How source registries are reached.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceRegistries {
    /// Registries in private networks may be read.
    pub allow_private_networks: bool,
    /// Registries that are asked over plain http beside loopback. Development only.
    pub plain_http_hosts: Vec<String>,
    /// PEM file with certificates of private authorities; they count for webhooks, too.
    pub extra_roots_file: Option<PathBuf>,
    pub patience: Patience,
}

/// How long, and how often, a source registry is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Patience {
    pub connect_ms: u64,
    /// Without a byte.
    pub idle_ms: u64,
    /// One small exchange (manifest, token) with its redirects and body.
    pub exchange_ms: u64,
    /// One blob with all its resumptions.
    pub blob_ms: u64,
    /// Tries of one request within an attempt of the job, the first included.
    pub tries: u32,
    /// Wait before the second try; doubles with each further one.
    pub retry_base_ms: u64,
    /// The longest wait between tries. A registry that asks for more ends the attempt.
    pub retry_cap_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        let (timeouts, retry) = (Timeouts::default(), RetryPolicy::default());
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            connect_ms: millis(timeouts.connect),
            idle_ms: millis(timeouts.idle),
            exchange_ms: millis(timeouts.exchange),
            blob_ms: millis(timeouts.blob),
            tries: retry.attempts,
            retry_base_ms: millis(retry.base),
            retry_cap_ms: millis(retry.longest),
        }
    }
}

impl Patience {
    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts {
            connect: Duration::from_millis(self.connect_ms),
            idle: Duration::from_millis(self.idle_ms),
            exchange: Duration::from_millis(self.exchange_ms),
            blob: Duration::from_millis(self.blob_ms),
        }
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            attempts: self.tries,
            base: Duration::from_millis(self.retry_base_ms),
            longest: Duration::from_millis(self.retry_cap_ms),
        }
    }

    fn is_sound(&self) -> bool {
        let times = [self.connect_ms, self.idle_ms, self.exchange_ms, self.blob_ms];
        times.iter().all(|time| *time > 0) && self.tries > 0 && self.retry_base_ms <= self.retry_cap_ms
    }
}

/// How the job queue is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueSettings {
    /// A job whose worker is not heard of for so long is given to another one.
    pub lease_ms: u64,
    /// How often to look for jobs when no notification comes.
    pub poll_ms: u64,
    /// Wait before the second attempt; doubles with each further one.
    pub retry_base_ms: u64,
    /// The longest wait between attempts.
    pub retry_cap_ms: u64,
    /// Jobs of one organization that run at the same time, over all workers.
    pub per_organization: u32,
    /// Jobs that read from one source registry at the same time, over all workers.
    pub per_source_host: u32,
}

/// How long a step of an intake may take, in seconds; then the attempt ends as an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepLimits {
    /// Pinning the reference and reading all manifests.
    pub resolve_seconds: u64,
    /// Finding and judging signatures.
    pub verify_seconds: u64,
    /// Reading all layers.
    pub transfer_seconds: u64,
    /// Each step that asks nobody outside the store.
    pub other_seconds: u64,
}

impl Default for StepLimits {
    fn default() -> Self {
        Self { resolve_seconds: 300, verify_seconds: 300, transfer_seconds: 3_600, other_seconds: 300 }
    }
}

impl StepLimits {
    pub(crate) const fn of(&self, step: IntakeStep) -> Duration {
        Duration::from_secs(match step {
            IntakeStep::Resolve => self.resolve_seconds,
            IntakeStep::Verify => self.verify_seconds,
            IntakeStep::Transfer => self.transfer_seconds,
            IntakeStep::Merge
            | IntakeStep::Scan
            | IntakeStep::Manifest
            | IntakeStep::Ui
            | IntakeStep::Policy
            | IntakeStep::Decide => self.other_seconds,
        })
    }

    const fn all_positive(&self) -> bool {
        self.resolve_seconds > 0 && self.verify_seconds > 0 && self.transfer_seconds > 0 && self.other_seconds > 0
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            lease_ms: 60_000,
            poll_ms: 2_000,
            retry_base_ms: 5_000,
            retry_cap_ms: 600_000,
            per_organization: 16,
            per_source_host: 16,
        }
    }
}

impl QueueSettings {
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    #[must_use]
    pub const fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    pub(crate) const fn limits(&self) -> ClaimLimits {
        ClaimLimits { per_organization: self.per_organization, per_source_host: self.per_source_host }
    }
}

const fn default_concurrency() -> usize {
    2
}

const fn default_grace() -> u64 {
    25
}

const fn default_upload_grace() -> u64 {
    60
}

/// Settings without a default.
const REQUIRED: [&str; 5] = ["profile", "database_url", "objects", "key_ring", "verdict_key"];

impl WorkerSettings {
    /// Settings with every default.
    #[must_use]
    pub fn new(
        profile: Profile,
        database_url: SecretString,
        objects: ObjectStoreSettings,
        key_ring: KeyRingSettings,
        verdict_key: SecretString,
    ) -> Self {
        Self {
            profile,
            database_url,
            objects,
            key_ring,
            verdict_key,
            public_url: None,
            trusted_root_file: None,
            sources: SourceRegistries::default(),
            concurrency: default_concurrency(),
            queue: QueueSettings::default(),
            webhooks: WebhookSettings::default(),
            steps: StepLimits::default(),
            shutdown_grace_seconds: default_grace(),
            upload_grace_seconds: default_upload_grace(),
            metrics_listen: None,
        }
    }

    /// Reads `file`, if given, then the environment: `INTAKE_WORKER_` and the setting's name, `__` between levels
    /// (`INTAKE_WORKER_KEY_RING__CURRENT`); `DATABASE_URL` is understood as well.
    ///
    /// # Errors
    /// With all that does not parse, and all that [`WorkerSettings::check`] finds.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        let figment = figment
            .merge(Env::raw().only(&["DATABASE_URL"]))
            .merge(Env::prefixed("INTAKE_WORKER_").ignore(&["config"]).split("__"));
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
        if let Err(error) = VerdictKey::from_pem(&self.verdict_key) {
            fault("verdict_key", error.to_string());
        }
        if !(1..=64).contains(&self.concurrency) {
            fault("concurrency", "must be 1 to 64".to_owned());
        }
        if self.queue.lease_ms < 1_000 || self.queue.poll_ms == 0 || self.queue.retry_base_ms > self.queue.retry_cap_ms
        {
            let rule = "lease_ms must be at least 1000, poll_ms positive, retry_base_ms not above retry_cap_ms";
            fault("queue", rule.to_owned());
        }
        if self.queue.per_organization == 0 || self.queue.per_source_host == 0 {
            fault("queue", "per_organization and per_source_host must be positive".to_owned());
        }
        if let Some(rule) = self.webhooks.fault() {
            fault("webhooks", rule);
        }
        if !self.steps.all_positive() {
            fault("steps", "every limit must be positive".to_owned());
        }
        if !self.sources.patience.is_sound() {
            let rule = "times and tries must be positive, retry_base_ms not above retry_cap_ms";
            fault("sources.patience", rule.to_owned());
        }
        for host in &self.sources.plain_http_hosts {
            if host.parse::<RegistryHost>().is_err() {
                fault("sources.plain_http_hosts", format!("{host:?} is not host[:port]"));
            }
        }
        if self.public_url.as_ref().is_some_and(|url| !matches!(url.scheme(), "http" | "https") || url.path() != "/") {
            fault("public_url", "must be an http or https address without path".to_owned());
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
        if !self.sources.plain_http_hosts.is_empty() {
            fault("sources.plain_http_hosts", "is a development setting".to_owned());
        }
        if !self.webhooks.plain_http_hosts.is_empty() {
            fault("webhooks.plain_http_hosts", "is a development setting".to_owned());
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

    fn settings(profile: Profile, database_url: &str) -> WorkerSettings {
        let keys = KeyRing::generate_entry("k").unwrap();
        WorkerSettings::new(
            profile,
            SecretString::from(database_url),
            ObjectStoreSettings::Directory { path: "objects".into(), durable: true },
            KeyRingSettings::Keys { current: "k".to_owned(), keys },
            VerdictKey::generate_pem().unwrap(),
        )
    }

    #[test]
    fn production_refuses_development_settings_and_default_secrets() {
        let mut settings = settings(Profile::Development, "postgres://store:postgres@db/store");
        settings.sources.plain_http_hosts = vec!["registry.local:5000".to_owned()];
        assert_eq!(settings.check(), Ok(()));
        settings.profile = Profile::Production;
        let faults = settings.check().unwrap_err();
        let named: Vec<_> = faults.0.iter().map(|fault| fault.setting.as_str()).collect();
        assert_eq!(named, ["public_url", "sources.plain_http_hosts", "database_url"]);
    }

    #[test]
    fn all_faults_are_told_at_once_and_no_secret() {
        let mut settings = settings(Profile::Development, "postgres://u:hush-hush@db/store");
        settings.key_ring =
            KeyRingSettings::Keys { current: "other".to_owned(), keys: KeyRing::generate_entry("k").unwrap() };
        settings.verdict_key = SecretString::from("hush-hush");
        settings.concurrency = 0;
        settings.queue.poll_ms = 0;
        settings.sources.patience.tries = 0;
        let error = settings.check().unwrap_err();
        assert_eq!(error.0.len(), 5, "{error}");
        assert!(!format!("{error} {settings:?}").contains("hush-hush"));
    }
}
