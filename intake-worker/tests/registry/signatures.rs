//! Signatures found, judged and reported.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use intake_worker::signatures::{
    Attachment, CandidateOutcome, SignatureReport, Subjects, TrustRoots, could_not_check, verify,
};
use intake_worker::source::{SourceError, image};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use registry_types::digest::Digest;
use registry_types::intake::Outcome;
use registry_types::limits;
use registry_types::public_key::PublicKeyPem;
use registry_types::rejection_code::RejectionCode;
use registry_types::signature_policy::{IdentityRule, SignaturePolicy, Signers, SubjectRule};
use serde_json::{Value, json};

use crate::fixtures::{IDENTITY, ISSUER, attach_bundle, attach_legacy, bytes, legacy, push_image, push_index, text};
use crate::stub::{REPOSITORY, Registry, Reply, Stub};

fn roots() -> TrustRoots {
    TrustRoots::from_documents(&[&text("trusted_root.json")]).unwrap()
}

fn identity(subject: SubjectRule) -> SignaturePolicy {
    let rule = IdentityRule { issuer: ISSUER.to_owned(), subject };
    SignaturePolicy::Required(Signers::new(Vec::new(), vec![rule]).unwrap())
}

fn acme() -> SignaturePolicy {
    identity(SubjectRule::Exact(IDENTITY.to_owned()))
}

/// A registry with the fixture image under `v1`.
fn image_registry() -> (Registry, Digest) {
    let mut registry = Registry::with_referrers_api();
    let digest = push_image(&mut registry, "amd64", Some("v1"));
    (registry, digest)
}

async fn check_at(stub: &Stub, policy: &SignaturePolicy, roots: &TrustRoots) -> Result<SignatureReport, SourceError> {
    let session = stub.session();
    let reference = format!("{}/{REPOSITORY}:v1", stub.host()).parse().unwrap();
    let tree = image::resolve(&session, &reference).await.unwrap();
    verify(&session, &Subjects::of(&tree), policy, roots).await
}

async fn check(registry: Registry, policy: &SignaturePolicy) -> SignatureReport {
    check_at(&Stub::registry(registry).await, policy, &roots()).await.unwrap()
}

/// Asserts a refusal and gives its report.
async fn refused(registry: Registry, policy: &SignaturePolicy, code: RejectionCode) -> SignatureReport {
    let report = check(registry, policy).await;
    assert_eq!(report.check.outcome, Outcome::Fail, "{:#?}", report.check);
    assert_eq!(report.check.reasons[0].code, code, "{:#?}", report.check);
    assert!(report.check.reasons[0].fix.is_some());
    report
}

#[tokio::test]
async fn a_bundle_by_the_named_identity_is_accepted_with_its_evidence() {
    for mut registry in [Registry::with_referrers_api(), Registry::default()] {
        let digest = push_image(&mut registry, "amd64", Some("v1"));
        let manifest = attach_bundle(&mut registry, &digest, bytes("amd64/signature.json"));
        let report = check(registry, &acme()).await;
        assert_eq!(report.check.outcome, Outcome::Pass, "{:#?}", report.check);
        let evidence = &report.check.evidence;
        let candidate = &evidence["images"][0]["candidates"][0];
        assert_eq!(candidate["outcome"], "accepted");
        assert_eq!((&candidate["subject"], &candidate["issuer"]), (&json!(IDENTITY), &json!(ISSUER)));
        assert_eq!((&candidate["log_index"], &candidate["image"]), (&json!(1), &json!(digest)));
        assert!(candidate["signed_at"].as_str().is_some_and(|time| time.starts_with("2026-")));
        assert_eq!(candidate["trusted_root"], json!(Digest::sha256_of(&bytes("trusted_root.json"))));
        assert_eq!(candidate["layer"], json!(Digest::sha256_of(&bytes("amd64/signature.json"))));
        assert_eq!(evidence["accepted_on"], "image");

        let [artifact] = report.artifacts.as_slice() else { panic!("one signature to mirror") };
        assert_eq!((&artifact.manifest.digest, &artifact.attachment), (&manifest, &Attachment::Referrer));
        assert!(artifact.blobs.iter().any(|blob| blob.bytes == bytes("amd64/signature.json")));
        assert!(artifact.blobs.iter().all(|blob| blob.descriptor.digest.matches(&blob.bytes)));
    }
}

