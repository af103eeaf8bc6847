//! The run loop: claim, keep the lease alive, end, and stop in order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use registry_db::jobs::{self as queue, ClaimLimits, ClaimedJob, Lease};
use registry_db::notifications::{Channel, Listener};
use registry_db::{DbError, Pool};
use registry_types::job::JobKind;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::backoff;
use crate::job_error::JobError;
use crate::jobs::Jobs;
use crate::settings::QueueSettings;
use crate::telemetry::Metrics;

/// Kinds of jobs that wait for one another and for no others.
pub(crate) struct Lane {
    pub(crate) kinds: Vec<JobKind>,
    /// Jobs at the same time.
    pub(crate) concurrency: usize,
    pub(crate) limits: ClaimLimits,
}

/// A worker that is ready to run.
pub(crate) struct Worker {
    pub(crate) pool: Pool,
    pub(crate) jobs: Arc<Jobs>,
    /// For people who look at the queue.
    pub(crate) name: String,
    pub(crate) lanes: [Lane; 2],
    pub(crate) queue: QueueSettings,
    pub(crate) grace: Duration,
    pub(crate) metrics: Arc<Metrics>,
}

impl Worker {
    /// Works until `shutdown` completes; then claims nothing more, waits for the grace period, and gives back what is not
    /// done.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) {
        let worker = Arc::new(self);
        let (stop, give_back) = (CancellationToken::new(), CancellationToken::new());
        let (wake, woken) = watch::channel(());
        let listening = tokio::spawn(listen(worker.pool.clone(), wake, worker.queue.poll()));
        let stopping = async {
            shutdown.await;
            stop.cancel();
        };
        let [one, other] = &worker.lanes;
        let claim = |lane, woken| worker.claim_until(lane, &stop, woken, &give_back);
        let ((), mut running, others) = tokio::join!(stopping, claim(one, woken.clone()), claim(other, woken));
        listening.abort();
        running.spawn(async move { drop(others.join_all().await) });
        tracing::info!("stopping");
        let all_done = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(worker.grace, all_done).await.is_err() {
            give_back.cancel();
            while running.join_next().await.is_some() {}
        }
    }

    /// A claim is never cancelled half-way: the job would have to wait for its lease to run out.
    async fn claim_until(
        self: &Arc<Self>,
        lane: &Lane,
        stop: &CancellationToken,
        mut woken: watch::Receiver<()>,
        give_back: &CancellationToken,
    ) -> JoinSet<()> {
        let mut running = JoinSet::new();
        let slots = Arc::new(Semaphore::new(lane.concurrency));
        loop {
            let slot = tokio::select! {
                biased;
                () = stop.cancelled() => return running,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            while running.try_join_next().is_some() {}
            match self.claim(lane).await {
                Ok(Some(job)) => {
                    let (worker, give_back) = (Arc::clone(self), give_back.clone());
                    let span = job_span(&job);
                    let work = async move {
                        let _slot = slot;
                        worker.work(&job, &give_back).await;
                    };
                    running.spawn(work.instrument(span));
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no job can be claimed");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return running,
                Ok(()) = woken.changed() => {}
                () = tokio::time::sleep(self.queue.poll()) => {}
            }
        }
    }

    async fn claim(&self, lane: &Lane) -> Result<Option<ClaimedJob>, DbError> {
        let mut conn = self.pool.get().await?;
        queue::claim(&mut conn, &lane.kinds, &self.name, self.queue.lease(), lane.limits).await
    }

    /// Carries one job to whatever end it takes.
    async fn work(&self, job: &ClaimedJob, give_back: &CancellationToken) {
        self.metrics.job_started();
        let started = Instant::now();
        let ending = match self.attempt(job, give_back).await {
            Ok(ending) => ending,
            Err(JobError::LeaseLost) => "lease_lost",
            Err(error) => {
                // The lease runs out by itself, and the job is tried again.
                tracing::error!(error = error.chain(), "a job could not be ended");
                "unended"
            }
        };
        tracing::debug!(ending, took_ms = started.elapsed().as_millis(), "job ended");
        self.metrics.job_ended(job.kind, ending, started.elapsed());
    }

    async fn attempt(&self, job: &ClaimedJob, give_back: &CancellationToken) -> Result<&'static str, JobError> {
        if job.is_exhausted() {
            let error = format!("{} attempts ended without a word", job.max_attempts);
            self.jobs.give_up(job, "the store could not finish the work", &error).await?;
            return Ok("failed");
        }
        // A panic ends this attempt, not the worker. Nothing that it leaves half-done is used afterwards.
        let work = AssertUnwindSafe(self.jobs.run(job)).catch_unwind();
        tokio::select! {
            biased;
            ended = work => match ended {
                Ok(Ok(())) => Ok("done"),
                Ok(Err(error)) => self.after_failure(job, error).await,
                Err(panic) => {
                    let message = panic_message(&*panic);
                    self.after_failure(job, JobError::internal("panic")(message.into())).await
                }
            },
            () = self.keep_alive(job.lease) => Err(JobError::LeaseLost),
            () = give_back.cancelled() => {
                queue::give_back(&mut *self.pool.get().await?, job.lease).await?;
                Ok("given_back")
            }
        }
    }

    async fn after_failure(&self, job: &ClaimedJob, error: JobError) -> Result<&'static str, JobError> {
        let delay = backoff::delay(&self.queue, job.lease.attempt, error.retry_after());
        match error {
            JobError::LeaseLost => return Err(JobError::LeaseLost),
            JobError::Away { .. } => {
                tracing::warn!(error = error.chain(), "attempt postponed");
                queue::postpone(&mut *self.pool.get().await?, job.lease, &error.chain(), delay).await?;
                return Ok("postponed");
            }
            JobError::Outage { .. } => {
                tracing::info!(error = error.chain(), "attempt failed");
            }
            JobError::Internal { .. } => {
                tracing::error!(error = error.chain(), "attempt failed");
            }
        }
        if job.is_last_attempt() {
            self.jobs.give_up(job, &error.told(), &error.chain()).await?;
            return Ok("failed");
        }
        queue::retry(&mut *self.pool.get().await?, job.lease, &error.chain(), delay).await?;
        Ok("retried")
    }

    /// Renews the lease; ends when it is lost, or must be taken for lost because the database was not reached in time.
    async fn keep_alive(&self, lease: Lease) {
        let duration = self.queue.lease();
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(duration / 3).await;
            let asked = Instant::now();
            let renewal = async { queue::heartbeat(&mut *self.pool.get().await?, lease, duration).await };
            match tokio::time::timeout(duration / 3, renewal).await {
                Ok(Ok(())) => renewed = asked,
                Ok(Err(DbError::Stale)) => return,
                Ok(Err(_)) | Err(_) if renewed.elapsed() >= duration => return,
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }
}

/// Everything that is logged on a job's behalf stands in it, with the id of the call that caused the job.
fn job_span(job: &ClaimedJob) -> tracing::Span {
    let request_id = job.request_id.as_deref().unwrap_or_default();
    tracing::info_span!("job", job = %job.lease.job, kind = %job.kind, attempt = job.lease.attempt, request_id)
}

/// Wakes the lanes whenever a job is enqueued. Without a connection they poll.
async fn listen(pool: Pool, wake: watch::Sender<()>, pause: Duration) {
    loop {
        if let Ok(mut listener) = Listener::open(&pool, Channel::Jobs).await {
            // What was enqueued before the listening began.
            wake.send_replace(());
            while listener.next().await.is_ok() {
                wake.send_replace(());
            }
        }
        tokio::time::sleep(pause).await;
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}
