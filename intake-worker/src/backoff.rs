//! How long to wait before another attempt.

use std::time::Duration;

use crate::settings::QueueSettings;

/// Doubles with each attempt up to the cap; a random half of it is taken off, so that jobs which failed together don't come
/// back together. Never shorter than the other side asked for, unless that is beyond the cap.
pub(crate) fn delay(queue: &QueueSettings, attempt: i32, asked: Option<Duration>) -> Duration {
    delay_with(queue, attempt, asked, random())
}

fn delay_with(queue: &QueueSettings, attempt: i32, asked: Option<Duration>, random: f64) -> Duration {
    let cap = Duration::from_millis(queue.retry_cap_ms);
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(31);
    let full = Duration::from_millis(queue.retry_base_ms).saturating_mul(1 << doublings).min(cap);
    full.mul_f64(1.0 - random / 2.0).max(asked.unwrap_or_default().min(cap))
}

/// In [0, 1). Without randomness of the system jitter is all that is lost.
fn random() -> f64 {
    f64::from(getrandom::u32().unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_honour_what_was_asked() {
        let queue = QueueSettings { retry_base_ms: 1_000, retry_cap_ms: 60_000, ..QueueSettings::default() };
        let full = |attempt| delay_with(&queue, attempt, None, 0.0).as_millis();
        assert_eq!([full(1), full(2), full(3), full(7), full(100)], [1_000, 2_000, 4_000, 60_000, 60_000]);
        assert_eq!(delay_with(&queue, 2, None, 0.999_999).as_millis(), 1_000);
        assert_eq!(delay_with(&queue, 1, Some(Duration::from_secs(30)), 0.5), Duration::from_secs(30));
        assert_eq!(delay_with(&queue, 1, Some(Duration::from_secs(86_400)), 0.5), Duration::from_secs(60));
    }
}
