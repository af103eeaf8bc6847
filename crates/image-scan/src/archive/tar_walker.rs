//! A strict, push-style tar reader: bytes in, entries out.
//!
//! Tar readers disagree on malformed and unusual archives, and each disagreement is a way to show the store one thing
//! and a container runtime another. So whatever two common readers (Go's `archive/tar` in containerd and docker, GNU
//! tar, libarchive, Python) understand differently is refused, not guessed.

use super::entry_set::{EntryClass, EntrySet};
use super::error::{Ambiguity, ArchiveError, Defect, ExceededLimit};
use super::header::{BLOCK, EntryType, Header, HeaderProblem};
use super::limits::LayerLimits;
use super::path;
use super::pax::PaxRecords;
use super::whiteout::Whiteout;

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Normalised, relative to the root, never empty.
    pub path: String,
    pub kind: EntryKind,
    /// An earlier entry of this layer had the same path and kind; this one replaces it.
    pub repeated: bool,
    /// What the entry removes from lower layers: then it is nothing else.
    pub whiteout: Option<Whiteout>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    File {
        size: u64,
        executable: bool,
    },
    Directory,
    /// As written; to be resolved inside the root only.
    Symlink {
        target: String,
    },
    /// Normalised path of an entry from the root.
    HardLink {
        target: String,
    },
    /// A device below `dev/`, or a pipe.
    Special,
}

/// Receives the entries in the archive's order: `begin`, for files any number of `content`, `end`.
///
/// # Errors
/// An error ends the walk.
pub trait EntrySink {
    fn begin(&mut self, entry: Entry) -> Result<(), ArchiveError>;
    fn content(&mut self, bytes: &[u8]);
    fn end(&mut self) -> Result<(), ArchiveError>;
}

/// Reads one archive: [`write`](Self::write) its bytes in any pieces, then [`finish`](Self::finish).
///
/// Memory is bounded by the limits: one extended header, and some 30 bytes per path. After an error the walker must not
/// be used any more, and what the sink was given counts for nothing.
pub struct TarWalker<S> {
    sink: S,
    limits: LayerLimits,
    state: State,
    header: [u8; BLOCK],
    header_filled: usize,
    pending: Extensions,
    /// A header for all entries came, and none of them yet.
    global_pending: bool,
    /// Body of the extended header that is being read; kept for its capacity.
    extension: Vec<u8>,
    seen: EntrySet,
    headers: u64,
    entries: u64,
}

#[derive(Clone, Copy)]
enum State {
    Header,
    Content {
        left: u64,
        padding: usize,
    },
    Extension {
        kind: ExtensionKind,
        left: u64,
        padding: usize,
    },
    Padding {
        left: usize,
    },
    /// A zero block was read: only more of them may follow.
    End {
        /// Bytes of a block that is not whole yet.
        over: usize,
    },
}

#[derive(Clone, Copy)]
enum ExtensionKind {
    PaxLocal,
    PaxGlobal,
    LongName,
    LongLink,
}

