//! The secrets of one store: made on its first start, kept in `secrets/` (files 0600, folder 0700).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use registry_db::key_ring::{KeyRing, KeyRingSettings};
use secrecy::SecretString;

use super::data_folder::DataFolder;
use crate::exit::CommandError;

/// Where the key ring lies in the data folder; `credentials rotate` appends to it.
pub const KEY_RING_FILE: &str = "secrets/key-ring";
/// The key of a new ring.
const FIRST_KEY: &str = "first";

pub struct Secrets {
    pub superuser_password: SecretString,
    pub key_ring: KeyRingSettings,
    /// PKCS#8 PEM of the P-256 key that signs verdicts.
    pub verdict_key: SecretString,
}

impl Secrets {
    /// # Errors
    /// When a file cannot be read or written.
    pub fn load_or_make(folder: &DataFolder) -> Result<Self, CommandError> {
        let superuser_password = folder.secret("superuser-password", random_password)?;
        folder.secret("key-ring", || KeyRing::generate_entry(FIRST_KEY).map_err(Into::into))?;
        let verdict_key = folder
            .secret("verdict-key.pem", || intake_worker::verdict::VerdictKey::generate_pem().map_err(Into::into))?;
        let key_ring = KeyRingSettings::File { file: folder.join(KEY_RING_FILE) };
        Ok(Self { superuser_password, key_ring, verdict_key })
    }
}

fn random_password() -> Result<SecretString, anyhow::Error> {
    let mut random = [0u8; 18];
    getrandom::fill(&mut random).map_err(|e| anyhow::anyhow!("no random bytes: {e}"))?;
    Ok(SecretString::from(URL_SAFE_NO_PAD.encode(random)))
}
