//! Step 6: the package manifest inside the image.

use image_scan::catalog::FileKind;
use image_scan::merge::{MergedImage, PackageManifest};
use package_formats::json::parse_strict;
use package_formats::{Descriptor, entrypoint_candidates, equal_to_submitted, manifest_paths, parse_submitted};
use registry_db::manifest_signatures::VersionSignature;
use registry_types::intake::{CheckName, Outcome, Reason};
use registry_types::pointer::PointerError;
use registry_types::rejection_code::RejectionCode;
use serde_json::{Value, json};

use super::check::{Observation, combined};
use super::context::{Case, Run};
use super::merge::PlatformImage;

/// Judges the manifest of every platform. Gives what the submitted manifest says, if it can be read.
pub(super) fn review(run: &Run<'_>, case: &mut Case, platforms: &[PlatformImage]) -> Option<Descriptor> {
    let submitted = &run.work.package_manifest;
    let descriptor = parse_submitted(run.work.format, submitted);
    let mut seen = Seen::default();
    let descriptor = match descriptor {
        Ok(descriptor) => Some(descriptor),
        Err(errors) => {
            seen.failed.extend(errors.iter().map(|error| invalid(error, None)));
            None
        }
    };
    let places: Vec<_> = platforms.iter().map(|platform| review_platform(run, platform, &mut seen)).collect();
    if let Some(descriptor) = &descriptor {
        let candidates = entrypoint_candidates(descriptor);
        platforms.iter().for_each(|platform| review_entrypoint(&candidates, platform, &mut seen));
    }
    let observations =
        vec![Observation::new(Outcome::Fail, seen.failed), Observation::new(Outcome::Unknown, seen.untold)];
    let signature = run.work.manifest_signature.as_ref().map(signature);
    let evidence = json!({ "format": run.work.format, "images": places, "signature": signature });
    let requirement = run.policy.requirements.package_manifest;
    case.checks.push(combined(CheckName::PackageManifest, requirement, observations, evidence));
    descriptor
}

/// As the API judged it when the manifest was submitted, and as its key stands now.
fn signature(signature: &VersionSignature) -> Value {
    json!({
        "standing": signature.standing,
        "key_fingerprint": signature.key,
        "manifest_sha256": hex::encode(signature.manifest_sha256),
    })
}

#[derive(Default)]
struct Seen {
    failed: Vec<Reason>,
    untold: Vec<Reason>,
}

/// Returns where the manifest lies, for the evidence.
fn review_platform(run: &Run<'_>, platform: &PlatformImage, seen: &mut Seen) -> Value {
    let paths = manifest_paths(run.work.format);
    let Some((path, manifest)) = paths.iter().find_map(|path| find(&platform.merged, path)) else {
        if !paths.is_empty() {
            missing(platform, paths, seen);
        }
        return json!({ "platform": platform.platform, "path": null });
    };
    let place = json!({ "platform": platform.platform, "path": path, "layer": manifest.layer });
    let Some(bytes) = &manifest.bytes else {
        let error = PointerError::new("", "too_large", "is larger than a package manifest may be");
        seen.failed.push(invalid(&error, Some((&path, manifest))));
        return place;
    };
    match parse_strict(bytes) {
        Err(errors) => seen.failed.extend(errors.iter().map(|error| invalid(error, Some((&path, manifest))))),
        Ok(in_image) => {
            let differences = equal_to_submitted(run.work.format, &in_image, &run.work.package_manifest);
            seen.failed.extend(differences.iter().map(|difference| mismatch(difference, &path, manifest)));
        }
    }
    place
}

/// Links inside the image are followed, as the host would.
fn find<'a>(merged: &'a MergedImage, path: &str) -> Option<(String, &'a PackageManifest)> {
    if let Some(manifest) = merged.package_manifests.get(path) {
        return Some((path.to_owned(), manifest));
    }
    let (path, _) = merged.resolve(path)?;
    let manifest = merged.package_manifests.get(&path)?;
    Some((path, manifest))
}

fn missing(platform: &PlatformImage, paths: &[&str], seen: &mut Seen) {
    let places = paths.iter().map(|path| format!("/{path}")).collect::<Vec<_>>().join(" or ");
    let message = format!("the image for {} has no package manifest at {places}", platform.platform);
    let reason = Reason::new(RejectionCode::PackageManifestMissing, "package_manifest.present", message)
        .fixed_by("copy the package manifest into the image");
    if platform.merged.is_file_list_cut {
        seen.untold.push(reason);
    } else {
        seen.failed.push(reason);
    }
}

fn review_entrypoint(candidates: &[String], platform: &PlatformImage, seen: &mut Seen) {
    let merged = &platform.merged;
    if candidates.is_empty() || candidates.iter().any(|path| is_regular_file(merged, path)) {
        return;
    }
    let places = candidates.iter().map(|path| format!("/{path}")).collect::<Vec<_>>().join(" or ");
    let message = format!("the image for {} has no entrypoint at {places}", platform.platform);
    let reason = Reason::new(RejectionCode::EntrypointMissing, "package_manifest.entrypoint", message)
        .fixed_by("copy the module's code into the image, or correct the entrypoint");
    if merged.is_file_list_cut { seen.untold.push(reason) } else { seen.failed.push(reason) }
}

fn is_regular_file(merged: &MergedImage, path: &str) -> bool {
    merged.resolve(path).is_some_and(|(_, file)| match file.kind {
        FileKind::File { .. } | FileKind::HardLink { .. } => true,
        FileKind::Directory | FileKind::Symlink { .. } | FileKind::Special => false,
    })
}

fn invalid(error: &PointerError, place: Option<(&String, &PackageManifest)>) -> Reason {
    let message = format!("{}: {}", pointer(error), error.message);
    let reason =
        Reason::new(RejectionCode::PackageManifestInvalid, format!("package_manifest/{}", error.code), message);
    match place {
        Some((path, manifest)) => reason.in_file(path).in_layer(&manifest.layer),
        None => reason,
    }
}

fn mismatch(difference: &PointerError, path: &str, manifest: &PackageManifest) -> Reason {
    let message = format!("{} {}", pointer(difference), difference.message);
    Reason::new(RejectionCode::PackageManifestMismatch, format!("package_manifest/{}", difference.code), message)
        .in_file(path)
        .in_layer(&manifest.layer)
        .fixed_by("publish the manifest that is in the image, or build the image with the one that you publish")
}

fn pointer(error: &PointerError) -> &str {
    if error.pointer.is_empty() { "the document" } else { &error.pointer }
}
