//! The job `waivers`: what time does to waivers.

use registry_db::jobs::{self, ClaimedJob};
use registry_db::{Pool, transaction, waivers};

use crate::job_error::JobError;

/// # Errors
/// When the database does not answer, or the lease is lost.
pub(crate) async fn run(pool: &Pool, job: &ClaimedJob) -> Result<(), JobError> {
    let mut conn = pool.get().await?;
    let due = transaction(&mut conn, async |conn| waivers::settle_due(conn, job.lease).await).await?;
    for waiver in &due.expired {
        tracing::info!(waiver = %waiver.id, advisory = %waiver.advisory, "a waiver has expired");
    }
    for waiver in &due.warned {
        tracing::warn!(waiver = %waiver.id, advisory = %waiver.advisory, expires_at = %waiver.expires_at, "a waiver ends soon");
    }
    Ok(())
}

/// Gives the job up; housekeeping plans the next one.
///
/// # Errors
/// When the database does not answer, or the lease is lost.
pub(crate) async fn give_up(pool: &Pool, job: &ClaimedJob, error: &str) -> Result<(), JobError> {
    let mut conn = pool.get().await?;
    transaction(&mut conn, async |conn| jobs::fail(conn, job, error).await).await?;
    Ok(())
}
