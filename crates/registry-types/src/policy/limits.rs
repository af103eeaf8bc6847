//! What one caller, one address and one organization may use of the store.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::PolicyError;
use crate::limits::MAX_BODY_BYTES;
use crate::people::TrustTier;

/// The least that the body limit may be: a policy document of any use must still go through.
const MIN_BODY_BYTES: usize = 64 * 1024;

/// So many in a minute in the long run, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub per_minute: NonZeroU32,
    pub burst: NonZeroU32,
}

impl Rate {
    const fn of(per_minute: u32, burst: u32) -> Self {
        match (NonZeroU32::new(per_minute), NonZeroU32::new(burst)) {
            (Some(per_minute), Some(burst)) => Self { per_minute, burst },
            _ => panic!("a rate is positive"),
        }
    }

    /// In how many seconds a used up burst is whole again, rounded up.
    #[must_use]
    pub fn window_seconds(self) -> u64 {
        self.refill_seconds(self.burst.get())
    }

    /// In how many seconds so many come back, rounded up.
    #[must_use]
    pub fn refill_seconds(self, count: u32) -> u64 {
        (u64::from(count) * 60).div_ceil(u64::from(self.per_minute.get()))
    }
}

/// See the parts. Counted by each process of the API for itself, but for the quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitPolicy {
    pub requests: RequestLimits,
    pub logins: LoginLimits,
    /// The largest body of a request, 64 KiB to 1 MiB and 64 KiB.
    pub max_body_bytes: usize,
    pub quotas: Quotas,
}

impl Default for LimitPolicy {
    fn default() -> Self {
        Self {
            requests: RequestLimits::default(),
            logins: LoginLimits::default(),
            max_body_bytes: MAX_BODY_BYTES,
            quotas: Quotas::default(),
        }
    }
}

/// Requests; null: as many as they like. The index, which is served from memory, and the operators' probes do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestLimits {
    /// By one session or API key, wherever from.
    pub per_credential: Option<Rate>,
    /// Without a valid credential from one address (IPv6: one network of 64 bits).
    pub per_address: Option<Rate>,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { per_credential: Some(Rate::of(6000, 1000)), per_address: Some(Rate::of(3000, 1000)) }
    }
}

/// Logins that fail; those that succeed do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoginLimits {
    /// For one account from one address; beyond, refused.
    pub failures_per_account_and_address: Rate,
    /// From one address, whatever the account; beyond, refused.
    pub failures_per_address: Rate,
    /// For one account, wherever from. Beyond, each login of it waits for `delay_ms` and is never refused: nobody can keep
    /// somebody else out.
    pub failures_per_account: Rate,
    pub delay_ms: u32,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self {
            failures_per_account_and_address: Rate::of(6, 10),
            failures_per_address: Rate::of(30, 60),
            failures_per_account: Rate::of(12, 30),
            delay_ms: 2_000,
        }
    }
}

/// What an organization may have, by its trust tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    pub community: Quota,
    pub verified: Quota,
    pub internal: Quota,
}

impl Default for Quotas {
    fn default() -> Self {
        let of = |packages, versions_per_day, stored_gib: u64| Quota {
            packages,
            versions_per_day,
            stored_bytes: stored_gib << 30,
            ..Quota::default()
        };
        Self { community: of(100, 200, 100), verified: of(1_000, 1_000, 1_000), internal: of(10_000, 10_000, 10_000) }
    }
}

impl Quotas {
    #[must_use]
    pub const fn of(&self, tier: TrustTier) -> Quota {
        match tier {
            TrustTier::Community => self.community,
            TrustTier::Verified => self.verified,
            TrustTier::Internal => self.internal,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    pub packages: u32,
    /// Versions submitted within 24 hours, those tried again too.
    pub versions_per_day: u32,
    /// Bytes of its versions that are not rejected. Nothing more is taken in once they are reached.
    pub stored_bytes: u64,
    /// Intakes that are queued or running.
    pub open_intakes: u32,
    /// Registry namespaces.
    pub registries: u32,
    /// Keys that package manifests are signed with, the revoked ones too.
    pub manifest_keys: u32,
    /// Waivers that wait or are in force.
    pub open_waivers: u32,
    /// The store itself has as many as an internal organization.
    pub webhooks: u32,
    /// Jobs of continuous integration that may publish.
    pub trusted_publishers: u32,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            packages: 100,
            versions_per_day: 200,
            stored_bytes: 100 << 30,
            open_intakes: 50,
            registries: 100,
            manifest_keys: 200,
            open_waivers: 500,
            webhooks: 20,
            trusted_publishers: 200,
        }
    }
}

impl LimitPolicy {
    pub(super) fn validate(&self) -> Result<(), PolicyError> {
        if !(MIN_BODY_BYTES..=MAX_BODY_BYTES).contains(&self.max_body_bytes) {
            return Err(PolicyError::BodyLimit);
        }
        if self.logins.delay_ms > 10_000 {
            return Err(PolicyError::LoginDelay);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_positive_and_knows_its_window() {
        assert!(serde_json::from_str::<Rate>(r#"{"per_minute": 0, "burst": 1}"#).is_err());
        assert!(serde_json::from_str::<Rate>(r#"{"per_minute": 1, "burst": 1, "more": 1}"#).is_err());
        assert_eq!(Rate::of(60, 10).window_seconds(), 10);
        assert_eq!(Rate::of(600, 1).window_seconds(), 1);
    }

    #[test]
    fn bounds_are_bounded() {
        let with = |max_body_bytes| LimitPolicy { max_body_bytes, ..LimitPolicy::default() }.validate();
        assert_eq!(with(MAX_BODY_BYTES), Ok(()));
        assert_eq!(with(MAX_BODY_BYTES + 1), Err(PolicyError::BodyLimit));
        assert_eq!(with(1), Err(PolicyError::BodyLimit));
    }
}
