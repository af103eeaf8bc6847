//! The `company-store` program: client commands, and `up`, which runs everything in one process tree.

mod ci_identity;
pub mod cli;
pub mod client;
pub mod commands;
mod dsse;
pub mod event_stream;
pub mod exit;
pub mod output;
pub mod postgres;
pub mod private_file;
pub mod session;
pub mod signing_key;
pub mod telemetry;
pub mod up;
