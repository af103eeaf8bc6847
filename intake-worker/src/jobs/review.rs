//! The job `review`: the verdict that a person's decision leads to, from what is stored.

use chrono::{DateTime, SecondsFormat, Utc};
use registry_db::jobs::{self, ClaimedJob};
use registry_db::rejudgement::NewReferrer;
use registry_db::reviews::{self, ReviewedVersion, Settlement};
use registry_db::verdicts::NewVerdict;
use registry_db::{DbError, store_settings, transaction};
use registry_types::ids::ReviewId;
use registry_types::intake::Reason;
use registry_types::package::VersionState;
use registry_types::policy::Policy;
use registry_types::rejection_code::RejectionCode;
use registry_types::review::ReviewState;
use registry_types::verdict::{Decision, Path, decide_on_path};
use serde_json::{Value, json};

use crate::job_error::JobError;
use crate::pipeline::Pipeline;
use crate::pipeline::review_path::{Asked, Candidate, asked};
use crate::verdict::{Envelope, Judgement, PAYLOAD_TYPE, Subject, attach, attestations_of, statement};

/// # Errors
/// When the database or the object store does not answer, or the lease is lost.
pub(crate) async fn run(pipeline: &Pipeline, job: &ClaimedJob, id: ReviewId) -> Result<(), JobError> {
    let version = reviews::load(&mut *pipeline.pool.get().await?, id).await?;
    match version.review_state {
        ReviewState::Approved | ReviewState::Rejected if !version.is_settled => {}
        ReviewState::Open
        | ReviewState::Claimed
        | ReviewState::Superseded
        | ReviewState::Approved
        | ReviewState::Rejected => return pipeline.finish(job).await,
    }
    fail_points::reach("review", "loaded", id.0).await;
    let new = prepare(pipeline, &version).await?;
    fail_points::reach("review", "stored", id.0).await;
    let mut conn = pipeline.pool.get().await?;
    let settled = transaction(&mut conn, async |conn| -> Result<bool, DbError> {
        let is_written = reviews::settle(conn, job.lease, &version, &new).await?;
        fail_points::reach("review", "commit", id.0).await;
        Ok(is_written)
    });
    let is_written = settled.await?;
    fail_points::reach("review", "committed", id.0).await;
    if !is_written {
        // A later verdict is being made; it supersedes the review, which the next attempt finds.
        return Err(JobError::Outage { message: "the version is being judged anew".to_owned(), retry_after: None });
    }
    let (package, number) = (&version.package_name, &version.number);
    tracing::info!(%package, version = %number, review = %id, to = %new.state, "decided by a person");
    Ok(())
}

/// Gives the job up: people may decide anew.
///
/// # Errors
/// When the database does not answer, or the lease is lost.
pub(crate) async fn give_up(pipeline: &Pipeline, job: &ClaimedJob, id: ReviewId, error: &str) -> Result<(), JobError> {
    let mut conn = pipeline.pool.get().await?;
    let version = reviews::load(&mut conn, id).await?;
    transaction(&mut conn, async |conn| {
        jobs::fail(conn, job, error).await?;
        reviews::reopen(conn, &version).await
    })
    .await?;
    Ok(())
}

async fn prepare(pipeline: &Pipeline, version: &ReviewedVersion) -> Result<Settlement, JobError> {
    let mut conn = pipeline.pool.get().await?;
    let policy = store_settings::policy(&mut conn).await?;
    let baseline = reviews::baseline(&mut conn, version.package, version.version).await?;
    drop(conn);
    let candidate = Candidate {
        tier: version.tier,
        format: version.format,
        package_manifest: &version.package_manifest,
        checks: &version.checks,
    };
    let asked = asked(&candidate, baseline.as_ref(), &policy.reviews);
    let decision = decide(version, &policy, &asked);
    let (state, code) = state_of(&decision);
    let envelope = sign(pipeline, version, &policy, &decision)?;
    let referrer = match (&decision, &version.image) {
        (Decision::Active { .. }, Some(image)) => {
            let subject = Subject { media_type: &image.media_type, digest: &image.digest, size: image.size };
            let referrer = attach(&envelope, &pipeline.verdict_key, subject, Utc::now());
            referrer.store(&*pipeline.blobs).await?;
            let blobs = referrer.blobs.into_iter().map(|(digest, bytes)| (digest, bytes.len() as u64)).collect();
            Some(NewReferrer { manifest: referrer.manifest, blobs })
        }
        // Only what is served has referrers.
        (Decision::Active { .. } | Decision::Rejected { .. } | Decision::InReview { .. }, _) => None,
    };
    Ok(Settlement {
        state,
        code,
        verdict: NewVerdict {
            version: version.version,
            intake: version.intake,
            decision,
            envelope: envelope.to_bytes(),
            key_id: pipeline.verdict_key.key_id().to_owned(),
            rejudged: version.rejudged.clone(),
            review: Some(version.review),
        },
        referrer,
        entry: asked.entry,
    })
}

