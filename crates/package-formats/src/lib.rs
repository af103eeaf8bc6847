//! The package formats of the systems that the store serves: a manifest in, a descriptor or a list of errors out.
//!
//! Pure: no I/O. One file per format; [`format`] dispatches by an exhaustive match.

mod company_template;
mod descriptor;
mod equality;
mod format;
mod hla_compass;
pub mod json;
pub mod manifest_signature;
mod network;
mod paperclip_module;

pub use descriptor::{Author, DatabaseRight, Descriptor, Entrypoint, NetworkAccess, Permissions};
pub use equality::equal_to_submitted;
pub use format::{detect_format, entrypoint_candidates, manifest_paths, parse_submitted};
