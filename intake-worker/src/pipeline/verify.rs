//! Step 2: signatures against the namespace's policy, and their mirror.

use blob_store::ObjectKey;
use chrono::Utc;
use registry_db::content::{self, LinkedManifest, ManifestRole};
use registry_types::digest::Digest;
use registry_types::intake::{CheckName, CheckResult, IntakeStep};
use serde::{Deserialize, Serialize};

use super::context::{Case, Run};
use super::mirror::manifest_row;
use super::resolve::SourceAccess;
use super::step_error::StepError;
use crate::job_error::JobError;
use crate::signatures::{self, Attachment, SignatureArtifact, Subjects};
use crate::source::FailureClass;
use crate::source::image::ImageTree;

/// What this step learned.
#[derive(Serialize, Deserialize)]
pub(super) struct Verified {
    check: CheckResult,
    manifests: Vec<Mirrored>,
    blobs: Vec<Digest>,
}

/// A signature or attestation that the store keeps.
#[derive(Serialize, Deserialize)]
struct Mirrored {
    digest: Digest,
    /// The image whose tag it lies under; `None` where it names the image itself.
    subject: Option<Digest>,
}

impl Mirrored {
    fn of(artifact: &SignatureArtifact) -> Self {
        let subject = match artifact.attachment {
            Attachment::Tag(_) => Some(artifact.subject.clone()),
            Attachment::Referrer => None,
        };
        Self { digest: artifact.manifest.digest.clone(), subject }
    }
}

pub(super) async fn verify(run: &Run<'_>, access: &SourceAccess, image: &ImageTree) -> Result<Verified, StepError> {
    if let Some(verified) = run.learned(IntakeStep::Verify) {
        return Ok(verified);
    }
    run.at("verify", "begin").await;
    let started = Utc::now();
    let subjects = Subjects::of(image);
    let roots = &run.pipeline.trust_roots;
    let verified = match signatures::verify(&access.registry, &subjects, &access.signature_policy, roots).await {
        Ok(report) => {
            mirror(run, &report.artifacts).await?;
            Verified {
                check: report.check,
                manifests: report.artifacts.iter().map(Mirrored::of).collect(),
                blobs: blobs(&report.artifacts).map(|(digest, _)| digest.clone()).collect(),
            }
        }
        Err(error) => match error.class() {
            FailureClass::Retry if !run.job.is_last_attempt() => return Err(JobError::outage(&error).into()),
            FailureClass::Reject(_) | FailureClass::Retry | FailureClass::OurFault => {
                Verified { check: signatures::could_not_check(&error), manifests: Vec::new(), blobs: Vec::new() }
            }
        },
    };
    let checks = std::slice::from_ref(&verified.check);
    run.record((IntakeStep::Verify, started), &verified, checks, &[], None).await?;
    Ok(verified)
}

/// Puts the step's result into the case.
pub(super) fn keep(case: &mut Case, verified: Verified) {
    for Mirrored { digest, subject } in verified.manifests {
        case.attestations.push(digest.clone());
        case.manifests.push(LinkedManifest { digest, role: ManifestRole::Referrer, platform: None, subject });
    }
    case.blobs.extend(verified.blobs);
    case.recorded.push(CheckName::Signature);
    case.checks.push(verified.check);
}

fn blobs(artifacts: &[SignatureArtifact]) -> impl Iterator<Item = (&Digest, &bytes::Bytes)> {
    artifacts.iter().flat_map(|artifact| &artifact.blobs).map(|blob| (&blob.descriptor.digest, &blob.bytes))
}

/// Small and few: kept whole, objects first and rows behind them.
async fn mirror(run: &Run<'_>, artifacts: &[SignatureArtifact]) -> Result<(), StepError> {
    if artifacts.is_empty() {
        return Ok(());
    }
    for (digest, bytes) in blobs(artifacts) {
        run.pipeline.blobs.put(&ObjectKey::Blob(digest.clone()), bytes.clone()).await?;
    }
    let rows: Vec<_> = artifacts.iter().map(|artifact| manifest_row(&artifact.manifest)).collect();
    let new_blobs: Vec<_> = blobs(artifacts).map(|(digest, bytes)| (digest.clone(), bytes.len() as u64)).collect();
    let mut conn = run.pipeline.pool.get().await?;
    content::insert_blobs(&mut conn, &new_blobs).await?;
    content::insert_manifests(&mut conn, &rows).await?;
    Ok(())
}
