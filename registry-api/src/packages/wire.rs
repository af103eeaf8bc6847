//! Packages and versions as the API shows them.

use chrono::{DateTime, Utc};
use registry_db::manifest_signatures::VersionSignature;
use registry_db::packages::{PackageSummary, Version, VersionSummary};
use registry_types::advisory::Finding;
use registry_types::component::Component;
use registry_types::digest::Digest;
use registry_types::intake::{CheckResult, Reason};
use registry_types::names::PackageName;
use serde::Serialize;
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

/// One package, with the title, description and tags of its newest active version.
#[derive(Serialize, ToSchema)]
pub(crate) struct PackageItem {
    id: Uuid,
    /// `publisher/name`.
    #[schema(example = "acme/pdf-tools")]
    name: String,
    #[schema(example = "acme")]
    publisher: String,
    publisher_name: String,
    /// Trust tier of the publisher.
    #[schema(example = "verified")]
    tier: &'static str,
    #[schema(example = "module")]
    kind: &'static str,
    #[schema(example = "hla-compass.module")]
    format: &'static str,
    #[schema(example = "public")]
    visibility: &'static str,
    title: String,
    description: String,
    tags: Vec<String>,
    /// Null while no version is active.
    #[schema(example = "1.2.0")]
    latest_version: Option<String>,
    /// When the newest active version became active.
    listed_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<PackageSummary> for PackageItem {
    fn from(package: PackageSummary) -> Self {
        Self {
            id: package.id.0,
            name: package.full_name().to_string(),
            publisher: package.publisher.slug.to_string(),
            publisher_name: package.publisher.display_name,
            tier: package.publisher.trust_tier.as_str(),
            kind: package.kind.as_str(),
            format: package.format.as_str(),
            visibility: package.visibility.as_str(),
            title: package.title,
            description: package.description,
            tags: package.tags,
            latest_version: package.latest_version.map(|version| version.to_string()),
            listed_at: package.listed_at,
            created_at: package.created_at,
        }
    }
}

/// One version.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionItem {
    id: Uuid,
    #[schema(example = "1.2.0")]
    version: String,
    /// `pending`, `active`, `rejected`, `in_review`, `quarantined` or `yanked`.
    #[schema(example = "active")]
    state: &'static str,
    /// What the store pinned; null for packages without an image.
    digest: Option<String>,
    media_type: Option<String>,
    /// Of the whole image, all platforms.
    size_bytes: Option<u64>,
    /// Image reference to pull an active version with: this store's address and the digest.
    #[schema(example = "store.example.org/acme/pdf-tools@sha256:…")]
    pull: Option<String>,
    /// Why it was rejected, or quarantined.
    #[schema(example = "SECURITY_SCAN_FAILED")]
    rejection_code: Option<&'static str>,
    /// The publisher's word to those who still use it.
    deprecated: Option<String>,
    created_at: DateTime<Utc>,
    activated_at: Option<DateTime<Utc>>,
}

impl VersionItem {
    pub(crate) fn new(version: VersionSummary, package: &PackageName, public_url: &Url) -> Self {
        let pull = pull_reference(&version, package, public_url);
        Self {
            id: version.id.0,
            version: version.number.to_string(),
            state: version.state.as_str(),
            digest: version.digest.as_ref().map(Digest::to_string),
            media_type: version.media_type,
            size_bytes: version.size_bytes,
            pull,
            rejection_code: version.rejection_code.map(|code| code.as_str()),
            deprecated: version.deprecated,
            created_at: version.created_at,
            activated_at: version.activated_at,
        }
    }
}

/// What `docker pull` takes for an active version with an image.
pub(crate) fn pull_reference(version: &VersionSummary, package: &PackageName, public_url: &Url) -> Option<String> {
    let digest = version.digest.as_ref().filter(|_| version.state.is_visible())?;
    Some(format!("{}@{digest}", repository_reference(package, public_url)))
}

/// The package's repository at this store, `host[:port]/publisher/name`.
pub(crate) fn repository_reference(package: &PackageName, public_url: &Url) -> String {
    format!("{}/{package}", public_url.authority())
}

/// One package with its newest active version.
#[derive(Serialize, ToSchema)]
pub(crate) struct PackageDetail {
    #[serde(flatten)]
    pub(crate) package: PackageItem,
    /// Null while no version is active.
    pub(crate) latest: Option<VersionItem>,
}

/// One version with what its publisher said about it and what was checked.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionDetail {
    #[serde(flatten)]
    version: VersionItem,
    package: PackageItem,
    /// The common view of its package manifest: entrypoint, permissions, author.
    #[schema(value_type = Object)]
    descriptor: Value,
    /// What the author named for the intake; only for the publisher's members.
    image_reference: Option<String>,
    /// Why a version is rejected, quarantined or waits for a person: by what was known when it was last judged.
    reasons: Vec<ReasonItem>,
    /// Of its intake; `vulnerabilities` by the advisories that it was last judged by.
    checks: Vec<CheckItem>,
    /// Who signed the package manifest; null in formats whose manifests are not signed.
    manifest_signature: Option<ManifestSignatureItem>,
}

