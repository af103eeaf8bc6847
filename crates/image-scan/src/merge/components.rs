//! Components from the merged catalogs.

use std::collections::HashSet;

use registry_types::component::{Component, Ecosystem};
use registry_types::digest::Digest;

use super::distribution::Distribution;
use super::overlay::{Manager, Overlay, PackageKey, Placed};
use super::purl::package_url;
use crate::catalog::{
    Content, LanguagePackage, NPM_MANIFEST, SystemPackage, normalised_python_name, read_npm_manifest,
};

/// All components, sorted. Python and npm packages that a package of the distribution owns are that package and not
/// counted again: the distribution repairs them under its own versions.
pub(super) fn components(
    overlay: &Overlay<'_>,
    distribution: Option<&Distribution>,
    digest_of: &dyn Fn(usize) -> Digest,
) -> Vec<Component> {
    let owned = owned_manifests(overlay);
    let mut components = Vec::new();
    for (path, placed) in overlay.iter() {
        let place = Place { path, placed, digest_of };
        match placed.entry.content.as_ref() {
            Some(Content::Dpkg(packages)) => {
                components.extend(packages.iter().map(|package| place.system(Manager::Dpkg, package, distribution)));
            }
            Some(Content::Apk(database)) => {
                let packages = database.packages.iter();
                components.extend(packages.map(|package| place.system(Manager::Apk, package, distribution)));
            }
            Some(Content::Python(package)) if !owned.contains(path) => components.push(place.python(package)),
            Some(Content::Npm(package)) if !owned.contains(path) => components.push(place.npm(package)),
            Some(Content::Rust(crates)) => components.extend(crates.iter().map(|package| place.rust(package))),
            // The author's own manifest may be that of an npm package; if it cannot be read as one, it is none.
            Some(Content::PackageManifest(bytes)) if is_npm_manifest(path) && !owned.contains(path) => {
                components.extend(read_npm_manifest(&bytes.0).ok().flatten().map(|package| place.npm(&package)));
            }
            Some(
                Content::Python(_)
                | Content::Npm(_)
                | Content::OsRelease(_)
                | Content::DpkgFileList(_)
                | Content::PackageManifest(_)
                | Content::OversizedPackageManifest
                | Content::Unreadable(_),
            )
            | None => {}
        }
    }
    components.sort();
    components.dedup();
    components
}

fn is_npm_manifest(path: &str) -> bool {
    path.rsplit('/').next() == Some(NPM_MANIFEST)
}

/// Manifests of Python and npm packages that installed packages of the distribution own. A list of files counts only
/// for a package that the database names.
fn owned_manifests<'a>(overlay: &Overlay<'a>) -> HashSet<&'a str> {
    let mut installed = HashSet::new();
    let mut lists = Vec::new();
    let mut owned = HashSet::new();
    for (path, placed) in overlay.iter() {
        match placed.entry.content.as_ref() {
            Some(Content::Dpkg(packages)) => installed.extend(packages.iter().map(|package| package.name.as_str())),
            Some(Content::DpkgFileList(manifests)) => lists.push((path, manifests)),
            Some(Content::Apk(database)) => owned.extend(database.owned_manifests.iter().map(String::as_str)),
            Some(
                Content::OsRelease(_)
                | Content::Python(_)
                | Content::Npm(_)
                | Content::Rust(_)
                | Content::PackageManifest(_)
                | Content::OversizedPackageManifest
                | Content::Unreadable(_),
            )
            | None => {}
        }
    }
    for (path, manifests) in lists {
        // `name.list`, or `name:architecture.list` for packages that may be installed for several.
        let file = path.rsplit('/').next().unwrap_or_default();
        let name = file.strip_suffix(".list").unwrap_or(file);
        if installed.contains(name.split(':').next().unwrap_or_default()) {
            owned.extend(manifests.iter().map(String::as_str));
        }
    }
    owned
}

/// A file that names packages, in the merged image.
struct Place<'p, 'a> {
    path: &'a str,
    placed: &'p Placed<'a>,
    digest_of: &'p dyn Fn(usize) -> Digest,
}

impl Place<'_, '_> {
    fn system(&self, manager: Manager, package: &SystemPackage, distribution: Option<&Distribution>) -> Component {
        let (kind, usual, ecosystem) = match manager {
            Manager::Dpkg => ("deb", "debian", Ecosystem::Debian),
            Manager::Apk => ("apk", "alpine", Ecosystem::Alpine),
        };
        let namespace = distribution.map_or(usual, |distribution| &distribution.id);
        let release = distribution.and_then(|distribution| distribution.release.clone());
        let named = distribution.and_then(|distribution| {
            distribution.version_id.as_ref().map(|version| format!("{}-{version}", distribution.id))
        });
        let qualifiers = [("arch", package.architecture.as_str()), ("distro", named.as_deref().unwrap_or_default())];
        Component {
            purl: package_url(kind, namespace, &package.name, &package.version, &qualifiers),
            ecosystem: distribution.and_then(|distribution| distribution.ecosystem).unwrap_or(ecosystem),
            ecosystem_release: release.unwrap_or_default(),
            name: package.name.clone(),
            version: package.version.clone(),
            source_name: package.source_name.clone(),
            source_version: package.source_version.clone(),
            license: package.license.clone(),
            layer: self.layer(&package.name, &package.version, &package.architecture),
            path: self.path.to_owned(),
        }
    }

    fn python(&self, package: &LanguagePackage) -> Component {
        let name = normalised_python_name(&package.name);
        let purl = package_url("pypi", "", &name, &package.version, &[]);
        self.language(Ecosystem::PyPi, purl, name, package)
    }

    fn npm(&self, package: &LanguagePackage) -> Component {
        let (scope, name) = match package.name.split_once('/') {
            Some((scope, name)) => (scope, name),
            None => ("", package.name.as_str()),
        };
        let purl = package_url("npm", scope, name, &package.version, &[]);
        self.language(Ecosystem::Npm, purl, package.name.clone(), package)
    }

    fn rust(&self, package: &LanguagePackage) -> Component {
        let purl = package_url("cargo", "", &package.name, &package.version, &[]);
        self.language(Ecosystem::CratesIo, purl, package.name.clone(), package)
    }

    fn language(&self, ecosystem: Ecosystem, purl: String, name: String, package: &LanguagePackage) -> Component {
        Component {
            purl,
            ecosystem,
            ecosystem_release: String::new(),
            source_name: name.clone(),
            source_version: package.version.clone(),
            name,
            version: package.version.clone(),
            license: package.license.clone(),
            layer: self.layer(&package.name, &package.version, ""),
            path: self.path.to_owned(),
        }
    }

    fn layer(&self, name: &str, version: &str, architecture: &str) -> Digest {
        let key = PackageKey { name, version, architecture };
        (self.digest_of)(self.placed.since.get(&key).copied().unwrap_or(self.placed.layer))
    }
}
