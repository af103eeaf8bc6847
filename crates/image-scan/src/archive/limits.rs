//! Limits of one layer.

use registry_types::limits;

/// What one layer may cost. The defaults are the store's own; tests use smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerLimits {
    /// Bytes of the tar archive.
    pub unpacked_bytes: u64,
    /// Unpacked over packed bytes, judged once more than `ratio_from_bytes` are unpacked.
    pub ratio: u64,
    pub ratio_from_bytes: u64,
    /// Headers in the archive, extended ones included.
    pub entries: u64,
    /// One path or link target, in bytes, and a path's components.
    pub path_bytes: usize,
    pub path_depth: usize,
    /// One extended header (PAX records, GNU long name), in bytes.
    pub extension_bytes: u64,
    /// A package database that is read whole, in bytes.
    pub catalog_file_bytes: u64,
}

impl Default for LayerLimits {
    fn default() -> Self {
        Self {
            unpacked_bytes: limits::MAX_UNPACKED_LAYER_BYTES,
            ratio: limits::MAX_COMPRESSION_RATIO,
            ratio_from_bytes: 16 * 1024 * 1024,
            entries: limits::MAX_LAYER_ENTRIES,
            path_bytes: limits::MAX_PATH_BYTES,
            path_depth: limits::MAX_PATH_DEPTH,
            // File capabilities and ACLs are small; Linux caps one extended attribute at 64 KiB.
            extension_bytes: 1024 * 1024,
            catalog_file_bytes: limits::MAX_CATALOG_FILE_BYTES,
        }
    }
}
