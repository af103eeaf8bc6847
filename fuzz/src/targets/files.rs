//! Files of a layer that catalogers read: each is put where they look for it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use image_scan::archive::LayerCompression;

use super::layers;

pub(super) fn dpkg(data: &[u8]) {
    file("var/lib/dpkg/status", 0o644, data);
    file("var/lib/dpkg/info/a.list", 0o644, data);
}

pub(super) fn apk(data: &[u8]) {
    file("lib/apk/db/installed", 0o644, data);
}

pub(super) fn os_release(data: &[u8]) {
    file("etc/os-release", 0o644, data);
}

pub(super) fn wheel(data: &[u8]) {
    file("usr/lib/python3/site-packages/a-1.dist-info/METADATA", 0o644, data);
    file("usr/lib/python3/site-packages/a-1.egg-info", 0o644, data);
}

pub(super) fn package_json(data: &[u8]) {
    file("app/node_modules/a/package.json", 0o644, data);
}

/// An executable, or the JSON inside one.
pub(super) fn auditable(data: &[u8]) {
    if data.starts_with(b"\x7fELF") {
        file("usr/bin/a", 0o755, data);
    } else {
        file("usr/bin/a", 0o755, &executable_with(data));
    }
}

/// A layer of this file alone.
fn file(path: &str, mode: u32, content: &[u8]) {
    let mut header = [0; 512];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut layer = [&header, content].concat();
    layer.resize(layer.len().next_multiple_of(512), 0);
    let read = layers::read(LayerCompression::Plain, &layer, layer.len());
    if let Ok(catalog) = read {
        assert_eq!(catalog.entries, 1);
        layers::check(&catalog);
    }
}

/// A 64-bit little-endian ELF file of three sections: none, `.dep-v0` and the table of names.
fn executable_with(json: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    let data = zlib.write_all(json).and_then(|()| zlib.finish()).expect("bytes can be compressed");
    let names = b"\0.dep-v0\0.shstrtab\0";
    let (data_at, names_at) = (64, 64 + data.len());
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend([2, 0, 0x3e, 0, 1, 0, 0, 0]);
    elf.resize(40, 0);
    elf.extend(((names_at + names.len()) as u64).to_le_bytes());
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
    elf.extend(&data);
    elf.extend(names);
    for (name, kind, at, length) in [(0_u32, 0_u32, 0, 0), (1, 1, data_at, data.len()), (9, 3, names_at, names.len())] {
        elf.extend(name.to_le_bytes());
        elf.extend(kind.to_le_bytes());
        elf.extend([0; 16]);
        elf.extend((at as u64).to_le_bytes());
        elf.extend((length as u64).to_le_bytes());
        elf.extend([0; 24]);
    }
    elf
}