/// What extended headers say about the next entry.
#[derive(Default)]
struct Extensions {
    pax: Option<PaxRecords>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Extensions {
    const fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

impl<S: EntrySink> TarWalker<S> {
    /// A walker of which `sink` gets the entries. Of the limits, those of bytes in all and of compression are the
    /// caller's business.
    pub fn new(sink: S, limits: LayerLimits) -> Self {
        Self {
            sink,
            limits,
            state: State::Header,
            header: [0; BLOCK],
            header_filled: 0,
            pending: Extensions::default(),
            global_pending: false,
            extension: Vec::new(),
            seen: EntrySet::new(),
            headers: 0,
            entries: 0,
        }
    }

    /// Entries seen, extended headers not counted.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// Takes the next bytes of the archive.
    ///
    /// # Errors
    /// When readers disagree on the archive, when it is malformed or beyond a limit, or when the sink refuses an entry.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        while !bytes.is_empty() {
            let used = match self.state {
                State::Header => self.fill_header(bytes)?,
                State::Content { left, padding } => {
                    let part = prefix(bytes, left);
                    self.sink.content(part);
                    self.content_read(left - part.len() as u64, padding)?;
                    part.len()
                }
                State::Extension { kind, left, padding } => {
                    let part = prefix(bytes, left);
                    self.extension.extend_from_slice(part);
                    self.extension_read(kind, left - part.len() as u64, padding)?;
                    part.len()
                }
                State::Padding { left } => {
                    let used = bytes.len().min(left);
                    self.state = if used == left { State::Header } else { State::Padding { left: left - used } };
                    used
                }
                State::End { over } => {
                    self.state = State::End { over: (over + bytes.len()) % BLOCK };
                    if bytes.iter().any(|byte| *byte != 0) {
                        return Err(ArchiveError::ambiguous(Ambiguity::DataAfterArchive, None));
                    }
                    bytes.len()
                }
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// The archive has ended. Zero blocks at the end may be missing: some builders leave them out, and every reader
    /// takes the end of the data for the end of the archive.
    ///
    /// # Errors
    /// When it ended within an entry.
    pub fn finish(self) -> Result<S, ArchiveError> {
        match self.state {
            State::End { over: 0 } => {}
            State::Header if self.header_filled == 0 => self.no_dangling_extension()?,
            // Go misses the rest of a block even of zeros.
            State::End { .. }
            | State::Header
            | State::Content { .. }
            | State::Extension { .. }
            | State::Padding { .. } => {
                return Err(ArchiveError::invalid(Defect::Truncated, None));
            }
        }
        Ok(self.sink)
    }

    fn fill_header(&mut self, bytes: &[u8]) -> Result<usize, ArchiveError> {
        let used = bytes.len().min(BLOCK - self.header_filled);
        self.header[self.header_filled..self.header_filled + used].copy_from_slice(&bytes[..used]);
        self.header_filled += used;
        if self.header_filled == BLOCK {
            self.header_filled = 0;
            self.header_read()?;
        }
        Ok(used)
    }

    fn header_read(&mut self) -> Result<(), ArchiveError> {
        if self.header.iter().all(|byte| *byte == 0) {
            self.no_dangling_extension()?;
            self.state = State::End { over: 0 };
            return Ok(());
        }
        self.headers += 1;
        if self.headers > self.limits.entries {
            return Err(ArchiveError::limit(ExceededLimit::Entries(self.limits.entries), None));
        }
        let header = Header::parse(&self.header).map_err(|problem| located(problem, &self.header[..100]))?;
        match header.entry_type {
            EntryType::PaxLocal => self.begin_extension(ExtensionKind::PaxLocal, &header),
            EntryType::PaxGlobal => self.begin_extension(ExtensionKind::PaxGlobal, &header),
            EntryType::GnuLongName => self.begin_extension(ExtensionKind::LongName, &header),
            EntryType::GnuLongLink => self.begin_extension(ExtensionKind::LongLink, &header),
            EntryType::Regular { .. }
            | EntryType::HardLink
            | EntryType::Symlink
            | EntryType::CharacterDevice
            | EntryType::BlockDevice
            | EntryType::Directory
            | EntryType::Fifo => self.begin_entry(header),
        }
    }

    fn begin_extension(&mut self, kind: ExtensionKind, header: &Header) -> Result<(), ArchiveError> {
        let repeated = match kind {
            ExtensionKind::PaxLocal => self.pending.pax.is_some(),
            // One between an entry and its own extended headers belongs to neither.
            ExtensionKind::PaxGlobal => !self.pending.is_empty(),
            ExtensionKind::LongName => self.pending.long_name.is_some(),
            ExtensionKind::LongLink => self.pending.long_link.is_some(),
        };
        if repeated {
            return Err(ArchiveError::ambiguous(Ambiguity::RepeatedExtension, path::shown(&header.name)));
        }
        if header.size > self.limits.extension_bytes {
            let limit = ExceededLimit::ExtensionBytes(self.limits.extension_bytes);
            return Err(ArchiveError::limit(limit, path::shown(&header.name)));
        }
        self.extension.clear();
        self.extension_read(kind, header.size, padding(header.size))
    }

    fn extension_read(&mut self, kind: ExtensionKind, left: u64, padding: usize) -> Result<(), ArchiveError> {
        if left > 0 {
            self.state = State::Extension { kind, left, padding };
            return Ok(());
        }
        let body = self.extension.as_slice();
        match kind {
            ExtensionKind::PaxLocal => {
                self.pending.pax = Some(PaxRecords::parse(body).map_err(|problem| located(problem, &[]))?);
            }
            ExtensionKind::PaxGlobal => {
                PaxRecords::check_global(body).map_err(|problem| located(problem, &[]))?;
                self.global_pending = true;
            }
            ExtensionKind::LongName => self.pending.long_name = Some(without_final_nul(body)),
            ExtensionKind::LongLink => self.pending.long_link = Some(without_final_nul(body)),
        }
        self.after_body(padding);
        Ok(())
    }

    fn begin_entry(&mut self, header: Header) -> Result<(), ArchiveError> {
        self.global_pending = false;
        let Extensions { pax, long_name, long_link } = std::mem::take(&mut self.pending);
        let pax = pax.unwrap_or_default();
        let size = entry_size(&header, pax.size)?;
        // libarchive makes hard links of such entries, or links without a target.
        let is_link = matches!(header.entry_type, EntryType::HardLink | EntryType::Symlink);
        let has_target = is_link && !header.link_name.is_empty();
        if !has_target && (long_link.is_some() || is_link && pax.link_path.is_some()) {
            return Err(ArchiveError::ambiguous(Ambiguity::LinkTargetAlone, path::shown(&header.name)));
        }
        let is_old_directory = header.name.ends_with(b"/");
        let name = overridden(header.name, long_name, pax.path)?;
        let link_name = overridden(header.link_name, long_link, pax.link_path)?;
        let path = path::normalise(&name, &self.limits)?;
        let kind = match header.entry_type {
            // Python tells an old directory by the header's own name, others by the name that replaces it.
            EntryType::Regular { old: true } if is_old_directory != name.ends_with(b"/") => {
                return Err(ArchiveError::ambiguous(Ambiguity::DirectoryName, path));
            }
            EntryType::Regular { old: true } if is_old_directory => EntryKind::Directory,
            EntryType::Regular { .. } => EntryKind::File { size, executable: header.executable },
            EntryType::Directory => EntryKind::Directory,
            EntryType::HardLink => EntryKind::HardLink { target: path::hard_link_target(&link_name, &self.limits)? },
            EntryType::Symlink => EntryKind::Symlink { target: path::symlink_target(&link_name, &self.limits)? },
            EntryType::CharacterDevice => device(header.is_null_device, &path)?,
            EntryType::BlockDevice => device(false, &path)?,
            EntryType::Fifo => EntryKind::Special,
            EntryType::PaxLocal | EntryType::PaxGlobal | EntryType::GnuLongName | EntryType::GnuLongLink => {
                return Err(ArchiveError::ambiguous(Ambiguity::DanglingExtension, path));
            }
        };
        if matches!(kind, EntryKind::Directory) {
            return self.directory(path, size);
        }
        check_not_directory(&path, &name, &kind, &link_name)?;
        let is_file = matches!(kind, EntryKind::File { .. });
        if !is_file && size > 0 {
            return Err(ArchiveError::ambiguous(Ambiguity::BodyWithoutFile(size), path));
        }
        self.emit(path, kind)?;
        if is_file { self.content_read(size, padding(size)) } else { self.sink.end() }
    }

    fn directory(&mut self, path: String, size: u64) -> Result<(), ArchiveError> {
        if size > 0 {
            return Err(ArchiveError::ambiguous(Ambiguity::BodyWithoutFile(size), path));
        }
        if path.is_empty() {
            // The root directory itself says nothing.
            self.entries += 1;
            return Ok(());
        }
        self.emit(path, EntryKind::Directory)?;
        self.sink.end()
    }

    fn emit(&mut self, path: String, kind: EntryKind) -> Result<(), ArchiveError> {
        self.entries += 1;
        let (repeated, whiteout) =
            self.remember(&path, &kind).map_err(|problem| ArchiveError::ambiguous(problem, path.clone()))?;
        // Directories that only their entries name cost memory too.
        if self.seen.len() as u64 > self.limits.entries.saturating_mul(2) {
            return Err(ArchiveError::limit(ExceededLimit::Entries(self.limits.entries), path));
        }
        self.sink.begin(Entry { path, kind, repeated, whiteout })
    }

    /// Holds the entry against the earlier ones; tells whether it replaces one, and what it removes.
    fn remember(&mut self, path: &str, kind: &EntryKind) -> Result<(bool, Option<Whiteout>), Ambiguity> {
        let whiteout = Whiteout::of(path, kind)?;
        if let Some(Whiteout::Path(hidden)) = &whiteout
            && self.seen.contains(hidden)
        {
            // The specification lets the layer keep its own; docker and containerd remove it.
            return Err(Ambiguity::WhiteoutOfOwn(hidden.clone()));
        }
        if let EntryKind::HardLink { target } = kind {
            self.seen.check_way(target)?;
        }
        Ok((self.seen.insert(path, class(path, kind))?, whiteout))
    }

    fn content_read(&mut self, left: u64, padding: usize) -> Result<(), ArchiveError> {
        if left > 0 {
            self.state = State::Content { left, padding };
            return Ok(());
        }
        self.sink.end()?;
        self.after_body(padding);
        Ok(())
    }

    const fn after_body(&mut self, padding: usize) {
        self.state = if padding == 0 { State::Header } else { State::Padding { left: padding } };
    }

    fn no_dangling_extension(&self) -> Result<(), ArchiveError> {
        if !self.pending.is_empty() || self.global_pending {
            return Err(ArchiveError::ambiguous(Ambiguity::DanglingExtension, None));
        }
        Ok(())
    }
}

/// The PAX size has to repeat the header's, except where that field has no room for it: then programs write 0 there.
fn entry_size(header: &Header, pax: Option<u64>) -> Result<u64, ArchiveError> {
    const OCTAL_LIMIT: u64 = 1 << 33;
    match pax {
        None => Ok(header.size),
        Some(pax) if pax == header.size || (header.size == 0 && pax >= OCTAL_LIMIT) => Ok(pax),
        Some(pax) => {
            let problem = Ambiguity::PaxSize { header: header.size, pax };
            Err(ArchiveError::ambiguous(problem, path::shown(&header.name)))
        }
    }
}

fn overridden(header: Vec<u8>, gnu: Option<Vec<u8>>, pax: Option<Vec<u8>>) -> Result<Vec<u8>, ArchiveError> {
    match (gnu, pax) {
        (Some(name), Some(_)) => Err(ArchiveError::ambiguous(Ambiguity::LongNameAndPax, path::shown(&name))),
        (Some(name), None) | (None, Some(name)) => Ok(name),
        (None, None) => Ok(header),
    }
}

/// Programs differ in what they make of `file/` and `file/.`.
fn check_not_directory(path: &str, name: &[u8], kind: &EntryKind, link_name: &[u8]) -> Result<(), ArchiveError> {
    if path.is_empty() {
        return Err(ArchiveError::ambiguous(Ambiguity::EmptyPath, None));
    }
    let is_directory_name = |name: &[u8]| name.ends_with(b"/") || name.ends_with(b"/.");
    let links_directory = matches!(kind, EntryKind::HardLink { .. }) && is_directory_name(link_name);
    if is_directory_name(name) || links_directory {
        return Err(ArchiveError::ambiguous(Ambiguity::DirectoryName, path.to_owned()));
    }
    Ok(())
}

/// Root file systems carry `dev/null` and the like, over which every runtime mounts its own `/dev`. Elsewhere a device
/// node has no honest use; and a character device 0/0 is how overlay file systems mark a deleted file, so it would
/// hide a lower layer's file from a runtime but not from us.
fn device(is_null_device: bool, path: &str) -> Result<EntryKind, ArchiveError> {
    if is_null_device {
        Err(ArchiveError::ambiguous(Ambiguity::OverlayWhiteout, path.to_owned()))
    } else if path.starts_with("dev/") {
        Ok(EntryKind::Special)
    } else {
        Err(ArchiveError::invalid(Defect::DeviceNode, path.to_owned()))
    }
}

fn class(path: &str, kind: &EntryKind) -> EntryClass {
    match kind {
        EntryKind::File { .. } => EntryClass::File,
        EntryKind::Directory => EntryClass::Directory,
        EntryKind::Symlink { target } if path::leads_out(path, target) => EntryClass::OutwardSymlink,
        EntryKind::Symlink { .. } => EntryClass::Symlink,
        EntryKind::HardLink { .. } => EntryClass::HardLink,
        EntryKind::Special => EntryClass::Special,
    }
}

fn located(problem: HeaderProblem, name: &[u8]) -> ArchiveError {
    let name = &name[..memchr::memchr(0, name).unwrap_or(name.len())];
    let entry = (!name.is_empty()).then(|| path::shown(name));
    match problem {
        HeaderProblem::Ambiguous(problem) => ArchiveError::ambiguous(problem, entry),
        HeaderProblem::Invalid(problem) => ArchiveError::invalid(problem, entry),
    }
}

fn without_final_nul(body: &[u8]) -> Vec<u8> {
    body.strip_suffix(b"\0").unwrap_or(body).to_vec()
}

fn prefix(bytes: &[u8], length: u64) -> &[u8] {
    &bytes[..usize::try_from(length).map_or(bytes.len(), |length| length.min(bytes.len()))]
}

/// Bytes up to the next block.
fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    (BLOCK - over) % BLOCK
}
