//! What the end-to-end tests are built from: servers that live as long as a test, images made without docker, and a
//! client of the store. Nothing here knows what a test wants to prove.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails at once")]

pub mod advised;
pub mod client;
pub mod clock;
pub mod fail_points;
pub mod history;
pub mod hla_compass;
pub mod hold;
pub mod hostile_registry;
pub mod identity_provider;
pub mod image;
pub mod object_server;
pub mod postgres;
pub mod process;
pub mod random;
pub mod registry;
pub mod shelf;
pub mod store;
pub mod told;
pub mod unreliable_front;
pub mod wait;
pub mod webhook_receiver;
