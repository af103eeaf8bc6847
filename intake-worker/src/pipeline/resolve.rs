//! Step 1: the reference becomes a digest, once for the whole intake, with the manifests of all platforms.

use chrono::Utc;
use registry_db::DbError;
use registry_db::registries::{self, RegistryNamespace};
use registry_types::digest::Digest;
use registry_types::image_reference::ImageReference;
use registry_types::intake::{CheckName, CheckResult, IntakeStep, Reason};
use registry_types::namespace_pattern::NamespaceState;
use registry_types::rejection_code::RejectionCode;
use registry_types::signature_policy::SignaturePolicy;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::context::{Case, PinnedImage, Run};
use super::mirror::manifest_row;
use super::step_error::StepError;
use crate::job_error::JobError;
use crate::namespace::{self, SessionError};
use crate::source::RegistrySession;
use crate::source::image::{self, ImageTree, ManifestRole};

const RULE: &str = "image.resolves";

/// Access to the author's repository, and what is demanded of its signatures.
pub(super) struct SourceAccess {
    pub(super) registry: RegistrySession,
    pub(super) signature_policy: SignaturePolicy,
}

#[derive(Serialize, Deserialize)]
struct Resolved {
    digest: Digest,
}

/// Opens the namespace's credential under the job's lease.
pub(super) async fn open(run: &Run<'_>, reference: &ImageReference) -> Result<SourceAccess, StepError> {
    let Some(namespace) = run.work.namespace else { return Err(not_verified()) };
    let mut conn = run.pipeline.pool.get().await?;
    let opened = match registries::credential_for_job(&mut conn, namespace, run.job.lease, &run.pipeline.key_ring).await
    {
        Ok(opened) => opened,
        // Only a namespace that is seen not to be verified refuses the package; otherwise it is the lease that has run out.
        Err(DbError::Stale | DbError::NotFound) => {
            return match registries::get(&mut conn, run.work.organization, namespace).await {
                Ok(RegistryNamespace { state: NamespaceState::Verified, .. }) => Err(JobError::LeaseLost.into()),
                Ok(_) | Err(DbError::NotFound) => Err(not_verified()),
                Err(error) => Err(error.into()),
            };
        }
        Err(error) => return Err(error.into()),
    };
    if !opened.namespace.pattern.matches(reference) {
        return Err(not_verified());
    }
    let signature_policy = opened.namespace.signature_policy.clone();
    let source = match &run.job.request_id {
        Some(request_id) => &run.pipeline.source.on_behalf_of(request_id),
        None => &run.pipeline.source,
    };
    let registry = namespace::session(source, opened, &reference.repository).map_err(|error| match error {
        SessionError::Credential(error) => {
            let reason = Reason::new(RejectionCode::RegistryAccessDenied, RULE, error.to_string());
            StepError::refused(CheckName::Image, reason.fixed_by("give the registry namespace another credential"))
        }
        SessionError::Source(error) => StepError::of_source(CheckName::Image, RULE, error),
    })?;
    Ok(SourceAccess { registry, signature_policy })
}

fn not_verified() -> StepError {
    let reason = Reason::new(
        RejectionCode::NamespaceNotVerified,
        "registry_namespace.verified",
        "the registry namespace of this image was removed, changed or suspended after the submission",
    );
    StepError::refused(CheckName::Image, reason.fixed_by("have the namespace verified and publish again"))
}

pub(super) async fn resolve(
    run: &Run<'_>,
    case: &mut Case,
    access: &SourceAccess,
    reference: &ImageReference,
) -> Result<ImageTree, StepError> {
    let started = Utc::now();
    let pinned: Option<Resolved> = run.learned(IntakeStep::Resolve);
    // A tag may have moved since: an intake judges one digest only.
    let target = match &pinned {
        Some(Resolved { digest }) => ImageReference { digest: Some(digest.clone()), ..reference.clone() },
        None => reference.clone(),
    };
    let image = image::resolve(&access.registry, &target)
        .await
        .map_err(|error| StepError::of_source(CheckName::Image, RULE, error))?;
    case.new_manifests.extend(image.nodes().iter().map(|node| manifest_row(&node.raw)));
    let root = &image.root().raw;
    case.image = Some(PinnedImage {
        digest: root.digest.clone(),
        media_type: root.media_type.clone(),
        manifest_size: root.bytes.len(),
        total_size: image.total_size(),
    });
    let check = CheckResult::pass(CheckName::Image, evidence(reference, &image));
    if pinned.is_none() {
        let resolved = Resolved { digest: root.digest.clone() };
        let checks = std::slice::from_ref(&check);
        let beginning = [IntakeStep::Verify, IntakeStep::Transfer];
        run.record((IntakeStep::Resolve, started), &resolved, checks, &beginning, Some(&root.digest)).await?;
    }
    case.recorded.push(check.name);
    case.checks.push(check);
    Ok(image)
}

fn evidence(reference: &ImageReference, image: &ImageTree) -> serde_json::Value {
    let images = image.images().map(|node| {
        let platform = match &node.role {
            ManifestRole::Image { platform, .. } => platform.as_ref().map(super::mirror::platform_text),
            ManifestRole::Index { .. } | ManifestRole::Artifact { .. } => None,
        };
        json!({ "digest": node.raw.digest, "platform": platform, "layers": node.blobs().count() - 1 })
    });
    json!({
        "reference": reference.to_string(),
        "digest": image.digest(),
        "media_type": image.root().raw.media_type,
        "size_bytes": image.total_size(),
        "images": images.collect::<Vec<_>>(),
    })
}
