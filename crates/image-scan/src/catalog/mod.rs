//! What one layer holds: the facts that an image's components, files and secrets are later put together from.
//!
//! A catalog depends on the layer's bytes and [`ANALYZER_VERSION`] alone, so it is made once per layer and kept.

mod apk;
mod builder;
mod cost;
mod debian;
mod interest;
mod manifest_bytes;
mod npm;
mod os_release;
mod python;
mod rust_binary;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use registry_types::digest::Digest;
use serde::{Deserialize, Serialize};

pub(crate) use builder::CatalogBuilder;
pub use interest::{PACKAGE_MANIFEST_NAMES, is_author_path};
pub(crate) use interest::{fixed_database_paths, is_database_path, is_os_release_path};
pub use manifest_bytes::ManifestBytes;
pub(crate) use python::normalised_name as normalised_python_name;

use crate::secrets::SecretFinding;

/// Packages of one database. The whole of Debian has fewer.
const MAX_PACKAGES: usize = 100_000;

/// Raised whenever the same layer would give another catalog: layers are then cataloged anew.
pub const ANALYZER_VERSION: i32 = 2;

/// Facts about one layer. Strings hold no NUL, so that the catalog can be kept as JSONB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerCatalog {
    /// sha256 of the unpacked layer, which the image's config names.
    pub diff_id: Digest,
    /// Bytes of the unpacked layer.
    pub unpacked_bytes: u64,
    /// Entries of its archive.
    pub entries: u64,
    /// Paths that matter, relative to the root, with what is there: see [`is_author_path`] and [`Content`].
    pub tracked: BTreeMap<String, TrackedEntry>,
    /// There were more author files than are kept: a path that is missing from `tracked` may exist.
    pub is_file_list_cut: bool,
    /// Paths of lower layers that this layer removes.
    pub whiteouts: BTreeSet<String>,
    /// Directories whose content in lower layers this layer removes; the empty path is the root.
    pub opaque_directories: BTreeSet<String>,
    /// In the order of the archive.
    pub secrets: Vec<SecretFinding>,
    pub secret_search: SecretCoverage,
}

/// What the secret search looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecretCoverage {
    pub text_files: u64,
    /// Files with a NUL byte in their first 8 KiB: not searched.
    pub binary_files: u64,
    /// There were more findings than are kept.
    pub is_cut: bool,
}

/// One path of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackedEntry {
    #[serde(flatten)]
    pub kind: FileKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FileKind {
    /// Also a hard link to a regular file of the same layer.
    File {
        size: u64,
        executable: bool,
    },
    Directory,
    /// The target as written.
    Symlink {
        target: String,
    },
    /// To a path that is not a tracked file of the same layer.
    HardLink {
        target: String,
    },
    /// A device or pipe.
    Special,
}

/// What a cataloger read from a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    OsRelease(OsRelease),
    /// `var/lib/dpkg/status` or a file of `status.d`.
    Dpkg(Vec<SystemPackage>),
    /// `var/lib/dpkg/info/*.list`: the Python and npm manifests that the Debian package owns.
    DpkgFileList(Vec<String>),
    Apk(ApkDatabase),
    Python(LanguagePackage),
    Npm(LanguagePackage),
    /// Crates that cargo-auditable names in an executable, without the program itself.
    Rust(Vec<LanguagePackage>),
    /// A file that may be a package's own manifest, as it is.
    PackageManifest(ManifestBytes),
    /// As before, but larger than is kept; its size is the entry's.
    OversizedPackageManifest,
    /// A package database or manifest that is there and could not be read: why.
    Unreadable(String),
}

/// `os-release(5)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsRelease {
    pub id: String,
    pub version_id: Option<String>,
    pub pretty_name: Option<String>,
}

/// A package of the distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SystemPackage {
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub source_name: String,
    pub source_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}

/// Alpine's `installed` database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApkDatabase {
    pub packages: Vec<SystemPackage>,
    /// Python and npm manifests that a package owns.
    pub owned_manifests: Vec<String>,
}

/// A package of a language's ecosystem, named as its manifest does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LanguagePackage {
    pub name: String,
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}
