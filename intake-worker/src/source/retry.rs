//! When a request is tried again, and after how long.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::error::SourceError;

/// How often and after what waits a failed request is repeated.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub attempts: u32,
    /// Wait before the second try; doubles with each further one, with jitter.
    pub base: Duration,
    /// The longest wait. A registry that asks for more ends the request; the job queue waits instead.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 4, base: Duration::from_millis(500), longest: Duration::from_secs(30) }
    }
}

impl RetryPolicy {
    /// The wait before try number `attempt + 1`, or `None` when `error` should be handed on.
    pub(super) fn wait(&self, attempt: u32, error: &SourceError) -> Option<Duration> {
        let worth_it = match error {
            SourceError::RateLimited { .. } | SourceError::Unavailable(_) | SourceError::Timeout(_) => true,
            SourceError::NotFound { .. }
            | SourceError::AccessDenied { .. }
            | SourceError::HostForbidden { .. }
            | SourceError::LimitExceeded { .. }
            | SourceError::ManifestInvalid { .. }
            | SourceError::ForeignLayer { .. }
            | SourceError::DigestMismatch { .. }
            | SourceError::SizeMismatch { .. }
            | SourceError::Protocol(_)
            | SourceError::Unsupported { .. }
            | SourceError::Setup(_) => false,
        };
        if !worth_it || attempt >= self.attempts {
            return None;
        }
        match error.retry_after() {
            Some(asked) if asked > self.longest => None,
            Some(asked) => Some(asked),
            None => Some(self.backoff(attempt)),
        }
    }

    /// Exponential, with half of it random so that workers do not come back together.
    fn backoff(&self, attempt: u32) -> Duration {
        let full = self.base.saturating_mul(1 << (attempt - 1).min(16)).min(self.longest);
        let share = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
        full.mul_f64(0.5 + share / 2.0)
    }
}

/// RFC 9110 section 10.2.3: seconds or an HTTP date.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        let now = httpdate::parse_http_date("Fri, 20 Nov 2026 12:00:00 GMT").unwrap();
        retry_after(&headers, now)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Fri, 20 Nov 2026 12:01:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(asked("Fri, 20 Nov 2026 11:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
        assert_eq!(asked("-1"), None);
    }

    #[test]
    fn waits_grow_stay_capped_and_end() {
        let policy = RetryPolicy { attempts: 4, base: Duration::from_millis(100), longest: Duration::from_millis(300) };
        let outage = SourceError::Unavailable("HTTP 503".into());
        for (attempt, most) in [(1, 100), (2, 200), (3, 300)] {
            let wait = policy.wait(attempt, &outage).unwrap();
            let most = Duration::from_millis(most);
            assert!(wait >= most / 2 && wait <= most, "{wait:?}");
        }
        assert_eq!(policy.wait(4, &outage), None);
        let limited = |after| SourceError::RateLimited { retry_after: Some(Duration::from_millis(after)) };
        assert_eq!(policy.wait(1, &limited(200)), Some(Duration::from_millis(200)));
        assert_eq!(policy.wait(1, &limited(301)), None);
        assert_eq!(policy.wait(1, &SourceError::NotFound { what: "x".into() }), None);
    }
}