#[tokio::test]
async fn all_forms_of_a_signature_are_accepted() {
    let (mut registry, digest) = image_registry();
    attach_bundle(&mut registry, &digest, bytes("amd64/signature-rekor2.json"));
    assert_eq!(check(registry, &acme()).await.check.outcome, Outcome::Pass);

    let (mut registry, digest) = image_registry();
    attach_legacy(&mut registry, &digest, &[legacy("amd64")]);
    let report = check(registry, &acme()).await;
    assert_eq!(report.check.outcome, Outcome::Pass, "{:#?}", report.check);
    let tag = format!("sha256-{}.sig", digest.hex());
    assert_eq!(report.artifacts[0].attachment, Attachment::Tag(tag));
}

#[tokio::test]
async fn identities_may_be_anchored_patterns() {
    let pattern = |text: &str| identity(SubjectRule::Pattern(text.to_owned()));
    let signed = || {
        let (mut registry, digest) = image_registry();
        attach_bundle(&mut registry, &digest, bytes("amd64/signature.json"));
        registry
    };
    let good = pattern("https://github.com/acme/*/.github/workflows/*@refs/tags/**");
    assert_eq!(check(signed(), &good).await.check.outcome, Outcome::Pass);
    let unanchored = pattern("github.com/acme/**");
    refused(signed(), &unanchored, RejectionCode::SignatureIdentityMismatch).await;
}

#[tokio::test]
async fn an_unsigned_image_is_refused_as_unsigned() {
    for mut registry in [Registry::with_referrers_api(), Registry::default()] {
        push_image(&mut registry, "amd64", Some("v1"));
        let report = refused(registry, &acme(), RejectionCode::SignatureRequired).await;
        assert!(report.candidates.is_empty());
    }
}

#[tokio::test]
async fn another_identity_is_named_and_refused_unless_the_right_one_signed_too() {
    let (mut registry, digest) = image_registry();
    attach_bundle(&mut registry, &digest, bytes("stranger/signature.json"));
    let report = refused(registry.clone(), &acme(), RejectionCode::SignatureIdentityMismatch).await;
    assert_eq!(report.candidates[0].outcome, CandidateOutcome::OtherSigner);
    assert!(report.check.evidence.to_string().contains("github.com/stranger/app"));

    let (mut legacy_only, digest) = image_registry();
    attach_legacy(&mut legacy_only, &digest, &[legacy("stranger")]);
    refused(legacy_only, &acme(), RejectionCode::SignatureIdentityMismatch).await;

    attach_bundle(&mut registry, &digest, bytes("amd64/signature.json"));
    assert_eq!(check(registry, &acme()).await.check.outcome, Outcome::Pass);
}

#[tokio::test]
async fn the_signature_of_another_image_does_not_count() {
    let (mut registry, digest) = image_registry();
    attach_bundle(&mut registry, &digest, bytes("other/signature.json"));
    attach_legacy(&mut registry, &digest, &[legacy("other")]);
    let report = refused(registry, &acme(), RejectionCode::SignatureInvalid).await;
    assert_eq!(report.candidates.len(), 2);
    assert!(report.candidates.iter().all(|c| c.why.as_deref().unwrap().contains("names another image")));
}

/// A signature whose certificate and log entry belong to another image: payload for ours, proofs honest but not over it.
#[tokio::test]
async fn certificate_and_log_entry_of_another_image_do_not_count() {
    let (payload, ours) = legacy("amd64");
    let (_, mut others) = legacy("other");
    let borrowed = others.clone();
    others["dev.cosignproject.cosign/signature"] = json!(STANDARD.encode("not a signature"));
    let mut right_signature = others.clone();
    right_signature["dev.cosignproject.cosign/signature"] = ours["dev.cosignproject.cosign/signature"].clone();
    let mut right_certificate = right_signature.clone();
    right_certificate["dev.sigstore.cosign/certificate"] = ours["dev.sigstore.cosign/certificate"].clone();
    for annotations in [borrowed, others, right_signature, right_certificate] {
        let (mut registry, digest) = image_registry();
        attach_legacy(&mut registry, &digest, &[(payload.clone(), annotations)]);
        refused(registry, &acme(), RejectionCode::SignatureInvalid).await;
    }
    // What all of these lack.
    let (mut registry, digest) = image_registry();
    attach_legacy(&mut registry, &digest, &[(payload, ours)]);
    assert_eq!(check(registry, &acme()).await.check.outcome, Outcome::Pass);
}

/// Flips one bit in the middle of a base64 value.
fn flipped(value: &Value) -> Value {
    let mut raw = STANDARD.decode(value.as_str().unwrap()).unwrap();
    let middle = raw.len() / 2;
    raw[middle] ^= 1;
    json!(STANDARD.encode(raw))
}

