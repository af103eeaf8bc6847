//! The source client and the signature check against registries that answer as told, also badly.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test ends it")]

mod conformance;
mod document;
mod fixtures;
mod image;
mod probe;
mod rebinding;
mod referrers;
mod signatures;
mod source_client;
mod stub;
mod time_limits;
