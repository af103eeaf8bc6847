//! The data folder: one `up` at a time, and the secrets of this store.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::exit::CommandError;
use crate::private_file;

/// A locked data folder. The lock ends with the process, however it ends.
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// What the operator's commands need to reach a running store: `run.json`, mode 0600.
#[derive(Serialize, Deserialize)]
pub struct RunningStore {
    pub pid: u32,
    pub address: url::Url,
    pub database_url: String,
}

impl DataFolder {
    /// Makes the folder if it is new, and locks it.
    ///
    /// # Errors
    /// When another `up` runs on it, or it cannot be made.
    pub fn lock(path: &Path) -> Result<Self, CommandError> {
        for folder in [path, &path.join("secrets"), &path.join("objects")] {
            std::fs::create_dir_all(folder).map_err(CommandError::file("create", folder))?;
        }
        let secrets = path.join("secrets");
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&secrets, private).map_err(CommandError::file("set the mode of", &secrets))?;
        let lock_path = path.join("lock");
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(CommandError::file("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                return Err(CommandError::Usage(format!(
                    "a store is already running on {} (process {}); stop it first, or choose another folder with --data",
                    path.display(),
                    holder.trim()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(CommandError::file("lock", &lock_path)(error)),
        }
        let note_holder = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        note_holder(&mut lock).map_err(CommandError::file("write", &lock_path))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A secret of this store; made on the first start, the same ever after.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn secret(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<SecretString, anyhow::Error>,
    ) -> Result<SecretString, CommandError> {
        let path = self.path.join("secrets").join(name);
        match std::fs::read_to_string(&path) {
            Ok(secret) => Ok(SecretString::from(secret)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret = make()?;
                private_file::write(&path, secret.expose_secret().as_bytes())
                    .map_err(CommandError::file("write", &path))?;
                Ok(secret)
            }
            Err(error) => Err(CommandError::file("read", &path)(error)),
        }
    }

    /// # Errors
    /// When the file cannot be written.
    pub fn announce(&self, running: &RunningStore) -> Result<(), CommandError> {
        let path = self.path.join("run.json");
        let json = serde_json::to_vec_pretty(running).map_err(anyhow::Error::from)?;
        private_file::write(&path, &json).map_err(CommandError::file("write", &path))
    }

    /// Takes the announcement back; a missing one is no error.
    pub fn withdraw(&self) {
        let _ = std::fs::remove_file(self.path.join("run.json"));
    }
}

/// The store that runs on a data folder of this machine.
///
/// # Errors
/// When none runs there, or the caller may not know.
pub fn running_store(data: &Path) -> Result<RunningStore, CommandError> {
    let path = data.join("run.json");
    let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CommandError::Usage(format!(
            "no store runs on {}; start it with `company-store up`, or set DATABASE_URL",
            data.display()
        )),
        _ => CommandError::file("read", &path)(error),
    })?;
    serde_json::from_slice(&bytes).map_err(|e| CommandError::Failed(e.into()))
}
