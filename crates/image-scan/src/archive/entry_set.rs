//! Which paths a layer has named so far, and as what.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::error::Ambiguity;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryClass {
    Directory,
    File,
    Symlink,
    /// Its target is absolute or climbs out of the root.
    OutwardSymlink,
    HardLink,
    Special,
}

impl EntryClass {
    const fn word(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File => "file",
            Self::Symlink => "symbolic link",
            Self::OutwardSymlink => "symbolic link out of the root",
            Self::HardLink => "hard link",
            Self::Special => "device or pipe",
        }
    }
}

/// Keeps 64 keyed bits per path, not the path: a million entries cost some 30 MB whatever their names are. A collision
/// (about one in 10^8 layers of that size, and not to be provoked, as the key is random) can only refuse a layer.
pub(super) struct EntrySet {
    classes: HashMap<u64, EntryClass>,
    hasher: RandomState,
    /// Entries of one directory follow one another: its ancestors are looked up once.
    last_parent: Option<String>,
}

impl EntrySet {
    pub(super) fn new() -> Self {
        Self { classes: HashMap::new(), hasher: RandomState::new(), last_parent: None }
    }

    /// Notes an entry; tells whether its path was named before as the same thing (the later entry counts, for every
    /// reader).
    pub(super) fn insert(&mut self, path: &str, class: EntryClass) -> Result<bool, Ambiguity> {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.enter(parent)?;
        }
        match self.classes.insert(self.hasher.hash_one(path), class) {
            None => Ok(false),
            Some(before) if before == class => Ok(true),
            Some(before) => Err(Ambiguity::ConflictingEntries(before.word(), class.word())),
        }
    }

    /// Whether an entry lies at the path or below it.
    pub(super) fn contains(&self, path: &str) -> bool {
        self.classes.contains_key(&self.hasher.hash_one(path))
    }

    /// Checks the directories on the way to a path that another entry refers to.
    pub(super) fn check_way(&self, path: &str) -> Result<(), Ambiguity> {
        for end in memchr::memchr_iter(b'/', path.as_bytes()) {
            let ancestor = &path[..end];
            if self.classes.get(&self.hasher.hash_one(ancestor)) == Some(&EntryClass::OutwardSymlink) {
                return Err(Ambiguity::ThroughLink(ancestor.to_owned()));
            }
        }
        Ok(())
    }

    /// Paths that are remembered, directories that only their entries name included.
    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// Notes a directory that entries lie in, and its ancestors: the deepest first, up to one that is known already.
    fn enter(&mut self, parent: &str) -> Result<(), Ambiguity> {
        if self.last_parent.as_deref() == Some(parent) {
            return Ok(());
        }
        let ends = [parent.len()].into_iter().chain(memchr::memrchr_iter(b'/', parent.as_bytes()));
        for end in ends {
            let ancestor = &parent[..end];
            let hash = self.hasher.hash_one(ancestor);
            match self.classes.get(&hash) {
                None => drop(self.classes.insert(hash, EntryClass::Directory)),
                // Below a link, unpackers follow it; those that lead out each in their own way.
                Some(EntryClass::Directory | EntryClass::Symlink) => break,
                Some(EntryClass::OutwardSymlink) => return Err(Ambiguity::ThroughLink(ancestor.to_owned())),
                Some(EntryClass::File | EntryClass::HardLink | EntryClass::Special) => {
                    return Err(Ambiguity::BelowFile(ancestor.to_owned()));
                }
            }
        }
        self.last_parent = Some(parent.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_thing() {
        let mut set = EntrySet::new();
        assert_eq!(set.insert("a/b/c", EntryClass::File), Ok(false));
        assert_eq!(set.insert("a/b", EntryClass::Directory), Ok(true));
        assert_eq!(set.insert("a/b/c", EntryClass::File), Ok(true));
        assert_eq!(
            set.insert("a/b/c", EntryClass::Symlink),
            Err(Ambiguity::ConflictingEntries("file", "symbolic link"))
        );
        assert_eq!(set.insert("a", EntryClass::File), Err(Ambiguity::ConflictingEntries("directory", "file")));
    }

    #[test]
    fn nothing_lies_below_a_file() {
        let mut set = EntrySet::new();
        set.insert("lib", EntryClass::Symlink).unwrap();
        assert_eq!(set.insert("lib/x", EntryClass::File), Ok(false));
        set.insert("d/f", EntryClass::File).unwrap();
        assert_eq!(set.insert("d/f/g/h", EntryClass::File), Err(Ambiguity::BelowFile("d/f".to_owned())));
    }
}
