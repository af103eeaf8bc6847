//! New decisions signed, put beside their images, and written.

use chrono::Utc;
use futures_util::StreamExt as _;
use registry_db::rejudgement::{self, JudgedVersion, NewReferrer, Rejudgement};
use registry_db::transaction;
use registry_db::verdicts::{NewVerdict, Rejudged};
use registry_types::package::VersionState;
use serde_json::Value;

use super::judge::Anew;
use super::{Round, Tally};
use crate::job_error::JobError;
use crate::verdict::{Envelope, Judgement, PAYLOAD_TYPE, Subject, attach, attestations_of, statement};
use crate::vulnerabilities::snapshot_facts;

/// Verdicts that are on their way to the object store at the same time.
const STORED_AT_ONCE: usize = 8;

impl Round<'_> {
    /// Each version in a transaction of its own. One that cannot be settled does not keep the others from it.
    pub(super) async fn settle(&self, anew: Vec<(JudgedVersion, Anew)>, tally: &mut Tally) -> Result<(), JobError> {
        let prepare = |(version, anew)| async move {
            let ready = self.prepare(&version, anew).await?;
            Ok::<_, JobError>((version, ready))
        };
        let mut prepared = std::pin::pin!(futures_util::stream::iter(anew).map(prepare).buffered(STORED_AT_ONCE));
        let mut failure = None;
        while let Some(ready) = prepared.next().await {
            let settled = match ready {
                Ok((version, new)) => self.write(&version, &new, tally).await,
                Err(error) => Err(error),
            };
            match settled {
                Ok(()) => {}
                Err(JobError::LeaseLost) => return Err(JobError::LeaseLost),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    async fn prepare(&self, version: &JudgedVersion, anew: Anew) -> Result<Rejudgement, JobError> {
        let envelope = self.sign(version, &anew)?;
        let referrer = match anew.state {
            VersionState::Active => Some(self.attach(version, &envelope).await?),
            // Only what is served has referrers.
            VersionState::Pending
            | VersionState::Rejected
            | VersionState::InReview
            | VersionState::Quarantined
            | VersionState::Yanked => None,
        };
        let advisory_snapshot = self.snapshot.number;
        Ok(Rejudgement {
            advisory_snapshot,
            state: anew.state,
            code: anew.code,
            verdict: NewVerdict {
                version: version.id,
                intake: version.intake,
                decision: anew.decision,
                envelope: envelope.to_bytes(),
                key_id: self.pipeline.verdict_key.key_id().to_owned(),
                rejudged: Some(Rejudged { advisory_snapshot, vulnerabilities: anew.vulnerabilities }),
                review: None,
            },
            findings: anew.findings,
            waivers: anew.waivers,
            entry: anew.entry,
            request: self.requests.get(&version.id).copied(),
            referrer,
        })
    }

    fn sign(&self, version: &JudgedVersion, anew: &Anew) -> Result<Envelope, JobError> {
        let attestations = attestations_of(&version.envelope)
            .ok_or_else(|| JobError::internal("stored verdict")("its inputs cannot be read".into()))?;
        let payload = statement(&Judgement {
            store: &self.pipeline.store,
            profile: self.pipeline.profile,
            package: &version.package_name,
            version: &version.number,
            image_reference: version.image_reference.as_deref(),
            digest: Some(&version.digest),
            // The subject is the image.
            package_manifest: &Value::Null,
            checks: &anew.checks,
            policy: &self.policy,
            decision: &anew.decision,
            advisories: snapshot_facts(&self.snapshot),
            attestations: &attestations,
            review: None,
            time: Utc::now(),
        });
        Ok(self.pipeline.verdict_key.sign(PAYLOAD_TYPE, payload))
    }

    async fn attach(&self, version: &JudgedVersion, envelope: &Envelope) -> Result<NewReferrer, JobError> {
        let subject = Subject { media_type: &version.media_type, digest: &version.digest, size: version.manifest_size };
        let referrer = attach(envelope, &self.pipeline.verdict_key, subject, Utc::now());
        referrer.store(&*self.pipeline.blobs).await?;
        let blobs = referrer.blobs.into_iter().map(|(digest, bytes)| (digest, bytes.len() as u64));
        Ok(NewReferrer { manifest: referrer.manifest, blobs: blobs.collect() })
    }

    async fn write(&self, version: &JudgedVersion, new: &Rejudgement, tally: &mut Tally) -> Result<(), JobError> {
        let mut conn = self.pipeline.pool.get().await?;
        let is_written =
            transaction(&mut conn, async |conn| rejudgement::settle(conn, self.job.lease, version, new).await).await?;
        // Otherwise it was changed by somebody else; if it is still owed, the next round takes it.
        if is_written {
            tally.decided_anew += 1;
            tally.quarantined += usize::from(new.state == VersionState::Quarantined && version.state != new.state);
            self.pipeline.metrics.rejudged(new.state);
            let (package, number) = (&version.package_name, &version.number);
            let (from, to) = (version.state, new.state);
            tracing::info!(%package, version = %number, %from, %to, code = ?new.code, "decided anew");
        }
        Ok(())
    }
}
