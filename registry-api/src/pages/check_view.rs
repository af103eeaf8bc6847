//! Checks and reasons as the pages of packages and intakes show them; `templates/checks.html` draws them.

use registry_types::intake::{CheckName, CheckResult, Reason};
use serde_json::Value;

use super::error::sentence;
use super::text;

pub(super) struct CheckView {
    /// The outcome's word, which is also its style.
    pub(super) outcome: &'static str,
    pub(super) outcome_words: String,
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) reasons: Vec<ReasonView>,
    /// Indented JSON; empty when there is none.
    pub(super) evidence: String,
}

pub(super) struct ReasonView {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) rule: String,
    /// Package, file and layer, where they are known.
    pub(super) places: Vec<(&'static str, String)>,
    pub(super) fix: Option<String>,
}

impl From<CheckResult> for CheckView {
    fn from(check: CheckResult) -> Self {
        Self {
            outcome: check.outcome.as_str(),
            outcome_words: text::words(check.outcome.as_str()),
            name: title(check.name),
            what: question(check.name),
            reasons: check.reasons.into_iter().map(Into::into).collect(),
            evidence: pretty(&check.evidence),
        }
    }
}

impl From<Reason> for ReasonView {
    fn from(reason: Reason) -> Self {
        let places = [
            ("package", reason.package),
            ("file", reason.file),
            ("layer", reason.layer.as_deref().map(text::short_digest)),
        ];
        Self {
            code: reason.code.as_str(),
            message: sentence(&reason.message),
            rule: reason.rule,
            places: places.into_iter().filter_map(|(what, place)| place.map(|place| (what, place))).collect(),
            fix: reason.fix.map(|fix| sentence(&fix)),
        }
    }
}

const fn title(name: CheckName) -> &'static str {
    match name {
        CheckName::Image => "Image",
        CheckName::Signature => "Signature",
        CheckName::Archive => "Archive",
        CheckName::Vulnerabilities => "Vulnerabilities",
        CheckName::Secrets => "Secrets",
        CheckName::PackageManifest => "Package manifest",
        CheckName::Ui => "UI bundle",
        CheckName::Permissions => "Permissions",
    }
}

/// What the check asks, for people who meet it first here.
const fn question(name: CheckName) -> &'static str {
    match name {
        CheckName::Image => "Does the reference lead to one image, within the limits?",
        CheckName::Signature => "Is it signed by somebody whom its namespace's policy names?",
        CheckName::Archive => "Is every layer what its digest says, and one unambiguous archive?",
        CheckName::Vulnerabilities => "Does it hold components with known vulnerabilities?",
        CheckName::Secrets => "Are keys or tokens left in its files?",
        CheckName::PackageManifest => "Does it hold the manifest that was submitted, and the code that it names?",
        CheckName::Ui => "Does a module with a user interface bring its bundle?",
        CheckName::Permissions => "Does it ask only for what the policy allows?",
    }
}

fn pretty(evidence: &Value) -> String {
    let is_empty = match evidence {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
    };
    // Writing a value that was read cannot fail; if it did, there is nothing to show.
    if is_empty { String::new() } else { serde_json::to_string_pretty(evidence).unwrap_or_default() }
}