#[tokio::test]
async fn one_flipped_bit_anywhere_makes_a_signature_invalid() {
    let log = "/verificationMaterial/tlogEntries/0";
    for pointer in [
        "/dsseEnvelope/signatures/0/sig".to_owned(),
        "/dsseEnvelope/payload".to_owned(),
        "/verificationMaterial/certificate/rawBytes".to_owned(),
        format!("{log}/canonicalizedBody"),
        format!("{log}/inclusionPromise/signedEntryTimestamp"),
        format!("{log}/inclusionProof/rootHash"),
        format!("{log}/inclusionProof/hashes/0"),
        format!("{log}/logId/keyId"),
    ] {
        let mut bundle: Value = serde_json::from_slice(&bytes("amd64/signature.json")).unwrap();
        let target = bundle.pointer_mut(&pointer).unwrap();
        *target = flipped(target);
        let (mut registry, digest) = image_registry();
        attach_bundle(&mut registry, &digest, bundle.to_string());
        let report = check(registry, &acme()).await;
        assert_eq!(report.candidates[0].outcome, CandidateOutcome::Invalid, "{pointer}");
        assert_eq!(report.check.outcome, Outcome::Fail, "{pointer}");
    }
    let mut bundle: Value = serde_json::from_slice(&bytes("amd64/signature.json")).unwrap();
    bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = json!("1795217000");
    let (mut registry, digest) = image_registry();
    attach_bundle(&mut registry, &digest, bundle.to_string());
    refused(registry, &acme(), RejectionCode::SignatureInvalid).await;
}

#[tokio::test]
async fn a_signature_without_log_entry_does_not_count() {
    let (mut registry, digest) = image_registry();
    attach_bundle(&mut registry, &digest, bytes("amd64/signature-without-log.json"));
    refused(registry, &acme(), RejectionCode::SignatureInvalid).await;

    let (payload, mut annotations) = legacy("amd64");
    annotations.as_object_mut().unwrap().remove("dev.sigstore.cosign/bundle");
    let (mut registry, digest) = image_registry();
    attach_legacy(&mut registry, &digest, &[(payload, annotations)]);
    refused(registry, &acme(), RejectionCode::SignatureInvalid).await;
}

#[tokio::test]
async fn an_attestation_is_no_signature_but_is_mirrored() {
    let (mut registry, digest) = image_registry();
    attach_bundle(&mut registry, &digest, bytes("amd64/provenance.json"));
    let report = refused(registry, &acme(), RejectionCode::SignatureRequired).await;
    assert_eq!(report.candidates[0].outcome, CandidateOutcome::Attestation);
    assert_eq!(report.artifacts.len(), 1);
}

#[tokio::test]
async fn a_signed_file_is_no_signed_image() {
    let (mut registry, digest) = image_registry();
    attach_bundle(&mut registry, &digest, bytes("amd64/message.json"));
    refused(registry, &acme(), RejectionCode::SignatureInvalid).await;
}

#[tokio::test]
async fn an_index_is_signed_by_itself_or_by_every_platform() {
    let signed = |images: &[&str]| {
        let mut registry = Registry::with_referrers_api();
        push_index(&mut registry, Some("v1"));
        for image in images {
            let digest = Digest::sha256_of(&bytes(&format!("{image}/manifest.json")));
            attach_bundle(&mut registry, &digest, bytes(&format!("{image}/signature.json")));
        }
        registry
    };
    let whole = check(signed(&["index"]), &acme()).await;
    assert_eq!((whole.check.outcome, &whole.check.evidence["accepted_on"]), (Outcome::Pass, &json!("image")));
    let each = check(signed(&["amd64", "arm64"]), &acme()).await;
    assert_eq!((each.check.outcome, &each.check.evidence["accepted_on"]), (Outcome::Pass, &json!("every_platform")));
    assert_eq!(each.artifacts.len(), 2);
    refused(signed(&["amd64"]), &acme(), RejectionCode::SignatureRequired).await;
    refused(signed(&[]), &acme(), RejectionCode::SignatureRequired).await;
}

