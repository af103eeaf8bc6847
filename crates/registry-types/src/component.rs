//! What an image holds: components by package URL.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::text_enum;
use crate::text_enum::UnknownWord;

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

/// An ecosystem and, for a distribution, its release: what advisory data is kept by. Written `debian:12`, `pypi`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EcosystemRelease {
    pub ecosystem: Ecosystem,
    /// As in [`Component::ecosystem_release`]; empty where the ecosystem has no releases.
    pub release: String,
}

impl fmt::Display for EcosystemRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.release.as_str() {
            "" => write!(f, "{}", self.ecosystem),
            release => write!(f, "{}:{release}", self.ecosystem),
        }
    }
}

impl FromStr for EcosystemRelease {
    type Err = UnknownWord;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let (ecosystem, release) = value.split_once(':').unwrap_or((value, ""));
        Ok(Self { ecosystem: ecosystem.parse()?, release: release.to_owned() })
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
