//! The policy document: what is demanded of an image before its version becomes active, and how much anybody may ask for.

mod limits;
mod namespaces;

use serde::{Deserialize, Serialize};

use crate::advisory::Severity;
use crate::identity_provider::{CiProvider, Issuer};
use crate::image_reference::RegistryHost;
use crate::intake::CheckName;
use crate::limits::MAX_BODY_BYTES;
use crate::people::TrustTier;
use crate::profile::Profile;
use crate::public_key::PublicKeyPem;
use crate::review::ReviewPath;
use crate::text_enum;

pub use limits::{LimitPolicy, LoginLimits, Quota, Quotas, Rate, RequestLimits};
pub use namespaces::{NamespacePolicy, NamespaceProofDemand};

/// How one check's outcome counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Without a clear result (`error`, `unknown`, missing) nothing becomes active.
    pub required: bool,
    /// A `fail` rejects; otherwise it only warns (shadow mode).
    pub enforced: bool,
}

impl Requirement {
    pub const STRICT: Self = Self { required: true, enforced: true };
}

/// The typed policy document. Defaults are those of the publishing handbook.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    pub requirements: Requirements,
    pub vulnerabilities: VulnerabilityPolicy,
    pub permissions: PermissionPolicy,
    pub reviews: ReviewPolicy,
    pub manifest_signatures: ManifestSignaturePolicy,
    pub trusted_publishing: TrustedPublishingPolicy,
    pub namespaces: NamespacePolicy,
    /// Whose OpenVEX documents are taken as requests for waivers; at most 100.
    pub vex_authors: Vec<VexAuthor>,
    pub limits: LimitPolicy,
}

/// Somebody who signs OpenVEX documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VexAuthor {
    /// For people, e.g. `Example Distribution's security team`; 1 to 100 characters.
    pub name: String,
    /// ECDSA on P-256, as `cosign public-key` prints it.
    pub key: PublicKeyPem,
}

const MAX_VEX_AUTHORS: usize = 100;
const MAX_VEX_AUTHOR_NAME: usize = 100;

/// One requirement per check: exhaustive, so that a new check forces a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requirements {
    pub image: Requirement,
    pub signature: Requirement,
    pub archive: Requirement,
    pub vulnerabilities: Requirement,
    pub secrets: Requirement,
    pub package_manifest: Requirement,
    pub ui: Requirement,
    pub permissions: Requirement,
}

impl Default for Requirements {
    fn default() -> Self {
        let strict = Requirement::STRICT;
        Self {
            image: strict,
            signature: strict,
            archive: strict,
            vulnerabilities: strict,
            secrets: strict,
            package_manifest: strict,
            ui: strict,
            permissions: strict,
        }
    }
}

