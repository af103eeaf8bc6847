//! Which paths a catalog keeps, and which files are read for it.

/// File names under which the served systems keep a package's own manifest.
pub const PACKAGE_MANIFEST_NAMES: &[&str] = &[
    "manifest.json",
    "paperclip.module.json",
    "package.json",
    "module.yaml",
    "module.yml",
    "module.json",
    "manifest.yaml",
    "manifest.yml",
    "context.yaml",
    "contract.yaml",
    "microcoreos.json",
    "company.json",
    "COMPANY.md",
];

/// Also the name of npm's own manifests, so that one file may be both.
pub(crate) const NPM_MANIFEST: &str = "package.json";

/// Manifests lie at the root or near it; deeper ones of these names belong to something else.
const MAX_MANIFEST_DEPTH: usize = 3;

/// Top-level directories that a distribution fills.
const SYSTEM_DIRECTORIES: &[&str] = &[
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "media", "mnt", "proc", "root", "run", "sbin",
    "sys", "tmp", "usr", "var",
];

/// Places inside those where base images have authors put their code (node, AWS Lambda).
const AUTHOR_DIRECTORIES: &[&str] = &["usr/src/app", "var/task"];

/// Directories of installed packages and generated files: too many, and no entrypoint or manifest lies there.
const DEPENDENCY_DIRECTORIES: &[&str] = &["node_modules", "site-packages", "dist-packages", "__pycache__", ".git"];

/// Whether a path is the author's own: it is neither below a system directory nor below installed dependencies. All
/// files there are kept with their sizes.
#[must_use]
pub fn is_author_path(path: &str) -> bool {
    let top = path.split('/').next().unwrap_or_default();
    let in_author_place = AUTHOR_DIRECTORIES.iter().any(|place| is_at_or_below(path, place));
    (in_author_place || !SYSTEM_DIRECTORIES.contains(&top))
        && !path.split('/').any(|component| DEPENDENCY_DIRECTORIES.contains(&component))
}

fn is_at_or_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Fixed places of package databases and of what names the distribution.
const OS_RELEASES: &[&str] = &["etc/os-release", "usr/lib/os-release"];
const DPKG_STATUS: &str = "var/lib/dpkg/status";
const DPKG_STATUS_PARTS: &str = "var/lib/dpkg/status.d/";
const DPKG_INFO: &str = "var/lib/dpkg/info/";
const APK_INSTALLED: &[&str] = &["lib/apk/db/installed", "usr/lib/apk/db/installed"];

/// Databases of package managers that are recognised and not read.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("var/lib/rpm/", "rpm"),
    ("usr/lib/sysimage/rpm/", "rpm"),
    ("usr/share/rpm/", "rpm"),
    ("var/lib/pacman/local/", "pacman"),
    ("var/db/pkg/", "portage"),
    ("usr/lib/opkg/", "opkg"),
    ("nix/var/nix/db/", "nix"),
];

/// Why a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    OsRelease,
    DpkgStatus,
    DpkgFileList,
    ApkInstalled,
    UnsupportedDatabase(&'static str),
    PythonMetadata,
    NpmManifest,
    /// A file of pnpm's store, which a later hard link may make a package's manifest.
    PnpmStoreFile,
    PackageManifest,
}

