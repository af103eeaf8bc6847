//! Reviews: what a person decides about a version, and what that rests on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text_enum;

/// How long a claim keeps others from deciding, in hours.
pub const CLAIM_HOURS: i32 = 24;
/// Longest reason of a decision, in characters.
const MAX_REASON: usize = 2_000;

text_enum! {
    /// Whose word a version needs that passes every check, by its organization's trust tier.
    pub enum ReviewPath {
        /// A person's, always.
        Always = "always",
        /// A person's for the first version, and when it asks for more than the last active one.
        WhenGrown = "when_grown",
        /// Nobody's.
        Never = "never",
    }
}

text_enum! {
    pub enum ReviewState {
        /// Waits for a reviewer.
        Open = "open",
        /// Somebody looks at it.
        Claimed = "claimed",
        Approved = "approved",
        Rejected = "rejected",
        /// A later verdict stands in the place of the one that it was about.
        Superseded = "superseded",
    }
}

text_enum! {
    /// What of a version can differ from the last active one.
    pub enum ChangeKind {
        Network = "network",
        Permission = "permission",
        Resource = "resource",
        Hook = "hook",
        Ui = "ui",
        Signer = "signer",
        /// A finding of at least HIGH that is waived.
        WaivedFinding = "waived_finding",
    }
}

/// One difference from the last active version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub kind: ChangeKind,
    /// What differs, e.g. `api.example.org`, `database: write`, `memory`.
    pub what: String,
    /// `None`: it was not there.
    pub before: Option<String>,
    /// `None`: it is not there any more.
    pub after: Option<String>,
    /// Whether the version asks for more by it, or nobody can tell that it doesn't.
    pub grows: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, what, before, after, .. } = self;
        match (before, after) {
            (None, None) => write!(f, "{kind} {what}"),
            (None, Some(after)) if after == what => write!(f, "{kind} {what} is new"),
            (None, Some(after)) => write!(f, "{kind} {what}: {after} is new"),
            (Some(_), None) => write!(f, "{kind} {what} is gone"),
            (Some(before), Some(after)) => write!(f, "{kind} {what}: {before} before, {after} now"),
        }
    }
}

/// Why a person decided so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ReviewReason(String);

/// A reason that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reason has 1 to 2000 printable characters")]
pub struct ReviewReasonError;

impl ReviewReason {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReviewReason {
    type Err = ReviewReasonError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let value = value.trim();
        let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        if (1..=MAX_REASON).contains(&value.chars().count()) && value.chars().all(is_text) {
            Ok(Self(value.to_owned()))
        } else {
            Err(ReviewReasonError)
        }
    }
}

impl fmt::Display for ReviewReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
