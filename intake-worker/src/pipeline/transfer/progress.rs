//! Telling how far the transfer is, seldom enough to be cheap.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use registry_db::intakes::{self, EventKind};
use registry_db::transaction;
use registry_types::intake::IntakeStep;
use serde_json::json;

use super::super::context::Run;
use super::super::step_error::StepError;

/// Looked at this often…
const INTERVAL: Duration = Duration::from_millis(250);
/// …and told when this much of the whole has been added, in percent.
const STEP_PERCENT: u64 = 5;

/// Bytes that are done, of all bytes of the image's blobs.
pub(super) struct Progress {
    total: u64,
    done: AtomicU64,
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        Self { total, done: AtomicU64::new(0) }
    }

    pub(super) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Drives `work`, telling of its progress meanwhile.
    pub(super) async fn told<T>(
        &self,
        run: &Run<'_>,
        work: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        tokio::select! {
            biased;
            result = work => result,
            error = self.tell(run) => Err(error),
        }
    }

    /// Ends only with an error.
    async fn tell(&self, run: &Run<'_>) -> StepError {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + INTERVAL, INTERVAL);
        let mut told = 0;
        loop {
            ticks.tick().await;
            let percent = self.done.load(Ordering::Relaxed).saturating_mul(100) / self.total.max(1);
            if percent >= told + STEP_PERCENT {
                told = percent;
                if let Err(error) = self.tell_once(run).await {
                    return error;
                }
            }
        }
    }

    async fn tell_once(&self, run: &Run<'_>) -> Result<(), StepError> {
        let data = json!({
            "step": IntakeStep::Transfer,
            "done_bytes": self.done.load(Ordering::Relaxed),
            "total_bytes": self.total,
        });
        let mut conn = run.pipeline.pool.get().await?;
        transaction(&mut conn, async |conn| {
            intakes::append_event(conn, run.job.lease, run.work.id, EventKind::Progress, data).await
        })
        .await?;
        Ok(())
    }
}
