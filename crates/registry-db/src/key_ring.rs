//! Registry credentials and webhook secrets at rest: XChaCha20-Poly1305 under a ring of keys.
//!
//! The current key seals; every key of the ring opens. Organization, host and path of the namespace are associated data,
//! so a sealed credential that is moved to another row does not open.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{OrganizationId, WebhookId};
use registry_types::image_reference::{RegistryHost, Repository};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::stored;
use crate::schema::registry_namespaces as namespaces;
use crate::{Connection, DbError, DbResult, Pool, transaction, webhooks};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Where the ring comes from; the same for both services. Entries are `id:base64,id:base64,…`, each key 32 bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum KeyRingSettings {
    /// `current` is the id of the key that seals.
    Keys { current: String, keys: SecretString },
    /// A file whose last entry seals. It is read again when it has changed, so that a rotation needs no restart.
    File { file: PathBuf },
}

/// Why a key ring does not load, or a credential does not open. Says nothing about the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    #[error("entry {position} of the key ring must be id:base64 with a key of 32 bytes")]
    Entry { position: usize },
    #[error("the key ring names {id:?} twice")]
    Twice { id: String },
    #[error("the current key {id:?} is not in the key ring")]
    NoCurrent { id: String },
    #[error("key {id:?} of the key ring is not random")]
    Weak { id: String },
    #[error("the credential was sealed under key {id:?}, which is not in the key ring")]
    UnknownKey { id: String },
    #[error("the credential does not open: it was changed, or belongs to another namespace")]
    Refused,
    #[error("no random numbers can be had from the system")]
    Random,
    #[error("the key ring file {file} cannot be read")]
    Unreadable { file: String },
}

/// The keys. `Debug` shows their ids only.
pub struct KeyRing {
    keys: RwLock<Arc<Keys>>,
    /// Where the keys came from, if from a file.
    file: Option<PathBuf>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys();
        f.debug_struct("KeyRing").field("current", &keys.current).field("keys", &keys.ciphers.keys()).finish()
    }
}

/// One state of the ring.
struct Keys {
    current: String,
    ciphers: BTreeMap<String, XChaCha20Poly1305>,
    /// Of the file that they were read from.
    modified: Option<SystemTime>,
}

/// The namespace that a credential belongs to.
#[derive(Debug, Clone, Copy)]
pub struct SealContext<'a> {
    pub organization: OrganizationId,
    pub host: &'a RegistryHost,
    /// Path prefix or repository of the pattern.
    pub path: &'a Repository,
}

impl SealContext<'_> {
    /// Neither host nor path can hold a NUL, so the parts cannot run into each other.
    fn associated_data(&self) -> Vec<u8> {
        format!("registry-credential/1\0{}\0{}\0{}", self.organization, self.host, self.path).into_bytes()
    }
}

/// A webhook's secret belongs to it alone.
fn webhook_data(webhook: WebhookId) -> Vec<u8> {
    format!("webhook-secret/1\0{webhook}").into_bytes()
}

/// A registry login. `Debug` shows no token.
#[derive(Debug, Clone)]
pub struct Credential {
    pub username: String,
    pub token: SecretString,
}

/// A credential as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub ciphertext: Vec<u8>,
    pub nonce: Vec<u8>,
    pub key_id: String,
}

#[derive(Serialize, Deserialize)]
struct Plain<'a> {
    username: &'a str,
    token: &'a str,
}

impl Keys {
    fn read(settings: &KeyRingSettings) -> Result<Self, KeyRingError> {
        match settings {
            KeyRingSettings::Keys { current, keys } => Self::parse(current.clone(), keys.expose_secret()),
            KeyRingSettings::File { file } => Self::read_file(file),
        }
    }

