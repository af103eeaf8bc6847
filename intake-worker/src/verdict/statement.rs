//! The in-toto statement: a SLSA verification summary, with the store's own inputs beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use registry_types::digest::Digest;
use registry_types::intake::CheckResult;
use registry_types::names::PackageName;
use registry_types::policy::Policy;
use registry_types::profile::Profile;
use registry_types::verdict::Decision;
use serde_json::{Value, json};

/// Type of the payload in the envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// SLSA verification summary attestation, <https://slsa.dev/spec/v1.1/verification_summary>.
pub(super) const PREDICATE_TYPE: &str = "https://slsa.dev/verification_summary/v1";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const SLSA_VERSION: &str = "1.1";
/// The store says that it verified; it does not judge how the image was built.
const LEVELS: [&str; 1] = ["SLSA_BUILD_LEVEL_UNEVALUATED"];

/// Everything that a verdict rests on.
#[derive(Debug, Clone)]
pub struct Judgement<'a> {
    /// Who judges: the store's public address, or a URN of its id.
    pub store: &'a str,
    pub profile: Profile,
    pub package: &'a PackageName,
    pub version: &'a semver::Version,
    /// What the author wrote.
    pub image_reference: Option<&'a str>,
    /// What the store pinned; `None` when it never came to that.
    pub digest: Option<&'a Digest>,
    pub package_manifest: &'a Value,
    pub checks: &'a [CheckResult],
    pub policy: &'a Policy,
    pub decision: &'a Decision,
    /// Number, digest and age of the advisory data that was used.
    pub advisories: Value,
    /// Manifests of the signatures and attestations that were looked at.
    pub attestations: &'a [Digest],
    /// The person's review that the decision rests on: who, when, why, and the verdict that was reviewed.
    pub review: Option<Value>,
    pub time: DateTime<Utc>,
}

/// The statement's bytes, ready to be signed.
#[must_use]
pub fn statement(judgement: &Judgement<'_>) -> Vec<u8> {
    json!({
        "_type": STATEMENT_TYPE,
        "subject": [subject(judgement)],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate(judgement),
    })
    .to_string()
    .into_bytes()
}

/// The attestations that an earlier verdict names as its inputs; `envelope` is that verdict as it was stored. `None` when it
/// is no such verdict.
pub(crate) fn attestations_of(envelope: &[u8]) -> Option<Vec<Digest>> {
    let envelope: Value = serde_json::from_slice(envelope).ok()?;
    let payload = STANDARD.decode(envelope.get("payload")?.as_str()?).ok()?;
    let statement: Value = serde_json::from_slice(&payload).ok()?;
    let inputs = statement.pointer("/predicate/inputAttestations")?.as_array()?;
    inputs.iter().map(digest_of).collect()
}

fn digest_of(input: &Value) -> Option<Digest> {
    let (algorithm, hex) = input.get("digest")?.as_object()?.iter().next()?;
    format!("{algorithm}:{}", hex.as_str()?).parse().ok()
}

/// The image; where there is none, the package manifest, named as what it is.
fn subject(judgement: &Judgement<'_>) -> Value {
    let name = format!("{}@{}", judgement.package, judgement.version);
    match judgement.digest {
        Some(digest) => json!({ "name": name, "digest": digest_set(digest) }),
        None => json!({
            "name": format!("{name}#package-manifest"),
            "digest": digest_set(&Digest::sha256_of(judgement.package_manifest.to_string().as_bytes())),
        }),
    }
}

