//! Logins that fail: refused to whoever goes on guessing, and to nobody else.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use registry_types::policy::{LoginLimits, Rate};
use sha2::{Digest as _, Sha256};

use super::Limits;
use super::address::network;
use super::bucket::{Bucket, UsedUp};
use crate::problem::Problem;

/// By its e-mail address as it was typed, whether there is such an account or not: both are answered alike.
type Account = [u8; 32];

pub(super) struct LoginLimiter {
    pairs: Failures<(Account, IpAddr)>,
    addresses: Failures<IpAddr>,
    accounts: Failures<Account>,
    delay: Duration,
}

impl LoginLimiter {
    pub(super) fn new(limits: LoginLimits) -> Self {
        Self {
            pairs: Failures::new(limits.failures_per_account_and_address),
            addresses: Failures::new(limits.failures_per_address),
            accounts: Failures::new(limits.failures_per_account),
            delay: Duration::from_millis(u64::from(limits.delay_ms)),
        }
    }

    pub(super) fn forget_idle(&self) {
        self.pairs.forget_idle();
        self.addresses.forget_idle();
        self.accounts.forget_idle();
    }
}

/// Counts failures only: what succeeds takes nothing away.
struct Failures<K: Hash + Eq + Clone> {
    bucket: Bucket<K>,
    used_up: Mutex<HashMap<K, Instant>>,
}

impl<K: Hash + Eq + Clone> Failures<K> {
    fn new(rate: Rate) -> Self {
        Self { bucket: Bucket::new(rate), used_up: Mutex::default() }
    }

    fn check(&self, key: &K) -> Result<(), UsedUp> {
        let until = self.used_up().get(key).copied();
        match until.and_then(|until| until.checked_duration_since(Instant::now())) {
            Some(wait) if !wait.is_zero() => Err(UsedUp { wait }),
            Some(_) | None => Ok(()),
        }
    }

    fn note(&self, key: K) {
        let one_more = Duration::from_secs(60) / self.bucket.rate.per_minute.get();
        let wait = match self.bucket.take(&key) {
            Ok(0) => one_more,
            Ok(_) => return,
            Err(used_up) => used_up.wait,
        };
        self.used_up().insert(key, Instant::now() + wait);
    }

    fn forget_idle(&self) {
        self.bucket.forget_idle();
        let now = Instant::now();
        self.used_up().retain(|_, until| *until > now);
    }

    fn used_up(&self) -> std::sync::MutexGuard<'_, HashMap<K, Instant>> {
        self.used_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One login with a password.
pub(crate) struct LoginAttempt<'a> {
    limits: &'a Limits,
    account: Account,
    address: Option<IpAddr>,
}

impl<'a> LoginAttempt<'a> {
    /// Of the account with this name; waits, where too many have guessed at it from anywhere.
    ///
    /// # Errors
    /// 429 when too many failed from this address.
    pub(crate) async fn begin(limits: &'a Limits, account: &str, address: Option<IpAddr>) -> Result<Self, Problem> {
        let account = Sha256::digest(account).into();
        let attempt = Self { limits, account, address: address.map(network) };
        let delay = attempt.judge()?;
        tokio::time::sleep(delay).await;
        Ok(attempt)
    }

    fn judge(&self) -> Result<Duration, Problem> {
        let logins = &self.limits.in_force().logins;
        if let Some(address) = self.address {
            let refused =
                |used_up: UsedUp| Problem::rate_limited("too many logins from here have failed", used_up.seconds());
            logins.pairs.check(&(self.account, address)).map_err(refused)?;
            logins.addresses.check(&address).map_err(refused)?;
        }
        Ok(if logins.accounts.check(&self.account).is_err() { logins.delay } else { Duration::ZERO })
    }

    pub(crate) fn failed(&self) {
        let logins = &self.limits.in_force().logins;
        if let Some(address) = self.address {
            logins.pairs.note((self.account, address));
            logins.addresses.note(address);
        }
        logins.accounts.note(self.account);
    }
}
