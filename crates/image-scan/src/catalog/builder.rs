//! Builds a layer's catalog from its entries.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use registry_types::digest::Digest;
use registry_types::limits::MAX_PACKAGE_MANIFEST_BYTES;

use super::cost::{ENTRY_BYTES, entry_bytes, language_bytes};
use super::interest::{
    Interest, database_above, is_above_database, is_author_path, is_database_path, may_replace_packages,
};
use super::rust_binary::{ELF_MAGIC, SectionNameSearch};
use super::{
    Content, FileKind, LanguagePackage, LayerCatalog, ManifestBytes, TrackedEntry, apk, debian, npm, os_release,
    python, rust_binary,
};
use crate::archive::{ArchiveError, Entry, EntryKind, EntrySink, ExceededLimit, Whiteout};
use crate::secrets::SecretSearch;

/// Author files kept by name, and the bytes that they may take; beyond that `is_file_list_cut` is set.
const MAX_AUTHOR_FILES: usize = 50_000;
const MAX_AUTHOR_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of everything that is kept because packages depend on it: more is no image but an attack on the catalog.
const MAX_FACT_BYTES: usize = 32 * 1024 * 1024;
/// Package manifests kept per layer, all together.
const MAX_MANIFEST_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of what is remembered of pnpm's store for later hard links.
const MAX_STORE_BYTES: usize = 16 * 1024 * 1024;

const MAX_OS_RELEASE_BYTES: u64 = 64 * 1024;
/// Headers come first; the long description after them is not needed.
const MAX_PYTHON_HEADER_BYTES: u64 = 256 * 1024;
const MAX_NPM_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;

pub(crate) struct CatalogBuilder {
    max_database_bytes: u64,
    tracked: BTreeMap<String, TrackedEntry>,
    fact_bytes: usize,
    author_files: usize,
    author_bytes: usize,
    is_file_list_cut: bool,
    whiteouts: BTreeSet<String>,
    opaque_directories: BTreeSet<String>,
    manifest_bytes: usize,
    store_packages: HashMap<String, LanguagePackage>,
    store_bytes: usize,
    secrets: SecretSearch,
    current: Option<CurrentFile>,
    /// Content of the current file, as far as it is read whole; kept for its capacity.
    held: Vec<u8>,
}

/// The regular file whose content is passing.
struct CurrentFile {
    path: String,
    size: u64,
    executable: bool,
    interest: Option<Interest>,
    reading: Reading,
}

enum Reading {
    Nothing,
    /// Up to this many bytes.
    Held(u64),
    /// An executable of which it is not known yet whether it is ELF.
    PerhapsElf,
    LargeElf(SectionNameSearch),
}

impl CatalogBuilder {
    /// `max_database_bytes`: the largest package database that is read.
    pub(crate) fn new(max_database_bytes: u64) -> Self {
        Self {
            max_database_bytes,
            tracked: BTreeMap::new(),
            fact_bytes: 0,
            author_files: 0,
            author_bytes: 0,
            is_file_list_cut: false,
            whiteouts: BTreeSet::new(),
            opaque_directories: BTreeSet::new(),
            manifest_bytes: 0,
            store_packages: HashMap::new(),
            store_bytes: 0,
            secrets: SecretSearch::new(),
            current: None,
            held: Vec::new(),
        }
    }

    pub(crate) fn finish(self, diff_id: Digest, unpacked_bytes: u64, entries: u64) -> LayerCatalog {
        let (secrets, secret_search) = self.secrets.finish();
        LayerCatalog {
            diff_id,
            unpacked_bytes,
            entries,
            tracked: self.tracked,
            is_file_list_cut: self.is_file_list_cut,
            whiteouts: self.whiteouts,
            opaque_directories: self.opaque_directories,
            secrets,
            secret_search,
        }
    }

    fn whiteout(&mut self, whiteout: Whiteout, entry: &str) -> Result<(), ArchiveError> {
        let (paths, path) = match whiteout {
            Whiteout::Path(path) => (&mut self.whiteouts, path),
            Whiteout::Below(directory) => (&mut self.opaque_directories, directory),
            Whiteout::Nothing => return Ok(()),
        };
        let bytes = path.len();
        paths.insert(path);
        self.keep_fact(bytes, entry)
    }

    fn begin_file(&mut self, path: String, size: u64, executable: bool) -> Result<(), ArchiveError> {
        let interest = Interest::of(&path);
        let reading = match interest {
            Some(Interest::DpkgStatus | Interest::ApkInstalled | Interest::DpkgFileList) => {
                if size > self.max_database_bytes {
                    let limit = ExceededLimit::CatalogFileBytes(self.max_database_bytes);
                    return Err(ArchiveError::limit(limit, path));
                }
                Reading::Held(size)
            }
            Some(Interest::OsRelease) => Reading::Held(MAX_OS_RELEASE_BYTES),
            Some(Interest::PythonMetadata) => Reading::Held(MAX_PYTHON_HEADER_BYTES),
            Some(Interest::NpmManifest | Interest::PnpmStoreFile) => Reading::Held(MAX_NPM_MANIFEST_BYTES),
            Some(Interest::PackageManifest) => Reading::Held(MAX_PACKAGE_MANIFEST_BYTES as u64),
            Some(Interest::UnsupportedDatabase(_)) => Reading::Nothing,
            None if executable => Reading::PerhapsElf,
            None => Reading::Nothing,
        };
        self.held.clear();
        self.secrets.begin();
        self.current = Some(CurrentFile { path, size, executable, interest, reading });
        Ok(())
    }