/// How the package manifest is signed. It stands in the manifest itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct ManifestSignatureItem {
    /// `enrolled`: by a key that the publisher has enrolled; `revoked`: by one that was revoked from before the manifest was
    /// submitted on; `not_enrolled`: by a key of which nothing is known; `unsigned`.
    #[schema(example = "enrolled")]
    standing: &'static str,
    /// Base64 of the SHA-256 of the key's DER; null when unsigned.
    key_fingerprint: Option<String>,
    /// SHA-256 of the canonical form that is signed, in hex.
    manifest_sha256: String,
    submitted_at: DateTime<Utc>,
}

impl From<VersionSignature> for ManifestSignatureItem {
    fn from(signature: VersionSignature) -> Self {
        Self {
            standing: signature.standing.as_str(),
            key_fingerprint: signature.key.map(|key| key.to_string()),
            manifest_sha256: hex::encode(signature.manifest_sha256),
            submitted_at: signature.submitted_at,
        }
    }
}

impl VersionDetail {
    pub(crate) fn new(
        version: Version,
        reasons: Vec<Reason>,
        checks: Vec<CheckResult>,
        signature: Option<VersionSignature>,
        public_url: &Url,
    ) -> Self {
        Self {
            manifest_signature: signature.map(Into::into),
            version: VersionItem::new(version.summary, &version.package.full_name(), public_url),
            package: version.package.into(),
            descriptor: version.descriptor,
            image_reference: version.image_reference,
            reasons: reasons.into_iter().map(Into::into).collect(),
            checks: checks.into_iter().map(Into::into).collect(),
        }
    }
}

/// The result of one check.
#[derive(Serialize, ToSchema)]
#[schema(as = PackageCheck)]
pub(crate) struct CheckItem {
    #[schema(example = "vulnerabilities")]
    name: &'static str,
    /// `pass`, `warn`, `fail`, `error`, `unknown` or `not_applicable`.
    #[schema(example = "pass")]
    outcome: &'static str,
    reasons: Vec<ReasonItem>,
    #[schema(value_type = Object)]
    evidence: Value,
}

impl From<CheckResult> for CheckItem {
    fn from(check: CheckResult) -> Self {
        Self {
            name: check.name.as_str(),
            outcome: check.outcome.as_str(),
            reasons: check.reasons.into_iter().map(Into::into).collect(),
            evidence: check.evidence,
        }
    }
}

/// Why a check did not pass: code, rule, where, and what would fix it.
#[derive(Serialize, ToSchema)]
#[schema(as = PackageCheckReason)]
pub(crate) struct ReasonItem {
    code: &'static str,
    rule: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl From<Reason> for ReasonItem {
    fn from(reason: Reason) -> Self {
        Self {
            code: reason.code.as_str(),
            rule: reason.rule,
            message: reason.message,
            file: reason.file,
            layer: reason.layer,
            package: reason.package,
            fix: reason.fix,
        }
    }
}

/// What an image holds: one installed package.
#[derive(Serialize, ToSchema)]
pub(crate) struct ComponentItem {
    #[schema(example = "pkg:pypi/requests@2.32.0")]
    purl: String,
    ecosystem: &'static str,
    name: String,
    version: String,
    /// Source package of a distribution's package; equal to `name` elsewhere.
    source_name: String,
    source_version: String,
    license: Option<String>,
    /// The layer that brought it.
    layer: String,
    /// The file that says so.
    path: String,
}

impl From<Component> for ComponentItem {
    fn from(component: Component) -> Self {
        Self {
            purl: component.purl,
            ecosystem: component.ecosystem.as_str(),
            name: component.name,
            version: component.version,
            source_name: component.source_name,
            source_version: component.source_version,
            license: component.license,
            layer: component.layer.to_string(),
            path: component.path,
        }
    }
}

/// One advisory that applies to one component.
#[derive(Serialize, ToSchema)]
pub(crate) struct FindingItem {
    #[schema(example = "GHSA-9wx4-h78v-vm56")]
    advisory: String,
    aliases: Vec<String>,
    /// `NONE`, `LOW`, `MEDIUM`, `HIGH`, `CRITICAL` or `UNKNOWN`.
    severity: &'static str,
    summary: String,
    purl: String,
    package: String,
    version: String,
    /// The first version that repairs it, if one is known.
    fixed_version: Option<String>,
    layer: String,
    path: String,
}

impl From<Finding> for FindingItem {
    fn from(finding: Finding) -> Self {
        Self {
            advisory: finding.advisory,
            aliases: finding.aliases,
            severity: finding.severity.as_str(),
            summary: finding.summary,
            purl: finding.purl,
            package: finding.package,
            version: finding.version,
            fixed_version: finding.fixed_version,
            layer: finding.layer.to_string(),
            path: finding.path,
        }
    }
}
