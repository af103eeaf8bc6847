//! JSON documents: advisories, package manifests, templates.

use image_scan::advisories::parse_osv;
use package_formats::json::parse_strict;
use package_formats::manifest_signature::{CanonicalManifest, ManifestSignature};
use package_formats::{detect_format, entrypoint_candidates, equal_to_submitted, parse_openvex, parse_submitted};
use registry_types::package::PackageFormat;
use registry_types::template::Template;
use serde_json::value::RawValue;

/// A record, and behind a zero byte a version to hold against it.
pub(super) fn osv(data: &[u8]) {
    let (record, version) = match data.iter().position(|byte| *byte == 0) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &b"1.0"[..]),
    };
    let Ok(record) = parse_osv(record) else { return };
    assert!(!record.id.is_empty() && !record.id.contains('\0'));
    let version = String::from_utf8_lossy(version);
    for package in &record.affected {
        let first = package.assess(&version);
        assert_eq!(package.assess(&version), first);
    }
}

/// The first byte names the format.
pub(super) fn package_manifest(data: &[u8]) {
    let Some((format, document)) = super::choice(data, PackageFormat::ALL.len()) else { return };
    let format = PackageFormat::ALL[format];
    let Ok(manifest) = parse_strict(document) else { return };
    // Strict JSON is JSON that means the same to everybody.
    assert_eq!(serde_json::from_slice::<serde_json::Value>(document).ok().as_ref(), Some(&manifest));
    assert!(equal_to_submitted(format, &manifest, &manifest).is_empty());
    std::hint::black_box(detect_format(&manifest));
    manifest_signature(document, &manifest);
    match parse_submitted(format, &manifest) {
        Ok(descriptor) => {
            for path in entrypoint_candidates(&descriptor) {
                let is_inside = path.split('/').all(|component| !matches!(component, "" | "." | ".."));
                assert!(is_inside, "{path:?}");
            }
        }
        Err(errors) => assert!(!errors.is_empty(), "refused without a reason"),
    }
}

/// The bytes that are signed are one for each manifest, and no other bytes are signed by accident.
fn manifest_signature(document: &[u8], manifest: &serde_json::Value) {
    let text: Box<RawValue> = serde_json::from_slice(document).expect("strict JSON is JSON");
    let Ok(canonical) = CanonicalManifest::of(&text) else { return assert!(!manifest.is_object()) };
    let again: Box<RawValue> = serde_json::from_slice(canonical.as_bytes()).expect("the canonical form is JSON");
    assert_eq!(CanonicalManifest::of(&again).ok().as_ref(), Some(&canonical));
    if let Ok(Some(signature)) = ManifestSignature::read(manifest)
        && let Some(key) = &signature.key
    {
        assert!(!signature.is_by(key, b"{}"));
    }
}

pub(super) fn template(data: &[u8]) {
    let Ok(document) = parse_strict(data) else { return };
    let template = match Template::parse(&document) {
        Ok(template) => template,
        Err(errors) => return assert!(!errors.is_empty(), "refused without a reason"),
    };
    let printed = template.to_value().expect("a template can be written");
    assert_eq!(Template::parse(&printed).as_ref(), Ok(&template), "{printed}");
    let ordered = template.agents_in_order().expect("a template that was accepted has no cycle");
    assert_eq!(ordered.len(), template.agents.len());
    let goals = template.goals_in_order().expect("a template that was accepted has no cycle");
    assert_eq!(goals.len(), template.goals.len());
}

pub(super) fn openvex(data: &[u8]) {
    let Ok(document) = parse_openvex(data) else { return };
    for claim in &document.claims {
        assert!(claim.reason.is_not_affected());
        assert!(claim.component.package.as_str().starts_with("pkg:"));
    }
}