    fn hold(&mut self, bytes: &[u8], up_to: u64) {
        let room = usize::try_from(up_to).unwrap_or(usize::MAX).saturating_sub(self.held.len());
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Keeps an executable's bytes as long as it may turn out to be ELF, and then up to the limit.
    fn hold_executable(&mut self, bytes: &[u8], size: u64) -> Reading {
        self.held.extend_from_slice(bytes);
        let known = self.held.len().min(ELF_MAGIC.len());
        if self.held[..known] != ELF_MAGIC[..known] {
            return Reading::Nothing;
        }
        if size <= self.max_database_bytes {
            return Reading::PerhapsElf;
        }
        let mut search = SectionNameSearch::default();
        search.write(&self.held);
        self.held.clear();
        Reading::LargeElf(search)
    }

    fn end_file(&mut self, file: CurrentFile) -> Result<(), ArchiveError> {
        let content = self.read_content(&file);
        let has_secret = self.secrets.end(&file.path);
        let kind = FileKind::File { size: file.size, executable: file.executable };
        // A file without packages may replace one that had some.
        let may_replace = file.interest.is_some_and(|interest| interest != Interest::PnpmStoreFile)
            || matches!(file.reading, Reading::PerhapsElf | Reading::LargeElf(_));
        if content.is_some() || has_secret || may_replace {
            self.track(file.path, TrackedEntry { kind, content })
        } else {
            self.track_author_entry(file.path, kind);
            Ok(())
        }
    }

    fn read_content(&mut self, file: &CurrentFile) -> Option<Content> {
        let bytes = self.held.as_slice();
        let is_whole = bytes.len() as u64 == file.size;
        match file.interest {
            Some(Interest::DpkgStatus) => {
                Some(debian::parse_status(bytes).map_or_else(unreadable("dpkg database"), Content::Dpkg))
            }
            Some(Interest::ApkInstalled) => {
                Some(apk::parse(bytes).map_or_else(unreadable("apk database"), Content::Apk))
            }
            Some(Interest::DpkgFileList) => {
                let owned = debian::owned_manifests(bytes);
                (!owned.is_empty()).then_some(Content::DpkgFileList(owned))
            }
            Some(Interest::OsRelease) => {
                Some(os_release::parse(bytes).map_or_else(unreadable("os-release file"), Content::OsRelease))
            }
            Some(Interest::PythonMetadata) => {
                let package = python::parse(&file.path, bytes);
                Some(package.map_or_else(unreadable("Python metadata"), Content::Python))
            }
            Some(Interest::NpmManifest) => match npm::parse(&file.path, bytes) {
                Ok(package) => package.map(Content::Npm),
                Err(why) => Some(unreadable("npm manifest")(why)),
            },
            Some(Interest::PnpmStoreFile) => {
                self.remember_store_package(&file.path);
                None
            }
            Some(Interest::PackageManifest) => Some(self.package_manifest(is_whole)),
            Some(Interest::UnsupportedDatabase(manager)) => {
                Some(Content::Unreadable(format!("{manager} databases are not supported")))
            }
            None => executable_content(&file.reading, bytes, self.max_database_bytes),
        }
    }

    fn package_manifest(&mut self, is_whole: bool) -> Content {
        if !is_whole || self.manifest_bytes + self.held.len() > MAX_MANIFEST_BYTES {
            return Content::OversizedPackageManifest;
        }
        self.manifest_bytes += self.held.len();
        Content::PackageManifest(ManifestBytes(self.held.clone()))
    }

    fn remember_store_package(&mut self, path: &str) {
        if self.store_bytes < MAX_STORE_BYTES
            && self.held.starts_with(b"{")
            && let Ok(Some(package)) = npm::read(&self.held)
        {
            self.store_bytes += path.len() + language_bytes(&package);
            self.store_packages.insert(path.to_owned(), package);
        }
    }

    /// A hard link to a file of this layer is that file under a second name.
    fn hard_link(&mut self, path: String, target: String) -> Result<(), ArchiveError> {
        let interest = Interest::of(&path);
        let linked = self.tracked.get(&target).filter(|entry| matches!(entry.kind, FileKind::File { .. }));
        let entry = match (linked, interest) {
            // The place of a package database has to hold a file of its own.
            (_, Some(Interest::DpkgStatus | Interest::ApkInstalled | Interest::OsRelease)) => {
                TrackedEntry { kind: FileKind::HardLink { target }, content: None }
            }
            (Some(linked), _) => linked.clone(),
            (None, Some(Interest::NpmManifest | Interest::PythonMetadata)) => self.linked_manifest(target),
            (
                None,
                None
                | Some(
                    Interest::DpkgFileList
                    | Interest::PnpmStoreFile
                    | Interest::PackageManifest
                    | Interest::UnsupportedDatabase(_),
                ),
            ) => TrackedEntry { kind: FileKind::HardLink { target }, content: None },
        };
        if entry.content.is_some() || is_database_path(&path) {
            return self.track(path, entry);
        }
        self.track_author_entry(path, entry.kind);
        Ok(())
    }

    fn linked_manifest(&self, target: String) -> TrackedEntry {
        let content = match self.store_packages.get(&target) {
            Some(package) => Content::Npm(package.clone()),
            None => Content::Unreadable(format!(
                "the package manifest is a hard link to {target:?}, which is not known to be one"
            )),
        };
        TrackedEntry { kind: FileKind::HardLink { target }, content: Some(content) }
    }

    fn other(&mut self, path: String, kind: FileKind) -> Result<(), ArchiveError> {
        let matters = match &kind {
            FileKind::Symlink { .. } => {
                is_above_database(&path) || is_database_path(&path) || may_replace_packages(&path)
            }
            FileKind::Special | FileKind::HardLink { .. } | FileKind::File { .. } => {
                is_above_database(&path) || is_database_path(&path)
            }
            // A directory takes the place of a file or link, so it matters where those do.
            FileKind::Directory => is_above_database(&path) || is_database_path(&path),
        };
        if matters {
            self.track(path, TrackedEntry { kind, content: None })
        } else {
            self.track_author_entry(path, kind);
            Ok(())
        }
    }

    fn track(&mut self, path: String, entry: TrackedEntry) -> Result<(), ArchiveError> {
        self.keep_fact(path.len() + entry_bytes(&entry), &path)?;
        self.tracked.insert(path, entry);
        Ok(())
    }

    fn keep_fact(&mut self, bytes: usize, path: &str) -> Result<(), ArchiveError> {
        self.fact_bytes += bytes + ENTRY_BYTES;
        if self.fact_bytes > MAX_FACT_BYTES {
            return Err(ArchiveError::limit(ExceededLimit::FactBytes(MAX_FACT_BYTES), path.to_owned()));
        }
        Ok(())
    }

    fn track_author_entry(&mut self, path: String, kind: FileKind) {
        if !is_author_path(&path) {
            return;
        }
        let entry = TrackedEntry { kind, content: None };
        self.author_files += 1;
        self.author_bytes += path.len() + entry_bytes(&entry);
        if self.author_files > MAX_AUTHOR_FILES || self.author_bytes > MAX_AUTHOR_BYTES {
            self.is_file_list_cut = true;
            return;
        }
        self.tracked.insert(path, entry);
    }
}

fn unreadable(what: &'static str) -> impl Fn(String) -> Content {
    move |why| Content::Unreadable(format!("the {what} cannot be read: {why}"))
}

/// What an executable that no cataloger asked for says about itself.
fn executable_content(reading: &Reading, bytes: &[u8], limit: u64) -> Option<Content> {
    match reading {
        Reading::PerhapsElf if bytes.starts_with(ELF_MAGIC) => match rust_binary::parse(bytes) {
            Ok(crates) => crates.filter(|crates| !crates.is_empty()).map(Content::Rust),
            Err(why) => Some(Content::Unreadable(why)),
        },
        Reading::LargeElf(search) if search.found => Some(Content::Unreadable(format!(
            "the executable has cargo-auditable data but is larger than {limit} bytes"
        ))),
        Reading::PerhapsElf | Reading::LargeElf(_) | Reading::Nothing | Reading::Held(_) => None,
    }
}

impl EntrySink for CatalogBuilder {
    fn begin(&mut self, entry: Entry) -> Result<(), ArchiveError> {
        if let Some(whiteout) = entry.whiteout {
            return self.whiteout(whiteout, &entry.path);
        }
        if entry.repeated {
            self.tracked.remove(&entry.path);
        }
        // Archives need not name the directories that their entries lie in.
        if let Some(database) = database_above(&entry.path) {
            self.track(database.to_owned(), TrackedEntry { kind: FileKind::Directory, content: None })?;
        }
        match entry.kind {
            EntryKind::File { size, executable } => self.begin_file(entry.path, size, executable),
            EntryKind::HardLink { target } => self.hard_link(entry.path, target),
            EntryKind::Directory => self.other(entry.path, FileKind::Directory),
            EntryKind::Symlink { target } => self.other(entry.path, FileKind::Symlink { target }),
            EntryKind::Special => self.other(entry.path, FileKind::Special),
        }
    }

    fn content(&mut self, bytes: &[u8]) {
        let Some(mut file) = self.current.take() else { return };
        self.secrets.write(bytes);
        match &mut file.reading {
            Reading::Nothing => {}
            Reading::Held(up_to) => self.hold(bytes, *up_to),
            Reading::PerhapsElf => file.reading = self.hold_executable(bytes, file.size),
            Reading::LargeElf(search) => search.write(bytes),
        }
        self.current = Some(file);
    }

    fn end(&mut self) -> Result<(), ArchiveError> {
        self.current.take().map_or(Ok(()), |file| self.end_file(file))
    }
}
