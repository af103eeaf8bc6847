//! Layers made byte by byte.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

pub(crate) const BLOCK: usize = 512;

pub(crate) const SIZE: usize = 124;
pub(crate) const PREFIX: usize = 345;

/// A raw header that a case may then damage.
#[derive(Clone)]
pub(crate) struct Raw(pub(crate) [u8; BLOCK]);

impl Raw {
    pub(crate) fn new(flag: u8, name: &str, size: usize) -> Self {
        let block = Self([0; BLOCK]).with(0, name.as_bytes()).with(100, b"0000644\0").with(108, b"0000000\0");
        let block = block.with(116, b"0000000\0").with(SIZE, format!("{size:011o}\0").as_bytes());
        block.with(136, b"00000000000\0").with(156, &[flag]).with(257, b"ustar\x0000")
    }

    pub(crate) fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn gnu(self) -> Self {
        self.with(257, b"ustar  \0")
    }

    pub(crate) fn link(self, target: &str) -> Self {
        self.with(157, target.as_bytes())
    }

    pub(crate) fn device(self, major: u32, minor: u32) -> Self {
        self.with(329, format!("{major:07o}\0").as_bytes()).with(337, format!("{minor:07o}\0").as_bytes())
    }

    /// With the checksum that readers expect.
    pub(crate) fn sealed(mut self) -> Vec<u8> {
        seal(&mut self.0);
        self.0.to_vec()
    }
}

/// Writes the checksum of a header.
pub(crate) fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Header and body, padded.
pub(crate) fn entry(header: Raw, body: &[u8]) -> Vec<u8> {
    let mut bytes = header.sealed();
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

pub(crate) fn file(name: &str, body: &[u8]) -> Vec<u8> {
    entry(Raw::new(b'0', name, body.len()), body)
}

pub(crate) fn directory(name: &str) -> Vec<u8> {
    entry(Raw::new(b'5', name, 0), b"")
}

pub(crate) fn symlink(name: &str, target: &str) -> Vec<u8> {
    entry(Raw::new(b'2', name, 0).link(target), b"")
}

pub(crate) fn hard_link(name: &str, target: &str) -> Vec<u8> {
    entry(Raw::new(b'1', name, 0).link(target), b"")
}

/// One PAX record with the right length.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length.to_string().len() + rest != length {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// An extended header: flag `x` for one entry, `g` for all.
pub(crate) fn pax(flag: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value.as_bytes())).collect();
    pax_body(flag, &body)
}

pub(crate) fn pax_body(flag: u8, body: &[u8]) -> Vec<u8> {
    entry(Raw::new(flag, "PaxHeaders/x", body.len()), body)
}

/// GNU's long name (flag `L`) or long link target (`K`).
pub(crate) fn long(flag: u8, name: &str) -> Vec<u8> {
    let body = format!("{name}\0");
    entry(Raw::new(flag, "././@LongLink", body.len()).gnu(), body.as_bytes())
}

/// The entries and the two zero blocks at the end.
pub(crate) fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 2 * BLOCK]].concat()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

/// A zstd frame of one raw block (RFC 8878), with these bytes between the magic number and the block.
pub(crate) fn zstd_frame(header: &[u8], content: &[u8]) -> Vec<u8> {
    let block = u32::try_from(content.len() << 3 | 1).unwrap().to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd], header, &block[..3], content].concat()
}

pub(crate) fn skippable(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    [&[0x5a, 0x2a, 0x4d, 0x18], &length[..], content].concat()
}
