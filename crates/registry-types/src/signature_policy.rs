//! What a registry namespace demands of the signatures of its images.

use serde::{Deserialize, Serialize};

use crate::public_key::PublicKeyPem;

/// A namespace's demand. A policy that requires signatures but names nobody cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", try_from = "Wire", into = "Wire")]
pub enum SignaturePolicy {
    /// Signatures are looked for and recorded, nothing is demanded.
    #[default]
    None,
    /// At least one signature by one of the signers.
    Required(Signers),
}

/// The accepted signers; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers {
    keys: Vec<PublicKeyPem>,
    identities: Vec<IdentityRule>,
}

impl Signers {
    /// # Errors
    /// When neither a key nor an identity is given, or a rule is malformed.
    pub fn new(keys: Vec<PublicKeyPem>, identities: Vec<IdentityRule>) -> Result<Self, SignaturePolicyError> {
        if keys.is_empty() && identities.is_empty() {
            return Err(SignaturePolicyError::Nobody);
        }
        for identity in &identities {
            identity.check()?;
        }
        Ok(Self { keys, identities })
    }

    #[must_use]
    pub fn keys(&self) -> &[PublicKeyPem] {
        &self.keys
    }

    #[must_use]
    pub fn identities(&self) -> &[IdentityRule] {
        &self.identities
    }
}

/// Issuer and subject of a keyless signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRule {
    /// Exact OIDC issuer URL.
    pub issuer: String,
    pub subject: SubjectRule,
}

/// How the certificate's subject alternative name is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectRule {
    Exact(String),
    /// `*` stands for any characters but `/`, `**` for any characters; the whole subject must match.
    Pattern(String),
}

impl IdentityRule {
    fn check(&self) -> Result<(), SignaturePolicyError> {
        let subject = match &self.subject {
            SubjectRule::Exact(s) => s,
            SubjectRule::Pattern(s) => s,
        };
        let only_wildcards = subject.chars().all(|c| c == '*');
        if self.issuer.is_empty() || subject.is_empty() || only_wildcards {
            return Err(SignaturePolicyError::Identity);
        }
        Ok(())
    }

    /// Whether a certificate's issuer and subject satisfy the rule.
    #[must_use]
    pub fn matches(&self, issuer: &str, subject: &str) -> bool {
        self.issuer == issuer
            && match &self.subject {
                SubjectRule::Exact(exact) => exact == subject,
                SubjectRule::Pattern(pattern) => pattern_matches(pattern.as_bytes(), subject.as_bytes()),
            }
    }
}

/// Anchored glob match, linear in `pattern × text`.
fn pattern_matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut reachable = vec![false; text.len() + 1];
    reachable[0] = true;
    let mut rest = pattern;
    while let Some((&first, tail)) = rest.split_first() {
        let mut next = vec![false; text.len() + 1];
        if first == b'*' {
            let any = tail.first() == Some(&b'*');
            for at in 0..=text.len() {
                let extended = at > 0 && next[at - 1] && (any || text[at - 1] != b'/');
                next[at] = reachable[at] || extended;
            }
            rest = if any { &tail[1..] } else { tail };
        } else {
            for at in 0..text.len() {
                next[at + 1] = reachable[at] && text[at] == first;
            }
            rest = tail;
        }
        reachable = next;
    }
    reachable[text.len()]
}

/// Why a signature policy does not load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignaturePolicyError {
    #[error("a policy that requires signatures must name at least one key or identity")]
    Nobody,
    #[error("an identity needs an issuer and a subject that is not only wildcards")]
    Identity,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
enum Wire {
    None {},
    Required {
        #[serde(default)]
        keys: Vec<PublicKeyPem>,
        #[serde(default)]
        identities: Vec<IdentityRule>,
    },
}

impl TryFrom<Wire> for SignaturePolicy {
    type Error = SignaturePolicyError;

    fn try_from(value: Wire) -> Result<Self, Self::Error> {
        match value {
            Wire::None {} => Ok(Self::None),
            Wire::Required { keys, identities } => Signers::new(keys, identities).map(Self::Required),
        }
    }
}

impl From<SignaturePolicy> for Wire {
    fn from(value: SignaturePolicy) -> Self {
        match value {
            SignaturePolicy::None => Self::None {},
            SignaturePolicy::Required(signers) => Self::Required { keys: signers.keys, identities: signers.identities },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_without_signers_does_not_load() {
        let empty = serde_json::from_str::<SignaturePolicy>(r#"{"mode":"required"}"#);
        assert!(empty.is_err());
        let anybody = r#"{"mode":"required","identities":[{"issuer":"https://i","subject":{"pattern":"**"}}]}"#;
        assert!(serde_json::from_str::<SignaturePolicy>(anybody).is_err());
        assert_eq!(serde_json::from_str::<SignaturePolicy>(r#"{"mode":"none"}"#).unwrap(), SignaturePolicy::None);
    }

    #[test]
    fn subject_patterns_are_anchored_and_stop_at_slashes() {
        let rule = |p: &str| IdentityRule { issuer: "i".into(), subject: SubjectRule::Pattern(p.into()) };
        assert!(
            rule("https://github.com/acme/*/w.yml@refs/tags/**")
                .matches("i", "https://github.com/acme/app/w.yml@refs/tags/v/1")
        );
        assert!(!rule("https://github.com/acme/*").matches("i", "https://github.com/acme/app/x"));
        assert!(!rule("github.com/acme/*").matches("i", "https://github.com/acme/app"));
        assert!(!rule("a*").matches("other", "ab"));
    }
}