    fn read_file(file: &Path) -> Result<Self, KeyRingError> {
        let unreadable = |_| KeyRingError::Unreadable { file: file.display().to_string() };
        // The time first: a file that changes in between is read again once too often, never once too seldom.
        let modified = std::fs::metadata(file).and_then(|metadata| metadata.modified()).map_err(unreadable)?;
        let text = Zeroizing::new(std::fs::read_to_string(file).map_err(unreadable)?);
        let keys = Self::parse(newest_id(&text).to_owned(), &text)?;
        Ok(Self { modified: Some(modified), ..keys })
    }

    fn parse(current: String, text: &str) -> Result<Self, KeyRingError> {
        let mut ciphers = BTreeMap::new();
        for (at, entry) in entries(text).enumerate() {
            let malformed = KeyRingError::Entry { position: at + 1 };
            let (id, encoded) = entry.split_once(':').ok_or_else(|| malformed.clone())?;
            let id_ok =
                (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            let key = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| malformed.clone())?);
            if !id_ok || key.len() != KEY_BYTES {
                return Err(malformed);
            }
            if key.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 1) {
                return Err(KeyRingError::Weak { id: id.to_owned() });
            }
            let cipher = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| malformed)?;
            if ciphers.insert(id.to_owned(), cipher).is_some() {
                return Err(KeyRingError::Twice { id: id.to_owned() });
            }
        }
        if !ciphers.contains_key(&current) {
            return Err(KeyRingError::NoCurrent { id: current });
        }
        Ok(Self { current, ciphers, modified: None })
    }

    fn cipher(&self, id: &str) -> Result<&XChaCha20Poly1305, KeyRingError> {
        self.ciphers.get(id).ok_or_else(|| KeyRingError::UnknownKey { id: id.to_owned() })
    }
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

fn newest_id(text: &str) -> &str {
    entries(text).last().and_then(|entry| entry.split_once(':')).map_or("", |(id, _)| id)
}

impl KeyRing {
    /// # Errors
    /// When the file cannot be read, an entry is malformed, an id stands twice, a key is obviously not random, or
    /// `current` is missing.
    pub fn load(settings: &KeyRingSettings) -> Result<Self, KeyRingError> {
        let file = match settings {
            KeyRingSettings::Keys { .. } => None,
            KeyRingSettings::File { file } => Some(file.clone()),
        };
        Ok(Self { keys: RwLock::new(Arc::new(Keys::read(settings)?)), file })
    }

    /// The keys as they were last read.
    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The keys as the file has them now. A file that cannot be read at the moment leaves those that are known.
    fn newest_keys(&self) -> Arc<Keys> {
        let known = self.keys();
        let Some(file) = &self.file else { return known };
        let modified = std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
        if modified == known.modified {
            return known;
        }
        match Keys::read_file(file) {
            Ok(keys) => {
                let keys = Arc::new(keys);
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
                keys
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the changed key ring cannot be used");
                known
            }
        }
    }

