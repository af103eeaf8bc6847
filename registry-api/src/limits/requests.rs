//! Requests of one credential, and of one address without a valid one.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use registry_db::users::SecretHash;
use registry_types::policy::{Rate, RequestLimits};

use super::address::network;
use super::bucket::{Bucket, UsedUp};

/// Credentials that are remembered as valid ones.
const MAX_KNOWN: usize = 100_000;

/// Credentials that were seen to be valid. Only they have buckets of their own: invented ones would each bring a new one.
#[derive(Default)]
pub(super) struct KnownCredentials(Mutex<HashSet<SecretHash>>);

impl KnownCredentials {
    pub(super) fn note(&self, credential: SecretHash) {
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(credential);
    }

    pub(super) fn holds(&self, credential: SecretHash) -> bool {
        self.known().contains(&credential)
    }

    fn known(&self) -> MutexGuard<'_, HashSet<SecretHash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct RequestLimiter {
    credentials: Option<Bucket<SecretHash>>,
    addresses: Option<Bucket<IpAddr>>,
}

/// What was counted, as the answer tells it (draft-ietf-httpapi-ratelimit-headers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    name: &'static str,
    rate: Rate,
    remaining: u32,
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");

impl Standing {
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        let Self { name, rate, remaining } = self;
        let burst = rate.burst.get();
        let whole_in = rate.refill_seconds(burst - remaining.min(burst));
        for (header, value) in [
            (POLICY, format!("\"{name}\";q={burst};w={}", rate.window_seconds())),
            (STANDING, format!("\"{name}\";r={remaining};t={whole_in}")),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(header, value);
            }
        }
    }
}

impl RequestLimiter {
    pub(super) fn new(limits: &RequestLimits) -> Self {
        Self { credentials: limits.per_credential.map(Bucket::new), addresses: limits.per_address.map(Bucket::new) }
    }

    /// Counts one request, by a credential that was seen to be valid or else by where it comes from. `None`: it is not limited.
    pub(super) fn count(
        &self,
        known: Option<SecretHash>,
        address: Option<IpAddr>,
    ) -> Result<Option<Standing>, (Standing, UsedUp)> {
        match known {
            Some(hash) => take("credential", self.credentials.as_ref(), &hash),
            // Without an address there is nobody to count: a socket that is gone already.
            None => address.map_or(Ok(None), |address| take("address", self.addresses.as_ref(), &network(address))),
        }
    }

    pub(super) fn forget_idle(&self) {
        if let Some(bucket) = &self.credentials {
            bucket.forget_idle();
        }
        if let Some(bucket) = &self.addresses {
            bucket.forget_idle();
        }
    }
}

fn take<K: std::hash::Hash + Eq + Clone>(
    name: &'static str,
    bucket: Option<&Bucket<K>>,
    key: &K,
) -> Result<Option<Standing>, (Standing, UsedUp)> {
    let Some(bucket) = bucket else { return Ok(None) };
    let standing = |remaining| Standing { name, rate: bucket.rate, remaining };
    bucket.take(key).map(|remaining| Some(standing(remaining))).map_err(|used_up| (standing(0), used_up))
}
