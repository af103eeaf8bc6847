//! Registry namespaces: provider and pattern.

use std::fmt;
use std::str::FromStr;

use crate::ids::RegistryNamespaceId;
use crate::image_reference::{ImageReference, ReferenceError, RegistryHost, Repository, split_host};
use crate::text_enum;

text_enum! {
    pub enum RegistryProvider { Ghcr = "ghcr", Dockerhub = "dockerhub", Ecr = "ecr", Generic = "generic" }
}

impl RegistryProvider {
    /// Whether a host can belong to this provider.
    #[must_use]
    pub fn serves(self, host: &RegistryHost) -> bool {
        match self {
            Self::Ghcr => host.as_str() == "ghcr.io",
            Self::Dockerhub => host.is_docker_hub(),
            Self::Ecr => {
                host.as_str() == "public.ecr.aws"
                    || (host.as_str().contains(".dkr.ecr.")
                        && (host.as_str().ends_with(".amazonaws.com") || host.as_str().ends_with(".amazonaws.com.cn")))
            }
            Self::Generic => true,
        }
    }
}

text_enum! {
    pub enum NamespaceState {
        /// Waits for its proof, or for a person.
        Pending = "pending",
        Verified = "verified",
        /// By a person, or for want of its proof.
        Suspended = "suspended",
        /// A person refused the claim, and said why.
        Refused = "refused",
    }
}

text_enum! {
    /// What a namespace's state rests on.
    pub enum OwnershipBasis {
        /// One of the platform's people decided.
        Person = "person",
        /// The organization put the store's nonce into the registry.
        Challenge = "challenge",
        /// A job of continuous integration of the same owner, by its provider's signed claims.
        Claims = "claims",
        /// It was proven, and then was not, three times in a row.
        ProofLost = "proof_lost",
    }
}

/// The annotation of the challenge's manifest that holds the nonce.
pub const CHALLENGE_ANNOTATION: &str = "org.company-store.challenge";
const CHALLENGE_REPOSITORY: &str = "company-store-challenge";

/// Where the proof of a pattern has to stand: in a repository of its own below it, or in the one repository itself.
#[must_use]
pub fn challenge_repository(pattern: &NamespacePattern) -> String {
    if pattern.is_wildcard() {
        format!("{}/{CHALLENGE_REPOSITORY}", pattern.path())
    } else {
        pattern.path().to_string()
    }
}

/// The tag of the challenge: another one for each namespace, and for two organizations that claim the same.
#[must_use]
pub fn challenge_tag(id: RegistryNamespaceId) -> String {
    format!("company-store-{}", id.0.simple())
}

/// `host[:port]/path/*` (every repository below that path) or one exact repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamespacePattern {
    host: RegistryHost,
    path: Repository,
    below: bool,
}

/// Why a text is not a namespace pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("`*` may only be the last segment, as in ghcr.io/my-org/*")]
    Wildcard,
    #[error("a pattern names a path below the host; a whole registry cannot be claimed")]
    WholeHost,
    #[error("a pattern names repositories, without tag or digest")]
    TagOrDigest,
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl NamespacePattern {
    #[must_use]
    pub const fn host(&self) -> &RegistryHost {
        &self.host
    }

    /// The path before `/*`, or the exact repository.
    #[must_use]
    pub const fn path(&self) -> &Repository {
        &self.path
    }

    /// Whether the pattern ends in `/*`.
    #[must_use]
    pub const fn is_wildcard(&self) -> bool {
        self.below
    }

    #[must_use]
    pub fn matches(&self, reference: &ImageReference) -> bool {
        self.host == reference.host && self.covers(&reference.repository)
    }

    /// Whether everything that it matches lies below `owner`: whom a provider gives all paths below its own name.
    #[must_use]
    pub fn is_within(&self, owner: &Repository) -> bool {
        self.path.is_below(owner) || (self.below && self.path == *owner)
    }

    /// Whether some repository matches both patterns.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.host == other.host
            && match (self.below, other.below) {
                (false, _) => other.covers(&self.path),
                (_, false) => self.covers(&other.path),
                (true, true) => {
                    self.path == other.path || self.path.is_below(&other.path) || other.path.is_below(&self.path)
                }
            }
    }

    fn covers(&self, repository: &Repository) -> bool {
        if self.below { repository.is_below(&self.path) } else { *repository == self.path }
    }
}

