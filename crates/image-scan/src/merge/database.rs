//! Whether every package database could be read where it belongs.

use registry_types::digest::Digest;

use super::Incomplete;
use super::overlay::{Overlay, Placed, manager};
use super::resolve::resolve;
use crate::catalog::{Content, FileKind, fixed_database_paths, is_database_path, is_os_release_path};

pub(super) fn incomplete(overlay: &Overlay<'_>, digest_of: &dyn Fn(usize) -> Digest) -> Vec<Incomplete> {
    let at = |path: &str, layer: usize, why: String| Incomplete {
        why,
        path: Some(path.to_owned()),
        layer: Some(digest_of(layer)),
    };
    let unreadable = overlay.iter().filter_map(|(path, placed)| Some(at(path, placed.layer, unreadable(placed)?)));
    let replaced = overlay.iter().filter(|(path, placed)| is_replaced(overlay, path, placed)).map(|(path, placed)| {
        at(path, placed.layer, format!("a {} takes the place of a package database", word(placed)))
    });
    let through_links = fixed_database_paths().filter_map(|path| {
        let (link, placed) = redirecting_link(overlay, path)?;
        Some(at(link, placed.layer, format!("a symbolic link leads the package database {path:?} elsewhere")))
    });
    let removed = overlay
        .removed_databases()
        .filter(|(_, removed)| !overlay.iter().any(|(_, placed)| manager(placed.entry) == Some(removed.manager)))
        .map(|(path, removed)| {
            at(path, removed.by_layer, "the layer removes the package database, but not the packages".to_owned())
        });
    unreadable.chain(replaced).chain(through_links).chain(removed).collect()
}

fn unreadable(placed: &Placed<'_>) -> Option<String> {
    match placed.entry.content.as_ref()? {
        Content::Unreadable(why) => Some(why.clone()),
        Content::OsRelease(_)
        | Content::Dpkg(_)
        | Content::DpkgFileList(_)
        | Content::Apk(_)
        | Content::Python(_)
        | Content::Npm(_)
        | Content::Rust(_)
        | Content::PackageManifest(_)
        | Content::OversizedPackageManifest => None,
    }
}

/// A link to another database that is read does no harm; anything else hides what should be there. Without an
/// `os-release` file the distribution is unknown, which is judged apart.
fn is_replaced(overlay: &Overlay<'_>, path: &str, placed: &Placed<'_>) -> bool {
    if !is_database_path(path) || is_os_release_path(path) {
        return false;
    }
    match placed.entry.kind {
        FileKind::File { .. } => false,
        FileKind::Symlink { .. } => !leads_to_database(overlay, path),
        FileKind::Directory | FileKind::HardLink { .. } | FileKind::Special => true,
    }
}

fn leads_to_database(overlay: &Overlay<'_>, path: &str) -> bool {
    let place = resolve(path, |at| link_target(overlay, at));
    place.and_then(|place| overlay.get(&place)).is_some_and(|placed| manager(placed.entry).is_some())
}

/// The link above a database's place that leads to where no database is looked for.
fn redirecting_link<'a, 'o>(overlay: &'o Overlay<'a>, path: &str) -> Option<(&'a str, &'o Placed<'a>)> {
    let (directory, _) = path.rsplit_once('/')?;
    let link = overlay.iter().find(|(other, placed)| {
        matches!(placed.entry.kind, FileKind::Symlink { .. })
            && (*other == directory || directory.strip_prefix(other).is_some_and(|rest| rest.starts_with('/')))
    })?;
    let place = resolve(path, |at| link_target(overlay, at));
    // `lib -> usr/lib` is how distributions merge the two: both places are read.
    let is_known = place.is_some_and(|place| is_database_path(&place));
    (!is_known).then_some(link)
}

/// The target of a symbolic link.
pub(super) fn link_target<'a>(overlay: &Overlay<'a>, path: &str) -> Option<&'a str> {
    match &overlay.get(path)?.entry.kind {
        FileKind::Symlink { target } => Some(target),
        FileKind::File { .. } | FileKind::Directory | FileKind::HardLink { .. } | FileKind::Special => None,
    }
}

const fn word(placed: &Placed<'_>) -> &'static str {
    match placed.entry.kind {
        FileKind::File { .. } => "file",
        FileKind::Directory => "directory",
        FileKind::Symlink { .. } => "symbolic link",
        FileKind::HardLink { .. } => "hard link",
        FileKind::Special => "device or pipe",
    }
}
