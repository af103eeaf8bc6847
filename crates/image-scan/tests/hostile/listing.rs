//! What a reader finds in a layer, in a form in which readers can be compared.
//!
//! Normalised, because it is a matter of printing only: a leading `./`, doubled slashes, `.` components and a directory's
//! final slash in names; a leading slash of hard link targets, which every unpacker joins to the root; the root's own entry,
//! which is left out; devices and pipes, of which only the place counts. All else has to be equal: number and order of the
//! entries, names, types, sizes, link targets and contents.

use std::fmt;

use image_scan::archive::{
    ArchiveError, Entry, EntryKind, EntrySink, LayerCompression, LayerLimits, LayerPass, TarWalker,
};
use registry_types::digest::{Algorithm, Digest, Hasher};

/// One entry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// `f`ile, `d`irectory, symbolic `l`ink, `h`ard link, `s`pecial.
    kind: char,
    name: String,
    size: u64,
    target: String,
    content: String,
}

impl Item {
    pub(crate) fn file(name: &str, size: u64, content: &str) -> Self {
        Self { size, content: content.to_owned(), ..Self::other('f', name) }
    }

    pub(crate) fn link(kind: char, name: &str, target: &str) -> Self {
        let target = if kind == 'h' { joined(target) } else { target.to_owned() };
        Self { target, ..Self::other(kind, name) }
    }

    pub(crate) fn other(kind: char, name: &str) -> Self {
        Self { kind, name: joined(name), size: 0, target: String::new(), content: String::new() }
    }

    pub(crate) fn is_file(&self) -> bool {
        self.kind == 'f'
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn set_content(&mut self, content: &[u8]) {
        self.content = Digest::sha256_of(content).hex().to_owned();
    }

    /// The root's own entry says nothing.
    pub(crate) fn is_root(&self) -> bool {
        self.kind == 'd' && self.name.is_empty()
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            'f' => write!(f, "f {} {}", self.name, self.size),
            'l' | 'h' => write!(f, "{} {} -> {}", self.kind, self.name, self.target),
            kind => write!(f, "{kind} {}", self.name),
        }
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {}", self.content.get(..8).unwrap_or_default())
    }
}

fn joined(name: &str) -> String {
    name.split('/').filter(|component| !matches!(*component, "" | ".")).collect::<Vec<_>>().join("/")
}

/// What we read, as an intake would: the catalog's own refusals count too.
pub(crate) fn ours(
    compression: LayerCompression,
    limits: LayerLimits,
    layer: &[u8],
) -> Result<Vec<Item>, ArchiveError> {
    let mut pass = LayerPass::new(compression, limits);
    // Not the size of anything.
    layer.chunks(1009).try_for_each(|piece| pass.write(piece))?;
    pass.finish()?;
    let mut walker = TarWalker::new(Lister::default(), limits);
    walker.write(&unpacked(compression, layer))?;
    Ok(walker.finish()?.items)
}

/// The archive of a layer that was accepted.
fn unpacked(compression: LayerCompression, layer: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    match compression {
        LayerCompression::Plain => archive.extend_from_slice(layer),
        LayerCompression::Gzip => {
            std::io::copy(&mut flate2::read::GzDecoder::new(layer), &mut archive).unwrap();
        }
        LayerCompression::Zstd => zstd::stream::copy_decode(layer, &mut archive).unwrap(),
    }
    archive
}

#[derive(Default)]
struct Lister {
    items: Vec<Item>,
    current: Option<(Item, Hasher)>,
}

impl EntrySink for Lister {
    fn begin(&mut self, entry: Entry) -> Result<(), ArchiveError> {
        let item = match entry.kind {
            EntryKind::File { size, .. } => {
                self.current = Some((Item::file(&entry.path, size, ""), Hasher::new(Algorithm::Sha256)));
                return Ok(());
            }
            EntryKind::Directory => Item::other('d', &entry.path),
            EntryKind::Symlink { target } => Item::link('l', &entry.path, &target),
            EntryKind::HardLink { target } => Item::link('h', &entry.path, &target),
            EntryKind::Special => Item::other('s', &entry.path),
        };
        self.items.push(item);
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) {
        if let Some((_, hasher)) = &mut self.current {
            hasher.update(bytes);
        }
    }

    fn end(&mut self) -> Result<(), ArchiveError> {
        if let Some((item, hasher)) = self.current.take() {
            self.items.push(Item { content: hasher.finish().hex().to_owned(), ..item });
        }
        Ok(())
    }
}
