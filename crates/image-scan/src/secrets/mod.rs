//! Secrets in files: precise rules, each with a form that only real ones have.
//!
//! Searched is every regular file's content, except files with a NUL byte in their first 8 KiB: archives, databases and
//! compiled programs are not looked into. A text search for the rules' anchors runs over everything; only around an
//! anchor does a rule look closer.

mod anchors;
mod randomness;
mod rules;
mod search;
mod window;

use registry_types::text_enum;
use serde::{Deserialize, Serialize};

pub(crate) use search::SecretSearch;

text_enum! {
    /// How sure it is that a finding is a secret that matters.
    pub enum Confidence {
        /// Of a form that only real secrets have.
        High = "high",
        /// May be public by design, a test value, or part of a third-party package's published test data.
        Low = "low",
    }
}

/// A secret in a file, masked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretFinding {
    /// Id of the rule, e.g. `github-token`.
    pub rule: String,
    /// What the rule finds, for people.
    pub title: String,
    pub confidence: Confidence,
    /// Relative to the root.
    pub path: String,
    /// From 1.
    pub line: u64,
    /// The first four characters and the length: enough to find it, too little to use it.
    pub masked: String,
}
