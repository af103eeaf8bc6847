//! What identity providers say: their keys, and the claims of their tokens.

use registry_types::identity_provider::{self, CiProvider, Issuer, MAX_KEYS};
use registry_types::workload::{Workload, evidence};
use serde_json::{Map, Value};

pub(super) fn signing_keys(data: &[u8]) {
    let issuer: Issuer = "https://ci.example.org".parse().expect("an issuer");
    if let Ok(url) = identity_provider::keys_url(&issuer, data) {
        assert!(url.as_str().starts_with("https://ci.example.org/"), "{url}");
    }
    let Ok(keys) = identity_provider::signing_keys(data) else { return };
    assert!((1..=MAX_KEYS).contains(&keys.len()));
    // What was taken is stored and read again.
    let stored = serde_json::to_value(&keys).expect("keys are JSON");
    assert_eq!(serde_json::from_value(stored).ok(), Some(keys));
}

/// The first byte names the provider.
pub(super) fn identity_claims(data: &[u8]) {
    let Some((provider, claims)) = super::choice(data, CiProvider::ALL.len()) else { return };
    let Ok(claims) = serde_json::from_slice::<Map<String, Value>>(claims) else { return };
    let issuer: Issuer = "https://ci.example.org".parse().expect("an issuer");
    assert!(evidence(&claims).to_string().len() < 100_000);
    let Ok(job) = Workload::read(CiProvider::ALL[provider], &issuer, &claims) else { return };
    assert!(job.repository.strip_prefix(&job.owner).is_some_and(|rest| rest.starts_with('/')), "{job:?}");
    assert!(!job.workflow.is_empty() && i64::from(job.repository_id) > 0 && i64::from(job.owner_id) > 0, "{job:?}");
}
