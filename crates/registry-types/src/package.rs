//! Packages and versions.

use crate::text_enum;

text_enum! { pub enum PackageKind { Module = "module", Template = "template" } }

text_enum! {
    /// The form in which a package was published.
    pub enum PackageFormat {
        HlaCompassModule = "hla-compass.module",
        PaperclipModule = "paperclip.module",
        PaperclipPlugin = "paperclip.plugin",
        MozaiksModule = "mozaiks.module",
        MozaiksPack = "mozaiks.pack",
        MozaiksPackV1 = "mozaiks.pack.v1",
        MicrocoreosTool = "microcoreos.tool",
        MicrocoreosDomain = "microcoreos.domain",
        MicrocoreosDriver = "microcoreos.driver",
        CompanyTemplate = "company.template",
        Agentcompanies = "agentcompanies",
    }
}

impl PackageFormat {
    #[must_use]
    pub const fn kind(self) -> PackageKind {
        match self {
            Self::CompanyTemplate | Self::Agentcompanies => PackageKind::Template,
            Self::HlaCompassModule
            | Self::PaperclipModule
            | Self::PaperclipPlugin
            | Self::MozaiksModule
            | Self::MozaiksPack
            | Self::MozaiksPackV1
            | Self::MicrocoreosTool
            | Self::MicrocoreosDomain
            | Self::MicrocoreosDriver => PackageKind::Module,
        }
    }
}

text_enum! {
    /// Who may see a package. `licensed` packages are listed for everybody and pulled by the organization only, until
    /// licences exist.
    pub enum Visibility { Public = "public", Organization = "organization", Licensed = "licensed" }
}

text_enum! {
    pub enum VersionState {
        Pending = "pending",
        Active = "active",
        Rejected = "rejected",
        InReview = "in_review",
        Quarantined = "quarantined",
        Yanked = "yanked",
    }
}

impl VersionState {
    /// Only these are listed, pullable and in the index.
    #[must_use]
    pub const fn is_visible(self) -> bool {
        match self {
            Self::Active => true,
            Self::Pending | Self::Rejected | Self::InReview | Self::Quarantined | Self::Yanked => false,
        }
    }

    /// Whether the same version number may be published again: never once it was active.
    #[must_use]
    pub const fn may_be_republished(self) -> bool {
        match self {
            Self::Rejected => true,
            Self::Pending | Self::Active | Self::InReview | Self::Quarantined | Self::Yanked => false,
        }
    }
}