/// A rejection is the person's own word; an approval only answers what was asked, and what is asked is asked once more: the
/// policy, or the version that it is compared with, may be another one by now.
fn decide(version: &ReviewedVersion, policy: &Policy, asked: &Asked) -> Decision {
    match version.review_state {
        ReviewState::Rejected => {
            let why = version.reason.clone().unwrap_or_else(|| "no reason was recorded".to_owned());
            let reason = Reason::new(RejectionCode::ReviewRejected, "reviews.person", why);
            let mut reasons = vec![reason.fixed_by("mend what the reviewer names, and publish again")];
            reasons.extend(version.asked.iter().cloned());
            Decision::Rejected { code: RejectionCode::ReviewRejected, reasons, warnings: Vec::new() }
        }
        ReviewState::Approved | ReviewState::Open | ReviewState::Claimed | ReviewState::Superseded => {
            decide_on_path(&version.checks, policy, Path { demand: &asked.demand, accepted: accepted(version) })
        }
    }
}

fn accepted(version: &ReviewedVersion) -> &[Reason] {
    match version.review_state {
        ReviewState::Approved => &version.asked,
        ReviewState::Open | ReviewState::Claimed | ReviewState::Rejected | ReviewState::Superseded => &[],
    }
}

const fn state_of(decision: &Decision) -> (VersionState, Option<RejectionCode>) {
    match decision {
        Decision::Active { .. } => (VersionState::Active, None),
        Decision::Rejected { code, .. } => (VersionState::Rejected, Some(*code)),
        Decision::InReview { .. } => (VersionState::InReview, None),
    }
}

fn sign(
    pipeline: &Pipeline,
    version: &ReviewedVersion,
    policy: &Policy,
    decision: &Decision,
) -> Result<Envelope, JobError> {
    let unreadable = |what: &'static str| JobError::internal("stored verdict")(what.into());
    let attestations = attestations_of(&version.envelope).ok_or_else(|| unreadable("its inputs cannot be read"))?;
    let payload = statement(&Judgement {
        store: &pipeline.store,
        profile: pipeline.profile,
        package: &version.package_name,
        version: &version.number,
        image_reference: version.image_reference.as_deref(),
        digest: version.image.as_ref().map(|image| &image.digest),
        package_manifest: &version.package_manifest,
        checks: &version.checks,
        policy,
        decision,
        advisories: advisories(version),
        attestations: &attestations,
        review: Some(facts(version)),
        time: Utc::now(),
    });
    Ok(pipeline.verdict_key.sign(PAYLOAD_TYPE, payload))
}

/// Those that the reviewed verdict rests on: a person's word changes nothing about them.
fn advisories(version: &ReviewedVersion) -> Value {
    let check = version.checks.iter().find(|check| check.name == registry_types::intake::CheckName::Vulnerabilities);
    check.and_then(|check| check.evidence.get("advisories")).cloned().unwrap_or(Value::Null)
}

/// The review as the verdict names it.
fn facts(version: &ReviewedVersion) -> Value {
    let at = version.decided_at.map(|at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    json!({
        "id": version.review,
        "decision": version.review_state,
        "by": version.decided_by,
        "at": at,
        "reason": version.reason,
        "verdict": version.verdict,
    })
}
