//! The leased job queue.
//!
//! A job is enqueued in its cause's transaction, claimed briefly (`FOR UPDATE SKIP LOCKED`, the attempt counted at the
//! claim, so that a crash uses one up), kept by heartbeats and ended by compare-and-set on the lease. There is no reaper:
//! a job whose lease ran out is simply claimable again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::ids::{JobId, OrganizationId};
use registry_types::image_reference::RegistryHost;
use registry_types::job::{JobKind, JobPayload};

use crate::audit::{self, Actor, Entry};
use crate::error::stored;
use crate::prepared::prepared;
use crate::schema::jobs;
use crate::{Connection, DbError, DbResult};

/// How a job is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueue {
    /// Whose work it is; `None` = the store's own.
    pub organization: Option<OrganizationId>,
    /// The registry that it reads.
    pub source_host: Option<RegistryHost>,
    /// Of the call that causes it.
    pub request_id: Option<String>,
    /// Not before this time; `None` = at once.
    pub run_after: Option<DateTime<Utc>>,
    /// At most one open job has this key: enqueueing again gives the open one.
    pub dedup_key: Option<String>,
    pub max_attempts: i32,
}

impl Default for Enqueue {
    fn default() -> Self {
        Self {
            organization: None,
            source_host: None,
            request_id: None,
            run_after: None,
            dedup_key: None,
            max_attempts: ATTEMPTS,
        }
    }
}

/// The right to work on a job. It ends when its time runs out and another worker claims the job, which raises the attempt:
/// every later write under the old lease is then refused with [`DbError::Stale`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    pub job: JobId,
    pub attempt: i32,
}

/// A job that this worker now holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedJob {
    pub lease: Lease,
    pub max_attempts: i32,
    pub kind: JobKind,
    /// Of the call that caused the job.
    pub request_id: Option<String>,
    payload: serde_json::Value,
}

/// How many jobs may run at the same time, over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimLimits {
    pub per_organization: u32,
    pub per_source_host: u32,
}

impl ClaimedJob {
    /// Earlier attempts used up all there were, each ending without a word (a crash): the job must be given up without
    /// being started.
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        self.lease.attempt > self.max_attempts
    }

    /// Whether no further attempt follows this one.
    #[must_use]
    pub const fn is_last_attempt(&self) -> bool {
        self.lease.attempt >= self.max_attempts
    }

    /// # Errors
    /// [`DbError::Corrupt`] when the stored payload is not one that this program knows.
    pub fn payload(&self) -> DbResult<JobPayload> {
        serde_json::from_value(self.payload.clone()).map_err(|e| DbError::corrupt("job payload")(Box::new(e)))
    }
}

/// Adds a job, visible to workers when the caller's transaction commits.
///
/// # Errors
/// When the database refuses.
pub async fn enqueue(conn: &mut Connection, payload: &JobPayload, how: Enqueue) -> DbResult<JobId> {
    let json = serde_json::to_value(payload).map_err(|e| DbError::corrupt("job payload")(Box::new(e)))?;
    let insert = diesel::insert_into(jobs::table)
        .values((
            jobs::id.eq(uuid::Uuid::from(JobId::new())),
            jobs::kind.eq(payload.kind().as_str()),
            jobs::payload.eq(json),
            jobs::organization_id.eq(how.organization.map(uuid::Uuid::from)),
            jobs::source_host.eq(how.source_host.as_ref().map(RegistryHost::to_string)),
            jobs::request_id.eq(how.request_id),
            jobs::max_attempts.eq(how.max_attempts),
            how.run_after.map(|at| jobs::run_after.eq(at)),
            jobs::dedup_key.eq(how.dedup_key),
        ))
        .on_conflict(jobs::dedup_key)
        // Changes nothing, but gives back the open job's id.
        .do_update()
        .set(jobs::dedup_key.eq(diesel::upsert::excluded(jobs::dedup_key)))
        .returning(jobs::id);
    let id: uuid::Uuid = prepared(insert).get_result(conn).await?;
    Ok(id.into())
}

#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(sql_type = sql_types::Uuid)]
    id: uuid::Uuid,
    #[diesel(sql_type = sql_types::Integer)]
    attempt: i32,
    #[diesel(sql_type = sql_types::Integer)]
    max_attempts: i32,
    #[diesel(sql_type = sql_types::Text)]
    kind: String,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    request_id: Option<String>,
    #[diesel(sql_type = sql_types::Jsonb)]
    payload: serde_json::Value,
}

const CLAIM: &str = "SELECT id, attempt, max_attempts, kind, request_id, payload, set_config('synchronous_commit', 'on', true) \
     FROM claim_job($1, $2, $3, $4, $5)";