impl Requirements {
    #[must_use]
    pub const fn of(&self, check: CheckName) -> Requirement {
        match check {
            CheckName::Image => self.image,
            CheckName::Signature => self.signature,
            CheckName::Archive => self.archive,
            CheckName::Vulnerabilities => self.vulnerabilities,
            CheckName::Secrets => self.secrets,
            CheckName::PackageManifest => self.package_manifest,
            CheckName::Ui => self.ui,
            CheckName::Permissions => self.permissions,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VulnerabilityPolicy {
    /// Findings of at least this severity reject.
    pub reject_at: Severity,
    /// Findings of at least this severity, below `reject_at`, warn.
    pub warn_at: Severity,
    /// Advisory data older than this is stale: the outcome is `unknown`.
    pub max_advisory_age_hours: u32,
    /// What the bundled starter advisory set counts as in development; in production it is always `unknown`.
    pub accept_starter_set_in_development: bool,
}

impl Default for VulnerabilityPolicy {
    fn default() -> Self {
        Self {
            reject_at: Severity::High,
            warn_at: Severity::Medium,
            max_advisory_age_hours: 72,
            accept_starter_set_in_development: true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PermissionPolicy {
    /// Hosts that a module may name in its network list: exact, or `*.example.org`. `None` = any named host.
    pub network_allow: Option<Vec<String>>,
    /// Whether a module may ask for the whole network (`true`, `*`, `0.0.0.0/0`).
    pub allow_any_network: bool,
    /// Whether `database: ["delete"]` is allowed.
    pub allow_database_delete: bool,
}

impl Default for PermissionPolicy {
    fn default() -> Self {
        Self { network_allow: None, allow_any_network: false, allow_database_delete: true }
    }
}

/// What is left to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReviewPolicy {
    /// The path of a version that passes every check, by its organization's trust tier.
    pub community: ReviewPath,
    pub verified: ReviewPath,
    pub internal: ReviewPath,
    /// Checks whose `unknown` a person may accept for one version. Never a `fail`, an `error` or a missing result.
    pub acceptable: Vec<CheckName>,
}

impl Default for ReviewPolicy {
    fn default() -> Self {
        Self {
            community: ReviewPath::Always,
            verified: ReviewPath::WhenGrown,
            internal: ReviewPath::Never,
            acceptable: vec![CheckName::Vulnerabilities, CheckName::Secrets, CheckName::PackageManifest, CheckName::Ui],
        }
    }
}

impl ReviewPolicy {
    #[must_use]
    pub const fn path(&self, tier: TrustTier) -> ReviewPath {
        match tier {
            TrustTier::Community => self.community,
            TrustTier::Verified => self.verified,
            TrustTier::Internal => self.internal,
        }
    }
}

/// What is demanded of the signature of a submitted package manifest, in the formats whose clients sign it. A signature that
/// is not valid, or is by a revoked key, is refused whatever is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ManifestSignaturePolicy {
    pub community: ManifestSignatureDemand,
    pub verified: ManifestSignatureDemand,
    pub internal: ManifestSignatureDemand,
}

impl Default for ManifestSignaturePolicy {
    fn default() -> Self {
        let enrolled = ManifestSignatureDemand::Enrolled;
        Self { community: enrolled, verified: enrolled, internal: ManifestSignatureDemand::Recorded }
    }
}

impl ManifestSignaturePolicy {
    #[must_use]
    pub const fn of(&self, tier: TrustTier) -> ManifestSignatureDemand {
        match tier {
            TrustTier::Community => self.community,
            TrustTier::Verified => self.verified,
            TrustTier::Internal => self.internal,
        }
    }
}

text_enum! {
    pub enum ManifestSignatureDemand {
        /// Signed by a key that the organization has enrolled.
        Enrolled = "enrolled",
        /// Signed by any key.
        Signed = "signed",
        /// Nothing; what there is is recorded.
        Recorded = "recorded",
    }
}

/// Publishing by jobs of continuous integration, without a stored secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustedPublishingPolicy {
    /// Whose tokens are taken; none switches trusted publishing off.
    pub issuers: Vec<TrustedIssuer>,
    /// What tokens must be made for; `None` = the store's own address.
    pub audience: Option<String>,
    /// How long a publish token lives, 1 to 60.
    pub token_minutes: u32,
    /// Whether a manifest that such a job submits unsigned counts as signed: an administrator bound the job, as one enrols a
    /// key, and no secret has to lie in the pipeline. A signature that is there is judged all the same.
    pub stands_for_manifest_signature: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuer {
    pub provider: CiProvider,
    pub issuer: Issuer,
    /// The registry that gives each owner of the provider the paths below its name, so that the owner's jobs prove whose they
    /// are. `None`: what is known of GitHub and gitlab.com; nothing is guessed of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryHost>,
}

const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";
const GITLAB_ISSUER: &str = "https://gitlab.com";

impl TrustedIssuer {
    /// The registry whose paths follow the owners' names; `None` when no job of this issuer can prove a namespace.
    #[must_use]
    pub fn owners_registry(&self) -> Option<RegistryHost> {
        let known = match (self.provider, self.issuer.as_str()) {
            (CiProvider::GitHub, GITHUB_ISSUER) => "ghcr.io",
            (CiProvider::GitLab, GITLAB_ISSUER) => "registry.gitlab.com",
            _ => return self.registry.clone(),
        };
        self.registry.clone().or_else(|| known.parse().ok())
    }
}

impl Default for TrustedPublishingPolicy {
    fn default() -> Self {
        let known = [(CiProvider::GitHub, GITHUB_ISSUER), (CiProvider::GitLab, GITLAB_ISSUER)];
        let issuers = known.into_iter().filter_map(|(provider, issuer)| {
            Some(TrustedIssuer { provider, issuer: issuer.parse().ok()?, registry: None })
        });
        Self { issuers: issuers.collect(), audience: None, token_minutes: 15, stands_for_manifest_signature: true }
    }
}

impl TrustedPublishingPolicy {
    #[must_use]
    pub fn issuer(&self, issuer: &str) -> Option<&TrustedIssuer> {
        self.issuers.iter().find(|trusted| trusted.issuer.as_str() == issuer)
    }

    fn is_sound(&self) -> bool {
        let is_repeated =
            |at: usize, issuer: &Issuer| self.issuers.iter().take(at).any(|other| other.issuer == *issuer);
        (1..=60).contains(&self.token_minutes)
            && self.audience.as_deref().is_none_or(|audience| (1..=200).contains(&audience.len()))
            && !self.issuers.iter().enumerate().any(|(at, trusted)| is_repeated(at, &trusted.issuer))
    }
}

/// Why a policy document does not load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("vulnerabilities.warn_at must not be above vulnerabilities.reject_at, and neither may be UNKNOWN")]
    Thresholds,
    #[error("checks that prove what the image is (image, archive) must stay required and enforced")]
    Foundations,
    #[error("what proves what the image is (image, archive, signature) is never left to a person (reviews.acceptable)")]
    Unreviewable,
    #[error(
        "trusted_publishing: issuers are named once, the audience has 1 to 200 characters, tokens live 1 to 60 minutes"
    )]
    TrustedPublishing,
    #[error("vex_authors holds at most 100, each with a name of 1 to 100 characters and a P-256 key")]
    VexAuthors,
    #[error("limits.max_body_bytes must be 65536 to {MAX_BODY_BYTES}")]
    BodyLimit,
    #[error("limits.logins.delay_ms must be at most 10000")]
    LoginDelay,
}

impl Policy {
    /// # Errors
    /// When the document contradicts itself or switches off what every verdict rests on.
    pub fn validate(&self) -> Result<(), PolicyError> {
        let v = &self.vulnerabilities;
        if v.reject_at == Severity::Unknown || v.warn_at == Severity::Unknown || !v.reject_at.at_least(v.warn_at) {
            return Err(PolicyError::Thresholds);
        }
        let r = &self.requirements;
        if r.image != Requirement::STRICT || r.archive != Requirement::STRICT {
            return Err(PolicyError::Foundations);
        }
        let proofs = [CheckName::Image, CheckName::Archive, CheckName::Signature];
        if self.reviews.acceptable.iter().any(|check| proofs.contains(check)) {
            return Err(PolicyError::Unreviewable);
        }
        if !self.trusted_publishing.is_sound() {
            return Err(PolicyError::TrustedPublishing);
        }
        let is_good = |author: &VexAuthor| {
            (1..=MAX_VEX_AUTHOR_NAME).contains(&author.name.trim().chars().count()) && author.key.is_p256()
        };
        if self.vex_authors.len() > MAX_VEX_AUTHORS || !self.vex_authors.iter().all(is_good) {
            return Err(PolicyError::VexAuthors);
        }
        self.limits.validate()
    }

