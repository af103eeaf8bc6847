//! The end-to-end tests: one binary, one module per area.

mod blob_store;
mod fixtures;