/// Takes a due job, if there is one within the limits, for `lease`: the oldest of the organization whose last turn is the
/// longest ago. Call outside a transaction: other claims wait for the end of it.
///
/// It waits for the disk: a claim that a crash of the database forgot would be given to a second worker under the same
/// attempt, and neither could be told from the other.
///
/// # Errors
/// When the database does not answer.
pub async fn claim(
    conn: &mut Connection,
    kinds: &[JobKind],
    worker: &str,
    lease: Duration,
    limits: ClaimLimits,
) -> DbResult<Option<ClaimedJob>> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let claim = diesel::sql_query(CLAIM)
        .bind::<sql_types::Array<sql_types::Text>, _>(kinds)
        .bind::<sql_types::Text, _>(worker)
        .bind::<sql_types::Double, _>(lease.as_secs_f64())
        .bind::<sql_types::BigInt, _>(i64::from(limits.per_organization))
        .bind::<sql_types::BigInt, _>(i64::from(limits.per_source_host));
    let row: Option<ClaimedRow> = prepared(claim).get_result(conn).await.optional()?;
    let Some(row) = row else { return Ok(None) };
    let kind = stored("job kind", &row.kind)?;
    Ok(Some(ClaimedJob {
        lease: Lease { job: row.id.into(), attempt: row.attempt },
        max_attempts: row.max_attempts,
        kind,
        request_id: row.request_id,
        payload: row.payload,
    }))
}

/// Renews the lease.
///
/// # Errors
/// [`DbError::Stale`] when it is lost: the work must stop.
pub async fn heartbeat(conn: &mut Connection, lease: Lease, duration: Duration) -> DbResult<()> {
    let renewed = diesel::sql_query(
        "UPDATE jobs SET locked_until = now() + make_interval(secs => $3) WHERE id = $1 AND attempt = $2",
    )
    .bind::<sql_types::Uuid, _>(uuid::Uuid::from(lease.job))
    .bind::<sql_types::Integer, _>(lease.attempt)
    .bind::<sql_types::Double, _>(duration.as_secs_f64())
    .execute(conn)
    .await?;
    held(renewed)
}

/// Holds the lease for the rest of the caller's transaction: what it writes is written under a valid one. A claim skips
/// the row meanwhile, a heartbeat doesn't wait for it.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn assert_held(conn: &mut Connection, lease: Lease) -> DbResult<()> {
    let row: Option<uuid::Uuid> = mine(lease).select(jobs::id).for_key_share().first(conn).await.optional()?;
    held(usize::from(row.is_some()))
}

/// Demands that the lease has not run out, even if nobody else has claimed the job since.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost or its time is over.
pub async fn assert_in_time(conn: &mut Connection, lease: Lease) -> DbResult<()> {
    let in_time = jobs::locked_until.gt(diesel::dsl::now.into_sql::<sql_types::Nullable<sql_types::Timestamptz>>());
    let row: Option<uuid::Uuid> = mine(lease).filter(in_time).select(jobs::id).first(conn).await.optional()?;
    held(usize::from(row.is_some()))
}

/// Attempts that end one after the other without any progress.
const ATTEMPTS: i32 = 5;

/// Notes that this attempt got on: from here on the job has all its attempts again. What ends too many workers at one and
/// the same place is given up; what is merely under way while workers are killed is not.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn progressed(conn: &mut Connection, lease: Lease) -> DbResult<()> {
    let noted = diesel::sql_query(
        "UPDATE jobs SET max_attempts = greatest(max_attempts, attempt + $3) WHERE id = $1 AND attempt = $2",
    )
    .bind::<sql_types::Uuid, _>(uuid::Uuid::from(lease.job))
    .bind::<sql_types::Integer, _>(lease.attempt)
    // This attempt is the first of them.
    .bind::<sql_types::Integer, _>(ATTEMPTS - 1);
    held(prepared(noted).execute(conn).await?)
}

/// Ends the job; in the transaction that writes its results.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost: roll back.
pub async fn finish(conn: &mut Connection, lease: Lease) -> DbResult<()> {
    held(diesel::delete(mine(lease)).execute(conn).await?)
}

/// Puts the job back to be tried again after `delay`.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn retry(conn: &mut Connection, lease: Lease, error: &str, delay: Duration) -> DbResult<()> {
    put_back(conn, lease, error, delay, Duration::ZERO).await
}

/// Puts the job back to be tried again after `delay`, the attempt not counted: what failed is a part of the store itself, not
/// the work. Attempts of a job that is older than a day count all the same.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn postpone(conn: &mut Connection, lease: Lease, error: &str, delay: Duration) -> DbResult<()> {
    put_back(conn, lease, error, delay, Duration::from_hours(24)).await
}