    /// Whether the starter advisory set may stand in for synced advisories.
    #[must_use]
    pub fn accepts_starter_set(&self, profile: Profile) -> bool {
        match profile {
            Profile::Development => self.vulnerabilities.accept_starter_set_in_development,
            Profile::Production => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_of_known_or_configured_issuers_it_is_known_where_owners_push() {
        let registry = |provider, issuer: &str, registry: Option<&str>| {
            let registry = registry.map(|host| host.parse().unwrap());
            let issuer = TrustedIssuer { provider, issuer: issuer.parse().unwrap(), registry };
            issuer.owners_registry().map(|host| host.to_string())
        };
        assert_eq!(registry(CiProvider::GitHub, GITHUB_ISSUER, None).as_deref(), Some("ghcr.io"));
        assert_eq!(registry(CiProvider::GitLab, GITLAB_ISSUER, None).as_deref(), Some("registry.gitlab.com"));
        for (provider, issuer) in [
            (CiProvider::GitLab, "https://gitlab.example.org"),
            (CiProvider::GitHub, "https://token.actions.githubusercontent.com/acme"),
            (CiProvider::GitLab, GITHUB_ISSUER),
            (CiProvider::GitHub, GITLAB_ISSUER),
        ] {
            assert_eq!(registry(provider, issuer, None), None, "{issuer}");
            assert_eq!(registry(provider, issuer, Some("r.example.org")).as_deref(), Some("r.example.org"));
        }
    }

    #[test]
    fn an_issuer_without_a_registry_reads_and_is_written_as_before() {
        let text = r#"{"provider":"gitlab","issuer":"https://gitlab.example.org"}"#;
        let read: TrustedIssuer = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(serde_json::from_str::<TrustedIssuer>(&text.replace('}', r#","registry":"a/b"}"#)).is_err());
    }
}
