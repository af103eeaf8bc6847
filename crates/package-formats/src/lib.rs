//! The package formats of the systems that the store serves: a manifest in, a descriptor or a list of errors out.
//!
//! Pure: no I/O. One file per format; [`format`] dispatches by an exhaustive match.

mod changes;
mod company_template;
mod demands;
mod descriptor;
mod equality;
mod format;
mod hla_compass;
mod hla_resources;
pub mod json;
pub mod manifest_signature;
mod network;
mod openvex;
mod paperclip_module;

pub use changes::{Capabilities, changes};
pub use demands::{Demands, demands};
pub use descriptor::{Author, DatabaseRight, Descriptor, Entrypoint, NetworkAccess, Permissions};
pub use equality::equal_to_submitted;
pub use format::{detect_format, entrypoint_candidates, manifest_paths, parse_submitted};
pub use openvex::{Claim, LeftOut, MAX_OPENVEX_BYTES, OpenVex, parse_openvex};
