//! Entries that remove what lower layers have (OCI image specification, "Whiteouts").

use super::error::Ambiguity;
use super::tar_walker::EntryKind;

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// Bookkeeping of aufs, which runtimes skip.
const AUFS: &str = ".wh..wh.";

/// What an entry named `.wh.…` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whiteout {
    /// This path, and all below it.
    Path(String),
    /// All below this directory, which is empty for the root.
    Below(String),
    /// Nothing: a file of aufs.
    Nothing,
}

impl Whiteout {
    /// Reads an entry's name; `None` for an entry that is not a whiteout.
    pub(super) fn of(path: &str, kind: &EntryKind) -> Result<Option<Self>, Ambiguity> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if parent.split('/').any(|component| component.starts_with(WHITEOUT)) {
            return Err(Ambiguity::Whiteout);
        }
        let Some(hidden) = name.strip_prefix(WHITEOUT) else { return Ok(None) };
        let is_marker = match kind {
            EntryKind::File { size, .. } => *size == 0,
            // aufs made its whiteouts hard links to one empty file.
            EntryKind::HardLink { .. } => true,
            EntryKind::Directory | EntryKind::Symlink { .. } | EntryKind::Special => false,
        };
        if name != OPAQUE && name.starts_with(AUFS) {
            return Ok(Some(Self::Nothing));
        }
        if !is_marker || matches!(hidden, "" | "." | "..") {
            return Err(Ambiguity::Whiteout);
        }
        Ok(Some(match (name, parent) {
            (OPAQUE, directory) => Self::Below(directory.to_owned()),
            (_, "") => Self::Path(hidden.to_owned()),
            (_, parent) => Self::Path(format!("{parent}/{hidden}")),
        }))
    }
}
