//! Severities and findings.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::text_enum;

text_enum! {
    /// Ordered: `Unknown` is not the least but stands apart, see [`Severity::at_least`].
    pub enum Severity {
        None = "NONE",
        Low = "LOW",
        Medium = "MEDIUM",
        High = "HIGH",
        Critical = "CRITICAL",
        /// The advisory states no severity that could be read. Judged as MEDIUM: warned about, never clean.
        Unknown = "UNKNOWN",
    }
}

impl Severity {
    /// Whether this severity is at least `threshold`; an unknown severity counts as MEDIUM.
    #[must_use]
    pub fn at_least(self, threshold: Self) -> bool {
        self.rank() >= threshold.rank()
    }

    /// The worse of the two. A stated MEDIUM wins over an unknown one, which counts the same; an unknown one is never
    /// lost to a lower one.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        match self.rank().cmp(&other.rank()) {
            Ordering::Less => other,
            Ordering::Greater => self,
            Ordering::Equal if self == Self::Unknown => other,
            Ordering::Equal => self,
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Low => 1,
            Self::Medium | Self::Unknown => 2,
            Self::High => 3,
            Self::Critical => 4,
        }
    }
}

text_enum! {
    /// Where a snapshot of advisory data comes from: `starter` is bundled with the store, `synced` was loaded by an operator.
    pub enum AdvisoryOrigin { Starter = "starter", Synced = "synced" }
}

/// One advisory that applies to one component of an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// Id of the OSV record.
    pub advisory: String,
    /// Other ids of the same problem (CVE, GHSA), sorted.
    pub aliases: Vec<String>,
    pub severity: Severity,
    pub summary: String,
    /// Package URL of the component.
    pub purl: String,
    pub package: String,
    pub version: String,
    /// The first version that repairs it, if one is known.
    pub fixed_version: Option<String>,
    pub layer: Digest,
    pub path: String,
}
