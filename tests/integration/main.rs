//! The end-to-end tests: one binary, one module per area.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails at once")]

mod advisories;
mod agreement;
mod blob_store;
mod crash;
mod documents;
mod fixtures;
mod fuzz_seeds;
mod hla_compass;
mod hostile_layers;
mod hostile_registries;
mod index;
mod intake;
mod intake_events;
mod jobs;
mod keyless;
mod kills;
mod manifest_keys;
mod migrations;
mod openapi;
mod packages;
mod pages;
mod passwords;
mod people;
mod publish;
mod pull;
mod registries;
mod rejudge;
mod rights;
mod search;
mod signatures;
mod telemetry;
mod templates;
mod tenants;
mod verdict;
mod withdrawal;
