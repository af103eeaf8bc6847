//! Waivers: findings that a person accepts, for some versions of some components, for a while.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::advisory::Finding;
use crate::component::Ecosystem;
use crate::text_enum;

/// Longest time from the request to the expiry, in days. The database holds it, too (`waivers_expiry_check`).
pub const MAX_WAIVER_DAYS: i32 = 30;
/// How long before its expiry a waiver in force is warned about, in days.
pub const WAIVER_WARNING_DAYS: i32 = 5;
/// Longest statement, in characters.
pub const MAX_STATEMENT: usize = 2_000;
const MAX_ADVISORY_ID: usize = 100;
const MAX_PACKAGE_URL: usize = 300;
const MAX_VERSION: usize = 200;

text_enum! {
    pub enum WaiverState {
        /// Waits for another person.
        Asked = "asked",
        /// In force until it expires.
        Approved = "approved",
        Refused = "refused",
        Withdrawn = "withdrawn",
        /// Its time is over, whether it was approved before or not.
        Expired = "expired",
    }
}

text_enum! {
    /// Why a finding is accepted. The first five are the justifications of OpenVEX for `not_affected`; under the others the
    /// component is affected, and the statement says what is done about it.
    pub enum WaiverReason {
        ComponentNotPresent = "component_not_present",
        VulnerableCodeNotPresent = "vulnerable_code_not_present",
        VulnerableCodeNotInExecutePath = "vulnerable_code_not_in_execute_path",
        VulnerableCodeCannotBeControlledByAdversary = "vulnerable_code_cannot_be_controlled_by_adversary",
        InlineMitigationsAlreadyExist = "inline_mitigations_already_exist",
        FixPlanned = "fix_planned",
        RiskAccepted = "risk_accepted",
    }
}

impl WaiverReason {
    /// Whether it claims that the vulnerability does not concern the package at all.
    #[must_use]
    pub const fn is_not_affected(self) -> bool {
        match self {
            Self::ComponentNotPresent
            | Self::VulnerableCodeNotPresent
            | Self::VulnerableCodeNotInExecutePath
            | Self::VulnerableCodeCannotBeControlledByAdversary
            | Self::InlineMitigationsAlreadyExist => true,
            Self::FixPlanned | Self::RiskAccepted => false,
        }
    }
}

/// Why a part of a waiver was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaiverError {
    #[error("an advisory's id has 3 to 100 letters, digits and . _ : -")]
    Advisory,
    #[error(
        "a component is a package URL without a version, such as pkg:pypi/jinja2, pkg:npm/%40scope/name, \
         pkg:deb/debian/libssl3, pkg:apk/alpine/openssl or pkg:cargo/time"
    )]
    Component,
    #[error("a component's version has 1 to 200 printable characters")]
    ComponentVersion,
    #[error("a component's versions are one version, or a range (from, before), not both")]
    ComponentVersions,
    #[error("a waiver lasts 1 to 30 days from the request on")]
    Days,
    #[error("the statement must have 1 to 2000 characters")]
    Statement,
}

/// The id of an advisory, or one of its aliases: `GHSA-…`, `CVE-…`, `DSA-…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct AdvisoryId(String);

impl AdvisoryId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the finding is about this advisory, under whichever of its ids.
    #[must_use]
    pub fn names(&self, finding: &Finding) -> bool {
        let mut ids = std::iter::once(&finding.advisory).chain(&finding.aliases);
        ids.any(|id| id.eq_ignore_ascii_case(&self.0))
    }
}

impl FromStr for AdvisoryId {
    type Err = WaiverError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        if (3..=MAX_ADVISORY_ID).contains(&value.len()) && value.bytes().all(is_plain) {
            Ok(Self(value.to_owned()))
        } else {
            Err(WaiverError::Advisory)
        }
    }
}

impl fmt::Display for AdvisoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A package of an ecosystem, as a package URL without version, qualifiers and subpath, in the spelling of the catalogs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ComponentPackage {
    ecosystem: Ecosystem,
    purl: String,
}

/// How package URLs of the ecosystems begin.
const PREFIXES: [(&str, Ecosystem); 6] = [
    ("pkg:deb/debian/", Ecosystem::Debian),
    ("pkg:deb/ubuntu/", Ecosystem::Ubuntu),
    ("pkg:apk/alpine/", Ecosystem::Alpine),
    ("pkg:pypi/", Ecosystem::PyPi),
    ("pkg:npm/", Ecosystem::Npm),
    ("pkg:cargo/", Ecosystem::CratesIo),
];

impl ComponentPackage {
    /// The package of a component's package URL; `None` for one of an ecosystem that the store does not know.
    #[must_use]
    pub fn of_purl(purl: &str) -> Option<Self> {
        purl.split(['@', '?', '#']).next()?.parse().ok()
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.purl
    }

    #[must_use]
    pub const fn ecosystem(&self) -> Ecosystem {
        self.ecosystem
    }
}

impl FromStr for ComponentPackage {
    type Err = WaiverError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let value = value.trim();
        let known =
            PREFIXES.iter().find_map(|(prefix, ecosystem)| Some((prefix, ecosystem, value.strip_prefix(prefix)?)));
        let Some((prefix, ecosystem, name)) = known.filter(|_| value.len() <= MAX_PACKAGE_URL) else {
            return Err(WaiverError::Component);
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b':' | b'%' | b'+' | b'-');
        let may_have_scope = *ecosystem == Ecosystem::Npm;
        let segments: Vec<&str> = name.split('/').collect();
        let are_names = segments.iter().all(|segment| !segment.is_empty() && segment.bytes().all(is_name));
        if !are_names || segments.len() > 1 + usize::from(may_have_scope) {
            return Err(WaiverError::Component);
        }
        let name = match ecosystem {
            Ecosystem::PyPi => normalized(name),
            Ecosystem::Debian | Ecosystem::Ubuntu | Ecosystem::Alpine | Ecosystem::Npm | Ecosystem::CratesIo => {
                name.replace('+', "%2B")
            }
        };
        Ok(Self { ecosystem: *ecosystem, purl: format!("{prefix}{name}") })
    }
}

