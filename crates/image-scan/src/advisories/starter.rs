//! The advisories that come with the store: enough to judge something real without a network, never enough to call an image
//! clean. Facts about well-known problems, written down in OSV form.

use std::sync::LazyLock;

use registry_types::digest::Digest;

use super::osv::{OsvRecord, parse_osv};

/// One file per ecosystem, each a JSON array of OSV records.
const FILES: &[&str] = &[
    include_str!("starter/alpine.json"),
    include_str!("starter/crates.json"),
    include_str!("starter/debian.json"),
    include_str!("starter/npm.json"),
    include_str!("starter/pypi.json"),
];

/// The bundled records, in the files' order.
pub fn records() -> &'static [OsvRecord] {
    static RECORDS: LazyLock<Vec<OsvRecord>> =
        LazyLock::new(|| FILES.iter().flat_map(|file| parse_file(file)).collect());
    &RECORDS
}

/// Changes whenever the bundled records do.
#[must_use]
pub fn digest() -> Digest {
    Digest::sha256_of(FILES.concat().as_bytes())
}

/// A test reads every file, so an unreadable one cannot be released.
fn parse_file(file: &str) -> Vec<OsvRecord> {
    let records: Vec<&serde_json::value::RawValue> = serde_json::from_str(file).unwrap_or_default();
    records.into_iter().filter_map(|record| parse_osv(record.get().as_bytes()).ok()).collect()
}
