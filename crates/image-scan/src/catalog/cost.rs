//! What facts take to keep, about: so that no layer makes its catalog grow without bound.

use super::{Content, FileKind, LanguagePackage, SystemPackage, TrackedEntry};

/// What an entry takes beside its texts, about.
pub(super) const ENTRY_BYTES: usize = 64;

/// About how many bytes an entry takes to keep; package manifests have their own limit.
pub(super) fn entry_bytes(entry: &TrackedEntry) -> usize {
    let target = match &entry.kind {
        FileKind::Symlink { target } | FileKind::HardLink { target } => target.len(),
        FileKind::File { .. } | FileKind::Directory | FileKind::Special => 0,
    };
    let texts = |texts: &[String]| texts.iter().map(|text| text.len() + ENTRY_BYTES).sum::<usize>();
    let content = match &entry.content {
        Some(Content::Dpkg(packages)) => packages.iter().map(system_bytes).sum(),
        Some(Content::Apk(database)) => {
            database.packages.iter().map(system_bytes).sum::<usize>() + texts(&database.owned_manifests)
        }
        Some(Content::DpkgFileList(owned)) => texts(owned),
        Some(Content::Rust(crates)) => crates.iter().map(language_bytes).sum(),
        Some(Content::Python(package) | Content::Npm(package)) => language_bytes(package),
        Some(Content::Unreadable(why)) => why.len(),
        Some(Content::OsRelease(_) | Content::PackageManifest(_) | Content::OversizedPackageManifest) | None => 0,
    };
    target + content
}

fn system_bytes(package: &SystemPackage) -> usize {
    let license = package.license.as_ref().map_or(0, String::len);
    let source = package.source_name.len() + package.source_version.len();
    ENTRY_BYTES + package.name.len() + package.version.len() + package.architecture.len() + source + license
}

pub(super) fn language_bytes(package: &LanguagePackage) -> usize {
    ENTRY_BYTES + package.name.len() + package.version.len() + package.license.as_ref().map_or(0, String::len)
}
