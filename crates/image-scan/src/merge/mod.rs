//! Layer catalogs put together: the image as a runtime shows it.

mod components;
mod database;
mod distribution;
mod overlay;
mod purl;
mod resolve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use registry_types::component::Component;
use registry_types::digest::Digest;
use serde::{Deserialize, Serialize};

pub use distribution::Distribution;

use crate::catalog::{Content, FileKind, LayerCatalog};
use crate::secrets::SecretFinding;
use overlay::Overlay;

/// One image of one platform, its layers merged.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedImage {
    /// Installed packages, sorted.
    pub components: Vec<Component>,
    /// What `os-release` says; `None` where there is none that can be read.
    pub distribution: Option<Distribution>,
    /// Why `components` may lack something: with any of these the scan's outcome is `unknown`.
    pub incomplete: Vec<Incomplete>,
    /// Secrets of all layers: one that an upper layer removes is still shipped.
    pub secrets: Vec<LocatedSecret>,
    /// Files that may be a package's own manifest, by path.
    pub package_manifests: BTreeMap<String, PackageManifest>,
    /// Not all author files are in the file view: a path that is missing there may exist.
    pub is_file_list_cut: bool,
    files: BTreeMap<String, MergedFile>,
}

/// A reason why the image's packages are not known wholly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incomplete {
    /// For people; lower case, no full stop.
    pub why: String,
    pub path: Option<String>,
    pub layer: Option<Digest>,
}

/// A secret and the layer that holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LocatedSecret {
    pub layer: Digest,
    #[serde(flatten)]
    pub finding: SecretFinding,
    /// Whether the layer's file is also part of the merged image.
    pub is_visible: bool,
}

/// A file that may be a package's own manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageManifest {
    pub layer: Digest,
    /// `None` where it is larger than is kept (1 MiB, or 8 MiB per layer in all).
    pub bytes: Option<Vec<u8>>,
}

/// One path of the merged image that is kept: author files, package databases, executables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedFile {
    pub kind: FileKind,
    /// The topmost layer that has it.
    pub layer: Digest,
}

impl MergedImage {
    /// What lies at a path, relative to the root; links are not followed.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&MergedFile> {
        self.files.get(path)
    }

    /// What lies at a path after following symbolic links inside the root, and where.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Option<(String, &MergedFile)> {
        let path = resolve::resolve(path, |link| match &self.files.get(link)?.kind {
            FileKind::Symlink { target } => Some(target.as_str()),
            FileKind::File { .. } | FileKind::Directory | FileKind::HardLink { .. } | FileKind::Special => None,
        })?;
        let file = self.files.get(&path)?;
        Some((path, file))
    }

    /// All paths that are kept, sorted.
    pub fn files(&self) -> impl Iterator<Item = (&str, &MergedFile)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }
}

/// Merges the layers of one image, the lowest first, each with the digest of its blob.
///
/// Whiteouts and opaque directories are honoured; a component is attributed to the layer since which it is there
/// without interruption in the same version, though the package database is written anew by every layer that installs
/// something.
#[must_use]
pub fn merge(layers: &[(Digest, LayerCatalog)]) -> MergedImage {
    let mut overlay = Overlay::default();
    for (number, (_, catalog)) in layers.iter().enumerate() {
        overlay.apply(number, catalog);
    }
    let digest_of = |layer: usize| layers[layer].0.clone();
    let release = distribution::find(&overlay);
    let distribution = release.map(Distribution::from_os_release);
    let mut incomplete = database::incomplete(&overlay, &digest_of);
    incomplete.extend(distribution::incomplete(&overlay, distribution.as_ref(), &digest_of));
    incomplete.sort();
    MergedImage {
        components: components::components(&overlay, distribution.as_ref(), &digest_of),
        incomplete,
        secrets: secrets(layers, &overlay),
        package_manifests: package_manifests(&overlay, &digest_of),
        is_file_list_cut: layers.iter().any(|(_, catalog)| catalog.is_file_list_cut),
        files: files(&overlay, &digest_of),
        distribution,
    }
}

fn files(overlay: &Overlay<'_>, digest_of: &dyn Fn(usize) -> Digest) -> BTreeMap<String, MergedFile> {
    let file =
        |placed: &overlay::Placed<'_>| MergedFile { kind: placed.entry.kind.clone(), layer: digest_of(placed.layer) };
    overlay.iter().map(|(path, placed)| (path.to_owned(), file(placed))).collect()
}

fn package_manifests(overlay: &Overlay<'_>, digest_of: &dyn Fn(usize) -> Digest) -> BTreeMap<String, PackageManifest> {
    let manifest = |path: &str, placed: &overlay::Placed<'_>| {
        let bytes = match placed.entry.content.as_ref()? {
            Content::PackageManifest(bytes) => Some(bytes.0.clone()),
            Content::OversizedPackageManifest => None,
            Content::OsRelease(_)
            | Content::Dpkg(_)
            | Content::DpkgFileList(_)
            | Content::Apk(_)
            | Content::Python(_)
            | Content::Npm(_)
            | Content::Rust(_)
            | Content::Unreadable(_) => return None,
        };
        Some((path.to_owned(), PackageManifest { layer: digest_of(placed.layer), bytes }))
    };
    overlay.iter().filter_map(|(path, placed)| manifest(path, placed)).collect()
}

fn secrets(layers: &[(Digest, LayerCatalog)], overlay: &Overlay<'_>) -> Vec<LocatedSecret> {
    let mut secrets: Vec<_> = layers
        .iter()
        .enumerate()
        .flat_map(|(number, (digest, catalog))| {
            catalog.secrets.iter().map(move |finding| LocatedSecret {
                layer: digest.clone(),
                finding: finding.clone(),
                is_visible: overlay.get(&finding.path).is_some_and(|placed| placed.layer == number),
            })
        })
        .collect();
    // Visible ones first among equals, so that a layer that an image has twice keeps the better evidence.
    secrets.sort_by(|a, b| {
        (&a.layer, &a.finding).cmp(&(&b.layer, &b.finding)).then_with(|| b.is_visible.cmp(&a.is_visible))
    });
    secrets.dedup_by(|a, b| a.layer == b.layer && a.finding == b.finding);
    secrets
}