/// The attempt counts once the job is older than `free_until_age`. What is raised is the maximum: lowering the attempt would let
/// the next claim repeat this lease's number.
async fn put_back(
    conn: &mut Connection,
    lease: Lease,
    error: &str,
    delay: Duration,
    free_until_age: Duration,
) -> DbResult<()> {
    let put_back = diesel::sql_query(
        "UPDATE jobs SET locked_until = NULL, locked_by = NULL, last_error = $3, \
         max_attempts = max_attempts + (created_at > now() - make_interval(secs => $5))::integer, \
         run_after = now() + make_interval(secs => $4) WHERE id = $1 AND attempt = $2",
    )
    .bind::<sql_types::Uuid, _>(uuid::Uuid::from(lease.job))
    .bind::<sql_types::Integer, _>(lease.attempt)
    .bind::<sql_types::Text, _>(error)
    .bind::<sql_types::Double, _>(delay.as_secs_f64())
    .bind::<sql_types::Double, _>(free_until_age.as_secs_f64())
    .execute(conn)
    .await?;
    held(put_back)
}

/// Gives an unfinished job back at a shutdown, claimable at once, the attempt not counted. What is raised is the maximum:
/// lowering the attempt would let the next claim repeat this lease's number.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn give_back(conn: &mut Connection, lease: Lease) -> DbResult<()> {
    let woken = diesel::sql_query(
        "WITH given AS (UPDATE jobs SET locked_until = NULL, locked_by = NULL, max_attempts = max_attempts + 1, \
         run_after = now() WHERE id = $1 AND attempt = $2 RETURNING kind) \
         SELECT pg_notify('jobs', kind) FROM given",
    )
    .bind::<sql_types::Uuid, _>(uuid::Uuid::from(lease.job))
    .bind::<sql_types::Integer, _>(lease.attempt)
    .execute(conn)
    .await?;
    held(woken)
}

/// Gives a job up: it is removed, and an audit entry keeps what it was and why.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost: roll back.
pub async fn fail(conn: &mut Connection, job: &ClaimedJob, error: &str) -> DbResult<()> {
    finish(conn, job.lease).await?;
    let details = serde_json::json!({
        "kind": job.kind,
        "payload": job.payload,
        "attempts": job.lease.attempt.min(job.max_attempts),
        "error": error,
    });
    let subject = audit::Subject::Job(job.lease.job);
    audit::append(
        conn,
        Entry { organization: None, actor: Actor::Worker, action: AuditAction::JobFailed, subject, details },
    )
    .await
}

/// Jobs of one kind, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueState {
    pub kind: JobKind,
    /// Due, and nobody's.
    pub waiting: u64,
    /// Under a lease.
    pub running: u64,
    /// Since when the oldest of those that wait is due.
    pub oldest: Option<Duration>,
}

#[derive(QueryableByName)]
struct QueueRow {
    #[diesel(sql_type = sql_types::Text)]
    kind: String,
    #[diesel(sql_type = sql_types::BigInt)]
    waiting: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    running: i64,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Double>)]
    oldest_seconds: Option<f64>,
}

const QUEUE_STATE: &str = "\
    SELECT kind, count(*) FILTER (WHERE is_free AND run_after <= now()) AS waiting, \
        count(*) FILTER (WHERE NOT is_free) AS running, \
        extract(epoch FROM now() - min(run_after) FILTER (WHERE is_free AND run_after <= now()))::float8 AS oldest_seconds \
    FROM jobs, LATERAL (SELECT locked_until IS NULL OR locked_until < now() AS is_free) AS lease GROUP BY kind";

/// Depth and age of the queue; a kind that nobody waits for is left out.
///
/// # Errors
/// When the database does not answer.
pub async fn queue_state(conn: &mut Connection) -> DbResult<Vec<QueueState>> {
    let rows: Vec<QueueRow> = diesel::sql_query(QUEUE_STATE).load(conn).await?;
    rows.into_iter()
        .map(|row| {
            Ok(QueueState {
                kind: stored("job kind", &row.kind)?,
                waiting: row.waiting.unsigned_abs(),
                running: row.running.unsigned_abs(),
                oldest: row.oldest_seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))),
            })
        })
        .collect()
}

/// Removes the open job with this key, if there still is one: its worker's lease is lost with it.
///
/// # Errors
/// When the database does not answer.
pub async fn withdraw(conn: &mut Connection, dedup_key: &str) -> DbResult<bool> {
    Ok(diesel::delete(jobs::table.filter(jobs::dedup_key.eq(dedup_key))).execute(conn).await? > 0)
}

#[diesel::dsl::auto_type]
fn mine(lease: Lease) -> _ {
    let job: uuid::Uuid = lease.job.0;
    let attempt: i32 = lease.attempt;
    jobs::table.filter(jobs::id.eq(job)).filter(jobs::attempt.eq(attempt))
}

const fn held(rows: usize) -> DbResult<()> {
    if rows == 0 { Err(DbError::Stale) } else { Ok(()) }
}
