//! The verdict algebra: a pure function of the checks and the policy.

use serde::{Deserialize, Serialize};

use crate::intake::{CheckName, CheckResult, Outcome, Reason};
use crate::policy::{Policy, Requirement};
use crate::rejection_code::RejectionCode;

/// What becomes of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// `warnings` are shown with the version for ever.
    Active {
        warnings: Vec<Reason>,
    },
    Rejected {
        code: RejectionCode,
        reasons: Vec<Reason>,
        warnings: Vec<Reason>,
    },
    /// A person decides: nothing failed, but something required could not be told.
    InReview {
        reasons: Vec<Reason>,
        warnings: Vec<Reason>,
    },
}

/// How one check weighs on the verdict; later values are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    Clear,
    Warning,
    Undecided,
    Rejection,
}

/// The weight of an outcome under a requirement; `None` is a missing check.
#[must_use]
pub const fn weigh(outcome: Option<Outcome>, requirement: Requirement) -> Weight {
    match outcome {
        Some(Outcome::Pass | Outcome::NotApplicable) => Weight::Clear,
        Some(Outcome::Warn) => Weight::Warning,
        Some(Outcome::Fail) if requirement.enforced => Weight::Rejection,
        // Shadow mode: recorded and shown, never blocking.
        Some(Outcome::Fail) => Weight::Warning,
        Some(Outcome::Error | Outcome::Unknown) | None if requirement.required => Weight::Undecided,
        Some(Outcome::Error | Outcome::Unknown) | None => Weight::Warning,
    }
}

/// Decides. The worst weight over all of [`CheckName::ALL`] wins; results of the same check add up.
#[must_use]
pub fn decide(checks: &[CheckResult], policy: &Policy) -> Decision {
    let mut rejections = Vec::new();
    let mut undecided = Vec::new();
    let mut warnings = Vec::new();
    for name in CheckName::ALL {
        let requirement = policy.requirements.of(*name);
        let results: Vec<_> = checks.iter().filter(|c| c.name == *name).collect();
        if results.is_empty() {
            let reason = Reason::new(
                RejectionCode::SecurityScanIncomplete,
                format!("{name}.required"),
                format!("the check {name} has no result"),
            );
            match weigh(None, requirement) {
                Weight::Undecided => undecided.push(reason),
                Weight::Clear | Weight::Warning | Weight::Rejection => warnings.push(reason),
            }
        }
        for result in results {
            match weigh(Some(result.outcome), requirement) {
                Weight::Clear => {}
                Weight::Warning => warnings.extend(reasons_of(result)),
                Weight::Undecided => undecided.extend(reasons_of(result)),
                Weight::Rejection => rejections.extend(reasons_of(result)),
            }
        }
    }
    if let Some(first) = rejections.first() {
        let code = first.code;
        rejections.extend(undecided);
        Decision::Rejected { code, reasons: rejections, warnings }
    } else if undecided.is_empty() {
        Decision::Active { warnings }
    } else {
        Decision::InReview { reasons: undecided, warnings }
    }
}

/// A result that did not pass always has a reason, even if its check gave none.
fn reasons_of(result: &CheckResult) -> Vec<Reason> {
    if !result.reasons.is_empty() {
        return result.reasons.clone();
    }
    vec![Reason::new(
        RejectionCode::PolicyRejected,
        format!("{}.{}", result.name, result.outcome),
        format!("the check {} ended with {}", result.name, result.outcome),
    )]
}
