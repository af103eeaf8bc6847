//! Roles and trust tiers.

use crate::text_enum;

text_enum! {
    /// What a member may do inside one organization; later values include earlier ones.
    pub enum Role { Viewer = "viewer", Developer = "developer", Admin = "admin" }
}

text_enum! {
    /// How much the platform trusts an organization; chooses the path of a publish.
    pub enum TrustTier { Community = "community", Verified = "verified", Internal = "internal" }
}
