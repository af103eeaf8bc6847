//! bsdtar, which is libarchive: `-tv` for the entries, `-xO` for the contents.

use std::path::Path;

use super::quoting::unescaped;
use super::{Read, output, with_contents};
use crate::listing::Item;

/// It finds the compression by itself.
pub(super) fn read(layer: &Path) -> Read {
    let run = |mode: &str| output("bsdtar", &["--numeric-owner", mode], layer);
    let (listing, contents) = match (run("-tvf"), run("-xOf")) {
        (Ok(listing), Ok(contents)) => (listing, contents),
        (Err(why), _) | (_, Err(why)) => return Read::Refused(why),
    };
    with_contents(String::from_utf8_lossy(&listing).lines().map(item).collect(), &contents)
}

/// `-rw-r--r--  0 0      0           3 Jan  1  1970 name`, links with ` -> target` or ` link to target`.
fn item(line: &str) -> Item {
    let mut rest = line;
    let mut facts = Vec::new();
    for _ in 0..8 {
        let (fact, after) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
        facts.push(fact);
        rest = after;
    }
    let name = |name: &str| unescaped(name);
    if let Some((link, target)) = rest.split_once(" link to ") {
        return Item::link('h', &name(link), &name(target));
    }
    match line.as_bytes()[0] {
        b'-' => Item::file(&name(rest), facts[4].parse().unwrap_or(u64::MAX), ""),
        b'd' => Item::other('d', &name(rest)),
        b'l' => {
            let (link, target) = rest.split_once(" -> ").unwrap_or((rest, ""));
            Item::link('l', &name(link), &name(target))
        }
        _ => Item::other('s', &name(rest)),
    }
}
