//! Why a layer was refused: one variant per rule, so that each has a name, a test and advice.

use registry_types::rejection_code::RejectionCode;

/// A layer that is not read further. What was read up to here counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The manifest says that the registry need not hold the bytes.
    #[error("layers of media type {0} are foreign: their bytes need not be in the registry")]
    Foreign(String),
    #[error("layer media type {0:?} is not supported")]
    MediaType(String),
    /// Readers of archives disagree on what such a layer holds.
    #[error("{problem}{}", place(entry.as_deref()))]
    Ambiguous { problem: Ambiguity, entry: Option<String> },
    /// The layer is broken, or holds what no image layer needs.
    #[error("{problem}{}", place(entry.as_deref()))]
    Invalid { problem: Defect, entry: Option<String> },
    #[error("{limit}{}", place(entry.as_deref()))]
    LimitExceeded { limit: ExceededLimit, entry: Option<String> },
}

fn place(entry: Option<&str>) -> String {
    entry.map_or_else(String::new, |name| format!(" (at {name:?})"))
}

/// What different readers would understand differently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    #[error("the PAX size {pax} differs from the header's size {header}")]
    PaxSize { header: u64, pax: u64 },
    #[error("the PAX key {0:?} is given twice")]
    DuplicatePaxKey(String),
    #[error("the PAX key {0:?} must not be set for all entries")]
    GlobalPaxKey(String),
    #[error("the PAX key {0:?} has an empty value")]
    EmptyPaxValue(String),
    #[error("the PAX key {0:?} describes a sparse file or another archive volume")]
    VendorPaxKey(String),
    #[error("a GNU long name stands together with a PAX path")]
    LongNameAndPax,
    #[error("an extended header gives a link target to an entry whose own header has none")]
    LinkTargetAlone,
    #[error("two extended headers of the same kind stand before one entry")]
    RepeatedExtension,
    #[error("an extended header has no entry after it")]
    DanglingExtension,
    #[error("sparse files are not accepted")]
    Sparse,
    #[error("the header is of the star format, which other readers take for ustar")]
    StarFormat,
    #[error("a GNU header uses the fields where others have the path's prefix")]
    GnuFields,
    #[error("the header field {0} has bytes after its end")]
    NumberTail(&'static str),
    #[error("a link, directory or device has a body of {0} bytes")]
    BodyWithoutFile(u64),
    #[error("a file, link or device has a name that ends as a directory's may")]
    DirectoryName,
    #[error("there is data after the end of the archive")]
    DataAfterArchive,
    #[error("there are several gzip members")]
    SeveralGzipMembers,
    #[error("there is data after the compressed stream")]
    DataAfterCompressed,
    #[error("the gzip trailer does not match the content")]
    GzipTrailer,
    #[error("the path is absolute")]
    AbsolutePath,
    #[error("the path contains \"..\"")]
    ParentInPath,
    #[error("the path is not UTF-8")]
    PathEncoding,
    #[error("the path contains a NUL byte")]
    PathNul,
    #[error("the path is empty")]
    EmptyPath,
    #[error("the hard link leads out of the root")]
    HardLinkOutside,
    #[error("the path leads through {0:?}, a symbolic link out of the root or to an absolute path")]
    ThroughLink(String),
    #[error("the same path is a {0} and a {1} in one layer")]
    ConflictingEntries(&'static str, &'static str),
    #[error("the entry lies below {0:?}, which is not a directory")]
    BelowFile(String),
    #[error("a character device 0/0 hides a file on overlay file systems")]
    OverlayWhiteout,
    #[error("the whiteout is not an empty file with a name")]
    Whiteout,
    #[error("the whiteout comes after {0:?}, which the same layer brings")]
    WhiteoutOfOwn(String),
}

/// What makes a layer unreadable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    #[error("the gzip stream is broken: {0}")]
    Gzip(&'static str),
    #[error("the compressed data cannot be read: {0}")]
    Compressed(String),
    #[error("the layer ends too early")]
    Truncated,
    #[error("the header checksum is wrong")]
    Checksum,
    #[error("the header is neither POSIX nor GNU tar")]
    Magic,
    #[error("the header field {0} is not a number in range")]
    Number(&'static str),
    #[error("entries of type {0:?} are not supported")]
    EntryType(char),
    #[error("the extended header is malformed")]
    Pax,
    #[error("device nodes are accepted only below dev/, where runtimes mount their own")]
    DeviceNode,
}

/// Which limit a layer is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExceededLimit {
    #[error("the layer has more than {0} entries")]
    Entries(u64),
    #[error("the layer unpacks to more than {0} bytes")]
    UnpackedBytes(u64),
    #[error("the layer unpacks to more than {0} times its size")]
    Ratio(u64),
    #[error("a path is longer than {0} bytes")]
    PathBytes(usize),
    #[error("a path is nested deeper than {0}")]
    PathDepth(usize),
    #[error("an extended header is larger than {0} bytes")]
    ExtensionBytes(u64),
    #[error("a package database is larger than {0} bytes")]
    CatalogFileBytes(u64),
    #[error("packages, links and whiteouts of the layer take more than {0} bytes to keep")]
    FactBytes(usize),
}

impl ArchiveError {
    pub(crate) fn ambiguous(problem: Ambiguity, entry: impl Into<Option<String>>) -> Self {
        Self::Ambiguous { problem, entry: entry.into() }
    }

    pub(crate) fn invalid(problem: Defect, entry: impl Into<Option<String>>) -> Self {
        Self::Invalid { problem, entry: entry.into() }
    }

    pub(crate) fn limit(limit: ExceededLimit, entry: impl Into<Option<String>>) -> Self {
        Self::LimitExceeded { limit, entry: entry.into() }
    }

    /// The code that the intake ends with.
    #[must_use]
    pub const fn code(&self) -> RejectionCode {
        match self {
            Self::Foreign(_) => RejectionCode::ForeignLayer,
            Self::MediaType(_) | Self::Invalid { .. } => RejectionCode::ArchiveInvalid,
            Self::Ambiguous { .. } => RejectionCode::ArchiveAmbiguous,
            Self::LimitExceeded { .. } => RejectionCode::ArchiveLimitExceeded,
        }
    }

    /// The entry of the archive that it is about, if one can be named; invalid UTF-8 is shown replaced.
    #[must_use]
    pub fn entry(&self) -> Option<&str> {
        match self {
            Self::Foreign(_) | Self::MediaType(_) => None,
            Self::Ambiguous { entry, .. } | Self::Invalid { entry, .. } | Self::LimitExceeded { entry, .. } => {
                entry.as_deref()
            }
        }
    }

    /// What the author can do about it.
    #[must_use]
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::Foreign(_) => "push the layer's bytes to the registry and list it with an ordinary layer media type",
            Self::MediaType(_) => "build the image with tar layers, plain or compressed with gzip or zstd",
            Self::Ambiguous { problem: Ambiguity::SeveralGzipMembers, .. } => {
                "compress the layer as one gzip member, or with zstd; eStargz layers are not accepted"
            }
            Self::Ambiguous { .. } => {
                "rebuild the layer with a current builder (buildkit, buildah, umoci) from plain files"
            }
            Self::Invalid { .. } => "rebuild the layer and push it again",
            Self::LimitExceeded { .. } => "make the layer smaller, or split it into several",
        }
    }
}
