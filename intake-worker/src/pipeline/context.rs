//! What the steps work with: the pipeline's means, one run of it, and what that run knows so far.

use std::sync::Arc;

use blob_store::BlobStore;
use chrono::{DateTime, Utc};
use registry_db::content::{LinkedManifest, NewManifest};
use registry_db::intakes::{self, Document, IntakeWork, StepRecord};
use registry_db::jobs::{self, ClaimedJob};
use registry_db::key_ring::KeyRing;
use registry_db::waivers::UsedWaiver;
use registry_db::{Pool, store_settings, transaction};
use registry_types::advisory::Finding;
use registry_types::component::Component;
use registry_types::digest::Digest;
use registry_types::intake::{CheckName, CheckResult, IntakeStep};
use registry_types::policy::Policy;
use registry_types::profile::Profile;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::step_error::StepError;
use crate::job_error::JobError;
use crate::settings::StepLimits;
use crate::signatures::TrustRoots;
use crate::source::SourceClient;
use crate::telemetry::Metrics;
use crate::verdict::VerdictKey;

/// The means of every intake of this worker.
pub(crate) struct Pipeline {
    pub(crate) pool: Pool,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) source: SourceClient,
    pub(crate) key_ring: Arc<KeyRing>,
    pub(crate) trust_roots: TrustRoots,
    pub(crate) verdict_key: VerdictKey,
    pub(crate) profile: Profile,
    /// The store's name in verdicts.
    pub(crate) store: String,
    pub(crate) step_limits: StepLimits,
    /// Layers that are read at the same time, over all intakes: each keeps more than one core busy.
    pub(crate) layer_slots: Arc<Semaphore>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Pipeline {
    /// Ends a job that has nothing left to do.
    pub(crate) async fn finish(&self, job: &ClaimedJob) -> Result<(), JobError> {
        jobs::finish(&mut *self.pool.get().await?, job.lease).await?;
        Ok(())
    }
}

/// One intake being carried out.
pub(super) struct Run<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) job: &'a ClaimedJob,
    pub(super) work: IntakeWork,
    /// The policy document in force when the run began.
    pub(super) policy: Policy,
    pub(super) started_at: DateTime<Utc>,
}

impl<'a> Run<'a> {
    pub(super) async fn start(pipeline: &'a Pipeline, job: &'a ClaimedJob, work: IntakeWork) -> Result<Self, JobError> {
        let mut conn = pipeline.pool.get().await?;
        let policy = transaction(&mut conn, async |conn| {
            intakes::start(conn, job.lease, work.id, pipeline.profile).await?;
            let policy = store_settings::policy(conn).await;
            fail_points::reach("start", "commit", work.id.0).await;
            policy
        })
        .await?;
        fail_points::reach("start", "committed", work.id.0).await;
        Ok(Self { pipeline, job, work, policy, started_at: Utc::now() })
    }

    /// A fail point of this intake.
    pub(super) async fn at(&self, place: &'static str, moment: &'static str) {
        fail_points::reach(place, moment, self.work.id.0).await;
    }

    /// What an earlier attempt learned in a step. A result that this version of the program can't read is none.
    pub(super) fn learned<T: DeserializeOwned>(&self, step: IntakeStep) -> Option<T> {
        let result = self.work.steps.get(&step)?;
        T::deserialize(result).ok()
    }

    /// Records a finished step, and the steps that begin now.
    pub(super) async fn record(
        &self,
        (step, started_at): (IntakeStep, DateTime<Utc>),
        result: &impl Serialize,
        checks: &[CheckResult],
        beginning: &[IntakeStep],
        digest: Option<&Digest>,
    ) -> Result<(), StepError> {
        let result = serde_json::to_value(result).map_err(|e| JobError::internal("step result")(Box::new(e)))?;
        let record = [StepRecord { step, started_at, finished_at: Utc::now(), result, checks: checks.to_vec() }];
        let mut conn = self.pipeline.pool.get().await?;
        transaction(&mut conn, async |conn| {
            intakes::record_steps(conn, self.job.lease, self.work.id, &record, beginning, digest).await?;
            self.at(step.as_str(), "commit").await;
            Ok::<_, registry_db::DbError>(())
        })
        .await?;
        self.at(step.as_str(), "committed").await;
        jobs::progressed(&mut conn, self.job.lease).await?;
        Ok(())
    }
}

/// What is known of the package so far; all of it goes into the decision, also when a later step refuses.
#[derive(Default)]
pub(super) struct Case {
    /// Finished steps that only compute: they are recorded with the decision.
    pub(super) steps: Vec<StepRecord>,
    pub(super) checks: Vec<CheckResult>,
    /// Checks that were recorded with their step; the others are recorded with the decision.
    pub(super) recorded: Vec<CheckName>,
    pub(super) image: Option<PinnedImage>,
    /// Manifests of signatures and attestations.
    pub(super) attestations: Vec<Digest>,
    pub(super) manifests: Vec<LinkedManifest>,
    pub(super) blobs: Vec<Digest>,
    /// Manifests and blobs that are recorded with the decision.
    pub(super) new_manifests: Vec<NewManifest>,
    pub(super) new_blobs: Vec<(Digest, u64)>,
    pub(super) components: Vec<Component>,
    /// Why the components may not be all.
    pub(super) incomplete: Vec<image_scan::merge::Incomplete>,
    pub(super) findings: Vec<Finding>,
    /// The waivers that the check `vulnerabilities` rests on.
    pub(super) waivers: Vec<UsedWaiver>,
    pub(super) documents: Vec<Document>,
    /// Which advisory data was used.
    pub(super) advisories: Value,
    /// Its number.
    pub(super) advisory_snapshot: Option<i64>,
}

impl Case {
    /// Notes that a step which only computes has ended; returns when, for the next one.
    pub(super) fn ended(&mut self, step: IntakeStep, started_at: DateTime<Utc>) -> DateTime<Utc> {
        let (finished_at, result) = (Utc::now(), Value::Null);
        self.steps.push(StepRecord { step, started_at, finished_at, result, checks: Vec::new() });
        finished_at
    }
}

/// The image as the store pinned it.
#[derive(Debug, Clone)]
pub(super) struct PinnedImage {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    /// Of the top manifest, in bytes.
    pub(super) manifest_size: usize,
    /// Of all distinct blobs and manifests, in bytes.
    pub(super) total_size: u64,
}
