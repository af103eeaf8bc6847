//! One candidate against the policy.

use registry_types::digest::Digest;
use registry_types::public_key::PublicKeyPem;
use registry_types::signature_policy::{SignaturePolicy, Signers};
use serde::Serialize;

use super::discovery::{Candidate, CandidateContent, LayerForm};
use super::legacy::{self, LegacySignature};
use super::statement::{self, StatementKind};
use super::verifier::{self, BundleContent, Signed, SignedBundle, SignedWith, Signer, TrustRoots, VerifyError, Who};

/// A candidate with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JudgedCandidate {
    /// The image that it was found for.
    pub image: Digest,
    pub manifest: Digest,
    /// The bundle or signed payload.
    pub layer: Digest,
    pub form: Form,
    pub outcome: CandidateOutcome,
    /// Why it does not count, or what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Who signed, where that was verified.
    #[serde(flatten)]
    pub signer: Option<Signer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    Bundle,
    Legacy,
    LegacyAttestation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CandidateOutcome {
    /// By a signer that the policy names.
    Accepted,
    /// Verified, and no policy says who should have signed.
    Verified,
    /// By somebody whom the policy does not name.
    OtherSigner,
    /// A statement about the image, not a signature of it.
    Attestation,
    Invalid,
    /// We lack what it would take to judge it: a trusted root, or, without policy, the key.
    NotVerifiable,
}

/// How a judgement ends.
struct Ending {
    outcome: CandidateOutcome,
    why: Option<String>,
    signer: Option<Signer>,
}

impl Ending {
    fn without_signer(outcome: CandidateOutcome, why: impl Into<String>) -> Self {
        Self { outcome, why: Some(why.into()), signer: None }
    }

    fn invalid(why: impl Into<String>) -> Self {
        Self::without_signer(CandidateOutcome::Invalid, why)
    }
}

pub(super) fn judge(candidate: &Candidate, policy: &SignaturePolicy, roots: &TrustRoots) -> JudgedCandidate {
    let (form, ending) = match &candidate.content {
        CandidateContent::Unreadable { form, why } => (Form::of(*form), Ok(Ending::invalid(why))),
        CandidateContent::Bundle(bytes) => (Form::Bundle, judge_bundle(bytes, &candidate.subject, policy, roots)),
        CandidateContent::LegacyAttestation => (
            Form::LegacyAttestation,
            Ok(Ending::without_signer(CandidateOutcome::Attestation, "a statement about the image, not a signature")),
        ),
        CandidateContent::Legacy { payload, annotations } => {
            let judged = legacy::check_payload(payload, &candidate.subject)
                .and_then(|()| legacy::read(annotations))
                .map(|signature| judge_legacy(payload, signature, policy, roots));
            (Form::Legacy, judged)
        }
    };
    let Ending { outcome, why, signer } = ending.unwrap_or_else(Ending::invalid);
    JudgedCandidate {
        image: candidate.subject.clone(),
        manifest: candidate.manifest.clone(),
        layer: candidate.layer.clone(),
        form,
        outcome,
        why,
        signer,
    }
}

impl Form {
    const fn of(form: LayerForm) -> Self {
        match form {
            LayerForm::Bundle => Self::Bundle,
            LayerForm::Legacy => Self::Legacy,
            LayerForm::LegacyAttestation => Self::LegacyAttestation,
        }
    }
}

fn judge_bundle(
    bytes: &[u8],
    subject: &Digest,
    policy: &SignaturePolicy,
    roots: &TrustRoots,
) -> Result<Ending, String> {
    statement::parse(bytes)?;
    let json = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let bundle = SignedBundle::read(json).map_err(|error| error.to_string())?;
    match bundle.content().map_err(|error| error.to_string())? {
        BundleContent::Message => Err("it signs a file, which is not how images are signed".to_owned()),
        BundleContent::Envelope { payload_type, payload } => match statement::read(payload_type, payload, subject)? {
            StatementKind::ImageSignature => Ok(judge_signer(&bundle, Signed::Digest(subject), policy, roots)),
            StatementKind::Attestation { predicate_type } => Ok(Ending::without_signer(
                CandidateOutcome::Attestation,
                format!("a statement about the image ({predicate_type}), not a signature"),
            )),
        },
    }
}

