//! Who may sign an image, in the words of the HLA-Compass client: after a dry run it shows them, and its `verify-image`
//! holds the image against them.

use registry_db::registries::RegistryNamespace;
use registry_types::signature_policy::{IdentityRule, SignaturePolicy, SubjectRule};
use serde::Serialize;
use utoipa::ToSchema;

/// One accepted signer of a namespace's images.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrustedSigner {
    /// `cosign_public_key` or `github_actions_oidc`: the client's words for a key and for a keyless identity.
    r#type: &'static str,
    /// The namespace whose policy says so.
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key_pem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_regexp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_issuer: Option<String>,
}

/// Empty where the namespace's policy demands no signature.
pub(super) fn trusted_signers(namespace: &RegistryNamespace) -> Vec<TrustedSigner> {
    let source = namespace.pattern.to_string();
    match &namespace.signature_policy {
        SignaturePolicy::None => Vec::new(),
        SignaturePolicy::Required(signers) => {
            let keys = signers.keys().iter().map(|key| TrustedSigner {
                r#type: "cosign_public_key",
                source: source.clone(),
                public_key_pem: Some(key.as_str().to_owned()),
                identity_regexp: None,
                oidc_issuer: None,
            });
            let identities = signers.identities().iter().map(|identity| of_identity(identity, source.clone()));
            keys.chain(identities).collect()
        }
    }
}

fn of_identity(identity: &IdentityRule, source: String) -> TrustedSigner {
    TrustedSigner {
        r#type: "github_actions_oidc",
        source,
        public_key_pem: None,
        identity_regexp: Some(match &identity.subject {
            SubjectRule::Exact(subject) => format!("^{}$", escaped(subject)),
            SubjectRule::Pattern(pattern) => pattern_regexp(pattern),
        }),
        oidc_issuer: Some(identity.issuer.clone()),
    }
}

fn pattern_regexp(pattern: &str) -> String {
    let any = pattern.split("**").map(|part| part.split('*').map(escaped).collect::<Vec<_>>().join("[^/]*"));
    format!("^{}$", any.collect::<Vec<_>>().join(".*"))
}

/// As a regular expression that matches this text only.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut regexp, character| {
        if character.is_ascii_punctuation() {
            regexp.push('\\');
        }
        regexp.push(character);
        regexp
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_matches_what_its_rule_matches_and_no_more() {
        let of = |subject| IdentityRule { issuer: "https://issuer.example".to_owned(), subject };
        let regexp = |subject| of_identity(&of(subject), String::new()).identity_regexp.unwrap();
        assert_eq!(regexp(SubjectRule::Exact("a.b/c".to_owned())), r"^a\.b\/c$");
        assert_eq!(regexp(SubjectRule::Pattern("a/*/b@**".to_owned())), r"^a\/[^/]*\/b\@.*$");
    }
}
