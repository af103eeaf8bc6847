//! Signatures of images: found, judged against a namespace's policy, and kept for the mirror.
//!
//! An image counts as signed when a signer of the policy signed the digest that the reference resolved to, or, for an
//! index, the manifest of every platform in it. Signatures lie under cosign's legacy tag or are sigstore bundles that
//! refer to the image. An outage is an error, never "unsigned".

mod discovery;
mod judgement;
pub mod legacy;
mod report;
mod statement;
pub mod verifier;

use registry_types::digest::Digest;
use registry_types::intake::CheckResult;
use registry_types::signature_policy::SignaturePolicy;

pub use discovery::{Attachment, SignatureArtifact, SignatureBlob};
pub use judgement::{CandidateOutcome, Form, JudgedCandidate};
pub use report::could_not_check;
pub use verifier::{Signer, TrustRoots};

use crate::source::image::{ImageTree, ManifestRole};
use crate::source::{RegistrySession, SourceError};
use discovery::Found;

/// What signatures may be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    /// The digest that the reference resolved to.
    pub root: Digest,
    /// The manifests of all platforms when the root is an index, else empty.
    pub platforms: Vec<Digest>,
}

impl Subjects {
    #[must_use]
    pub fn of(image: &ImageTree) -> Self {
        let platforms = match image.root().role {
            ManifestRole::Index { .. } => image.images().map(|node| node.raw.digest.clone()).collect(),
            ManifestRole::Image { .. } | ManifestRole::Artifact { .. } => Vec::new(),
        };
        Self { root: image.digest().clone(), platforms }
    }
}

/// The result of looking at an image's signatures.
#[derive(Debug)]
pub struct SignatureReport {
    /// The check `signature`, with every candidate in its evidence.
    pub check: CheckResult,
    pub candidates: Vec<JudgedCandidate>,
    /// The signatures and attestations that were read whole, for the mirror.
    pub artifacts: Vec<SignatureArtifact>,
}

/// Looks for signatures of `subjects` and judges them. Platforms are looked at only where the policy demands a signature and
/// the root has none that counts.
///
/// # Errors
/// Under a policy that demands signatures: whatever keeps the search from being complete; [`could_not_check`] turns it into
/// the check's result. Under [`SignaturePolicy::None`] the result is a warning instead.
pub async fn verify(
    session: &RegistrySession,
    subjects: &Subjects,
    policy: &SignaturePolicy,
    roots: &TrustRoots,
) -> Result<SignatureReport, SourceError> {
    let root = match (examine(session, &subjects.root, policy, roots).await, policy) {
        (Ok(root), _) => root,
        (Err(error), SignaturePolicy::None) => return Ok(report::not_recorded(&error)),
        (Err(error), SignaturePolicy::Required(_)) => return Err(error),
    };
    let signers = match policy {
        SignaturePolicy::None => return Ok(report::recorded(root, roots)),
        SignaturePolicy::Required(signers) => signers,
    };
    let mut platforms = Vec::new();
    if !root.is_accepted() {
        for platform in &subjects.platforms {
            platforms.push(examine(session, platform, policy, roots).await?);
        }
    }
    Ok(report::demanded(root, platforms, signers, roots))
}

/// What was found for one digest, judged.
struct Examined {
    subject: Digest,
    found: Found,
    judged: Vec<JudgedCandidate>,
}

impl Examined {
    fn is_accepted(&self) -> bool {
        self.judged.iter().any(|candidate| candidate.outcome == CandidateOutcome::Accepted)
    }
}

async fn examine(
    session: &RegistrySession,
    subject: &Digest,
    policy: &SignaturePolicy,
    roots: &TrustRoots,
) -> Result<Examined, SourceError> {
    let mut found = discovery::discover(session, subject).await?;
    let candidates = std::mem::take(&mut found.candidates);
    let (policy, roots) = (policy.clone(), roots.clone());
    let judge = move || candidates.iter().map(|candidate| judgement::judge(candidate, &policy, &roots)).collect();
    let judged = tokio::task::spawn_blocking(judge)
        .await
        .map_err(|_| SourceError::Setup("the judgement of signatures was interrupted".to_owned()))?;
    Ok(Examined { subject: subject.clone(), found, judged })
}
