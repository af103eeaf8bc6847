//! An identity token (OpenID Connect Core 1.0, section 2, as a signed JWT): from its text to claims that its issuer vouches for.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use registry_types::identity_provider::{Issuer, KeyMaterial, SigningKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Longest token that is looked at; those of GitHub and GitLab have two to three kilobytes.
const MAX_BYTES: usize = 16 * 1024;
/// By how much the clocks of issuer and store may differ.
const SKEW: TimeDelta = TimeDelta::seconds(30);

/// Why a token does not count. For the log; who shows it is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    #[error("it is no signed token")]
    Form,
    #[error("it demands extensions that are not understood")]
    Extensions,
    #[error("it is not signed with RS256 or ES256")]
    Algorithm,
    #[error("it does not name its key")]
    NoKeyId,
    #[error("its issuer is not trusted")]
    Issuer,
    #[error("its issuer has no such key")]
    UnknownKey,
    #[error("its signature does not verify")]
    Signature,
    #[error("it is made for somebody else")]
    Audience,
    #[error("it does not say when it was issued, from when it is valid or when it expires")]
    NoTimes,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
    #[error("it has no id of its own")]
    NoId,
}

/// A token of which nothing is proven yet.
pub(super) struct IdentityToken {
    text: SecretString,
    /// Who it says has issued it.
    pub(super) issuer: String,
    pub(super) key_id: String,
}

/// What its issuer vouches for.
pub(super) struct VerifiedToken {
    pub(super) claims: Map<String, Value>,
    /// SHA-256 of its `jti`.
    pub(super) id: [u8; 32],
    pub(super) expires_at: DateTime<Utc>,
}

impl IdentityToken {
    pub(super) fn read(text: SecretString) -> Result<Self, Invalid> {
        let token = text.expose_secret();
        if token.len() > MAX_BYTES {
            return Err(Invalid::Form);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Invalid::Form)?;
        if header.crit.is_some() {
            return Err(Invalid::Extensions);
        }
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
            return Err(Invalid::Algorithm);
        }
        let key_id = header.kid.ok_or(Invalid::NoKeyId)?;
        // Read before anything is proven, only to know whose keys to prove it with.
        let claims: Map<String, Value> =
            jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| Invalid::Form)?;
        let issuer = claims.get("iss").and_then(Value::as_str).ok_or(Invalid::Form)?.to_owned();
        Ok(Self { text, issuer, key_id })
    }

    /// Verifies everything that does not depend on who asks for what.
    pub(super) fn verify(
        &self,
        issuer: &Issuer,
        key: &SigningKey,
        audience: &str,
        now: DateTime<Utc>,
    ) -> Result<VerifiedToken, Invalid> {
        let claims = self.signed_claims(key)?;
        if text(&claims, "iss") != Some(issuer.as_str()) {
            return Err(Invalid::Issuer);
        }
        if !is_for(&claims, audience) {
            return Err(Invalid::Audience);
        }
        let expires_at = check_times(&claims, now)?;
        let id = text(&claims, "jti").filter(|id| !id.is_empty()).ok_or(Invalid::NoId)?;
        let id = Sha256::digest(id).into();
        Ok(VerifiedToken { claims, id, expires_at })
    }

    fn signed_claims(&self, key: &SigningKey) -> Result<Map<String, Value>, Invalid> {
        let (algorithm, key) = match &key.material {
            KeyMaterial::Rs256 { modulus, exponent } => {
                (Algorithm::RS256, DecodingKey::from_rsa_components(modulus, exponent))
            }
            KeyMaterial::Es256 { x, y } => (Algorithm::ES256, DecodingKey::from_ec_components(x, y)),
        };
        let key = key.map_err(|_| Invalid::Signature)?;
        // The key decides the algorithm, not the token. Times and audience are judged below, by the store's clock.
        let mut only_signature = Validation::new(algorithm);
        only_signature.required_spec_claims.clear();
        only_signature.validate_exp = false;
        only_signature.validate_nbf = false;
        only_signature.validate_aud = false;
        let verified = jsonwebtoken::decode(self.text.expose_secret(), &key, &only_signature);
        verified.map(|token| token.claims).map_err(|_| Invalid::Signature)
    }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

/// For this store and nobody beside it: whoever else it is for could show it here.
fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(only)) => only == audience,
        Some(Value::Array(all)) => matches!(all.as_slice(), [Value::String(only)] if only == audience),
        Some(_) | None => false,
    }
}

/// Gives the time at which it expires.
fn check_times(claims: &Map<String, Value>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Invalid> {
    let time = |name: &str| {
        let seconds = claims.get(name).and_then(Value::as_i64).ok_or(Invalid::NoTimes)?;
        DateTime::from_timestamp(seconds, 0).ok_or(Invalid::NoTimes)
    };
    let (issued_at, valid_from, expires_at) = (time("iat")?, time("nbf")?, time("exp")?);
    if issued_at > now + SKEW || valid_from > now + SKEW {
        return Err(Invalid::NotYet);
    }
    if expires_at <= now - SKEW { Err(Invalid::Expired) } else { Ok(expires_at) }
}
