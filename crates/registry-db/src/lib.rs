//! Postgres: the only crate that names diesel.
//!
//! One module per entity, each of free functions that take a connection. The caller owns the transaction
//! ([`transaction`]); no function does outside I/O. Row types stay inside; what goes in and out are plain structs of this
//! crate built from `registry-types`.

pub mod advisories;
pub mod api_keys;
pub mod audit;
pub mod clock;
pub mod cloud_event;
pub mod companies;
pub mod content;
mod error;
pub mod event_feed;
pub mod events;
pub mod evidence;
pub mod housekeeping;
pub mod idempotency;
pub mod identity_providers;
pub mod intakes;
pub mod jobs;
pub mod key_ring;
pub mod listing;
pub mod manifest_keys;
pub mod manifest_signatures;
pub mod modules;
pub mod namespace_proofs;
pub mod notifications;
pub mod organizations;
pub mod packages;
pub mod paging;
mod pool;
mod prepared;
pub mod publish;
pub mod pull;
pub mod quotas;
pub mod registries;
pub mod rejudgement;
pub mod reviews;
mod schema;
pub mod search;
pub mod sessions;
pub mod store_settings;
pub mod transfers;
pub mod trusted_publishers;
pub mod users;
pub mod verdicts;
pub mod waivers;
pub mod webhooks;
pub mod withdrawal;

pub use error::{DbError, DbResult};
pub use pool::{Connection, Pool, TransactionBody, durable, migrate, revert_all, transaction};
