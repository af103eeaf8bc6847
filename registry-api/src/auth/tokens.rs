//! Opaque tokens: 256 random bits behind a prefix that tells what they are (and lets secret scanners find them).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use registry_db::users::SecretHash;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;

/// Longest credential that is looked at.
const MAX_LEN: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
    ApiKey,
    /// Of a trusted publisher's job.
    Publish,
}

impl TokenKind {
    const ALL: [Self; 4] = [Self::Access, Self::Refresh, Self::ApiKey, Self::Publish];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Access => "cs_at_",
            Self::Refresh => "cs_rt_",
            Self::ApiKey => "cs_key_",
            Self::Publish => "cs_pub_",
        }
    }

    /// What a presented text claims to be.
    pub(crate) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))
    }
}

/// A new token: to be shown once, stored as [`hash`].
pub(crate) fn generate(kind: TokenKind) -> Result<SecretString, Problem> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| Problem::internal(e.to_string()))?;
    Ok(SecretString::from(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(random))))
}

/// `None` for what cannot be one of our tokens.
pub(crate) fn hash(text: &str) -> Option<SecretHash> {
    (text.len() <= MAX_LEN && TokenKind::of(text).is_some()).then(|| SecretHash(Sha256::digest(text).into()))
}

/// Hash of a token that was just made.
pub(crate) fn hash_of(token: &SecretString) -> SecretHash {
    SecretHash(Sha256::digest(token.expose_secret()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_tell_their_kind_and_never_repeat() {
        for kind in TokenKind::ALL {
            let (one, two) = (generate(kind).unwrap(), generate(kind).unwrap());
            assert_eq!(TokenKind::of(one.expose_secret()), Some(kind));
            assert_ne!(hash_of(&one), hash_of(&two));
            assert_eq!(hash(one.expose_secret()), Some(hash_of(&one)));
        }
        assert_eq!(hash("something else"), None);
        assert_eq!(hash(&format!("cs_at_{}", "x".repeat(MAX_LEN))), None);
    }
}
