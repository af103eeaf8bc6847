//! Where objects lie: the only place that decides on paths, the same for every store.

use std::fmt;
use std::str::FromStr;

use registry_types::digest::Digest;

/// Where an object lies. [`fmt::Display`] gives its path, [`FromStr`] takes it back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// A mirrored blob: `blobs/<algorithm>/<first two hex digits>/<hex>`.
    Blob(Digest),
    /// A document that the store made (SBOM): `documents/<algorithm>/<first two hex digits>/<hex>`.
    Document(Digest),
    /// A published rendering of the index: `index/<name>`.
    Index(IndexName),
}

/// A file name in the published index: 1 to 128 lower-case letters, digits, `.`, `_` and `-`, not starting with a `.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IndexName(String);

/// Why a text is not an object's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("not the path of an object of this store")]
    Path,
    #[error("an index name is 1 to 128 lower-case letters, digits, periods, underscores and hyphens")]
    IndexName,
}

impl FromStr for IndexName {
    type Err = KeyError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        if value.is_empty() || value.len() > 128 || value.starts_with('.') || !value.bytes().all(allowed) {
            return Err(KeyError::IndexName);
        }
        Ok(Self(value.to_owned()))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, digest) = match self {
            Self::Blob(digest) => ("blobs", digest),
            Self::Document(digest) => ("documents", digest),
            Self::Index(name) => return write!(f, "index/{}", name.0),
        };
        write!(f, "{kind}/{}/{}/{}", digest.algorithm().as_str(), &digest.hex()[..2], digest.hex())
    }
}

impl FromStr for ObjectKey {
    type Err = KeyError;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        let (kind, rest) = path.split_once('/').ok_or(KeyError::Path)?;
        let key = match kind {
            "blobs" => Self::Blob(parse_digest(rest)?),
            "documents" => Self::Document(parse_digest(rest)?),
            "index" => Self::Index(rest.parse()?),
            _ => return Err(KeyError::Path),
        };
        // One object, one path: a digest in a wrong shard is nobody's.
        if key.to_string() == path { Ok(key) } else { Err(KeyError::Path) }
    }
}

fn parse_digest(path: &str) -> Result<Digest, KeyError> {
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(algorithm), Some(_shard), Some(hex), None) => {
            format!("{algorithm}:{hex}").parse().map_err(|_| KeyError::Path)
        }
        _ => Err(KeyError::Path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_its_path_name_each_other() {
        let digest = Digest::sha256_of(b"");
        let path = format!("blobs/sha256/e3/{}", digest.hex());
        assert_eq!(ObjectKey::Blob(digest.clone()).to_string(), path);
        let index = ObjectKey::Index("index.json".parse().unwrap());
        for key in [ObjectKey::Blob(digest.clone()), ObjectKey::Document(digest), index] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn refuses_foreign_paths() {
        let hex = Digest::sha256_of(b"").hex().to_owned();
        for path in [
            "",
            "blobs",
            "other/x",
            "index/",
            "index/..",
            "index/a/b",
            "index/A",
            &format!("blobs/sha256/00/{hex}"),
            &format!("blobs/sha256/e3/{hex}/x"),
            &format!("blobs/sha512/e3/{hex}"),
        ] {
            assert!(path.parse::<ObjectKey>().is_err(), "{path} was accepted");
        }
    }
}
