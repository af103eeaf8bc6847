//! Identity providers of continuous integration: who they are, and the keys that sign their tokens.
//!
//! OpenID Connect Discovery 1.0 and RFC 7517, as little of them as GitHub Actions and GitLab CI use: RS256 and ES256.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Host, Url};

use crate::text_enum;

/// A discovery document or a key set: those of GitHub and GitLab have a few kilobytes.
pub const MAX_DOCUMENT_BYTES: u64 = 64 * 1024;
/// Keys of one set; the providers hold two to six.
pub const MAX_KEYS: usize = 32;
const MAX_KEY_ID: usize = 256;
const MAX_ISSUER: usize = 200;

text_enum! {
    /// Whose claims a token carries.
    pub enum CiProvider { GitHub = "github", GitLab = "gitlab" }
}

/// An issuer: compared as the text that it is, never as a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Issuer(String);

/// Why a text is no issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an issuer is an https address without user, query, fragment and final slash; http only for a loopback address in development"
)]
pub struct IssuerError;

impl Issuer {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where its discovery document lies.
    #[must_use]
    pub fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.0)
    }

    /// `gitlab.example.org[:port]`, as it stands in the provider's own references.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }

    /// Whether a key set may lie at `url`: nowhere but with the issuer itself.
    fn has_origin_of(&self, url: &Url) -> bool {
        Url::parse(&self.0).is_ok_and(|own| own.origin() == url.origin())
    }
}

impl FromStr for Issuer {
    type Err = IssuerError;

    fn from_str(value: &str) -> Result<Self, IssuerError> {
        let url = Url::parse(value).map_err(|_| IssuerError)?;
        let is_loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(_)) | None => false,
        };
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !value.ends_with('/')
            && value.len() <= MAX_ISSUER
            // What a URL parser would change is no issuer: the comparison is by bytes.
            && url.as_str().trim_end_matches('/') == value;
        match url.scheme() {
            "https" if is_plain => Ok(Self(value.to_owned())),
            "http" if is_plain && is_loopback => Ok(Self(value.to_owned())),
            _ => Err(IssuerError),
        }
    }
}

impl TryFrom<String> for Issuer {
    type Error = IssuerError;

    fn try_from(value: String) -> Result<Self, IssuerError> {
        value.parse()
    }
}

impl From<Issuer> for String {
    fn from(issuer: Issuer) -> Self {
        issuer.0
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key that tokens are verified with. Numbers are base64url, as the provider gives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The `kid` by which a token names it.
    pub id: String,
    pub material: KeyMaterial,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "algorithm")]
pub enum KeyMaterial {
    #[serde(rename = "RS256")]
    Rs256 { modulus: String, exponent: String },
    #[serde(rename = "ES256")]
    Es256 { x: String, y: String },
}

/// Why an identity provider's documents are not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProviderDocumentError {
    #[error("it is not JSON of the expected form")]
    Form,
    #[error("it names another issuer")]
    Issuer,
    #[error("its keys lie at another host than the issuer")]
    KeysElsewhere,
    #[error("it has more than {MAX_KEYS} keys")]
    TooManyKeys,
    #[error("two of its keys have the same id")]
    AmbiguousKeys,
    #[error("it has no RS256 or ES256 key")]
    NoKeys,
}

/// Where `issuer` keeps its keys, by its discovery document.
///
/// # Errors
/// When the document is another issuer's, or leads elsewhere.
pub fn keys_url(issuer: &Issuer, document: &[u8]) -> Result<Url, ProviderDocumentError> {
    #[derive(Deserialize)]
    struct Discovery {
        issuer: String,
        jwks_uri: Url,
    }
    let found: Discovery = serde_json::from_slice(document).map_err(|_| ProviderDocumentError::Form)?;
    if found.issuer != issuer.as_str() {
        return Err(ProviderDocumentError::Issuer);
    }
    if !issuer.has_origin_of(&found.jwks_uri) {
        return Err(ProviderDocumentError::KeysElsewhere);
    }
    Ok(found.jwks_uri)
}

/// The usable keys of a set. Keys of other kinds and uses stand beside them in real sets and are passed over.
///
/// # Errors
/// When the set is none, too large, or does not say which key a token means.
pub fn signing_keys(document: &[u8]) -> Result<Vec<SigningKey>, ProviderDocumentError> {
    #[derive(Deserialize)]
    struct KeySet {
        keys: Vec<Value>,
    }
    let set: KeySet = serde_json::from_slice(document).map_err(|_| ProviderDocumentError::Form)?;
    if set.keys.len() > MAX_KEYS {
        return Err(ProviderDocumentError::TooManyKeys);
    }
    let keys: Vec<SigningKey> = set.keys.iter().filter_map(signing_key).collect();
    let ids: BTreeSet<&str> = keys.iter().map(|key| key.id.as_str()).collect();
    if ids.len() < keys.len() {
        return Err(ProviderDocumentError::AmbiguousKeys);
    }
    if keys.is_empty() { Err(ProviderDocumentError::NoKeys) } else { Ok(keys) }
}