/// PEP 503.
fn normalized(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

impl fmt::Display for ComponentPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.purl)
    }
}

/// Which versions of a component.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ComponentVersions {
    All,
    /// As the component states it, letter by letter.
    Exactly(String),
    /// In the ecosystem's own order. A bound that its rules cannot read bounds nothing in: such a range covers no version.
    Between {
        from: Option<String>,
        before: Option<String>,
    },
}

/// The components that a waiver speaks about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ComponentRange {
    pub package: ComponentPackage,
    pub versions: ComponentVersions,
}

impl ComponentRange {
    /// From what people write.
    ///
    /// # Errors
    /// When a version is none, or one version and a range are given.
    pub fn new(
        package: ComponentPackage,
        version: Option<String>,
        from: Option<String>,
        before: Option<String>,
    ) -> Result<Self, WaiverError> {
        let is_good =
            |text: &String| (1..=MAX_VERSION).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        if ![&version, &from, &before].into_iter().flatten().all(is_good) {
            return Err(WaiverError::ComponentVersion);
        }
        let versions = match (version, from, before) {
            (None, None, None) => ComponentVersions::All,
            (Some(version), None, None) => ComponentVersions::Exactly(version),
            (None, from, before) => ComponentVersions::Between { from, before },
            (Some(_), ..) => return Err(WaiverError::ComponentVersions),
        };
        Ok(Self { package, versions })
    }
}

impl fmt::Display for ComponentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let package = &self.package;
        match &self.versions {
            ComponentVersions::All => write!(f, "{package}"),
            ComponentVersions::Exactly(version) => write!(f, "{package} {version}"),
            ComponentVersions::Between { from, before } => {
                write!(f, "{package}")?;
                from.iter().try_for_each(|from| write!(f, " from {from}"))?;
                before.iter().try_for_each(|before| write!(f, " before {before}"))
            }
        }
    }
}

/// How long a waiver lasts from the request on: 1 to 30 days of 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaiverDays(i32);

impl WaiverDays {
    #[must_use]
    pub const fn hours(self) -> i32 {
        self.0 * 24
    }
}

impl TryFrom<i32> for WaiverDays {
    type Error = WaiverError;

    fn try_from(days: i32) -> Result<Self, Self::Error> {
        if (1..=MAX_WAIVER_DAYS).contains(&days) { Ok(Self(days)) } else { Err(WaiverError::Days) }
    }
}

/// What a person says about a waiver: for people, kept with the verdicts that use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Statement(String);

impl Statement {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Statement {
    type Err = WaiverError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let value = value.trim();
        let is_text = |c: char| !c.is_control() || c == '\n' || c == '\r' || c == '\t';
        if (1..=MAX_STATEMENT).contains(&value.chars().count()) && value.chars().all(is_text) {
            Ok(Self(value.to_owned()))
        } else {
            Err(WaiverError::Statement)
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(text: &str) -> Option<String> {
        text.parse().ok().map(|package: ComponentPackage| package.to_string())
    }

    #[test]
    fn a_component_is_a_package_url_without_a_version() {
        assert_eq!(package("pkg:pypi/Zope.Interface__X").as_deref(), Some("pkg:pypi/zope-interface-x"));
        assert_eq!(package("pkg:deb/debian/libstdc++6").as_deref(), Some("pkg:deb/debian/libstdc%2B%2B6"));
        assert_eq!(package("pkg:npm/%40babel/core").as_deref(), Some("pkg:npm/%40babel/core"));
        for wrong in ["jinja2", "pkg:pypi/", "pkg:pypi/jinja2@2.10", "pkg:pypi/a/b", "pkg:maven/a/b", "pkg:npm/a/b/c"] {
            assert_eq!(package(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_package_of_a_cataloged_component_is_found_in_its_purl() {
        let of = |purl: &str| ComponentPackage::of_purl(purl).map(|package| package.to_string());
        let debian = "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12";
        assert_eq!(of(debian).as_deref(), Some("pkg:deb/debian/libstdc%2B%2B6"));
        assert_eq!(of("pkg:npm/%40babel/core@7.0.0").as_deref(), Some("pkg:npm/%40babel/core"));
        assert_eq!(of("pkg:golang/x@1"), None);
    }

    #[test]
    fn one_version_or_a_range_but_not_both() {
        let jinja: ComponentPackage = "pkg:pypi/jinja2".parse().unwrap();
        let range = |version: Option<&str>, from: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            ComponentRange::new(jinja.clone(), owned(version), owned(from), None)
        };
        assert_eq!(range(Some("2.10"), None).unwrap().to_string(), "pkg:pypi/jinja2 2.10");
        assert_eq!(range(None, Some("2.10")).unwrap().to_string(), "pkg:pypi/jinja2 from 2.10");
        assert_eq!(range(Some("2.10"), Some("2.9")), Err(WaiverError::ComponentVersions));
        assert_eq!(range(Some(""), None), Err(WaiverError::ComponentVersion));
    }

    #[test]
    fn every_reason_but_a_plan_and_a_risk_claims_that_nothing_is_affected() {
        let affected: Vec<_> = WaiverReason::ALL.iter().filter(|reason| !reason.is_not_affected()).collect();
        assert_eq!(affected, [&WaiverReason::FixPlanned, &WaiverReason::RiskAccepted]);
    }
}
