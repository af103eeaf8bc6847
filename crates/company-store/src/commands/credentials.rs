//! `credentials rotate`: a new key for sealing registry credentials and webhook secrets.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use registry_db::key_ring::{KeyRing, KeyRingSettings, reseal_all};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::cli::Global;
use crate::commands::operator_pool;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln};
use crate::private_file;
use crate::up::{KEY_RING_FILE, UpArgs, UpSettings};

#[derive(Debug, Subcommand)]
pub enum CredentialsCommand {
    /// Add a new key to the ring file, and seal every stored credential under it; services that read the same file go on
    /// running and use the new key from then on.
    Rotate(RotateArgs),
}

#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The ring file that the services read; that of the data folder if not given.
    #[arg(long, value_name = "FILE")]
    pub key_ring: Option<PathBuf>,
}

/// # Errors
/// When the ring cannot be written, the database does not answer, or a credential opens under no key.
pub async fn run(global: &Global, output: Output, command: CredentialsCommand) -> Result<Exit, CommandError> {
    let CredentialsCommand::Rotate(args) = command;
    let file = match args.key_ring {
        Some(file) => file,
        None => UpSettings::load(global, &UpArgs::default())?.data.join(KEY_RING_FILE),
    };
    let pool = operator_pool(global)?;
    let id = add_key(&file)?;
    let ring = KeyRing::load(&KeyRingSettings::File { file }).map_err(anyhow::Error::from)?;
    let resealed = reseal_all(&pool, &ring).await.map_err(anyhow::Error::from)?;
    let answer = json!({ "key": id, "resealed": resealed.resealed, "unopened": resealed.unopened,
        "unopened_webhooks": resealed.unopened_webhooks });
    output.show(&answer, |_| {
        outln!("Key {id} seals from now on; {} credentials were sealed again.", resealed.resealed);
        for namespace in &resealed.unopened {
            outln!("  The credential of namespace {namespace} opens under no key; store it again.");
        }
        for webhook in &resealed.unopened_webhooks {
            outln!("  A secret of webhook {webhook} opens under no key; rotate it.");
        }
        outln!("Earlier keys stay in the ring: backups of the database are sealed under them.");
    })?;
    let is_whole = resealed.unopened.is_empty() && resealed.unopened_webhooks.is_empty();
    Ok(if is_whole { Exit::Success } else { Exit::Failure })
}

/// Appends a new key, which seals from then on; readers see the old file or the new one, never half of it.
fn add_key(file: &std::path::Path) -> Result<String, CommandError> {
    let ring = std::fs::read_to_string(file).map_err(CommandError::file("read", file))?;
    let id = chrono::Utc::now().format("%Y-%m-%dT%H%M%S-%3fZ").to_string();
    let entry = KeyRing::generate_entry(&id).map_err(anyhow::Error::from)?;
    let longer = format!("{},{}\n", ring.trim().trim_end_matches(','), entry.expose_secret());
    // A ring that does not load would leave both services without any key.
    let settings = KeyRingSettings::Keys { current: id.clone(), keys: SecretString::from(longer.clone()) };
    KeyRing::load(&settings).map_err(anyhow::Error::from)?;
    private_file::write(file, longer.as_bytes()).map_err(CommandError::file("write", file))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rotations in the same second once wrote the same key id twice, which no service could load.
    #[test]
    fn rotations_in_quick_succession_leave_a_ring_that_loads() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key-ring");
        std::fs::write(&file, KeyRing::generate_entry("first").unwrap().expose_secret()).unwrap();
        for _ in 0..20 {
            let before = std::fs::read(&file).unwrap();
            if add_key(&file).is_err() {
                assert_eq!(std::fs::read(&file).unwrap(), before, "a refused rotation changes nothing");
            }
            KeyRing::load(&KeyRingSettings::File { file: file.clone() }).unwrap();
        }
        assert!(std::fs::read_to_string(&file).unwrap().matches(',').count() >= 1);
    }
}
