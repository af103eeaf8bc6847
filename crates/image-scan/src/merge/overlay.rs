//! Layers laid over one another, as the OCI image specification's "Representing Changes" says.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use crate::catalog::{Content, FileKind, LayerCatalog, TrackedEntry};

/// The paths of the layers applied so far.
#[derive(Default)]
pub(super) struct Overlay<'a> {
    entries: BTreeMap<&'a str, Placed<'a>>,
    /// Package databases that an upper layer removed, and which layer that was.
    removed_databases: BTreeMap<&'a str, Removed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) manager: Manager,
    pub(super) by_layer: usize,
}

/// The package managers of distributions whose databases are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    Dpkg,
    Apk,
}

/// One path.
pub(super) struct Placed<'a> {
    pub(super) entry: &'a TrackedEntry,
    /// The topmost layer that has the path.
    pub(super) layer: usize,
    /// For each package that the file names, the layer since which it is there.
    pub(super) since: HashMap<PackageKey<'a>, usize>,
}

/// What makes a package the same one in the next layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PackageKey<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) architecture: &'a str,
}

impl<'a> Overlay<'a> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &Placed<'a>)> {
        self.entries.iter().map(|(path, placed)| (*path, placed))
    }

    pub(super) fn get(&self, path: &str) -> Option<&Placed<'a>> {
        self.entries.get(path)
    }

    pub(super) fn removed_databases(&self) -> impl Iterator<Item = (&'a str, Removed)> {
        self.removed_databases.iter().map(|(path, removed)| (*path, *removed))
    }

    /// Lays the next layer on top. What it removes concerns lower layers only, in whatever order its archive names it.
    pub(super) fn apply(&mut self, layer: usize, catalog: &'a LayerCatalog) {
        let mut removed = HashMap::new();
        for directory in &catalog.opaque_directories {
            self.remove_below(directory, &mut removed);
        }
        for path in &catalog.whiteouts {
            self.remove(path, &mut removed);
            self.remove_below(path, &mut removed);
        }
        for (path, entry) in &catalog.tracked {
            if !matches!(entry.kind, FileKind::Directory) {
                self.remove_below(path, &mut removed);
            }
        }
        self.remove_files_above(catalog.tracked.keys(), &mut removed);
        for (path, entry) in &catalog.tracked {
            let before = self.entries.remove(path.as_str()).or_else(|| removed.remove(path.as_str()));
            let since = since(entry, before.as_ref(), layer);
            if let Some(before) = &before {
                self.note_replaced(path, before, entry, layer);
            }
            self.entries.insert(path, Placed { entry, layer, since });
        }
        for (path, before) in removed {
            self.note_removed(path, &before, layer);
        }
    }

    fn remove(&mut self, path: &str, removed: &mut HashMap<&'a str, Placed<'a>>) {
        removed.extend(self.entries.remove_entry(path));
    }

    fn remove_below(&mut self, directory: &str, removed: &mut HashMap<&'a str, Placed<'a>>) {
        if directory.is_empty() {
            removed.extend(std::mem::take(&mut self.entries));
            return;
        }
        // '0' follows '/': between the two lie exactly the paths below the directory.
        let (first, end) = (format!("{directory}/"), format!("{directory}0"));
        let range = (Bound::Included(first.as_str()), Bound::Excluded(end.as_str()));
        let below: Vec<&'a str> = self.entries.range::<str, _>(range).map(|(path, _)| *path).collect();
        for path in below {
            self.remove(path, removed);
        }
    }

    /// An entry makes directories of all that it lies below, whether its archive names them or not. A link stays: whether
    /// it is followed or replaced depends on the runtime.
    fn remove_files_above(
        &mut self,
        paths: impl Iterator<Item = &'a String>,
        removed: &mut HashMap<&'a str, Placed<'a>>,
    ) {
        let mut last_parent = "";
        for (parent, _) in paths.filter_map(|path| path.rsplit_once('/')) {
            if parent == last_parent {
                continue;
            }
            last_parent = parent;
            let ends = [parent.len()].into_iter().chain(memchr::memrchr_iter(b'/', parent.as_bytes()));
            for directory in ends.map(|end| &parent[..end]) {
                let is_file = self.entries.get(directory).is_some_and(|placed| match placed.entry.kind {
                    FileKind::File { .. } | FileKind::HardLink { .. } | FileKind::Special => true,
                    FileKind::Directory | FileKind::Symlink { .. } => false,
                });
                if is_file {
                    self.remove(directory, removed);
                }
            }
        }
    }

    fn note_replaced(&mut self, path: &'a str, before: &Placed<'a>, entry: &TrackedEntry, layer: usize) {
        if manager(entry).is_none() {
            self.note_removed(path, before, layer);
        }
    }

    fn note_removed(&mut self, path: &'a str, before: &Placed<'a>, layer: usize) {
        if let Some(manager) = manager(before.entry)
            && !before.since.is_empty()
        {
            self.removed_databases.insert(path, Removed { manager, by_layer: layer });
        }
    }
}

/// The package manager whose database an entry is.
pub(super) fn manager(entry: &TrackedEntry) -> Option<Manager> {
    match entry.content.as_ref()? {
        Content::Dpkg(_) => Some(Manager::Dpkg),
        Content::Apk(_) => Some(Manager::Apk),
        Content::OsRelease(_)
        | Content::DpkgFileList(_)
        | Content::Python(_)
        | Content::Npm(_)
        | Content::Rust(_)
        | Content::PackageManifest(_)
        | Content::OversizedPackageManifest
        | Content::Unreadable(_) => None,
    }
}

fn since<'a>(entry: &'a TrackedEntry, before: Option<&Placed<'a>>, layer: usize) -> HashMap<PackageKey<'a>, usize> {
    let known = |key: &PackageKey<'a>| before.and_then(|before| before.since.get(key)).copied();
    packages(entry).map(|key| (key, known(&key).unwrap_or(layer))).collect()
}

fn packages(entry: &TrackedEntry) -> impl Iterator<Item = PackageKey<'_>> {
    let (system, language) = match entry.content.as_ref() {
        Some(Content::Dpkg(packages)) => (packages.as_slice(), [].as_slice()),
        Some(Content::Apk(database)) => (database.packages.as_slice(), [].as_slice()),
        Some(Content::Python(package) | Content::Npm(package)) => ([].as_slice(), std::slice::from_ref(package)),
        Some(Content::Rust(crates)) => ([].as_slice(), crates.as_slice()),
        Some(
            Content::OsRelease(_)
            | Content::DpkgFileList(_)
            | Content::PackageManifest(_)
            | Content::OversizedPackageManifest
            | Content::Unreadable(_),
        )
        | None => ([].as_slice(), [].as_slice()),
    };
    let system = system.iter().map(|package| PackageKey {
        name: &package.name,
        version: &package.version,
        architecture: &package.architecture,
    });
    let language =
        language.iter().map(|package| PackageKey { name: &package.name, version: &package.version, architecture: "" });
    system.chain(language)
}
