//! What an image holds and what is known about it: layer catalogs, their merge, SBOMs, advisories.
//!
//! Pure: no I/O, no async, no database.

pub mod advisories;
pub mod archive;
pub mod catalog;
pub mod merge;
pub mod sbom;
pub mod secrets;
pub mod version_order;
