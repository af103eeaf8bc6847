//! The evidence of the check `signature` in words: who signed, or what was found instead.

use registry_db::manifest_signatures::VersionSignature;
use registry_types::intake::{CheckResult, Outcome};
use registry_types::manifest_key::SignatureStanding;
use serde::Deserialize;
use serde_json::Value;

use super::text;

#[derive(Default)]
pub(super) struct SignatureView {
    /// What stands for all; before `signer`, if that is given.
    pub(super) summary: &'static str,
    /// The verified signer.
    pub(super) signer: Option<String>,
    pub(super) outcome: &'static str,
    pub(super) rows: Vec<SignatureRow>,
}

/// One signature or attestation that was found.
pub(super) struct SignatureRow {
    /// Style and word of what it counts for.
    pub(super) style: &'static str,
    pub(super) counts: String,
    pub(super) signer: String,
    pub(super) detail: String,
}

/// Who signed the package manifest, in words.
pub(super) struct ManifestSignatureView {
    /// Style of the badge, and its word.
    pub(super) style: &'static str,
    pub(super) standing: String,
    pub(super) summary: &'static str,
    pub(super) key: Option<String>,
}

impl From<VersionSignature> for ManifestSignatureView {
    fn from(signature: VersionSignature) -> Self {
        let (style, summary) = match signature.standing {
            SignatureStanding::Enrolled => ("pass", "The package manifest is signed by a key of its publisher:"),
            SignatureStanding::NotEnrolled => ("", "The package manifest is signed by a key that nobody vouches for:"),
            SignatureStanding::Revoked => ("fail", "The package manifest is signed by a key that was revoked by then:"),
            SignatureStanding::Unsigned => ("", "The package manifest is not signed."),
        };
        let standing = text::words(signature.standing.as_str());
        Self { style, standing, summary, key: signature.key.map(|key| key.to_string()) }
    }
}

/// As the worker writes it; what it leaves out is not shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Evidence {
    policy: String,
    images: Vec<Examined>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Examined {
    candidates: Vec<Candidate>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Candidate {
    outcome: String,
    why: Option<String>,
    subject: Option<String>,
    issuer: Option<String>,
    key: Option<String>,
    source_repository: Option<String>,
    log_index: Option<u64>,
    signed_at: Option<String>,
}

pub(super) fn signatures(check: Option<&CheckResult>) -> SignatureView {
    let Some(check) = check else {
        return SignatureView { summary: "Signatures were not looked for.", ..SignatureView::default() };
    };
    let mut evidence = evidence(&check.evidence);
    let images = std::mem::take(&mut evidence.images);
    let candidates: Vec<Candidate> = images.into_iter().flat_map(|image| image.candidates).collect();
    let signer = match check.outcome {
        Outcome::Pass | Outcome::Warn | Outcome::NotApplicable => {
            candidates.iter().find(|one| one.counts()).map(signer)
        }
        Outcome::Fail | Outcome::Error | Outcome::Unknown => None,
    };
    SignatureView {
        summary: if signer.is_some() { "Signed by" } else { unsigned(check.outcome, &evidence.policy) },
        signer,
        outcome: check.outcome.as_str(),
        rows: candidates.iter().map(row).collect(),
    }
}

/// Evidence in a form that this version does not know shows no rows; the check's outcome stands all the same.
fn evidence(value: &Value) -> Evidence {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

fn unsigned(outcome: Outcome, policy: &str) -> &'static str {
    match outcome {
        Outcome::Pass => "The signature check passed.",
        Outcome::NotApplicable | Outcome::Warn if policy == "none" => {
            "No verified signature; its namespace demands none."
        }
        Outcome::NotApplicable => "There is no image to sign.",
        Outcome::Warn | Outcome::Fail => "Not signed as its namespace demands.",
        Outcome::Error | Outcome::Unknown => "It could not be found out whether it is signed.",
    }
}

impl Candidate {
    fn counts(&self) -> bool {
        matches!(self.outcome.as_str(), "accepted" | "verified")
    }
}

fn signer(candidate: &Candidate) -> String {
    match (&candidate.subject, &candidate.key) {
        (Some(subject), _) => subject.clone(),
        (None, Some(key)) => format!("the key {}", text::short_digest(key)),
        (None, None) => "somebody who could not be verified".to_owned(),
    }
}

fn row(candidate: &Candidate) -> SignatureRow {
    let details = [
        candidate.issuer.as_ref().map(|issuer| format!("identity given by {issuer}")),
        candidate.source_repository.as_ref().map(|repository| format!("built from {repository}")),
        candidate.signed_at.as_ref().map(|at| format!("signed {at}")),
        candidate.log_index.map(|index| format!("log entry {index}")),
        candidate.why.clone(),
    ];
    SignatureRow {
        style: if candidate.counts() { "pass" } else { "" },
        counts: text::words(&candidate.outcome),
        signer: signer(candidate),
        detail: details.into_iter().flatten().collect::<Vec<_>>().join(" · "),
    }
}

#[cfg(test)]
mod tests {
    use registry_types::intake::CheckName;
    use serde_json::json;

    use super::*;

    fn check(outcome: Outcome, evidence: Value) -> CheckResult {
        CheckResult::with_reasons(CheckName::Signature, outcome, Vec::new(), evidence)
    }

    #[test]
    fn says_who_signed_only_where_that_was_verified() {
        let candidate =
            json!({"outcome": "accepted", "subject": "ci@acme.example", "issuer": "https://issuer.example"});
        let evidence = json!({"policy": "required", "images": [{"candidates": [candidate]}]});
        let view = signatures(Some(&check(Outcome::Pass, evidence)));
        assert_eq!((view.summary, view.signer.as_deref()), ("Signed by", Some("ci@acme.example")));
        assert_eq!(view.rows[0].style, "pass");

        let forged =
            json!({"policy": "required", "images": [{"candidates": [{"outcome": "invalid", "why": "other digest"}]}]});
        let view = signatures(Some(&check(Outcome::Fail, forged)));
        assert_eq!(view.summary, "Not signed as its namespace demands.");
        assert_eq!(view.rows[0].detail, "other digest");
    }

    #[test]
    fn an_outage_is_never_called_unsigned() {
        let view = signatures(Some(&check(Outcome::Error, json!({"could_not_check": "timeout"}))));
        assert_eq!(view.summary, "It could not be found out whether it is signed.");
        assert_eq!(signatures(None).summary, "Signatures were not looked for.");
    }
}
