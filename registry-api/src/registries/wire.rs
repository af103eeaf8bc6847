//! Namespaces as the API takes and shows them. A credential only ever goes in.

use chrono::{DateTime, Utc};
use registry_db::key_ring::{Credential, KeyRing, SealContext, Sealed};
use registry_db::registries::RegistryNamespace;
use registry_types::ids::OrganizationId;
use registry_types::image_reference::RegistryHost;
use registry_types::namespace_pattern::NamespacePattern;
use registry_types::pointer::PointerError;
use registry_types::public_key::PublicKeyPem;
use registry_types::signature_policy::SignaturePolicy;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::{Problem, ProblemCode};

const MAX_USERNAME: usize = 256;
/// Longest token that registries are known to give (ECR: about 2,500 characters), with room.
const MAX_TOKEN: usize = 8192;

/// A read credential of the registry. Stored sealed, never shown again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialBody {
    pub(super) username: String,
    #[schema(value_type = String, format = Password)]
    pub(super) token: SecretString,
}

impl CredentialBody {
    /// Seals it for the one place where it may be opened.
    pub(super) fn seal(
        self,
        ring: &KeyRing,
        organization: OrganizationId,
        pattern: &NamespacePattern,
    ) -> Result<Sealed, Problem> {
        let printable = |text: &str| text.chars().all(|c| !c.is_control());
        let token = self.token.expose_secret();
        if !(1..=MAX_USERNAME).contains(&self.username.len()) || !printable(&self.username) {
            return Err(Problem::bad_request("credential.username must have 1 to 256 printable characters"));
        }
        if !(1..=MAX_TOKEN).contains(&token.len()) || !printable(token) {
            return Err(Problem::bad_request("credential.token must have 1 to 8192 printable characters"));
        }
        let context = SealContext { organization, host: pattern.host(), path: pattern.path() };
        let credential = Credential { username: self.username, token: self.token };
        ring.seal(&context, &credential).map_err(Problem::internal)
    }
}

/// Reads a signature policy as a client writes it. A policy that names nobody, or a key that is none, is refused here and
/// not by the first image that it would judge.
pub(super) fn parse_signature_policy(policy: Value) -> Result<SignaturePolicy, Problem> {
    let keys = policy["keys"].as_array().map_or(&[][..], Vec::as_slice).iter().enumerate();
    let errors = keys.filter_map(|(at, key)| {
        let error = PublicKeyPem::try_from(key.as_str()?.to_owned()).err()?;
        Some(PointerError::new(format!("/signature_policy/keys/{at}"), "key", error.to_string()))
    });
    let mut errors: Vec<_> = errors.collect();
    let refusal = match serde_json::from_value(policy) {
        Ok(policy) => return Ok(policy),
        Err(error) => error.to_string(),
    };
    if errors.is_empty() {
        errors.push(PointerError::new("/signature_policy", "signature_policy", refusal.clone()));
    }
    Err(Problem::new(ProblemCode::SignaturePolicyInvalid, refusal).with_errors(errors))
}

/// A registry namespace.
#[derive(Serialize, ToSchema)]
pub(super) struct RegistryItem {
    id: Uuid,
    /// `ghcr`, `dockerhub`, `ecr` or `generic`.
    provider: &'static str,
    #[schema(example = "ghcr.io/my-org/*")]
    pattern: String,
    /// `pending`, `verified`, `suspended` or `refused`.
    state: &'static str,
    /// Why it was refused.
    refusal: Option<String>,
    #[schema(value_type = Object)]
    signature_policy: SignaturePolicy,
    has_credential: bool,
    /// Hosts beside the registry's own that may receive the credential.
    confirmed_token_hosts: Vec<String>,
    /// What the worker found out last: reachable, authenticated, pull right, referrers support, token host.
    #[schema(value_type = Option<Object>)]
    last_test: Option<Value>,
    last_tested_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<RegistryNamespace> for RegistryItem {
    fn from(namespace: RegistryNamespace) -> Self {
        Self {
            id: namespace.id.0,
            provider: namespace.provider.as_str(),
            pattern: namespace.pattern.to_string(),
            state: namespace.state.as_str(),
            refusal: namespace.refusal,
            signature_policy: namespace.signature_policy,
            has_credential: namespace.has_credential,
            confirmed_token_hosts: namespace.confirmed_token_hosts.iter().map(RegistryHost::to_string).collect(),
            last_test: namespace.last_test,
            last_tested_at: namespace.last_tested_at,
            created_at: namespace.created_at,
            updated_at: namespace.updated_at,
        }
    }
}

/// Does not say who has it: that is the other organization's private matter.
pub(super) fn taken() -> Problem {
    Problem::new(
        ProblemCode::RegistryPatternTaken,
        "the pattern overlaps a namespace that another organization has verified",
    )
}