impl Interest {
    pub(super) fn of(path: &str) -> Option<Self> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if OS_RELEASES.contains(&path) {
            Some(Self::OsRelease)
        } else if path == DPKG_STATUS || is_status_part(path) {
            Some(Self::DpkgStatus)
        } else if path.starts_with(DPKG_INFO) && name.ends_with(".list") {
            Some(Self::DpkgFileList)
        } else if APK_INSTALLED.contains(&path) {
            Some(Self::ApkInstalled)
        } else if let Some(manager) = unsupported_database(path, name) {
            Some(Self::UnsupportedDatabase(manager))
        } else if is_python_metadata(parent, name) {
            Some(Self::PythonMetadata)
        } else if name == NPM_MANIFEST && has_component(parent, "node_modules") {
            Some(Self::NpmManifest)
        } else if is_pnpm_store_file(parent, name) {
            Some(Self::PnpmStoreFile)
        } else if is_package_manifest(path, name) {
            Some(Self::PackageManifest)
        } else if name == NPM_MANIFEST {
            // Copied into the author's tree, bundled, or of the system: a package wherever it lies.
            Some(Self::NpmManifest)
        } else {
            None
        }
    }

    /// Whether the interest is in installed packages of a language, whose manifests a distribution may own too.
    pub(super) const fn is_language_manifest(self) -> bool {
        match self {
            Self::PythonMetadata | Self::NpmManifest => true,
            Self::OsRelease
            | Self::DpkgStatus
            | Self::DpkgFileList
            | Self::ApkInstalled
            | Self::UnsupportedDatabase(_)
            | Self::PnpmStoreFile
            | Self::PackageManifest => false,
        }
    }
}

/// Whether a package database or `os-release` belongs at this path. Something else there (a link, a directory) is kept
/// too: the merged image then has a database that cannot be read.
pub(crate) fn is_database_path(path: &str) -> bool {
    match Interest::of(path) {
        Some(
            Interest::OsRelease | Interest::DpkgStatus | Interest::ApkInstalled | Interest::UnsupportedDatabase(_),
        ) => true,
        Some(
            Interest::DpkgFileList
            | Interest::PythonMetadata
            | Interest::NpmManifest
            | Interest::PnpmStoreFile
            | Interest::PackageManifest,
        )
        | None => false,
    }
}

/// Whether `os-release` belongs at this path.
pub(crate) fn is_os_release_path(path: &str) -> bool {
    OS_RELEASES.contains(&path)
}

/// The places of the databases that are read, one file each.
pub(crate) fn fixed_database_paths() -> impl Iterator<Item = &'static str> {
    [DPKG_STATUS].into_iter().chain(APK_INSTALLED.iter().copied())
}

/// Whether a database lies below this path, so that a link or file there takes its place.
pub(super) fn is_above_database(path: &str) -> bool {
    let fixed = OS_RELEASES.iter().chain(APK_INSTALLED).chain([&DPKG_STATUS, &DPKG_STATUS_PARTS]);
    fixed.into_iter().any(|database| database.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
}

/// The database whose place an entry takes by lying below it.
pub(super) fn database_above(path: &str) -> Option<&'static str> {
    let mut fixed = OS_RELEASES.iter().chain(APK_INSTALLED).chain([&DPKG_STATUS]);
    fixed.find(|database| path.strip_prefix(**database).is_some_and(|rest| rest.starts_with('/'))).copied()
}

/// Whether a symbolic link may stand where a directory with packages was. Libraries, commands, documentation and
/// configuration are linked by the thousand and never such directories.
pub(super) fn may_replace_packages(link: &str) -> bool {
    let name = link.rsplit('/').next().unwrap_or_default();
    let ordinary = name.contains(".so")
        || has_component(link, ".bin")
        || ["etc/", "usr/share/", "usr/include/", "usr/bin/", "usr/sbin/", "bin/", "sbin/", "dev/", "proc/", "sys/"]
            .iter()
            .any(|directory| link.starts_with(directory));
    !ordinary
}

/// Distroless images have one status file per package, and checksums beside them.
fn is_status_part(path: &str) -> bool {
    path.strip_prefix(DPKG_STATUS_PARTS).is_some_and(|name| !name.contains('/') && !name.ends_with(".md5sums"))
}

fn unsupported_database(path: &str, name: &str) -> Option<&'static str> {
    let (_, manager) = UNSUPPORTED.iter().find(|(directory, _)| path.starts_with(directory))?;
    let is_database = match *manager {
        "rpm" => matches!(name, "Packages" | "Packages.db" | "rpmdb.sqlite"),
        "pacman" => name == "desc",
        "portage" => name == "PF",
        "opkg" => name == "status",
        _ => name == "db.sqlite",
    };
    is_database.then_some(manager)
}

