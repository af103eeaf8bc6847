//! Trusted publishers, and the publish tokens that their jobs are given.

mod exchange;
mod publisher;
mod tokens;

pub use exchange::{Exchange, Exchanged, NewPublishToken, Refusal, exchange};
pub use publisher::{BINDING_TAKEN, NewTrustedPublisher, TooManyPublishers, TrustedPublisher, add, get, list, remove};
pub use tokens::{PublishToken, identity, list_tokens, revoke_token};