impl FromStr for NamespacePattern {
    type Err = PatternError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        if value.contains("://") {
            return Err(ReferenceError::Scheme.into());
        }
        let (path, below) = match value.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (value, false),
        };
        if path.contains('*') {
            return Err(PatternError::Wildcard);
        }
        if value.contains('@') {
            return Err(PatternError::TagOrDigest);
        }
        // `ghcr.io/*` and `localhost:5000/*` name a host and nothing below it.
        if below && !path.contains('/') && (path.contains(['.', ':']) || path == "localhost") {
            return Err(PatternError::WholeHost);
        }
        let (host, repository) = split_host(path);
        if repository.contains(':') {
            return Err(PatternError::TagOrDigest);
        }
        let host: RegistryHost = host.parse()?;
        let repository = if host.is_docker_hub() && !below && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        Ok(Self { host, path: repository.parse()?, below })
    }
}

impl fmt::Display for NamespacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)?;
        if self.below { f.write_str("/*") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(value: &str) -> NamespacePattern {
        value.parse().unwrap()
    }

    fn matches(pattern_text: &str, reference: &str) -> bool {
        pattern(pattern_text).matches(&reference.parse().unwrap())
    }

    #[test]
    fn a_wildcard_covers_any_depth_below_its_path_and_nothing_beside_it() {
        assert!(matches("ghcr.io/my-org/*", "ghcr.io/my-org/x"));
        assert!(matches("ghcr.io/my-org/*", "ghcr.io/my-org/x/y:1"));
        assert!(matches("GHCR.IO/my-org/*", "ghcr.io/my-org/x"));
        assert!(!matches("ghcr.io/my-org/*", "ghcr.io/my-org-evil/x"));
        assert!(!matches("ghcr.io/my-org/*", "ghcr.io/my-org"));
        assert!(!matches("ghcr.io/my-org/*", "ghcr.io.evil.com/my-org/x"));
        assert!(matches("alpine", "docker.io/library/alpine"));
        assert!(matches("acme/*", "acme/app"));
    }

    #[test]
    fn refuses_open_or_ambiguous_patterns() {
        for bad in [
            "*",
            "ghcr.io/*",
            "localhost:5000/*",
            "ghcr.io/*/x",
            "ghcr.io/a*/*",
            "ghcr.io/a/*b",
            "https://ghcr.io/a/*",
            "ghcr.io/a/../b/*",
            "ghcr.io/a%2e/*",
            "ghcr.io/a:1",
            "ghcr.io/A/*",
            "ghcr.io/a/**",
            "",
        ] {
            assert!(bad.parse::<NamespacePattern>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn what_lies_below_an_owner_is_the_owner_s_and_nothing_wider_or_beside_it() {
        let within = |text: &str, owner: &str| pattern(text).is_within(&owner.parse().unwrap());
        for own in ["ghcr.io/acme/*", "ghcr.io/acme/app", "ghcr.io/acme/app/*"] {
            assert!(within(own, "acme"), "{own}");
        }
        for other in ["ghcr.io/acme-evil/*", "ghcr.io/acmeevil/app", "ghcr.io/acme", "ghcr.io/evil/acme/*"] {
            assert!(!within(other, "acme"), "{other}");
        }
        assert!(within("registry.gitlab.com/acme/tools/*", "acme/tools"));
        assert!(!within("registry.gitlab.com/acme/*", "acme/tools"));
        assert!(!within("registry.gitlab.com/acme/toolshed/*", "acme/tools"));
    }

    #[test]
    fn overlap_is_found_in_both_directions() {
        let overlap = |a: &str, b: &str| {
            assert_eq!(pattern(a).overlaps(&pattern(b)), pattern(b).overlaps(&pattern(a)));
            pattern(a).overlaps(&pattern(b))
        };
        assert!(overlap("ghcr.io/a/*", "ghcr.io/a/b/*"));
        assert!(overlap("ghcr.io/a/*", "ghcr.io/a/b"));
        assert!(overlap("ghcr.io/a/b", "ghcr.io/a/b"));
        assert!(!overlap("ghcr.io/a/*", "ghcr.io/a"));
        assert!(!overlap("ghcr.io/a/*", "ghcr.io/ab/*"));
        assert!(!overlap("ghcr.io/a/*", "quay.io/a/*"));
    }
}
