//! The check `signature` with its reasons and evidence.

use registry_types::intake::{CheckName, CheckResult, Outcome, Reason};
use registry_types::rejection_code::RejectionCode;
use registry_types::signature_policy::Signers;
use serde_json::{Value, json};

use super::judgement::{CandidateOutcome, JudgedCandidate};
use super::verifier::{self, TrustRoots};
use super::{Examined, SignatureReport};
use crate::source::{FailureClass, SourceError};

const NONE_RULE: &str = "signature_policy=none";
const REQUIRED_RULE: &str = "signature_policy=required";

/// The check's result when a demanded signature could not be looked for.
#[must_use]
pub fn could_not_check(error: &SourceError) -> CheckResult {
    let reason = unchecked(REQUIRED_RULE, error);
    let evidence = json!({"policy": "required", "could_not_check": error.to_string()});
    CheckResult::with_reasons(CheckName::Signature, Outcome::Error, vec![reason], evidence)
}

/// Nothing is demanded, and what there is could not be read.
pub(super) fn not_recorded(error: &SourceError) -> SignatureReport {
    let evidence = json!({"policy": "none", "could_not_check": error.to_string()});
    let reason = unchecked(NONE_RULE, error);
    let check = CheckResult::with_reasons(CheckName::Signature, Outcome::Warn, vec![reason], evidence);
    SignatureReport { check, candidates: Vec::new(), artifacts: Vec::new() }
}

fn unchecked(rule: &str, error: &SourceError) -> Reason {
    let code = match error.class() {
        FailureClass::Reject(code) => code,
        FailureClass::Retry | FailureClass::OurFault => RejectionCode::IntakeFailed,
    };
    Reason::new(code, rule, format!("it could not be checked whether the image is signed: {error}"))
}

/// Nothing is demanded: what was found is evidence.
pub(super) fn recorded(root: Examined, roots: &TrustRoots) -> SignatureReport {
    let verified = root.judged.iter().any(|candidate| candidate.outcome == CandidateOutcome::Verified);
    let examined = vec![root];
    let evidence = evidence("none", &examined, roots);
    let check = if verified {
        CheckResult::pass(CheckName::Signature, evidence)
    } else {
        CheckResult::not_applicable(CheckName::Signature, evidence)
    };
    assemble(check, examined)
}

/// A signature by one of `signers` is demanded. `platforms` is empty when the root is accepted or is no index.
pub(super) fn demanded(
    root: Examined,
    platforms: Vec<Examined>,
    signers: &Signers,
    roots: &TrustRoots,
) -> SignatureReport {
    let accepted_on = if root.is_accepted() {
        Some("image")
    } else if !platforms.is_empty() && platforms.iter().all(Examined::is_accepted) {
        Some("every_platform")
    } else {
        None
    };
    let mut examined = vec![root];
    examined.extend(platforms);
    let mut evidence = evidence("required", &examined, roots);
    evidence["accepted_on"] = json!(accepted_on);
    evidence["keys"] = json!(signers.keys().iter().map(verifier::fingerprint).collect::<Vec<_>>());
    evidence["identities"] = json!(signers.identities());
    let check = match accepted_on {
        Some(_) => CheckResult::pass(CheckName::Signature, evidence),
        None => refused(&examined, evidence),
    };
    assemble(check, examined)
}

fn refused(examined: &[Examined], evidence: Value) -> CheckResult {
    let judged = || examined.iter().filter(|one| !one.is_accepted()).flat_map(|one| &one.judged);
    let any = |outcome| judged().any(|candidate| candidate.outcome == outcome);
    let reason = |code, message: &str| Reason::new(code, REQUIRED_RULE, message);
    let (outcome, first) = if any(CandidateOutcome::NotVerifiable) {
        let message = "the image's signature cannot be verified here";
        let reason = reason(RejectionCode::IntakeFailed, message);
        (Outcome::Error, reason.fixed_by("configure the trusted root of the signer's Sigstore instance"))
    } else if any(CandidateOutcome::OtherSigner) {
        let message = "the image is signed, but by nobody whom the namespace's policy names";
        let reason = reason(RejectionCode::SignatureIdentityMismatch, message);
        (Outcome::Fail, reason.fixed_by("sign with an accepted identity or key, or have the policy changed"))
    } else if any(CandidateOutcome::Invalid) {
        let message = "the image carries signatures, but none of them is valid";
        let reason = reason(RejectionCode::SignatureInvalid, message);
        (Outcome::Fail, reason.fixed_by("sign the pushed digest again, for example with `cosign sign`"))
    } else {
        let message = "the image is not signed, and the namespace's policy demands a signature";
        let reason = reason(RejectionCode::SignatureRequired, message);
        (Outcome::Fail, reason.fixed_by("sign the pushed digest, for example with `cosign sign`"))
    };
    let mut reasons = vec![first];
    reasons.extend(judged().filter_map(candidate_reason));
    CheckResult::with_reasons(CheckName::Signature, outcome, reasons, evidence)
}

/// Why one candidate does not count.
fn candidate_reason(candidate: &JudgedCandidate) -> Option<Reason> {
    let code = match candidate.outcome {
        CandidateOutcome::Accepted | CandidateOutcome::Verified => return None,
        CandidateOutcome::Attestation => RejectionCode::SignatureRequired,
        CandidateOutcome::OtherSigner => RejectionCode::SignatureIdentityMismatch,
        CandidateOutcome::Invalid => RejectionCode::SignatureInvalid,
        CandidateOutcome::NotVerifiable => RejectionCode::IntakeFailed,
    };
    let why = candidate.why.as_deref().unwrap_or("it does not count");
    let reason = Reason::new(code, REQUIRED_RULE, format!("{}: {why}", candidate.layer));
    Some(reason.in_layer(&candidate.layer))
}

fn evidence(policy: &str, examined: &[Examined], roots: &TrustRoots) -> Value {
    let images: Vec<Value> = examined
        .iter()
        .map(|one| {
            json!({
                "image": one.subject,
                "referrers_by": one.found.referrers,
                "candidates": one.judged,
                "notes": one.found.notes,
            })
        })
        .collect();
    json!({"policy": policy, "trusted_roots": roots.digests().collect::<Vec<_>>(), "images": images})
}

fn assemble(check: CheckResult, examined: Vec<Examined>) -> SignatureReport {
    let mut report = SignatureReport { check, candidates: Vec::new(), artifacts: Vec::new() };
    for one in examined {
        report.candidates.extend(one.judged);
        report.artifacts.extend(one.found.artifacts);
    }
    report
}
