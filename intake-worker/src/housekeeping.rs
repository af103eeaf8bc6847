//! The housekeeping job: what is out of date goes.

use std::sync::Arc;
use std::time::Duration;

use blob_store::BlobStore;
use chrono::{TimeDelta, Utc};
use registry_db::jobs::{self, ClaimedJob, Enqueue};
use registry_db::{
    Connection, DbResult, Pool, advisories, housekeeping, identity_providers, intakes, namespace_proofs, rejudgement,
    reviews, transaction, waivers,
};
use registry_types::job::JobPayload;

use crate::job_error::JobError;

/// How often it runs.
const INTERVAL: TimeDelta = TimeDelta::hours(1);
const KEY: &str = "housekeeping";

/// Sees to it that the next run is planned.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn plan(conn: &mut Connection, first: bool) -> DbResult<()> {
    let run_after = if first { None } else { Some(Utc::now() + INTERVAL) };
    let how = Enqueue { run_after, dedup_key: Some(KEY.to_owned()), max_attempts: 3, ..Enqueue::default() };
    jobs::enqueue(conn, &JobPayload::Housekeeping {}, how).await.map(|_| ())
}

/// # Errors
/// When the database or the object store does not answer, or the lease is lost.
pub(crate) async fn run(
    pool: &Pool,
    blobs: &Arc<dyn BlobStore>,
    upload_grace: Duration,
    job: &ClaimedJob,
) -> Result<(), JobError> {
    // An upload belongs to an intake under way: one that is older than all of them was left behind.
    let oldest = intakes::longest_running(&mut *pool.get().await?).await?;
    let uploads = blobs.remove_stale_uploads(oldest.unwrap_or_default() + upload_grace).await?;
    let mut conn = pool.get().await?;
    let rows = housekeeping::remove_expired(&mut conn).await?;
    let snapshots = advisories::remove_outdated(&mut conn).await?;
    tracing::info!(uploads, rows, snapshots, "removed what was out of date");
    // Owed since a job was given up, or since before this version of the program.
    rejudgement::plan(&mut conn).await?;
    waivers::plan(&mut conn).await?;
    transaction(&mut conn, async |conn| reviews::open_missing(conn).await).await?;
    transaction(&mut conn, async |conn| namespace_proofs::request_due(conn).await).await?;
    // So that they are at hand when the provider is not, and one that was withdrawn does not count for long.
    identity_providers::request_all_used(&mut conn).await?;
    end(&mut conn, job).await
}

/// Ends this run and plans the next one together.
///
/// # Errors
/// When the database does not answer, or the lease is lost.
async fn end(conn: &mut Connection, job: &ClaimedJob) -> Result<(), JobError> {
    transaction(conn, async |conn| {
        jobs::finish(conn, job.lease).await?;
        plan(conn, false).await
    })
    .await?;
    Ok(())
}

/// Gives up this run; the next one is planned all the same.
///
/// # Errors
/// When the database does not answer, or the lease is lost.
pub(crate) async fn give_up(pool: &Pool, job: &ClaimedJob, error: &str) -> Result<(), JobError> {
    transaction(&mut *pool.get().await?, async |conn| {
        jobs::fail(conn, job, error).await?;
        plan(conn, false).await
    })
    .await?;
    Ok(())
}
