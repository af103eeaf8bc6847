//! What an image holds: components by package URL.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::text_enum;

text_enum! {
    /// The ecosystems that the store catalogs and can match.
    pub enum Ecosystem {
        Debian = "debian",
        Ubuntu = "ubuntu",
        Alpine = "alpine",
        PyPi = "pypi",
        Npm = "npm",
        CratesIo = "crates.io",
    }
}

/// One installed package, as the merged image shows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Component {
    /// Package URL, canonical.
    pub purl: String,
    pub ecosystem: Ecosystem,
    /// Release of the distribution for `debian`, `ubuntu` and `alpine` (`12`, `v3.20`), else empty.
    pub ecosystem_release: String,
    pub name: String,
    pub version: String,
    /// Source package, which is what distribution advisories name; equal to `name` and `version` elsewhere.
    pub source_name: String,
    pub source_version: String,
    /// Licence expression as the package states it, if any.
    pub license: Option<String>,
    /// Layer that brought it: the digest of the layer blob.
    pub layer: Digest,
    /// File that says so, without a leading slash.
    pub path: String,
}
