//! Stored versions judged anew when the advisories or their waivers change: what they hold is known, so no registry is asked.
//!
//! A round takes every version that is owed a judgement by the snapshot in use. For most of them the change means nothing:
//! they are marked and stay as they are. Only those whose own result differs get a new verdict. What is done is done: a
//! killed worker's successor finds the rest still owed.

mod concerned;
mod judge;
mod matcher;
mod settle;

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use registry_db::advisories::{self, SnapshotInfo};
use registry_db::jobs::{self, ClaimedJob};
use registry_db::rejudgement::{self, JudgedVersion, Owed, Request};
use registry_db::reviews::{self, Baseline};
use registry_db::{store_settings, transaction};
use registry_types::ids::VersionId;
use registry_types::package::VersionState;
use registry_types::policy::Policy;

use crate::job_error::JobError;
use crate::pipeline::Pipeline;
use judge::Judged;
use matcher::Matcher;

/// Versions that are marked in one statement.
const MARKED_AT_ONCE: usize = 1_000;
/// Versions whose components are in memory at the same time.
const JUDGED_AT_ONCE: usize = 50;

/// What a job did; for the log.
#[derive(Debug, Default)]
struct Tally {
    owed: usize,
    /// Whose components the change of the advisories could concern.
    looked_at: usize,
    decided_anew: usize,
    quarantined: usize,
}

/// # Errors
/// When the database or the object store does not answer, a stored version cannot be judged, or the lease is lost. What was
/// decided until then stays.
pub(crate) async fn run(pipeline: &Pipeline, job: &ClaimedJob) -> Result<(), JobError> {
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut before = None;
    loop {
        let Some(mut round) = Round::begin(pipeline, job).await? else { return pipeline.finish(job).await };
        let owed = rejudgement::owed(&mut *pipeline.pool.get().await?, round.snapshot.number).await?;
        let what = (round.snapshot.number, owed);
        if before.as_ref() == Some(&what) {
            return Err(JobError::internal("rejudgement")("versions stay owed although all were judged".into()));
        }
        let left = round.judge_all(&what.1, &mut tally).await?;
        let snapshot = round.snapshot.number;
        if rejudgement::finish(&mut *pipeline.pool.get().await?, job.lease, snapshot, left).await? {
            let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let Tally { owed, looked_at, decided_anew, quarantined } = tally;
            tracing::info!(
                snapshot,
                owed,
                looked_at,
                decided_anew,
                quarantined,
                left,
                took_ms,
                "judged stored versions"
            );
            return Ok(());
        }
        before = Some(what);
    }
}

/// Gives the job up; housekeeping plans the next one while versions are owed.
///
/// # Errors
/// When the database does not answer, or the lease is lost.
pub(crate) async fn give_up(pipeline: &Pipeline, job: &ClaimedJob, error: &str) -> Result<(), JobError> {
    let mut conn = pipeline.pool.get().await?;
    transaction(&mut conn, async |conn| jobs::fail(conn, job, error).await).await?;
    Ok(())
}

/// One pass over what is owed by one snapshot, under one policy.
struct Round<'a> {
    pipeline: &'a Pipeline,
    job: &'a ClaimedJob,
    snapshot: SnapshotInfo,
    policy: Policy,
    matcher: Matcher,
    /// As they were before anything was loaded: what is asked for later is not answered by this round.
    requests: HashMap<VersionId, Request>,
}

impl<'a> Round<'a> {
    /// `None` without advisories.
    async fn begin(pipeline: &'a Pipeline, job: &'a ClaimedJob) -> Result<Option<Self>, JobError> {
        let mut conn = pipeline.pool.get().await?;
        let Some(snapshot) = advisories::latest_usable(&mut conn).await? else { return Ok(None) };
        let policy = store_settings::policy(&mut conn).await?;
        let matcher = Matcher::new(pipeline.pool.clone(), snapshot.number);
        Ok(Some(Self { pipeline, job, snapshot, policy, matcher, requests: HashMap::new() }))
    }

    /// Returns how many versions are left as they are although they are still owed.
    async fn judge_all(&mut self, owed: &[Owed], tally: &mut Tally) -> Result<usize, JobError> {
        let concerned = concerned::concerned(&self.pipeline.pool, &mut self.matcher, &self.snapshot, owed).await?;
        let (looked_at, untouched): (Vec<_>, Vec<_>) =
            owed.iter().map(|owed| owed.version).partition(|version| concerned.contains(version));
        self.requests = owed.iter().filter_map(|one| Some((one.version, one.request?))).collect();
        tally.owed += owed.len();
        tally.looked_at += looked_at.len();
        for versions in untouched.chunks(MARKED_AT_ONCE) {
            self.mark(versions).await?;
        }
        let (mut left, mut failure) = (0, None);
        for versions in looked_at.chunks(JUDGED_AT_ONCE) {
            match self.judge_some(versions, tally).await {
                Ok(some) => left += some,
                Err(JobError::LeaseLost) => return Err(JobError::LeaseLost),
                // One version that cannot be judged must not keep the others from being quarantined.
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(left), Err)
    }

    async fn judge_some(&mut self, versions: &[VersionId], tally: &mut Tally) -> Result<usize, JobError> {
        let loaded = rejudgement::load(&mut *self.pipeline.pool.get().await?, versions).await?;
        let loaded_ids: HashSet<VersionId> = loaded.iter().map(|version| version.id).collect();
        let matched = self.matcher.match_versions(loaded).await?;
        // What has no image or verdict (any more) has nothing to be judged.
        let mut as_before: Vec<_> = versions.iter().copied().filter(|id| !loaded_ids.contains(id)).collect();
        let (mut anew, mut left) = (Vec::new(), 0);
        for (version, matched) in matched {
            let baseline = self.baseline(&version).await?;
            let (policy, profile) = (&self.policy, self.pipeline.profile);
            match judge::judge(&version, matched, &self.snapshot, baseline.as_ref(), policy, profile) {
                Judged::AsBefore => as_before.push(version.id),
                Judged::Left => left += 1,
                Judged::Anew(decided) => anew.push((version, *decided)),
            }
        }
        self.mark(&as_before).await?;
        self.settle(anew, tally).await?;
        Ok(left)
    }

    /// What a version is compared with that waits for a person; few do.
    async fn baseline(&self, version: &JudgedVersion) -> Result<Option<Baseline>, JobError> {
        match version.state {
            VersionState::InReview => {
                let mut conn = self.pipeline.pool.get().await?;
                Ok(reviews::baseline(&mut conn, version.package, version.id).await?)
            }
            VersionState::Pending
            | VersionState::Active
            | VersionState::Rejected
            | VersionState::Quarantined
            | VersionState::Yanked => Ok(None),
        }
    }

    async fn mark(&self, versions: &[VersionId]) -> Result<(), JobError> {
        if versions.is_empty() {
            return Ok(());
        }
        let mut conn = self.pipeline.pool.get().await?;
        let (number, lease) = (self.snapshot.number, self.job.lease);
        let requests: Vec<Request> =
            versions.iter().filter_map(|version| self.requests.get(version).copied()).collect();
        transaction(&mut conn, async |conn| rejudgement::mark_judged(conn, lease, number, versions, &requests).await)
            .await?;
        Ok(())
    }
}
