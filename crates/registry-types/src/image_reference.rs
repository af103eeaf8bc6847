//! Image references as authors write them, normalised as docker does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Why a text is not an image reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("an image reference has no scheme; write host/repository:tag")]
    Scheme,
    #[error("registry host is not a valid host[:port]")]
    Host,
    #[error("repository does not follow the OCI grammar (lower-case letters, digits, separators . _ __ - and /)")]
    Repository,
    #[error("tag must be 1 to 128 letters, digits, underscores, periods and hyphens, not starting with . or -")]
    Tag,
    #[error("digest is not valid")]
    Digest,
    #[error("an image reference is at most 512 bytes of printable ASCII")]
    Length,
}

/// `host[:port]`, lower-cased.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegistryHost(String);

impl TryFrom<String> for RegistryHost {
    type Error = ReferenceError;

    fn try_from(value: String) -> Result<Self, Self::Error> {
        value.parse()
    }
}

impl From<RegistryHost> for String {
    fn from(host: RegistryHost) -> Self {
        host.0
    }
}

impl RegistryHost {
    /// Docker Hub's name in references; its API answers at `registry-1.docker.io`.
    pub const DOCKER_HUB: &'static str = "docker.io";

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without the port; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.0.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => &self.0,
        }
    }

    #[must_use]
    pub fn is_docker_hub(&self) -> bool {
        self.0 == Self::DOCKER_HUB
    }
}

impl FromStr for RegistryHost {
    type Err = ReferenceError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let value = value.to_ascii_lowercase();
        let (name, port) = match value.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (value.as_str(), None),
        };
        let port_ok = port.is_none_or(|p| {
            !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u16>().is_ok_and(|n| n > 0)
        });
        if !port_ok || !is_host_name(name) {
            return Err(ReferenceError::Host);
        }
        let canonical = match value.as_str() {
            "index.docker.io" | "registry-1.docker.io" => Self::DOCKER_HUB.to_owned(),
            _ => value,
        };
        Ok(Self(canonical))
    }
}

fn is_host_name(name: &str) -> bool {
    if let Some(address) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label_ok)
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository path in OCI grammar, without host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository(String);

impl Repository {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `self` lies below `parent`, at any depth, and is not `parent` itself.
    #[must_use]
    pub fn is_below(&self, parent: &Self) -> bool {
        self.0.strip_prefix(parent.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        if value.is_empty() || value.len() > 255 || !value.split('/').all(is_path_component) {
            return Err(ReferenceError::Repository);
        }
        Ok(Self(value.to_owned()))
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, from the OCI distribution specification.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    if !bytes.first().is_some_and(alphanumeric) || !bytes.last().is_some_and(alphanumeric) {
        return false;
    }
    let separators = bytes.split(|b| alphanumeric(b)).filter(|s| !s.is_empty());
    separators.into_iter().all(|s| matches!(s, b"." | b"_" | b"__") || s.iter().all(|b| *b == b'-'))
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let ok = (1..=128).contains(&value.len())
            && value.bytes().next().is_some_and(word)
            && value.bytes().all(|b| word(b) || b == b'.' || b == b'-');
        if ok { Ok(Self(value.to_owned())) } else { Err(ReferenceError::Tag) }
    }
}

/// What the author wrote, normalised: short names become `docker.io/library/…`, a missing tag and digest become `latest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    pub host: RegistryHost,
    pub repository: Repository,
    /// Kept beside a digest for display only.
    pub tag: Option<Tag>,
    pub digest: Option<Digest>,
}

impl ImageReference {
    /// What to ask the registry for: the digest if there is one, else the tag.
    #[must_use]
    pub fn target(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.as_str().to_owned(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        if value.is_empty() || value.len() > 512 || !value.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ReferenceError::Length);
        }
        if value.contains("://") {
            return Err(ReferenceError::Scheme);
        }
        let (rest, digest) = match value.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| ReferenceError::Digest)?)),
            None => (value, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') && !tag.contains(']') => (path, Some(tag.parse()?)),
            _ => (rest, None),
        };
        let (host, repository) = split_host(path);
        let host: RegistryHost = host.parse()?;
        let repository = if host.is_docker_hub() && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        let tag = match (&digest, tag) {
            (None, None) => Some(Tag("latest".to_owned())),
            (_, tag) => tag,
        };
        Ok(Self { host, repository: repository.parse()?, tag, digest })
    }
}

/// Docker's rule: the first component is a host if it has a dot, a port, or is `localhost`.
pub(crate) fn split_host(path: &str) -> (&str, &str) {
    match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => (RegistryHost::DOCKER_HUB, path),
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{}", tag.as_str())?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(value: &str) -> String {
        value.parse::<ImageReference>().unwrap().to_string()
    }

    #[test]
    fn normalises_as_docker_does() {
        assert_eq!(normal("alpine"), "docker.io/library/alpine:latest");
        assert_eq!(normal("acme/app:1"), "docker.io/acme/app:1");
        assert_eq!(normal("index.docker.io/acme/app"), "docker.io/acme/app:latest");
        assert_eq!(normal("GHCR.io/acme/app:v1"), "ghcr.io/acme/app:v1");
        assert_eq!(normal("localhost/x/y"), "localhost/x/y:latest");
        assert_eq!(normal("127.0.0.1:5000/a/b:1.0"), "127.0.0.1:5000/a/b:1.0");
        assert_eq!(normal("[::1]:5000/a"), "[::1]:5000/a:latest");
        let digest = Digest::sha256_of(b"x");
        assert_eq!(normal(&format!("ghcr.io/a/b@{digest}")), format!("ghcr.io/a/b@{digest}"));
    }

    #[test]
    fn refuses_what_registries_would_read_differently() {
        for bad in [
            "",
            "https://ghcr.io/a",
            "ghcr.io/a/../b",
            "ghcr.io/a%2fb",
            "ghcr.io/A/b",
            "ghcr.io/a//b",
            "ghcr.io/a/b:",
            "ghcr.io/a/b@sha256:00",
            "ghcr.io:0/a",
            "ghcr.io:99999/a",
            "gh_cr.io/a",
            "ghcr.io/a b",
            "ghcr.io/a/-b",
            "ghcr.io/a/b___c",
            "user@ghcr.io/a",
        ] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad} was accepted");
        }
    }
}
