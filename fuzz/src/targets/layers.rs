//! The pass over a layer: decompression, tar, catalogers.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use image_scan::archive::{ArchiveError, LayerCompression, LayerLimits, LayerPass};
use image_scan::catalog::LayerCatalog;

const BLOCK: usize = 512;
const LIMITS: LayerLimits = LayerLimits {
    unpacked_bytes: 1 << 20,
    ratio: 100,
    ratio_from_bytes: 1 << 16,
    entries: 500,
    path_bytes: 300,
    path_depth: 20,
    extension_bytes: 2000,
    catalog_file_bytes: 1 << 16,
};

/// The first byte says how the rest is compressed, and whether it is an archive that is to be compressed first.
pub(super) fn tar_pass(data: &[u8]) {
    let Some((way, rest)) = super::choice(data, 6) else { return };
    let archive = || resealed(rest);
    let (compression, layer) = match way {
        0 => (LayerCompression::Plain, rest.to_vec()),
        1 => (LayerCompression::Gzip, rest.to_vec()),
        2 => (LayerCompression::Zstd, rest.to_vec()),
        3 => (LayerCompression::Plain, archive()),
        4 => (LayerCompression::Gzip, gzip(&archive())),
        _ => (LayerCompression::Zstd, zstd::bulk::compress(&archive(), 1).expect("bytes can be compressed")),
    };
    let whole = read(compression, &layer, layer.len().max(1));
    assert_eq!(read(compression, &layer, 701), whole, "the pieces change the result");
    if let Ok(catalog) = whole {
        check(&catalog);
    }
}

/// What must hold of every catalog.
pub(super) fn check(catalog: &LayerCatalog) {
    assert!(catalog.unpacked_bytes <= LIMITS.unpacked_bytes);
    // An entry has a header block.
    assert!(catalog.entries <= catalog.unpacked_bytes / BLOCK as u64);
    // A database's place may be noted for each entry below it.
    assert!(catalog.tracked.len() as u64 <= 2 * catalog.entries);
    for path in catalog.tracked.keys().chain(&catalog.whiteouts) {
        let is_inside = path.split('/').all(|component| !matches!(component, "" | "." | ".."));
        assert!(is_inside && path.len() <= LIMITS.path_bytes, "{path:?}");
    }
    let stored = serde_json::to_string(catalog).expect("a catalog can be stored");
    // Messages of parsers may speak of `\u0000`, which is written with two backslashes.
    assert!(!stored.replace("\\\\", "").contains("\\u0000"), "JSONB has no NUL");
    assert_eq!(&serde_json::from_str::<LayerCatalog>(&stored).expect("a catalog can be read again"), catalog);
}

pub(super) fn read(compression: LayerCompression, layer: &[u8], piece: usize) -> Result<LayerCatalog, ArchiveError> {
    let mut pass = LayerPass::new(compression, LIMITS);
    layer.chunks(piece).try_for_each(|piece| pass.write(piece))?;
    pass.finish()
}

/// With right checksums, which no mutation hits by chance.
fn resealed(archive: &[u8]) -> Vec<u8> {
    let mut archive = archive.to_vec();
    for block in archive.chunks_exact_mut(BLOCK).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    archive
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("bytes can be compressed")
}
