//! The end-to-end tests: one binary, one module per area.

mod advisories;
mod blob_store;
mod fixtures;
mod index;
mod pages;
mod pull;
mod search;
