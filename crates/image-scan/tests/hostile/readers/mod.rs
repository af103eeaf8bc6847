//! The readers that layers are held against: the tar programs of distributions, and the libraries behind others.

mod gnu_tar;
mod libarchive;
mod library;
mod quoting;

use std::path::Path;
use std::process::Command;

use image_scan::archive::LayerCompression;

use crate::listing::Item;

/// What a reader makes of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Read {
    Items(Vec<Item>),
    /// It ends with an error, whatever it listed before.
    Refused(String),
    /// It has no decompressor for such layers.
    Unsupported,
}

/// All readers, the library ones as processes that are asked again and again.
pub(crate) struct Readers {
    python: library::Library,
    go: Option<library::Library>,
    folder: tempfile::TempDir,
}

impl Readers {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let go = library::go(folder.path());
        if go.is_none() {
            println!("NOT COMPARED: Go's archive/tar, since Go is not installed here");
        }
        Self { python: library::python(), go, folder }
    }

    /// Every reader's name and what it finds.
    pub(crate) fn read(&mut self, compression: LayerCompression, layer: &[u8]) -> Vec<(&'static str, Read)> {
        let path = self.folder.path().join("layer");
        std::fs::write(&path, layer).unwrap();
        let mut reads = vec![
            ("GNU tar", gnu_tar::read(compression, &path)),
            ("bsdtar", libarchive::read(&path)),
            ("Python tarfile", self.python.read(compression, &path)),
        ];
        if let Some(go) = &mut self.go {
            reads.push(("Go archive/tar", go.read(compression, &path)));
        }
        reads
    }
}

/// A program's output, or the end of what it says about its failure.
fn output(program: &str, arguments: &[&str], layer: &Path) -> Result<Vec<u8>, String> {
    let mut command = Command::new(program);
    let output = command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC").args(arguments).arg(layer).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("an error without words").to_owned())
}

/// Gives each file its part of the contents, which the programs print one after the other.
fn with_contents(mut items: Vec<Item>, contents: &[u8]) -> Read {
    let mut rest = contents;
    for item in items.iter_mut().filter(|item| item.is_file()) {
        let Some((content, after)) = usize::try_from(item.size()).ok().and_then(|size| rest.split_at_checked(size))
        else {
            return Read::Refused("less content than its listing says".to_owned());
        };
        item.set_content(content);
        rest = after;
    }
    if !rest.is_empty() {
        return Read::Refused("more content than its listing says".to_owned());
    }
    items.retain(|item| !item.is_root());
    Read::Items(items)
}
