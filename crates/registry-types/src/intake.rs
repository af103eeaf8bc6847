//! An intake's states, steps and checks.

use serde::{Deserialize, Serialize};

use crate::rejection_code::RejectionCode;
use crate::text_enum;

text_enum! {
    pub enum IntakeState { Queued = "queued", Running = "running", Decided = "decided", Failed = "failed" }
}

text_enum! {
    /// The pipeline's steps, in order.
    pub enum IntakeStep {
        Resolve = "resolve",
        Verify = "verify",
        Transfer = "transfer",
        Merge = "merge",
        Scan = "scan",
        Manifest = "manifest",
        Ui = "ui",
        Policy = "policy",
        Decide = "decide",
    }
}

text_enum! {
    /// What is judged. Every intake has exactly one result of each; a missing one counts as `error`.
    pub enum CheckName {
        /// The reference resolved to a digest, all manifests within limits.
        Image = "image",
        /// Signatures against the namespace's signature policy.
        Signature = "signature",
        /// Every layer read, digests right, archives unambiguous and within limits.
        Archive = "archive",
        /// Known vulnerabilities of the components.
        Vulnerabilities = "vulnerabilities",
        /// Secrets in files.
        Secrets = "secrets",
        /// The package manifest in the image: format rules, equality with the submitted one, entrypoint.
        PackageManifest = "package_manifest",
        /// The UI bundle of a `with-ui` module.
        Ui = "ui",
        /// Declared permissions and network against the policy.
        Permissions = "permissions",
    }
}

text_enum! {
    pub enum Outcome {
        Pass = "pass",
        Warn = "warn",
        Fail = "fail",
        /// The check could not be carried out.
        Error = "error",
        /// The check was carried out and could not tell.
        Unknown = "unknown",
        NotApplicable = "not_applicable",
    }
}

/// Why a check did not pass: code, rule, where, and what would fix it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: RejectionCode,
    /// The rule that was applied, e.g. `vulnerabilities.reject_at=HIGH`.
    pub rule: String,
    /// For people; lower case, no full stop.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What the author can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Reason {
    pub fn new(code: RejectionCode, rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, rule: rule.into(), message: message.into(), file: None, layer: None, package: None, fix: None }
    }

    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    #[must_use]
    pub fn in_layer(mut self, layer: impl ToString) -> Self {
        self.layer = Some(layer.to_string());
        self
    }

    #[must_use]
    pub fn of_package(mut self, package: impl Into<String>) -> Self {
        self.package = Some(package.into());
        self
    }

    #[must_use]
    pub fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// The result of one check with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    pub name: CheckName,
    pub outcome: Outcome,
    /// At least one for every outcome but `pass` and `not_applicable`; first the weightiest.
    pub reasons: Vec<Reason>,
    /// Facts for people and auditors; never a secret.
    pub evidence: serde_json::Value,
}

impl CheckResult {
    #[must_use]
    pub const fn pass(name: CheckName, evidence: serde_json::Value) -> Self {
        Self { name, outcome: Outcome::Pass, reasons: Vec::new(), evidence }
    }

    #[must_use]
    pub const fn not_applicable(name: CheckName, evidence: serde_json::Value) -> Self {
        Self { name, outcome: Outcome::NotApplicable, reasons: Vec::new(), evidence }
    }

    #[must_use]
    pub const fn with_reasons(
        name: CheckName,
        outcome: Outcome,
        reasons: Vec<Reason>,
        evidence: serde_json::Value,
    ) -> Self {
        Self { name, outcome, reasons, evidence }
    }
}
