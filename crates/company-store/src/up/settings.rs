//! What `up` is told: defaults, then the file in the data folder, then the environment, then the command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use registry_types::names::{Email, OrganizationSlug};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::UpArgs;
use crate::cli::Global;
use crate::exit::CommandError;

/// The file inside the data folder that an operator may write.
pub const FILE_NAME: &str = "company-store.toml";
/// Environment variables that other programs use for the same thing, taken as they are.
const FAMILIAR_VARIABLES: &[&str] = &[
    "database_url",
    "s3_endpoint",
    "s3_public_endpoint",
    "s3_region",
    "s3_bucket",
    "s3_access_key_id",
    "s3_secret_access_key",
];
/// Never printed.
const SECRETS: &[&str] = &["database_url", "s3_secret_access_key"];

/// Settings of `company-store up`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpSettings {
    /// Holds everything: database, objects, secrets.
    pub data: PathBuf,
    /// Address that the store listens on.
    pub listen: SocketAddr,
    /// Where clients reach the store; `http://` and `listen` if not given.
    pub public_url: Option<url::Url>,
    /// A Postgres to use instead of the private one.
    pub database_url: Option<SecretString>,
    /// An S3 server to use instead of the folder; needs bucket and credentials too.
    pub s3_endpoint: Option<url::Url>,
    /// Where clients reach the same S3 server; without it blobs are streamed through the store.
    pub s3_public_endpoint: Option<url::Url>,
    pub s3_region: String,
    pub s3_bucket: Option<String>,
    pub s3_access_key_id: Option<String>,
    pub s3_secret_access_key: Option<SecretString>,
    /// Intakes carried out side by side.
    pub worker_concurrency: usize,
    /// Trusted root (JSON) for keyless signatures.
    pub trusted_root: Option<PathBuf>,
    /// First start only: the superuser and the first organization.
    pub superuser_email: Email,
    pub organization: OrganizationSlug,
    pub organization_name: String,
}

/// One setting with its value and where it came from.
#[derive(Debug, Serialize)]
pub struct Shown {
    pub name: String,
    pub value: serde_json::Value,
    pub source: String,
}

impl UpSettings {
    /// Reads and checks all settings; every error is reported, not only the first.
    ///
    /// # Errors
    /// When a value has the wrong form, or values contradict one another.
    pub fn load(global: &Global, args: &UpArgs) -> Result<Self, CommandError> {
        let settings: Self = figment(global, args)?.extract().map_err(|errors| {
            let lines: Vec<_> = errors.into_iter().map(|error| format!("  {error}")).collect();
            CommandError::Usage(format!("the settings are wrong:\n{}", lines.join("\n")))
        })?;
        let contradictions = settings.contradictions();
        if contradictions.is_empty() {
            return Ok(settings);
        }
        Err(CommandError::Usage(format!("the settings are wrong:\n  {}", contradictions.join("\n  "))))
    }

    fn contradictions(&self) -> Vec<&'static str> {
        let mut errors = Vec::new();
        if self.s3_endpoint.is_some() {
            let missing = [
                (self.s3_bucket.is_none(), "s3_endpoint is set, but s3_bucket is not"),
                (self.s3_access_key_id.is_none(), "s3_endpoint is set, but s3_access_key_id is not"),
                (self.s3_secret_access_key.is_none(), "s3_endpoint is set, but s3_secret_access_key is not"),
            ];
            errors.extend(missing.iter().filter(|(missing, _)| *missing).map(|(_, text)| *text));
        } else if self.s3_bucket.is_some() {
            errors.push("s3_bucket is set, but s3_endpoint is not");
        }
        if self.worker_concurrency == 0 || self.worker_concurrency > 64 {
            errors.push("worker_concurrency must be between 1 and 64");
        }
        errors
    }
}

/// Every setting, its value (secrets masked) and its source.
///
/// # Errors
/// When the file cannot be read.
pub fn shown(global: &Global, args: &UpArgs) -> Result<Vec<Shown>, CommandError> {
    let figment = figment(global, args)?;
    let values: serde_json::Map<String, serde_json::Value> =
        figment.extract().map_err(|e| CommandError::Usage(format!("the settings are wrong: {e}")))?;
    let shown = values.into_iter().map(|(name, value)| {
        let value = if SECRETS.contains(&name.as_str()) && !value.is_null() { json!("[redacted]") } else { value };
        let source = figment.find_metadata(&name).map_or_else(|| "default".to_owned(), source_of);
        Shown { name, value, source }
    });
    Ok(shown.collect())
}

fn source_of(metadata: &figment::Metadata) -> String {
    match &metadata.source {
        Some(source) => format!("{} ({source})", metadata.name),
        None => metadata.name.to_string(),
    }
}

fn figment(global: &Global, args: &UpArgs) -> Result<Figment, CommandError> {
    let data = match &global.data {
        Some(data) => data.clone(),
        None => default_data_folder()?,
    };
    let data = std::path::absolute(&data).map_err(CommandError::file("resolve", &data))?;
    let defaults = json!({
        "data": data,
        "listen": "127.0.0.1:8480",
        "public_url": null,
        "database_url": null,
        "s3_endpoint": null,
        "s3_public_endpoint": null,
        "s3_region": "us-east-1",
        "s3_bucket": null,
        "s3_access_key_id": null,
        "s3_secret_access_key": null,
        "worker_concurrency": 2,
        "trusted_root": null,
        "superuser_email": "superuser@company-store.local",
        "organization": "my-company",
        "organization_name": "My Company",
    });
    let mut figment = Figment::from(named("default", defaults))
        .merge(Toml::file(data.join(FILE_NAME)))
        .merge(Env::raw().only(FAMILIAR_VARIABLES))
        .merge(Env::prefixed("COMPANY_STORE_").only(KNOWN));
    if global.data.is_some() {
        figment = figment.merge(named("command line or COMPANY_STORE_DATA", json!({ "data": data })));
    }
    if let Some(listen) = &args.listen {
        figment = figment.merge(named("command line", json!({ "listen": listen })));
    }
    if let Some(url) = &args.public_url {
        figment = figment.merge(named("command line", json!({ "public_url": url })));
    }
    Ok(figment)
}

/// Names that may come from `COMPANY_STORE_*`; other variables with that prefix belong to the client commands.
const KNOWN: &[&str] = &[
    "listen",
    "public_url",
    "worker_concurrency",
    "trusted_root",
    "superuser_email",
    "organization",
    "organization_name",
];

fn named(name: &'static str, values: serde_json::Value) -> Named {
    Named { name, values }
}

/// Values under a name that `config show` prints as their source.
struct Named {
    name: &'static str,
    values: serde_json::Value,
}

impl figment::Provider for Named {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(self.name)
    }

    fn data(&self) -> Result<figment::value::Map<figment::Profile, figment::value::Dict>, figment::Error> {
        Serialized::defaults(&self.values).data()
    }
}

/// `/var/lib/company-store` for root, whose home an unprivileged Postgres cannot enter; else the user's own data folder.
fn default_data_folder() -> Result<PathBuf, CommandError> {
    if crate::postgres::is_root() {
        return Ok(Path::new("/var/lib/company-store").to_owned());
    }
    std::env::var_os("XDG_DATA_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".local/share")))
        .map(|folder| folder.join("company-store"))
        .ok_or_else(|| {
            CommandError::Usage("neither HOME nor XDG_DATA_HOME is set; name a folder with --data".to_owned())
        })
}
