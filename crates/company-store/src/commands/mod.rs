//! One module per command.

pub mod advisories;
pub mod audit;
pub mod completions;
pub mod config;
pub mod credentials;
pub mod event;
pub mod intake;
pub mod key;
pub mod login;
pub mod migrate;
pub mod packages;
pub mod policy;
pub mod publish;
pub mod pull;
pub mod registry;
pub mod review;
pub mod superuser;
pub mod template;
pub mod trusted_publisher;
pub mod verify;
pub mod waiver;
pub mod webhook;

use secrecy::SecretString;

use crate::cli::Global;
use crate::exit::CommandError;
use crate::up::{UpArgs, UpSettings, running_store};

/// A query string of the filters that are given.
fn query(filters: &[(&str, &Option<String>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in filters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        query.append_pair(name, value);
    }
    query.finish()
}

/// The database that an operator's command works on: `DATABASE_URL`, else that of the store running on the data folder.
fn operator_database(global: &Global) -> Result<SecretString, CommandError> {
    let settings = UpSettings::load(global, &UpArgs::default())?;
    match settings.database_url {
        Some(url) => Ok(url),
        None => Ok(SecretString::from(running_store(&settings.data)?.database_url)),
    }
}

/// A small pool for one command.
fn operator_pool(global: &Global) -> Result<registry_db::Pool, CommandError> {
    let url = operator_database(global)?;
    Ok(registry_db::Pool::new(url, 4).map_err(anyhow::Error::from)?)
}
