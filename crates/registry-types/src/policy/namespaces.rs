//! What is demanded of who owns a registry namespace.

use serde::{Deserialize, Serialize};

use crate::people::TrustTier;
use crate::text_enum;

/// When a registry namespace needs a proof, by the trust tier of its organization. A proof (a challenge, or the claims of a job)
/// always suffices to verify a namespace that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NamespacePolicy {
    pub community: NamespaceProofDemand,
    pub verified: NamespaceProofDemand,
    pub internal: NamespaceProofDemand,
}

impl Default for NamespacePolicy {
    fn default() -> Self {
        let never = NamespaceProofDemand::Never;
        Self { community: never, verified: never, internal: never }
    }
}

impl NamespacePolicy {
    #[must_use]
    pub const fn of(&self, tier: TrustTier) -> NamespaceProofDemand {
        match tier {
            TrustTier::Community => self.community,
            TrustTier::Verified => self.verified,
            TrustTier::Internal => self.internal,
        }
    }
}

text_enum! {
    pub enum NamespaceProofDemand {
        /// A person's word suffices.
        Never = "never",
        /// A person approves only what is proven.
        ForApproval = "for_approval",
        /// Nor is anything published from what is not, whoever approved it and when.
        ForPublishing = "for_publishing",
    }
}

impl NamespaceProofDemand {
    #[must_use]
    pub const fn is_for_approval(self) -> bool {
        match self {
            Self::Never => false,
            Self::ForApproval | Self::ForPublishing => true,
        }
    }

    #[must_use]
    pub const fn is_for_publishing(self) -> bool {
        match self {
            Self::Never | Self::ForApproval => false,
            Self::ForPublishing => true,
        }
    }
}