fn judge_legacy(payload: &[u8], signature: LegacySignature, policy: &SignaturePolicy, roots: &TrustRoots) -> Ending {
    match signature {
        LegacySignature::Bundle(json) => match SignedBundle::read(&json) {
            Ok(bundle) => judge_signer(&bundle, Signed::Bytes(payload), policy, roots),
            Err(error) => Ending::invalid(error.to_string()),
        },
        LegacySignature::Bare { signature } => {
            judge_key(policy, |key| verifier::verify_payload(payload, &signature, key))
        }
    }
}

fn judge_signer(bundle: &SignedBundle, signed: Signed<'_>, policy: &SignaturePolicy, roots: &TrustRoots) -> Ending {
    match bundle.signed_with() {
        Ok(SignedWith::Key) => judge_key(policy, |key| roots.with_key(bundle, signed, key)),
        Ok(SignedWith::Certificate) => judge_identity(roots.keyless(bundle, signed), policy),
        Err(error) => Ending::invalid(error.to_string()),
    }
}

fn judge_identity(verified: Result<Signer, VerifyError>, policy: &SignaturePolicy) -> Ending {
    let signer = match verified {
        Ok(signer) => signer,
        Err(VerifyError::NoTrustedRoot) if !names_identities(policy) => {
            let why = "it was made with a certificate, and the policy names keys only";
            return Ending::without_signer(CandidateOutcome::OtherSigner, why);
        }
        Err(error @ VerifyError::NoTrustedRoot) => {
            return Ending::without_signer(CandidateOutcome::NotVerifiable, error.to_string());
        }
        Err(error @ (VerifyError::Unreadable(_) | VerifyError::Rejected(_))) => {
            return Ending::invalid(error.to_string());
        }
    };
    let (outcome, why) = match policy {
        SignaturePolicy::None => (CandidateOutcome::Verified, None),
        SignaturePolicy::Required(signers) if is_named(signers, &signer) => (CandidateOutcome::Accepted, None),
        SignaturePolicy::Required(_) => {
            (CandidateOutcome::OtherSigner, Some("the policy does not name this identity".to_owned()))
        }
    };
    Ending { outcome, why, signer: Some(signer) }
}

/// Without policy every identity is of interest.
fn names_identities(policy: &SignaturePolicy) -> bool {
    match policy {
        SignaturePolicy::None => true,
        SignaturePolicy::Required(signers) => !signers.identities().is_empty(),
    }
}

fn is_named(signers: &Signers, signer: &Signer) -> bool {
    match &signer.who {
        Who::Identity { subject, issuer, .. } => signers.identities().iter().any(|rule| rule.matches(issuer, subject)),
        Who::Key { .. } => false,
    }
}

/// A signature by a key says nothing of whose key it is: it is tried with each key of the policy.
fn judge_key(policy: &SignaturePolicy, verify: impl Fn(&PublicKeyPem) -> Result<Signer, VerifyError>) -> Ending {
    let keys = match policy {
        SignaturePolicy::None => {
            let why = "it was made with a key, and the namespace names none";
            return Ending::without_signer(CandidateOutcome::NotVerifiable, why);
        }
        SignaturePolicy::Required(signers) if signers.keys().is_empty() => {
            let why = "it was made with a key, and the policy names identities only";
            return Ending::without_signer(CandidateOutcome::OtherSigner, why);
        }
        SignaturePolicy::Required(signers) => signers.keys(),
    };
    let mut failures = Vec::new();
    for key in keys {
        match verify(key) {
            Ok(signer) => return Ending { outcome: CandidateOutcome::Accepted, why: None, signer: Some(signer) },
            Err(error) => failures.push(error.to_string()),
        }
    }
    failures.dedup();
    Ending::invalid(format!("it verifies with no key of the policy: {}", failures.join("; ")))
}
