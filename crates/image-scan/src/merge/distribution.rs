//! Which distribution an image is of, in the words of advisories.

use registry_types::component::Ecosystem;
use registry_types::digest::Digest;
use serde::{Deserialize, Serialize};

use super::Incomplete;
use super::database::link_target;
use super::overlay::{Manager, Overlay, Placed, manager};
use super::resolve::resolve;
use crate::catalog::{Content, OsRelease};

/// What `os-release` says, and what it means for advisories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// `ID`, e.g. `debian`.
    pub id: String,
    pub version_id: Option<String>,
    pub name: Option<String>,
    /// Where advisories of the distribution are read.
    pub ecosystem: Option<Ecosystem>,
    /// Its release as advisories name it (`12`, `22.04`, `v3.20`); `None` for rolling and unreleased ones.
    pub release: Option<String>,
}

impl Distribution {
    pub(super) fn from_os_release(release: &OsRelease) -> Self {
        let ecosystem = match release.id.as_str() {
            "debian" => Some(Ecosystem::Debian),
            "ubuntu" => Some(Ecosystem::Ubuntu),
            "alpine" => Some(Ecosystem::Alpine),
            _ => None,
        };
        let version = release.version_id.as_deref();
        Self {
            id: release.id.clone(),
            version_id: release.version_id.clone(),
            name: release.pretty_name.clone(),
            ecosystem,
            release: ecosystem.zip(version).and_then(|(ecosystem, version)| advisory_release(ecosystem, version)),
        }
    }

    /// Whether advisories of this distribution speak of packages of this manager.
    fn covers(&self, manager: Manager) -> bool {
        let Some(ecosystem) = self.ecosystem else { return false };
        self.release.is_some() && ecosystems(manager).contains(&ecosystem)
    }
}

/// The distributions that a package manager is of.
const fn ecosystems(manager: Manager) -> &'static [Ecosystem] {
    match manager {
        Manager::Dpkg => &[Ecosystem::Debian, Ecosystem::Ubuntu],
        Manager::Apk => &[Ecosystem::Alpine],
    }
}

fn advisory_release(ecosystem: Ecosystem, version: &str) -> Option<String> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = version.split('.').collect();
    if !parts.iter().all(|part| is_number(part)) {
        return None;
    }
    match (ecosystem, parts.as_slice()) {
        (Ecosystem::Debian, [major, ..]) => Some((*major).to_owned()),
        (Ecosystem::Ubuntu, [year, month, ..]) => Some(format!("{year}.{month}")),
        (Ecosystem::Alpine, [major, minor, ..]) => Some(format!("v{major}.{minor}")),
        (
            Ecosystem::Debian
            | Ecosystem::Ubuntu
            | Ecosystem::Alpine
            | Ecosystem::PyPi
            | Ecosystem::Npm
            | Ecosystem::CratesIo,
            _,
        ) => None,
    }
}

/// `/etc/os-release` goes before `/usr/lib/os-release`; it is mostly a link to it.
pub(super) fn find<'a>(overlay: &Overlay<'a>) -> Option<&'a OsRelease> {
    ["etc/os-release", "usr/lib/os-release"].into_iter().find_map(|path| {
        let place = resolve(path, |at| link_target(overlay, at))?;
        let placed = overlay.get(&place)?;
        match placed.entry.content.as_ref()? {
            Content::OsRelease(release) => Some(release),
            Content::Dpkg(_)
            | Content::DpkgFileList(_)
            | Content::Apk(_)
            | Content::Python(_)
            | Content::Npm(_)
            | Content::Rust(_)
            | Content::PackageManifest(_)
            | Content::OversizedPackageManifest
            | Content::Unreadable(_) => None,
        }
    })
}

/// Packages of a distribution whose advisories are not known.
pub(super) fn incomplete(
    overlay: &Overlay<'_>,
    distribution: Option<&Distribution>,
    digest_of: &dyn Fn(usize) -> Digest,
) -> Vec<Incomplete> {
    let why = |placed: &Placed<'_>| {
        let manager = manager(placed.entry)?;
        let is_covered = distribution.is_some_and(|distribution| distribution.covers(manager));
        let named = match distribution {
            None => "no os-release file says which distribution's packages these are".to_owned(),
            Some(distribution) => format!(
                "packages of the distribution {} {} cannot be matched with advisories",
                distribution.id,
                distribution.version_id.as_deref().unwrap_or("without a version")
            ),
        };
        (!is_covered && !placed.since.is_empty()).then_some(named)
    };
    let databases = overlay.iter().filter_map(|(path, placed)| Some((path, placed, why(placed)?)));
    databases
        .map(|(path, placed, why)| Incomplete {
            why,
            path: Some(path.to_owned()),
            layer: Some(digest_of(placed.layer)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_releases_as_advisories_do() {
        let release = |id: &str, version: Option<&str>| {
            let release = OsRelease { id: id.to_owned(), version_id: version.map(str::to_owned), pretty_name: None };
            Distribution::from_os_release(&release).release
        };
        assert_eq!(release("debian", Some("12")).as_deref(), Some("12"));
        assert_eq!(release("debian", Some("12.5")).as_deref(), Some("12"));
        assert_eq!(release("ubuntu", Some("22.04")).as_deref(), Some("22.04"));
        assert_eq!(release("alpine", Some("3.20.1")).as_deref(), Some("v3.20"));
        assert_eq!(release("alpine", Some("3.21.0_alpha20240807")), None);
        assert_eq!(release("debian", None), None);
        assert_eq!(release("fedora", Some("40")), None);
    }
}
