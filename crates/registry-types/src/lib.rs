//! The store's vocabulary and rules: names, references, patterns, policy, the verdict algebra and company templates.
//!
//! Pure: no I/O, no async, no database, no web. Everything that comes from outside is parsed here once into a type
//! that cannot hold a wrong value.

pub mod advisory;
pub mod audit;
pub mod component;
pub mod digest;
pub mod document;
pub mod event;
pub mod identity_provider;
pub mod ids;
pub mod image_reference;
pub mod intake;
pub mod job;
pub mod limits;
pub mod manifest_key;
pub mod names;
pub mod namespace_pattern;
pub mod package;
pub mod people;
pub mod pointer;
pub mod policy;
pub mod profile;
pub mod public_key;
pub mod rejection_code;
pub mod review;
pub mod settings;
pub mod signature_policy;
pub mod template;
pub mod text_enum;
pub mod trusted_publisher;
pub mod verdict;
pub mod waiver;
pub mod webhook;
pub mod workload;
