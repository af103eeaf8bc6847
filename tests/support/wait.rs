//! Waiting for another process or task, in this one place: there is no other way than to look again.

use std::time::{Duration, Instant};

/// Far above what anything here takes on a busy machine: running into it is a failure, never a synchronisation.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
pub(crate) const INTERVAL: Duration = Duration::from_millis(20);

/// Asks `probe` until it gives a value.
///
/// # Panics
/// When it gave none within 90 seconds.
pub async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(started.elapsed() < LIMIT, "waited {} seconds for {what}", LIMIT.as_secs());
        tokio::time::sleep(INTERVAL).await;
    }
}