#[tokio::test]
async fn what_refers_to_something_else_is_passed_over() {
    let (mut registry, digest) = image_registry();
    let other = push_image(&mut registry, "other", None);
    let manifest = attach_bundle(&mut registry, &other, bytes("amd64/signature.json"));
    let manifest_of_other = json!({
        "schemaVersion": 2,
        "mediaType": crate::stub::OCI_MANIFEST,
        "config": registry.descriptor("application/vnd.oci.empty.v1+json", "{}"),
        "layers": [registry.descriptor(crate::fixtures::BUNDLE_TYPE, bytes("amd64/signature.json"))],
        "subject": {"mediaType": crate::stub::OCI_MANIFEST, "digest": other, "size": 1},
    });
    let listed = registry.referrer(&digest, &manifest_of_other);
    let report = refused(registry, &acme(), RejectionCode::SignatureRequired).await;
    assert!(report.check.evidence.to_string().contains(&listed.to_string()), "{manifest} {listed}");
}

#[tokio::test]
async fn an_outage_is_an_error_and_never_unsigned() {
    for status in [403, 429, 500, 503] {
        for part in [".sig", ".att", "/referrers/", "/blobs/", "referrer manifest"] {
            let (mut registry, digest) = image_registry();
            let manifest = attach_bundle(&mut registry, &digest, bytes("amd64/signature.json"));
            let failing = if part == "referrer manifest" { manifest.to_string() } else { part.to_owned() };
            let stub = Stub::disturbed(registry, move |request| {
                request.path.contains(&failing).then(|| Reply::error(status, "DENIED"))
            })
            .await;
            let error = check_at(&stub, &acme(), &roots()).await.err();
            let error = error.unwrap_or_else(|| panic!("{status} of {part} was no error"));
            let result = could_not_check(&error);
            assert_eq!(result.outcome, Outcome::Error);
            assert!(!result.reasons.is_empty());

            let report = check_at(&stub, &SignaturePolicy::None, &roots()).await.unwrap();
            assert_eq!(report.check.outcome, Outcome::Warn, "{status} of {part}");
            assert!(report.check.evidence["could_not_check"].is_string());
        }
    }
}

#[tokio::test]
async fn a_signature_that_is_listed_but_gone_does_not_count() {
    let (mut registry, digest) = image_registry();
    attach_bundle(&mut registry, &digest, bytes("amd64/signature.json"));
    let layer = Digest::sha256_of(&bytes("amd64/signature.json")).to_string();
    let stub = Stub::disturbed(registry, move |request| {
        request.path.contains(&layer).then(|| Reply::error(404, "BLOB_UNKNOWN"))
    })
    .await;
    let report = check_at(&stub, &acme(), &roots()).await.unwrap();
    assert_eq!(report.check.reasons[0].code, RejectionCode::SignatureInvalid);
    assert!(report.artifacts.is_empty());
}

#[tokio::test]
async fn more_signatures_than_are_looked_at_are_an_error() {
    let (mut registry, digest) = image_registry();
    let many = vec![legacy("other"); limits::MAX_SIGNATURE_CANDIDATES + 1];
    attach_legacy(&mut registry, &digest, &many);
    let stub = Stub::registry(registry).await;
    let error = check_at(&stub, &acme(), &roots()).await.err().unwrap();
    assert!(matches!(error, SourceError::LimitExceeded { .. }), "{error}");
}

#[tokio::test]
async fn without_policy_signatures_are_recorded() {
    let (mut registry, digest) = image_registry();
    let unsigned = check(registry.clone(), &SignaturePolicy::None).await;
    assert_eq!(unsigned.check.outcome, Outcome::NotApplicable);
    attach_bundle(&mut registry, &digest, bytes("amd64/signature.json"));
    let signed = check(registry, &SignaturePolicy::None).await;
    assert_eq!(signed.check.outcome, Outcome::Pass);
    assert_eq!(signed.check.evidence["images"][0]["candidates"][0]["subject"], json!(IDENTITY));
    assert_eq!(signed.artifacts.len(), 1);
}

#[tokio::test]
async fn without_trusted_root_a_keyless_signature_cannot_be_told() {
    let (mut registry, digest) = image_registry();
    attach_bundle(&mut registry, &digest, bytes("amd64/signature.json"));
    let stub = Stub::registry(registry).await;
    let report = check_at(&stub, &acme(), &TrustRoots::none()).await.unwrap();
    assert_eq!(report.check.outcome, Outcome::Error);
    assert_eq!(report.candidates[0].outcome, CandidateOutcome::NotVerifiable);
    // Another instance's root is not this one's.
    let report = check_at(&stub, &acme(), &TrustRoots::public_good().unwrap()).await.unwrap();
    assert_eq!(report.check.outcome, Outcome::Fail);
}

