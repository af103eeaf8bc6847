//! The registry API: the store's HTTP surface for people, programs and existing clients.
//!
//! A handler reads: extractor (who, what right) → parse into types → one call into `registry-db` (one transaction) →
//! response. It never opens a connection to an outside registry.

pub mod problem;
pub mod rights;
pub mod state;
