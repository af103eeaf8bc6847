//! Passwords: argon2id, off the async threads, a bounded number at a time.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::problem::{Problem, ProblemCode};

/// Shortest and longest password that is accepted, in characters and bytes.
const MIN_CHARS: usize = 10;
const MAX_BYTES: usize = 1024;
/// How long a login waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hashes and verifies. Each computation takes about 20 MiB, so their number is bounded.
pub(crate) struct Passwords {
    turns: Semaphore,
    /// Hash of nobody's password: a login for an unknown user costs the same as one with a wrong password.
    nobody: Arc<str>,
}

impl Passwords {
    pub(crate) async fn new(parallel: usize) -> Result<Self, Problem> {
        let nobody = hash_blocking(SecretString::from(uuid::Uuid::new_v4().to_string())).await?;
        Ok(Self { turns: Semaphore::new(parallel), nobody: nobody.into() })
    }

    /// PHC string of a new password.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, Problem> {
        check_new(&password)?;
        let _turn = self.turn().await?;
        hash_blocking(password).await
    }

    /// Whether `password` is the one that `stored` was made of; always false without `stored`, at the same cost.
    pub(crate) async fn verify(&self, password: SecretString, stored: Option<String>) -> Result<bool, Problem> {
        if password.expose_secret().len() > MAX_BYTES {
            return Ok(false);
        }
        let _turn = self.turn().await?;
        let is_known = stored.is_some();
        let hash = stored.map_or_else(|| Arc::clone(&self.nobody), Arc::from);
        let fits = blocking(move || {
            Argon2::default().verify_password(password.expose_secret().as_bytes(), hash.as_ref()).is_ok()
        });
        Ok(fits.await? && is_known)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        match tokio::time::timeout(PATIENCE, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(closed)) => Err(Problem::internal(closed)),
            Err(_) => Err(Problem::new(ProblemCode::Unavailable, "too many logins at the same time, try again")),
        }
    }
}

/// Hashes outside a running server: for the first user of a store.
pub(crate) async fn hash_first(password: SecretString) -> Result<String, Problem> {
    check_new(&password)?;
    hash_blocking(password).await
}

fn check_new(password: &SecretString) -> Result<(), Problem> {
    let password = password.expose_secret();
    if password.chars().count() < MIN_CHARS || password.len() > MAX_BYTES {
        let detail = format!("a password has at least {MIN_CHARS} characters and at most {MAX_BYTES} bytes");
        return Err(Problem::bad_request(detail));
    }
    Ok(())
}

async fn hash_blocking(password: SecretString) -> Result<String, Problem> {
    let hash = blocking(move || {
        Argon2::default().hash_password(password.expose_secret().as_bytes()).map(|hash| hash.to_string())
    });
    hash.await?.map_err(|e| Problem::internal(e.to_string()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_fits() {
        let passwords = Passwords::new(1).await.unwrap();
        let stored = passwords.hash(SecretString::from("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$"));
        let verify = |text: &str, stored| passwords.verify(SecretString::from(text), stored);
        assert!(verify("correct horse", Some(stored.clone())).await.unwrap());
        assert!(!verify("wrong horse", Some(stored)).await.unwrap());
        assert!(!verify("correct horse", None).await.unwrap());
        assert!(!verify("correct horse", Some("not a hash".to_owned())).await.unwrap());
    }

    #[tokio::test]
    async fn short_and_huge_passwords_are_refused() {
        let passwords = Passwords::new(1).await.unwrap();
        for bad in ["short".to_owned(), "x".repeat(MAX_BYTES + 1)] {
            assert_eq!(passwords.hash(SecretString::from(bad)).await.unwrap_err().code, ProblemCode::BadRequest);
        }
    }
}