fn predicate(judgement: &Judgement<'_>) -> Value {
    let store = judgement.store;
    let policy = json!(judgement.policy);
    let policy_digest = Digest::sha256_of(policy.to_string().as_bytes());
    json!({
        "verifier": { "id": store, "version": { "company-store": env!("CARGO_PKG_VERSION") } },
        "timeVerified": judgement.time.to_rfc3339_opts(SecondsFormat::Secs, true),
        "resourceUri": format!("{store}/packages/{}/versions/{}", judgement.package, judgement.version),
        "policy": { "uri": format!("{store}/policies/{policy_digest}"), "digest": digest_set(&policy_digest) },
        "inputAttestations": judgement.attestations.iter().map(|d| json!({ "digest": digest_set(d) })).collect::<Vec<_>>(),
        "verificationResult": result(judgement.decision),
        "verifiedLevels": LEVELS,
        "slsaVersion": SLSA_VERSION,
        "companyStore": {
            "profile": judgement.profile,
            "package": judgement.package.to_string(),
            "version": judgement.version.to_string(),
            "imageReference": judgement.image_reference,
            "decision": judgement.decision,
            "checks": judgement.checks,
            "advisories": judgement.advisories,
            "review": judgement.review,
            "policy": policy,
        },
    })
}

/// A version that waits for a person has not passed.
const fn result(decision: &Decision) -> &'static str {
    match decision {
        Decision::Active { .. } => "PASSED",
        Decision::Rejected { .. } | Decision::InReview { .. } => "FAILED",
    }
}

fn digest_set(digest: &Digest) -> Value {
    json!({ digest.algorithm().as_str(): digest.hex() })
}

#[cfg(test)]
mod tests {
    use registry_types::intake::{CheckName, Reason};
    use registry_types::rejection_code::RejectionCode;

    use super::*;

    fn parsed(decision: &Decision, digest: Option<&Digest>) -> Value {
        let checks = [CheckResult::pass(CheckName::Secrets, json!({"text_files": 3}))];
        let bytes = statement(&Judgement {
            store: "https://store.example.org",
            profile: Profile::Production,
            package: &"acme/pdf-tools".parse().unwrap(),
            version: &"1.2.0".parse().unwrap(),
            image_reference: Some("ghcr.io/acme/pdf-tools:1.2.0"),
            digest,
            package_manifest: &json!({"name": "pdf-tools"}),
            checks: &checks,
            policy: &Policy::default(),
            decision,
            advisories: json!({"number": 7}),
            attestations: &[Digest::sha256_of(b"signature")],
            review: None,
            time: DateTime::UNIX_EPOCH,
        });
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_passed_verdict_is_a_verification_summary_of_the_image() {
        let digest = Digest::sha256_of(b"image");
        let statement = parsed(&Decision::Active { warnings: Vec::new() }, Some(&digest));
        assert_eq!(statement["_type"], STATEMENT_TYPE);
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest.hex());
        let predicate = &statement["predicate"];
        assert_eq!(predicate["verificationResult"], "PASSED");
        assert_eq!(predicate["timeVerified"], "1970-01-01T00:00:00Z");
        assert_eq!(predicate["resourceUri"], "https://store.example.org/packages/acme/pdf-tools/versions/1.2.0");
        assert_eq!(predicate["inputAttestations"].as_array().unwrap().len(), 1);
        assert_eq!(predicate["companyStore"]["checks"][0]["evidence"]["text_files"], 3);
        assert_eq!(predicate["companyStore"]["profile"], "production");
    }

    #[test]
    fn what_is_refused_or_waits_for_a_person_has_not_passed() {
        let reason = Reason::new(RejectionCode::ImageNotFound, "image.resolves", "no such tag");
        let rejected = Decision::Rejected {
            code: RejectionCode::ImageNotFound,
            reasons: vec![reason.clone()],
            warnings: Vec::new(),
        };
        let statement = parsed(&rejected, None);
        assert_eq!(statement["predicate"]["verificationResult"], "FAILED");
        assert_eq!(statement["subject"][0]["name"], "acme/pdf-tools@1.2.0#package-manifest");
        let review = Decision::InReview { reasons: vec![reason], warnings: Vec::new() };
        assert_eq!(parsed(&review, None)["predicate"]["verificationResult"], "FAILED");
    }
}
