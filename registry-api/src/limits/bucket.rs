//! A rate for each key.

use std::hash::Hash;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use registry_types::policy::Rate;

pub(super) struct Bucket<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, HashMapStateStore<K>, DefaultClock, StateInformationMiddleware>,
    pub(super) rate: Rate,
}

/// How long until one more is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UsedUp {
    pub(super) wait: Duration,
}

impl UsedUp {
    /// For `Retry-After`.
    pub(super) fn seconds(self) -> u64 {
        self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0)
    }
}

impl<K: Hash + Eq + Clone> Bucket<K> {
    pub(super) fn new(rate: Rate) -> Self {
        let quota = Quota::per_minute(rate.per_minute).allow_burst(rate.burst);
        Self { limiter: RateLimiter::new(quota, HashMapStateStore::default(), DefaultClock::default()), rate }
    }

    /// Takes one; how many are left.
    pub(super) fn take(&self, key: &K) -> Result<u32, UsedUp> {
        match self.limiter.check_key(key) {
            Ok(state) => Ok(state.remaining_burst_capacity()),
            Err(not_until) => Err(UsedUp { wait: not_until.wait_time_from(self.limiter.clock().now()) }),
        }
    }

    /// Forgets the keys whose bucket is full again.
    pub(super) fn forget_idle(&self) {
        self.limiter.retain_recent();
    }
}