/// A key made here, with signatures as cosign makes them with a key and no log.
struct Key(SigningKey);

impl Key {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).unwrap())
    }

    fn policy(&self) -> SignaturePolicy {
        let pem = self.0.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        SignaturePolicy::Required(Signers::new(vec![PublicKeyPem::try_from(pem).unwrap()], Vec::new()).unwrap())
    }

    fn sign(&self, bytes: &[u8]) -> String {
        let signature: DerSignature = self.0.sign(bytes);
        STANDARD.encode(signature.as_bytes())
    }

    fn legacy(&self, digest: &Digest) -> (Bytes, Value) {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": "registry.example/acme/app"},
                "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": {"creator": "test"},
        })
        .to_string();
        let annotations = json!({"dev.cosignproject.cosign/signature": self.sign(payload.as_bytes())});
        (payload.into(), annotations)
    }

    fn bundle(&self, digest: &Digest, predicate: &str) -> String {
        let payload_type = "application/vnd.in-toto+json";
        let payload = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": digest.hex()}}],
            "predicateType": predicate,
            "predicate": {},
        })
        .to_string();
        let encoded = format!("DSSEv1 {} {payload_type} {} {payload}", payload_type.len(), payload.len());
        json!({
            "mediaType": crate::fixtures::BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": "aGludA=="}},
            "dsseEnvelope": {
                "payloadType": payload_type,
                "payload": STANDARD.encode(&payload),
                "signatures": [{"sig": self.sign(encoded.as_bytes())}],
            },
        })
        .to_string()
    }
}

const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

#[tokio::test]
async fn key_signatures_without_log_are_accepted_in_both_forms() {
    let key = Key::new(7);
    for roots in [roots(), TrustRoots::none()] {
        let (mut registry, digest) = image_registry();
        attach_legacy(&mut registry, &digest, &[key.legacy(&digest)]);
        let report = check_at(&Stub::registry(registry).await, &key.policy(), &roots).await.unwrap();
        assert_eq!(report.check.outcome, Outcome::Pass, "{:#?}", report.check);
        let candidate = &report.check.evidence["images"][0]["candidates"][0];
        assert_eq!((&candidate["signer"], &candidate["key"]), (&json!("key"), &report.check.evidence["keys"][0]));

        let (mut registry, digest) = image_registry();
        attach_bundle(&mut registry, &digest, key.bundle(&digest, SIGN));
        let report = check_at(&Stub::registry(registry).await, &key.policy(), &roots).await.unwrap();
        assert_eq!(report.check.outcome, Outcome::Pass, "{:#?}", report.check);
    }
}

#[tokio::test]
async fn key_signatures_by_another_key_or_of_another_image_do_not_count() {
    let (key, other) = (Key::new(7), Key::new(8));
    let elsewhere = Digest::sha256_of(b"another image");
    let (mut registry, digest) = image_registry();
    attach_legacy(&mut registry, &digest, &[other.legacy(&digest), key.legacy(&elsewhere)]);
    attach_bundle(&mut registry, &digest, other.bundle(&digest, SIGN));
    attach_bundle(&mut registry, &digest, key.bundle(&elsewhere, SIGN));
    attach_bundle(&mut registry, &digest, key.bundle(&digest, "https://slsa.dev/provenance/v1"));
    let report = refused(registry, &key.policy(), RejectionCode::SignatureInvalid).await;
    let outcomes: Vec<_> = report.candidates.iter().map(|candidate| candidate.outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == CandidateOutcome::Invalid).count(), 4);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == CandidateOutcome::Attestation).count(), 1);
}

#[tokio::test]
async fn keys_and_identities_do_not_stand_in_for_each_other() {
    let key = Key::new(7);
    let (mut registry, digest) = image_registry();
    attach_bundle(&mut registry, &digest, bytes("amd64/signature.json"));
    refused(registry.clone(), &key.policy(), RejectionCode::SignatureIdentityMismatch).await;
    let stub = Stub::registry(registry).await;
    let report = check_at(&stub, &key.policy(), &TrustRoots::none()).await.unwrap();
    assert_eq!(report.check.reasons[0].code, RejectionCode::SignatureIdentityMismatch);

    let (mut registry, digest) = image_registry();
    attach_legacy(&mut registry, &digest, &[key.legacy(&digest)]);
    refused(registry.clone(), &acme(), RejectionCode::SignatureIdentityMismatch).await;
    assert_eq!(check(registry, &SignaturePolicy::None).await.check.outcome, Outcome::NotApplicable);
}
