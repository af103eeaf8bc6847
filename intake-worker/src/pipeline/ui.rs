//! Step 7: the UI bundle of a module that brings one.

use image_scan::catalog::FileKind;
use package_formats::Descriptor;
use registry_types::intake::{CheckName, CheckResult, Outcome, Reason};
use registry_types::limits::MAX_UI_BUNDLE_BYTES;
use registry_types::rejection_code::RejectionCode;
use serde_json::json;

use super::check::{Observation, combined};
use super::context::{Case, Run};
use super::merge::PlatformImage;

/// Where the host looks for it; without leading slash.
const BUNDLE: &str = "app/ui/dist/bundle.js";

pub(super) fn check(run: &Run<'_>, case: &mut Case, descriptor: Option<&Descriptor>, platforms: &[PlatformImage]) {
    let result = match descriptor {
        None => {
            let message = "the package manifest cannot be read, so nothing says whether a UI bundle must be there";
            let reason = Reason::new(RejectionCode::PackageManifestInvalid, "ui.bundle", message);
            CheckResult::with_reasons(CheckName::Ui, Outcome::Unknown, vec![reason], json!({}))
        }
        Some(descriptor) if !descriptor.has_ui => {
            CheckResult::not_applicable(CheckName::Ui, json!({ "declared": false }))
        }
        Some(_) => {
            let mut observations = Vec::new();
            let mut images = Vec::new();
            for platform in platforms {
                observations.extend(observe(platform));
                images.push(json!({ "platform": platform.platform, "size_bytes": size(platform) }));
            }
            let evidence = json!({ "declared": true, "path": BUNDLE, "images": images });
            combined(CheckName::Ui, run.policy.requirements.ui, observations, evidence)
        }
    };
    case.checks.push(result);
}

fn size(platform: &PlatformImage) -> Option<u64> {
    match platform.merged.resolve(BUNDLE)?.1.kind {
        FileKind::File { size, .. } => Some(size),
        FileKind::Directory | FileKind::Symlink { .. } | FileKind::HardLink { .. } | FileKind::Special => None,
    }
}

fn observe(platform: &PlatformImage) -> Option<Observation> {
    let merged = &platform.merged;
    let invalid = |message: String| {
        let reason = Reason::new(RejectionCode::UiBundleInvalid, "ui.bundle", message).in_file(BUNDLE);
        let fix = format!("put a regular file of 1 to {MAX_UI_BUNDLE_BYTES} bytes at /{BUNDLE}");
        Some(Observation::new(Outcome::Fail, vec![reason.fixed_by(fix)]))
    };
    // Directories above may be links; the bundle itself may not.
    if merged.file(BUNDLE).is_some_and(|file| matches!(file.kind, FileKind::Symlink { .. })) {
        return invalid(format!("in the image for {}, /{BUNDLE} is a symbolic link", platform.platform));
    }
    match merged.resolve(BUNDLE).map(|(_, file)| &file.kind) {
        Some(FileKind::File { size: 1..=MAX_UI_BUNDLE_BYTES, .. }) => None,
        Some(FileKind::File { size, .. }) => {
            invalid(format!("in the image for {}, /{BUNDLE} has {size} bytes", platform.platform))
        }
        Some(FileKind::Directory | FileKind::Symlink { .. } | FileKind::HardLink { .. } | FileKind::Special) => {
            invalid(format!("in the image for {}, /{BUNDLE} is not a regular file", platform.platform))
        }
        None => {
            let message = format!("the image for {} has no UI bundle at /{BUNDLE}", platform.platform);
            let reason = Reason::new(RejectionCode::UiBundleMissing, "ui.bundle", message).in_file(BUNDLE);
            let outcome = if merged.is_file_list_cut { Outcome::Unknown } else { Outcome::Fail };
            let fix = "build the UI into the image, or declare the module as no-ui";
            Some(Observation::new(outcome, vec![reason.fixed_by(fix)]))
        }
    }
}
