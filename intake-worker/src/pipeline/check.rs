//! Putting one check's result together from several observations.

use registry_types::intake::{CheckName, CheckResult, Outcome, Reason};
use registry_types::policy::Requirement;
use registry_types::verdict::weigh;
use serde_json::Value;

/// Reasons listed for one check; the evidence holds the counts.
const MAX_REASONS: usize = 100;

/// What was seen: an outcome with its reasons.
pub(crate) struct Observation {
    pub(crate) outcome: Outcome,
    pub(crate) reasons: Vec<Reason>,
}

impl Observation {
    pub(crate) fn new(outcome: Outcome, reasons: Vec<Reason>) -> Self {
        Self { outcome, reasons }
    }
}

/// One result of several observations. The outcome is the one that weighs most under the requirement, so that, say, an
/// unenforced failure does not hide that something required could not be told. Observations without reasons don't count.
pub(crate) fn combined(
    name: CheckName,
    requirement: Requirement,
    observations: Vec<Observation>,
    evidence: Value,
) -> CheckResult {
    let mut observed: Vec<_> = observations.into_iter().filter(|o| !o.reasons.is_empty()).collect();
    observed.sort_by_key(|o| std::cmp::Reverse((weigh(Some(o.outcome), requirement), severity(o.outcome))));
    let Some(worst) = observed.first() else { return CheckResult::pass(name, evidence) };
    let outcome = worst.outcome;
    let mut reasons: Vec<Reason> = Vec::new();
    for reason in observed.into_iter().flat_map(|o| o.reasons) {
        if reasons.len() < MAX_REASONS && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    CheckResult::with_reasons(name, outcome, reasons, evidence)
}

/// Orders outcomes of equal weight.
const fn severity(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Pass | Outcome::NotApplicable => 0,
        Outcome::Warn => 1,
        Outcome::Unknown => 2,
        Outcome::Error => 3,
        Outcome::Fail => 4,
    }
}

#[cfg(test)]
mod tests {
    use registry_types::rejection_code::RejectionCode;

    use super::*;

    fn seen(outcome: Outcome) -> Observation {
        Observation::new(outcome, vec![Reason::new(RejectionCode::PolicyRejected, "rule", outcome.as_str())])
    }

    fn outcome(requirement: Requirement, observations: Vec<Observation>) -> (Outcome, usize) {
        let check = combined(CheckName::Vulnerabilities, requirement, observations, Value::Null);
        (check.outcome, check.reasons.len())
    }

    #[test]
    fn the_outcome_that_weighs_most_wins_and_no_reason_is_lost() {
        let strict = Requirement::STRICT;
        let all = || vec![seen(Outcome::Warn), seen(Outcome::Unknown), seen(Outcome::Fail)];
        assert_eq!(outcome(strict, all()), (Outcome::Fail, 3));
        let shadow = Requirement { required: true, enforced: false };
        assert_eq!(outcome(shadow, all()), (Outcome::Unknown, 3));
        assert_eq!(outcome(strict, vec![]), (Outcome::Pass, 0));
        assert_eq!(outcome(strict, vec![Observation::new(Outcome::Fail, Vec::new())]), (Outcome::Pass, 0));
    }
}
