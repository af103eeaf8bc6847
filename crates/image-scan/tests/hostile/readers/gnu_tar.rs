//! GNU tar: `-tv` for the entries, `-xO` for the contents.

use std::path::Path;

use image_scan::archive::LayerCompression;

use super::quoting::unescaped;
use super::{Read, output, with_contents};
use crate::listing::Item;

pub(super) fn read(compression: LayerCompression, layer: &Path) -> Read {
    let decompress: &[&str] = match compression {
        LayerCompression::Plain => &[],
        LayerCompression::Gzip => &["--gzip"],
        LayerCompression::Zstd => &["--zstd"],
    };
    let run =
        |mode: &[&str]| output("tar", &[decompress, &["--numeric-owner", "--quoting-style=c"], mode].concat(), layer);
    let (listing, contents) = match (run(&["-tvf"]), run(&["-xOf"])) {
        (Ok(listing), Ok(contents)) => (listing, contents),
        (Err(why), _) | (_, Err(why)) => return Read::Refused(why),
    };
    with_contents(String::from_utf8_lossy(&listing).lines().map(item).collect(), &contents)
}

/// `-rw-r--r-- 0/0  3 1970-01-01 00:00 "name"`, links with ` -> "target"` or ` link to "target"`.
fn item(line: &str) -> Item {
    let (facts, names) = line.split_once('"').unwrap_or((line, ""));
    let mut names =
        names.strip_suffix('"').unwrap_or(names).split("\" -> \"").flat_map(|part| part.split("\" link to \""));
    let (name, target) = (unescaped(names.next().unwrap()), unescaped(names.next().unwrap_or_default()));
    match line.as_bytes()[0] {
        b'-' => {
            let size = facts.split_whitespace().nth(2).and_then(|size| size.parse().ok());
            Item::file(&name, size.unwrap_or(u64::MAX), "")
        }
        b'd' => Item::other('d', &name),
        b'l' => Item::link('l', &name, &target),
        b'h' => Item::link('h', &name, &target),
        _ => Item::other('s', &name),
    }
}