fn signing_key(key: &Value) -> Option<SigningKey> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let is = |name: &str, wanted: &str| text(name).is_none_or(|found| found == wanted);
    let id = text("kid").filter(|id| (1..=MAX_KEY_ID).contains(&id.len()))?.to_owned();
    if !is("use", "sig") {
        return None;
    }
    let material = match text("kty")? {
        // 2048 to 4096 bits.
        "RSA" if is("alg", "RS256") => {
            KeyMaterial::Rs256 { modulus: number(text("n")?, 256..=512)?, exponent: number(text("e")?, 1..=8)? }
        }
        "EC" if is("alg", "ES256") && text("crv") == Some("P-256") => {
            KeyMaterial::Es256 { x: number(text("x")?, 32..=32)?, y: number(text("y")?, 32..=32)? }
        }
        _ => return None,
    };
    Some(SigningKey { id, material })
}

/// A base64url number of so many bytes.
fn number(text: &str, bytes: std::ops::RangeInclusive<usize>) -> Option<String> {
    let decoded = URL_SAFE_NO_PAD.decode(text).ok()?;
    bytes.contains(&decoded.len()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn issuer(text: &str) -> Issuer {
        text.parse().unwrap()
    }

    #[test]
    fn an_issuer_is_a_plain_https_address() {
        for good in [
            "https://token.actions.githubusercontent.com",
            "https://gitlab.example.org:8443",
            "https://ci.example.org/a/b",
            "http://127.0.0.1:7777",
        ] {
            assert_eq!(issuer(good).as_str(), good);
        }
        for bad in [
            "",
            "gitlab.com",
            "http://gitlab.com",
            "http://localhost:1",
            "https://gitlab.com/",
            "https://GitLab.com",
            "https://gitlab.com:443",
            "https://user@gitlab.com",
            "https://gitlab.com?x",
            "https://gitlab.com/#x",
            "https://gitlab.com/../x",
            "ftp://gitlab.com",
        ] {
            assert!(bad.parse::<Issuer>().is_err(), "{bad}");
        }
        assert_eq!(issuer("https://gitlab.example.org:8443/x").authority(), "gitlab.example.org:8443");
    }

    #[test]
    fn a_discovery_document_leads_to_keys_of_the_same_issuer_only() {
        let own = issuer("https://ci.example.org");
        let url = |issuer: &str, keys: &str| {
            let document = json!({"issuer": issuer, "jwks_uri": keys}).to_string();
            keys_url(&own, document.as_bytes()).map(String::from)
        };
        assert_eq!(
            url("https://ci.example.org", "https://ci.example.org/k").as_deref(),
            Ok("https://ci.example.org/k")
        );
        for (named, keys, error) in [
            ("https://ci.example.org/", "https://ci.example.org/k", ProviderDocumentError::Issuer),
            ("https://evil.example", "https://ci.example.org/k", ProviderDocumentError::Issuer),
            ("https://ci.example.org", "https://evil.example/k", ProviderDocumentError::KeysElsewhere),
            ("https://ci.example.org", "http://ci.example.org/k", ProviderDocumentError::KeysElsewhere),
            ("https://ci.example.org", "https://ci.example.org:444/k", ProviderDocumentError::KeysElsewhere),
            ("https://ci.example.org", "no address", ProviderDocumentError::Form),
        ] {
            assert_eq!(url(named, keys), Err(error), "{named} {keys}");
        }
    }

    #[test]
    fn only_unambiguous_signature_keys_of_two_kinds_are_taken() {
        let b64 = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![7; bytes]);
        let rsa = |id: &str, bytes: usize| json!({"kty": "RSA", "kid": id, "n": b64(bytes), "e": "AQAB"});
        let set = |keys: Vec<Value>| signing_keys(json!({ "keys": keys }).to_string().as_bytes());
        let ec =
            json!({"kty": "EC", "kid": "e", "crv": "P-256", "alg": "ES256", "use": "sig", "x": b64(32), "y": b64(32)});
        let taken = set(vec![
            rsa("r", 256),
            ec,
            rsa("short", 128),
            json!({"kty": "RSA", "n": b64(256), "e": "AQAB"}),
            json!({"kty": "RSA", "kid": "enc", "use": "enc", "n": b64(256), "e": "AQAB"}),
            json!({"kty": "RSA", "kid": "other", "alg": "PS256", "n": b64(256), "e": "AQAB"}),
            json!({"kty": "oct", "kid": "secret", "k": "AAAA"}),
            json!("nonsense"),
        ]);
        let ids: Vec<_> = taken.unwrap().into_iter().map(|key| key.id).collect();
        assert_eq!(ids, ["r", "e"]);
        assert_eq!(set(vec![rsa("r", 256), rsa("r", 256)]), Err(ProviderDocumentError::AmbiguousKeys));
        assert_eq!(set(vec![rsa("short", 128)]), Err(ProviderDocumentError::NoKeys));
        let many = (0..=MAX_KEYS).map(|n| rsa(&n.to_string(), 256)).collect();
        assert_eq!(set(many), Err(ProviderDocumentError::TooManyKeys));
        assert_eq!(signing_keys(b"<html>"), Err(ProviderDocumentError::Form));
    }
}