    /// A ring entry with a new random key, `id:base64`: for the first start of a store.
    ///
    /// # Errors
    /// [`KeyRingError::Random`].
    pub fn generate_entry(id: &str) -> Result<SecretString, KeyRingError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *key).map_err(|_| KeyRingError::Random)?;
        Ok(SecretString::from(format!("{id}:{}", STANDARD.encode(*key))))
    }

    /// # Errors
    /// [`KeyRingError::Random`].
    pub fn seal(&self, context: &SealContext<'_>, credential: &Credential) -> Result<Sealed, KeyRingError> {
        let plain = Plain { username: &credential.username, token: credential.token.expose_secret() };
        let plain = Zeroizing::new(serde_json::to_vec(&plain).map_err(|_| KeyRingError::Refused)?);
        self.encrypt(&context.associated_data(), &plain)
    }

    /// # Errors
    /// [`KeyRingError::UnknownKey`] or [`KeyRingError::Refused`].
    pub fn open(&self, context: &SealContext<'_>, sealed: &Sealed) -> Result<Credential, KeyRingError> {
        #[derive(Deserialize)]
        struct Opened {
            username: String,
            token: SecretString,
        }
        let plain = self.decrypt(&context.associated_data(), sealed)?;
        let opened: Opened = serde_json::from_slice(&plain).map_err(|_| KeyRingError::Refused)?;
        Ok(Credential { username: opened.username, token: opened.token })
    }

    /// Seals what deliveries to a webhook are signed with.
    ///
    /// # Errors
    /// [`KeyRingError::Random`].
    pub fn seal_webhook_secret(&self, webhook: WebhookId, secret: &SecretString) -> Result<Sealed, KeyRingError> {
        self.encrypt(&webhook_data(webhook), secret.expose_secret().as_bytes())
    }

    /// # Errors
    /// [`KeyRingError::UnknownKey`] or [`KeyRingError::Refused`].
    pub fn open_webhook_secret(&self, webhook: WebhookId, sealed: &Sealed) -> Result<SecretString, KeyRingError> {
        let plain = self.decrypt(&webhook_data(webhook), sealed)?;
        std::str::from_utf8(&plain).map(SecretString::from).map_err(|_| KeyRingError::Refused)
    }

    fn encrypt(&self, associated_data: &[u8], plain: &[u8]) -> Result<Sealed, KeyRingError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| KeyRingError::Random)?;
        let keys = self.newest_keys();
        let ciphertext = keys
            .cipher(&keys.current)?
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: associated_data })
            .map_err(|_| KeyRingError::Refused)?;
        Ok(Sealed { ciphertext, nonce: nonce.to_vec(), key_id: keys.current.clone() })
    }

    fn decrypt(&self, associated_data: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeyRingError> {
        let nonce: [u8; NONCE_BYTES] = sealed.nonce.as_slice().try_into().map_err(|_| KeyRingError::Refused)?;
        self.newest_keys()
            .cipher(&sealed.key_id)?
            .decrypt(&XNonce::from(nonce), Payload { msg: &sealed.ciphertext, aad: associated_data })
            .map(Zeroizing::new)
            .map_err(|_| KeyRingError::Refused)
    }

    /// Id of the key that seals now.
    pub(crate) fn current(&self) -> String {
        self.newest_keys().current.clone()
    }
}

/// What a rotation did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    pub resealed: u64,
    /// Namespaces whose credential opens under no key of the ring; left as they are.
    pub unopened: Vec<registry_types::ids::RegistryNamespaceId>,
    /// Webhooks one of whose secrets does not open; left as they are.
    pub unopened_webhooks: Vec<WebhookId>,
}

const BATCH: i64 = 100;

/// Reseals every credential and webhook secret that is not under the current key, in short transactions, while the services run: until all
/// of them know both keys, give them the new key as a second one.
///
/// # Errors
/// When the database does not answer; what was resealed until then stays.
pub async fn reseal_all(pool: &Pool, ring: &KeyRing) -> DbResult<Resealed> {
    let mut total = Resealed::default();
    let mut after = uuid::Uuid::nil();
    loop {
        let mut conn = pool.get().await?;
        let batch = transaction(&mut conn, async |conn| reseal_batch(conn, ring, after).await).await?;
        let Some(last) = batch.last else { break };
        after = last;
        total.resealed += batch.resealed;
        total.unopened.extend(batch.unopened);
    }
    let secrets = webhooks::reseal_all(pool, ring).await?;
    total.resealed += secrets.resealed;
    total.unopened_webhooks = secrets.unopened;
    Ok(total)
}

#[derive(Default)]
struct Batch {
    resealed: u64,
    unopened: Vec<registry_types::ids::RegistryNamespaceId>,
    last: Option<uuid::Uuid>,
}

