//! How much one caller may ask for: counted here, in this process, by the policy document in force.

mod address;
mod bucket;
mod guard;
mod logins;
mod requests;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use registry_db::users::SecretHash;
use registry_db::{DbResult, Pool, store_settings};
use registry_types::policy::LimitPolicy;
use tokio_util::sync::CancellationToken;

pub(crate) use address::{TrustedProxies, client_address};
pub(crate) use guard::{guard, tell_standing};
pub(crate) use logins::LoginAttempt;
use logins::LoginLimiter;
use requests::{KnownCredentials, RequestLimiter};

/// How long another process's change of the policy may go unnoticed.
const REFRESH: Duration = Duration::from_secs(5);

/// The limits in force. Until the database was asked for the first time: those of a policy document that says nothing.
pub(crate) struct Limits {
    current: RwLock<Arc<InForce>>,
    known: KnownCredentials,
}

struct InForce {
    policy: LimitPolicy,
    requests: RequestLimiter,
    logins: LoginLimiter,
}

impl InForce {
    fn of(policy: LimitPolicy) -> Self {
        Self { policy, requests: RequestLimiter::new(&policy.requests), logins: LoginLimiter::new(policy.logins) }
    }
}

impl Limits {
    pub(crate) fn new() -> Self {
        let current = RwLock::new(Arc::new(InForce::of(LimitPolicy::default())));
        Self { current, known: KnownCredentials::default() }
    }

    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other limits in force, and counts anew; the same ones go on counting.
    pub(crate) fn set(&self, policy: LimitPolicy) {
        if self.in_force().policy != policy {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(InForce::of(policy));
        }
    }

    /// This credential was seen to be valid.
    pub(crate) fn recognise(&self, credential: SecretHash) {
        self.known.note(credential);
    }

    /// Follows the policy document until the server stops, and forgets who has not been heard of for a while. When the database
    /// does not answer, the limits stay as they are.
    pub(crate) async fn follow(&self, pool: &Pool, stopping: CancellationToken) {
        loop {
            match read(pool).await {
                Ok(policy) => self.set(policy),
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the limits cannot be read"),
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(REFRESH) => {}
            }
            let current = self.in_force();
            current.requests.forget_idle();
            current.logins.forget_idle();
        }
    }
}

async fn read(pool: &Pool) -> DbResult<LimitPolicy> {
    Ok(store_settings::policy(&mut *pool.get().await?).await?.limits)
}
