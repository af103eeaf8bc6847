//! The remembered login: `$XDG_CONFIG_HOME/company-store/session.json`, mode 0600.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::exit::CommandError;
use crate::private_file;

/// Tokens of one login at one store.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    pub server: url::Url,
    pub email: String,
    pub access_token: String,
    pub refresh_token: String,
}

impl Session {
    /// The remembered session, if there is one.
    ///
    /// # Errors
    /// When the file exists but cannot be read.
    pub fn load() -> Result<Option<Self>, CommandError> {
        let path = path()?;
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CommandError::file("read", &path)(error)),
        };
        // An unreadable session is worth no more than none: the answer to both is to log in.
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self) -> Result<(), CommandError> {
        let path = path()?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(CommandError::file("create", folder))?;
        }
        let json = serde_json::to_vec_pretty(self).map_err(anyhow::Error::from)?;
        private_file::write(&path, &json).map_err(CommandError::file("write", &path))
    }

    /// # Errors
    /// When the file exists but cannot be removed.
    pub fn forget() -> Result<(), CommandError> {
        let path = path()?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CommandError::file("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn path() -> Result<PathBuf, CommandError> {
    let folder = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".config")))
        .ok_or_else(|| CommandError::Usage("neither XDG_CONFIG_HOME nor HOME is set".to_owned()))?;
    Ok(folder.join("company-store/session.json"))
}