async fn reseal_batch(conn: &mut Connection, ring: &KeyRing, after: uuid::Uuid) -> DbResult<Batch> {
    type Row = (uuid::Uuid, uuid::Uuid, String, String, Option<Vec<u8>>, Option<Vec<u8>>, Option<String>);
    let rows: Vec<Row> = namespaces::table
        .filter(namespaces::credential_key_id.ne(ring.current()))
        .filter(namespaces::id.gt(after))
        .order(namespaces::id)
        .limit(BATCH)
        .select((
            namespaces::id,
            namespaces::organization_id,
            namespaces::host,
            namespaces::path,
            namespaces::credential_ciphertext,
            namespaces::credential_nonce,
            namespaces::credential_key_id,
        ))
        .for_update()
        .load(conn)
        .await?;
    let mut batch = Batch::default();
    for (id, organization, host, path, ciphertext, nonce, key_id) in rows {
        batch.last = Some(id);
        let (Some(ciphertext), Some(nonce), Some(key_id)) = (ciphertext, nonce, key_id) else { continue };
        let (host, path) = (stored("registry host", &host)?, stored("repository", &path)?);
        let context = SealContext { organization: organization.into(), host: &host, path: &path };
        let Ok(credential) = ring.open(&context, &Sealed { ciphertext, nonce, key_id }) else {
            batch.unopened.push(id.into());
            continue;
        };
        let sealed = ring.seal(&context, &credential).map_err(|e| DbError::corrupt("credential")(Box::new(e)))?;
        diesel::update(namespaces::table.find(id))
            .set((
                namespaces::credential_ciphertext.eq(Some(sealed.ciphertext)),
                namespaces::credential_nonce.eq(Some(sealed.nonce)),
                namespaces::credential_key_id.eq(Some(sealed.key_id)),
            ))
            .execute(conn)
            .await?;
        batch.resealed += 1;
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(current: &str, entries: &[&SecretString]) -> KeyRing {
        let keys = entries.iter().map(|e| e.expose_secret()).collect::<Vec<_>>().join(",");
        KeyRing::load(&KeyRingSettings::Keys { current: current.to_owned(), keys: SecretString::from(keys) }).unwrap()
    }

    fn load(current: &str, keys: &str) -> Result<KeyRing, KeyRingError> {
        KeyRing::load(&KeyRingSettings::Keys { current: current.to_owned(), keys: SecretString::from(keys) })
    }

    fn credential() -> Credential {
        Credential { username: "robot".to_owned(), token: SecretString::from("s3cr3t-token") }
    }

    #[test]
    fn a_credential_opens_only_in_its_own_place() {
        let ring = ring("a", &[&KeyRing::generate_entry("a").unwrap()]);
        let (host, other_host): (RegistryHost, RegistryHost) = ("ghcr.io".parse().unwrap(), "quay.io".parse().unwrap());
        let (path, other_path): (Repository, Repository) = ("my-org".parse().unwrap(), "my-org2".parse().unwrap());
        let home = SealContext { organization: OrganizationId::new(), host: &host, path: &path };
        let sealed = ring.seal(&home, &credential()).unwrap();
        assert_eq!(ring.open(&home, &sealed).unwrap().token.expose_secret(), "s3cr3t-token");
        for elsewhere in [
            SealContext { organization: OrganizationId::new(), ..home },
            SealContext { host: &other_host, ..home },
            SealContext { path: &other_path, ..home },
        ] {
            assert_eq!(ring.open(&elsewhere, &sealed).unwrap_err(), KeyRingError::Refused);
        }
        for at in 0..sealed.ciphertext.len() {
            let mut changed = sealed.clone();
            changed.ciphertext[at] ^= 1;
            assert_eq!(ring.open(&home, &changed).unwrap_err(), KeyRingError::Refused);
        }
    }

    #[test]
    fn a_webhook_s_secret_opens_for_it_alone() {
        let ring = ring("a", &[&KeyRing::generate_entry("a").unwrap()]);
        let (webhook, other) = (WebhookId::new(), WebhookId::new());
        let sealed = ring.seal_webhook_secret(webhook, &SecretString::from("whsec_x")).unwrap();
        assert_eq!(ring.open_webhook_secret(webhook, &sealed).unwrap().expose_secret(), "whsec_x");
        assert_eq!(ring.open_webhook_secret(other, &sealed).unwrap_err(), KeyRingError::Refused);
    }

    #[test]
    fn an_old_key_still_opens_and_the_current_one_seals() {
        let (old, new) = (KeyRing::generate_entry("old").unwrap(), KeyRing::generate_entry("new").unwrap());
        let (host, path) = ("ghcr.io".parse().unwrap(), "my-org".parse().unwrap());
        let context = SealContext { organization: OrganizationId::new(), host: &host, path: &path };
        let sealed = ring("old", &[&old]).seal(&context, &credential()).unwrap();
        let both = ring("new", &[&old, &new]);
        assert_eq!(both.open(&context, &sealed).unwrap().username, "robot");
        assert_eq!(both.seal(&context, &credential()).unwrap().key_id, "new");
        let gone = ring("new", &[&new]).open(&context, &sealed).unwrap_err();
        assert_eq!(gone, KeyRingError::UnknownKey { id: "old".to_owned() });
    }

    #[test]
    fn a_ring_in_a_file_follows_a_rotation_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key-ring");
        let (old, new) = (KeyRing::generate_entry("old").unwrap(), KeyRing::generate_entry("new").unwrap());
        std::fs::write(&file, old.expose_secret()).unwrap();
        let (host, path) = ("ghcr.io".parse().unwrap(), "my-org".parse().unwrap());
        let context = SealContext { organization: OrganizationId::new(), host: &host, path: &path };
        let running = KeyRing::load(&KeyRingSettings::File { file: file.clone() }).unwrap();
        let before = running.seal(&context, &credential()).unwrap();

        std::fs::write(&file, format!("{},{}\n", old.expose_secret(), new.expose_secret())).unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
        let after = running.seal(&context, &credential()).unwrap();
        assert_eq!((before.key_id.as_str(), after.key_id.as_str()), ("old", "new"));
        assert!(running.open(&context, &before).is_ok() && running.open(&context, &after).is_ok());

        std::fs::remove_file(&file).unwrap();
        assert!(running.open(&context, &after).is_ok(), "keys that are known go on working");
    }

    #[test]
    fn nothing_secret_is_in_debug_or_errors() {
        let entry = KeyRing::generate_entry("a").unwrap();
        let encoded = entry.expose_secret().strip_prefix("a:").unwrap().to_owned();
        let settings = KeyRingSettings::Keys { current: "a".to_owned(), keys: entry };
        let ring = KeyRing::load(&settings).unwrap();
        let shown = format!("{settings:?} {ring:?} {:?}", credential());
        assert!(!shown.contains(&encoded) && !shown.contains("s3cr3t"), "{shown}");
    }

    #[test]
    fn a_bad_ring_does_not_load() {
        let weak = STANDARD.encode([0; KEY_BYTES]);
        let counting: Vec<u8> = (0..32).collect();
        assert_eq!(load("a", "a").unwrap_err(), KeyRingError::Entry { position: 1 });
        assert_eq!(load("a", "a:AAAA").unwrap_err(), KeyRingError::Entry { position: 1 });
        assert_eq!(load("a", &format!("a:{weak}")).unwrap_err(), KeyRingError::Weak { id: "a".to_owned() });
        assert!(matches!(load("a", &format!("a:{}", STANDARD.encode(counting))), Err(KeyRingError::Weak { .. })));
        let good = KeyRing::generate_entry("a").unwrap();
        assert_eq!(load("b", good.expose_secret()).unwrap_err(), KeyRingError::NoCurrent { id: "b".to_owned() });
        let twice = format!("{0},{0}", good.expose_secret());
        assert_eq!(load("a", &twice).unwrap_err(), KeyRingError::Twice { id: "a".to_owned() });
    }
}