fn is_python_metadata(parent: &str, name: &str) -> bool {
    match name {
        "METADATA" => parent.ends_with(".dist-info"),
        // A folder `name.egg-info`, or an egg, which keeps its metadata in a folder of its own.
        "PKG-INFO" => parent.ends_with(".egg-info") || parent.rsplit('/').next() == Some("EGG-INFO"),
        _ => name.ends_with(".egg-info"),
    }
}

fn has_component(path: &str, component: &str) -> bool {
    path.split('/').any(|other| other == component)
}

/// `…/store/v3/files/00/1a2b…`: named by hash.
fn is_pnpm_store_file(parent: &str, name: &str) -> bool {
    let hash = name.strip_suffix("-exec").unwrap_or(name);
    hash.len() >= 62
        && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
        && parent.rsplit('/').nth(1) == Some("files")
        && parent.contains("store/v")
}

fn is_package_manifest(path: &str, name: &str) -> bool {
    PACKAGE_MANIFEST_NAMES.contains(&name) && path.split('/').count() <= MAX_MANIFEST_DEPTH && is_author_path(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_databases_and_manifests() {
        for (path, interest) in [
            ("etc/os-release", Some(Interest::OsRelease)),
            ("var/lib/dpkg/status", Some(Interest::DpkgStatus)),
            ("var/lib/dpkg/status-old", None),
            ("var/lib/dpkg/status.d/base-files", Some(Interest::DpkgStatus)),
            ("var/lib/dpkg/status.d/base-files.md5sums", None),
            ("var/lib/dpkg/info/python3-yaml.list", Some(Interest::DpkgFileList)),
            ("usr/lib/apk/db/installed", Some(Interest::ApkInstalled)),
            ("var/lib/rpm/rpmdb.sqlite", Some(Interest::UnsupportedDatabase("rpm"))),
            ("usr/lib/python3/dist-packages/yaml-6.0.dist-info/METADATA", Some(Interest::PythonMetadata)),
            ("usr/lib/python3/dist-packages/six.egg-info", Some(Interest::PythonMetadata)),
            ("x/METADATA", None),
            ("app/node_modules/@a/b/package.json", Some(Interest::NpmManifest)),
            ("app/package.json", Some(Interest::PackageManifest)),
            ("app/src/deep/package.json", Some(Interest::NpmManifest)),
            ("usr/share/nodejs/inherits/package.json", Some(Interest::NpmManifest)),
            ("usr/lib/python3/x/data/a-1.0-py3.7.egg/EGG-INFO/PKG-INFO", Some(Interest::PythonMetadata)),
            ("usr/src/a-1.0/PKG-INFO", None),
            ("usr/share/manifest.json", None),
            ("usr/src/app/x", None),
            ("manifest.json", Some(Interest::PackageManifest)),
        ] {
            assert_eq!(Interest::of(path), interest, "{path}");
        }
    }

    #[test]
    fn tells_the_authors_files_from_the_systems() {
        for (path, own) in [
            ("app/main.py", true),
            ("manifest.json", true),
            ("opt/module/run", true),
            ("usr/src/app/index.js", true),
            ("usr/src/application/index.js", false),
            ("var/task/handler.py", true),
            ("usr/bin/perl", false),
            ("app/node_modules/x/index.js", false),
        ] {
            assert_eq!(is_author_path(path), own, "{path}");
        }
    }

    #[test]
    fn knows_what_stands_above_a_database() {
        for (path, above) in [("var", true), ("var/lib/dpkg", true), ("lib", true), ("lib/ap", false), ("home", false)]
        {
            assert_eq!(is_above_database(path), above, "{path}");
        }
    }
}
