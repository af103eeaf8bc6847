//! Step 9: the decision, signed, and everything of it in one transaction.

use chrono::Utc;
use registry_db::content::{LinkedManifest, ManifestRole};
use registry_db::intakes::{self, Ending, NewContent};
use registry_db::reviews::{self, Entry};
use registry_db::transaction;
use registry_db::verdicts::NewVerdict;
use registry_types::intake::IntakeStep;
use registry_types::verdict::{self, Decision, Path};

use super::context::{Case, Run};
use super::review_path::{Asked, Candidate, asked};
use crate::job_error::JobError;
use crate::verdict::{Envelope, Judgement, PAYLOAD_TYPE, Subject, VerdictReferrer, attach, statement};

pub(super) async fn decide(run: &Run<'_>, mut case: Case) -> Result<(), JobError> {
    run.at("decide", "begin").await;
    let started = Utc::now();
    let asked = ask(run, &case).await?;
    let path = Path { demand: &asked.demand, accepted: &[] };
    let decision = verdict::decide_on_path(&case.checks, &run.policy, path);
    let envelope = sign(run, &case, &decision);
    match &decision {
        Decision::Active { .. } => attach_verdict(run, &mut case, &envelope).await?,
        // Only what is served has referrers.
        Decision::Rejected { .. } | Decision::InReview { .. } => {}
    }
    let word = word(&decision);
    case.ended(IntakeStep::Decide, started);
    let ending = ending(run, case, decision, asked.entry, &envelope);
    let mut conn = run.pipeline.pool.get().await?;
    run.at("decide", "stored").await;
    transaction(&mut conn, async |conn| {
        intakes::decide(conn, run.job.lease, &run.work, &ending).await?;
        run.at("decide", "commit").await;
        Ok::<_, registry_db::DbError>(())
    })
    .await?;
    run.at("decide", "committed").await;
    run.pipeline.metrics.decided(word);
    tracing::info!(
        intake = %run.work.id,
        package = %run.work.package_name,
        version = %run.work.version_number,
        decision = word,
        took_ms = (Utc::now() - run.started_at).num_milliseconds(),
        "decided"
    );
    Ok(())
}

/// Whether a person is asked, and what that person is shown.
async fn ask(run: &Run<'_>, case: &Case) -> Result<Asked, JobError> {
    let mut conn = run.pipeline.pool.get().await?;
    let baseline = reviews::baseline(&mut conn, run.work.package, run.work.version).await?;
    let candidate = Candidate {
        tier: run.work.tier,
        format: run.work.format,
        package_manifest: &run.work.package_manifest,
        checks: &case.checks,
    };
    Ok(asked(&candidate, baseline.as_ref(), &run.policy.reviews))
}

const fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Active { .. } => "active",
        Decision::Rejected { .. } => "rejected",
        Decision::InReview { .. } => "in_review",
    }
}

fn sign(run: &Run<'_>, case: &Case, decision: &Decision) -> Envelope {
    let reference = run.work.image.as_ref().map(ToString::to_string);
    let payload = statement(&Judgement {
        store: &run.pipeline.store,
        profile: run.pipeline.profile,
        package: &run.work.package_name,
        version: &run.work.version_number,
        image_reference: reference.as_deref(),
        digest: case.image.as_ref().map(|image| &image.digest),
        package_manifest: &run.work.package_manifest,
        checks: &case.checks,
        policy: &run.policy,
        decision,
        advisories: case.advisories.clone(),
        attestations: &case.attestations,
        review: None,
        time: Utc::now(),
    });
    run.pipeline.verdict_key.sign(PAYLOAD_TYPE, payload)
}

/// Puts the verdict beside the mirrored image, as a referrer.
async fn attach_verdict(run: &Run<'_>, case: &mut Case, envelope: &Envelope) -> Result<(), JobError> {
    let Some(image) = &case.image else { return Ok(()) };
    let subject = Subject { media_type: &image.media_type, digest: &image.digest, size: image.manifest_size };
    let referrer = attach(envelope, &run.pipeline.verdict_key, subject, Utc::now());
    referrer.store(&*run.pipeline.blobs).await?;
    let VerdictReferrer { manifest, blobs } = referrer;
    case.blobs.extend(blobs.iter().map(|(digest, _)| digest.clone()));
    case.new_blobs.extend(blobs.into_iter().map(|(digest, bytes)| (digest, bytes.len() as u64)));
    let digest = manifest.digest.clone();
    case.manifests.push(LinkedManifest { digest, role: ManifestRole::Referrer, platform: None, subject: None });
    case.new_manifests.push(manifest);
    Ok(())
}

fn ending(run: &Run<'_>, case: Case, decision: Decision, entry: Entry, envelope: &Envelope) -> Ending {
    let (top, size) = match case.image {
        Some(image) => (Some((image.digest, image.media_type)), image.total_size),
        None => (None, 0),
    };
    Ending {
        verdict: NewVerdict {
            version: run.work.version,
            intake: run.work.id,
            decision,
            envelope: envelope.to_bytes(),
            key_id: run.pipeline.verdict_key.key_id().to_owned(),
            rejudged: None,
            review: None,
        },
        steps: case.steps,
        recorded: case.recorded.clone(),
        checks: case.checks.into_iter().filter(|check| !case.recorded.contains(&check.name)).collect(),
        content: NewContent {
            top,
            size,
            manifests: case.manifests,
            blobs: case.blobs,
            new_manifests: case.new_manifests,
            new_blobs: case.new_blobs,
        },
        components: case.components,
        findings: case.findings,
        advisory_snapshot: case.advisory_snapshot,
        waivers: case.waivers,
        documents: case.documents,
        entry,
    }
}
