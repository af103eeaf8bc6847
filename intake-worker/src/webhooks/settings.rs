//! How webhooks are reached.

use std::time::Duration;

use registry_types::image_reference::RegistryHost;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettings {
    /// Webhooks in private networks and, in production, on loopback may be reached.
    pub allow_private_networks: bool,
    /// Hosts that are reached over plain http beside loopback. Development only.
    pub plain_http_hosts: Vec<String>,
    pub connect_ms: u64,
    /// One whole attempt.
    pub timeout_ms: u64,
    /// The wait after each attempt that failed, in seconds; after the last of them the delivery has failed. A fifth is added
    /// at random at most, so that what failed together does not come back together.
    pub retry_seconds: Vec<u64>,
    /// A webhook that has had no success for so long is disabled.
    pub disable_after_hours: u32,
    /// Deliveries at the same time, beside other jobs.
    pub concurrency: usize,
    /// Deliveries to one host at the same time, over all workers.
    pub per_host: u32,
}

/// About three days in all: as the Standard Webhooks specification recommends.
const RETRY_SECONDS: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            allow_private_networks: false,
            plain_http_hosts: Vec::new(),
            connect_ms: 5_000,
            timeout_ms: 15_000,
            retry_seconds: RETRY_SECONDS.to_vec(),
            disable_after_hours: 5 * 24,
            concurrency: 8,
            per_host: 4,
        }
    }
}

impl WebhookSettings {
    pub(crate) fn disable_after(&self) -> Duration {
        Duration::from_hours(u64::from(self.disable_after_hours))
    }

    /// The wait after an attempt that failed, of which there were `tries` before; `None`: it was the last.
    pub(crate) fn delay_after(&self, tries: u32) -> Option<Duration> {
        let seconds = *self.retry_seconds.get(usize::try_from(tries).ok()?)?;
        let random = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
        Some(Duration::from_secs(seconds).mul_f64(1.0 + random / 5.0))
    }

    pub(crate) fn hosts(&self) -> Result<Vec<RegistryHost>, String> {
        let parse = |host: &String| host.parse().map_err(|_| format!("{host:?} is not host[:port]"));
        self.plain_http_hosts.iter().map(parse).collect()
    }

    /// What is wrong with them in any profile.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.connect_ms == 0 || self.timeout_ms == 0 || self.timeout_ms > 60_000 {
            return Some("connect_ms and timeout_ms must be positive, timeout_ms at most 60000".to_owned());
        }
        if self.retry_seconds.len() > 50 || self.retry_seconds.iter().any(|seconds| *seconds > 7 * 86_400) {
            return Some("retry_seconds has at most 50 waits of at most a week".to_owned());
        }
        if !(1..=256).contains(&self.concurrency) || self.per_host == 0 {
            return Some("concurrency must be 1 to 256, per_host positive".to_owned());
        }
        self.hosts().err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_has_an_end() {
        let settings = WebhookSettings::default();
        let waits: Vec<_> = (0..).map_while(|tries| settings.delay_after(tries)).collect();
        assert_eq!(waits.len(), RETRY_SECONDS.len());
        for (wait, least) in waits.iter().zip(RETRY_SECONDS) {
            let least = Duration::from_secs(least);
            assert!(*wait >= least && *wait <= least.mul_f64(1.2), "{wait:?}");
        }
        assert!(RETRY_SECONDS.iter().sum::<u64>() < 5 * 86_400, "a webhook is not disabled within one schedule");
        assert_eq!(settings.fault(), None);
    }
}
