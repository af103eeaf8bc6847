//! What each kind of job does.

mod review;
mod waivers;

use std::sync::Arc;
use std::time::Duration;

use registry_db::jobs::ClaimedJob;
use registry_db::transaction;
use registry_types::job::JobPayload;

use crate::job_error::JobError;
use crate::pipeline::{self, Pipeline};
use crate::webhooks::Webhooks;
use crate::{housekeeping, identity_keys, namespace_proof, registry_test, rejudgement};

/// The jobs' means.
pub(crate) struct Jobs {
    pub(crate) pipeline: Arc<Pipeline>,
    /// How much older than every intake under way an upload is when it counts as left behind.
    pub(crate) upload_grace: Duration,
    pub(crate) webhooks: Webhooks,
}

impl Jobs {
    /// Carries a job out; on `Ok` it has ended.
    pub(crate) async fn run(&self, job: &ClaimedJob) -> Result<(), JobError> {
        let Pipeline { pool, blobs, source, key_ring, .. } = &*self.pipeline;
        match job.payload()? {
            JobPayload::Intake { intake } => pipeline::run(&self.pipeline, job, intake).await,
            JobPayload::RegistryTest { namespace } => registry_test::run(pool, source, key_ring, job, namespace).await,
            JobPayload::Housekeeping {} => housekeeping::run(pool, blobs, self.upload_grace, job).await,
            JobPayload::Rejudgement {} => rejudgement::run(&self.pipeline, job).await,
            JobPayload::Waivers {} => waivers::run(pool, job).await,
            JobPayload::Review { review } => review::run(&self.pipeline, job, review).await,
            JobPayload::Event { event } => self.webhooks.fan_out(job, event).await,
            JobPayload::WebhookDelivery { delivery } => self.webhooks.deliver(job, delivery).await,
            JobPayload::NamespaceProof { namespace } => {
                namespace_proof::run(pool, source, key_ring, job, namespace).await
            }
            JobPayload::IdentityKeys { issuer } => identity_keys::run(pool, source, job, &issuer).await,
        }
    }

    /// Ends a job whose attempts are used up. `told` is for its author, `error` for the operator.
    pub(crate) async fn give_up(&self, job: &ClaimedJob, told: &str, error: &str) -> Result<(), JobError> {
        let pool = &self.pipeline.pool;
        match job.payload() {
            Ok(JobPayload::Intake { intake }) => pipeline::give_up(&self.pipeline, job, intake, told, error).await,
            Ok(JobPayload::RegistryTest { namespace }) => {
                registry_test::give_up(pool, job, namespace, told, error).await
            }
            Ok(JobPayload::Housekeeping {}) => housekeeping::give_up(pool, job, error).await,
            Ok(JobPayload::Rejudgement {}) => rejudgement::give_up(&self.pipeline, job, error).await,
            Ok(JobPayload::Waivers {}) => waivers::give_up(pool, job, error).await,
            Ok(JobPayload::Review { review }) => review::give_up(&self.pipeline, job, review, error).await,
            Ok(JobPayload::WebhookDelivery { delivery }) => self.webhooks.give_up(job, delivery, error).await,
            Ok(JobPayload::NamespaceProof { namespace }) => namespace_proof::give_up(pool, job, namespace, told).await,
            Ok(JobPayload::Event { .. } | JobPayload::IdentityKeys { .. }) => self.remove(job, error).await,
            // Nobody can tell what it was about.
            Err(unreadable) => {
                tracing::error!(job = %job.lease.job, error = %unreadable, "a job that nobody can read is removed");
                self.remove(job, error).await
            }
        }
    }

    async fn remove(&self, job: &ClaimedJob, error: &str) -> Result<(), JobError> {
        let mut conn = self.pipeline.pool.get().await?;
        transaction(&mut conn, async |conn| registry_db::jobs::fail(conn, job, error).await).await?;
        Ok(())
    }
}
