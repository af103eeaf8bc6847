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
    /// A person decides: nothing failed, but something required could not be told, or the organization's path asks for it.
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
///
/// A refusal's reasons are those that were found; that later checks were then not carried out is none of them.
#[must_use]
pub fn decide(checks: &[CheckResult], policy: &Policy) -> Decision {
    decide_accepting(checks, policy, |_| false)
}

/// As [`decide`], but what could not be told by a result that `accepts` holds of only warns.
fn decide_accepting(checks: &[CheckResult], policy: &Policy, accepts: impl Fn(&CheckResult) -> bool) -> Decision {
    let mut rejections = Vec::new();
    let mut undecided = Vec::new();
    let mut missing = Vec::new();
    let mut warnings = Vec::new();
    for name in CheckName::ALL {
        let requirement = policy.requirements.of(*name);
        let results: Vec<_> = checks.iter().filter(|c| c.name == *name).collect();
        if results.is_empty() {
            match weigh(None, requirement) {
                Weight::Undecided => missing.push(missing_reason(*name)),
                Weight::Clear | Weight::Warning | Weight::Rejection => warnings.push(missing_reason(*name)),
            }
        }
        for result in results {
            match weigh(Some(result.outcome), requirement) {
                Weight::Clear => {}
                Weight::Warning => warnings.extend(reasons_of(result)),
                // Shown with the version for ever.
                Weight::Undecided if accepts(result) => warnings.extend(reasons_of(result)),
                Weight::Undecided => undecided.extend(reasons_of(result)),
                Weight::Rejection => rejections.extend(reasons_of(result)),
            }
        }
    }
    if let Some(first) = rejections.first() {
        let code = first.code;
        rejections.extend(undecided);
        return Decision::Rejected { code, reasons: rejections, warnings };
    }
    undecided.extend(missing);
    if undecided.is_empty() {
        Decision::Active { warnings }
    } else {
        Decision::InReview { reasons: undecided, warnings }
    }
}

fn missing_reason(name: CheckName) -> Reason {
    let message = format!("the check {name} has no result");
    Reason::new(RejectionCode::SecurityScanIncomplete, format!("{name}.required"), message)
}

/// What lies between the checks and the decision: the path of the organization's tier, and a person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Path<'a> {
    /// Why a person is asked although every check is clear.
    pub demand: &'a [Reason],
    /// The reasons that a person saw and accepted, for the same bytes.
    pub accepted: &'a [Reason],
}

/// Decides on the version's path. A person's word never turns what failed into a pass, nor what could not be carried out:
/// only what the path demands, and what could not be told by checks that the policy leaves to people.
#[must_use]
pub fn decide_on_path(checks: &[CheckResult], policy: &Policy, path: Path<'_>) -> Decision {
    let is_accepted = |result: &CheckResult| {
        is_left_to_people(result, policy) && reasons_of(result).iter().all(|reason| path.accepted.contains(reason))
    };
    let (mut open, warnings) = match decide_accepting(checks, policy, is_accepted) {
        rejected @ Decision::Rejected { .. } => return rejected,
        Decision::InReview { reasons, warnings } => (reasons, warnings),
        Decision::Active { warnings } => (Vec::new(), warnings),
    };
    open.extend(path.demand.iter().filter(|reason| !path.accepted.contains(reason)).cloned());
    if open.is_empty() { Decision::Active { warnings } } else { Decision::InReview { reasons: open, warnings } }
}

/// Why no person can approve it: what failed, or could not be told otherwise than as the policy leaves to people. That goes
/// when its cause does.
#[must_use]
pub fn beyond_people(checks: &[CheckResult], policy: &Policy) -> Vec<Reason> {
    match decide_accepting(checks, policy, |result| is_left_to_people(result, policy)) {
        Decision::Active { .. } => Vec::new(),
        Decision::Rejected { reasons, .. } | Decision::InReview { reasons, .. } => reasons,
    }
}

fn is_left_to_people(result: &CheckResult, policy: &Policy) -> bool {
    result.outcome == Outcome::Unknown && policy.reviews.acceptable.contains(&result.name)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Requirements;

    const REQUIREMENTS: [Requirement; 4] = [
        Requirement { required: false, enforced: false },
        Requirement { required: false, enforced: true },
        Requirement { required: true, enforced: false },
        Requirement { required: true, enforced: true },
    ];

    fn outcomes() -> Vec<Option<Outcome>> {
        Outcome::ALL.iter().copied().map(Some).chain([None]).collect()
    }

    fn result(name: CheckName, outcome: Outcome) -> CheckResult {
        let reasons = match outcome {
            Outcome::Pass | Outcome::NotApplicable => Vec::new(),
            Outcome::Warn | Outcome::Fail | Outcome::Error | Outcome::Unknown => {
                vec![Reason::new(RejectionCode::SecurityScanFailed, "rule", "found")]
            }
        };
        CheckResult { name, outcome, reasons, evidence: serde_json::Value::Null }
    }

    fn clear_but(name: CheckName, outcome: Option<Outcome>) -> Vec<CheckResult> {
        let others = CheckName::ALL.iter().filter(|other| **other != name).map(|other| result(*other, Outcome::Pass));
        others.chain(outcome.map(|outcome| result(name, outcome))).collect()
    }

    fn requiring(name: CheckName, requirement: Requirement) -> Policy {
        let mut requirements = Requirements::default();
        let slot = match name {
            CheckName::Image => &mut requirements.image,
            CheckName::Signature => &mut requirements.signature,
            CheckName::Archive => &mut requirements.archive,
            CheckName::Vulnerabilities => &mut requirements.vulnerabilities,
            CheckName::Secrets => &mut requirements.secrets,
            CheckName::PackageManifest => &mut requirements.package_manifest,
            CheckName::Ui => &mut requirements.ui,
            CheckName::Permissions => &mut requirements.permissions,
        };
        *slot = requirement;
        Policy { requirements, ..Policy::default() }
    }

    /// Worse is greater.
    fn rank(decision: &Decision) -> u8 {
        match decision {
            Decision::Active { .. } => 0,
            Decision::InReview { .. } => 1,
            Decision::Rejected { .. } => 2,
        }
    }

    /// The table that the algebra is meant to be, written out.
    fn expected(outcome: Option<Outcome>, requirement: Requirement) -> u8 {
        match (outcome, requirement.required, requirement.enforced) {
            (Some(Outcome::Pass | Outcome::NotApplicable | Outcome::Warn), _, _) => 0,
            (Some(Outcome::Fail), _, true) => 2,
            (Some(Outcome::Fail), _, false) => 0,
            (Some(Outcome::Error | Outcome::Unknown) | None, true, _) => 1,
            (Some(Outcome::Error | Outcome::Unknown) | None, false, _) => 0,
        }
    }

    #[test]
    fn every_outcome_of_every_check_under_every_requirement() {
        for name in CheckName::ALL {
            for requirement in REQUIREMENTS {
                for outcome in outcomes() {
                    let decision = decide(&clear_but(*name, outcome), &requiring(*name, requirement));
                    assert_eq!(rank(&decision), expected(outcome, requirement), "{name} {outcome:?} {requirement:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_clear_is_always_told() {
        for name in CheckName::ALL {
            for requirement in REQUIREMENTS {
                for outcome in outcomes() {
                    let told = match decide(&clear_but(*name, outcome), &requiring(*name, requirement)) {
                        Decision::Active { warnings } => warnings.len(),
                        Decision::InReview { reasons, .. } | Decision::Rejected { reasons, .. } => reasons.len(),
                    };
                    let clear = matches!(outcome, Some(Outcome::Pass | Outcome::NotApplicable));
                    assert_eq!(told == 0, clear, "{name} {outcome:?} {requirement:?}");
                }
            }
        }
    }

    #[test]
    fn without_checks_nothing_becomes_active() {
        assert!(matches!(decide(&[], &Policy::default()), Decision::InReview { .. }));
    }

    #[test]
    fn a_refusal_names_its_cause_first_and_not_what_was_left_out() {
        let decision = decide(&[result(CheckName::Vulnerabilities, Outcome::Fail)], &Policy::default());
        let Decision::Rejected { code, reasons, .. } = decision else { panic!("not rejected") };
        assert_eq!(code, RejectionCode::SecurityScanFailed);
        assert_eq!(reasons.len(), 1);
    }

    fn any_results() -> impl Strategy<Value = Vec<CheckResult>> {
        let any_result = (proptest::sample::select(CheckName::ALL), proptest::sample::select(Outcome::ALL))
            .prop_map(|(name, outcome)| result(name, outcome));
        prop_oneof![
            proptest::collection::vec(any_result, 0..12),
            // Mostly complete sets, so that the decision depends on few results.
            proptest::collection::vec(proptest::sample::select(Outcome::ALL), CheckName::ALL.len())
                .prop_map(|outcomes| CheckName::ALL.iter().zip(outcomes).map(|(n, o)| result(*n, o)).collect()),
        ]
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        (proptest::sample::select(CheckName::ALL), proptest::sample::select(&REQUIREMENTS[..]))
            .prop_map(|(name, requirement)| requiring(name, requirement))
    }

    fn required() -> Reason {
        Reason::new(RejectionCode::ReviewRequired, "review.tier=community", "a person looks at it")
    }

    /// The decision when a person accepts all that the decision without one asks about.
    fn approved(checks: &[CheckResult], policy: &Policy, demand: &[Reason]) -> Decision {
        let asked = match decide_on_path(checks, policy, Path { demand, accepted: &[] }) {
            Decision::InReview { reasons, .. } => reasons,
            Decision::Active { .. } | Decision::Rejected { .. } => Vec::new(),
        };
        decide_on_path(checks, policy, Path { demand, accepted: &asked })
    }

    #[test]
    fn a_person_accepts_what_the_path_demands_and_what_the_policy_leaves_to_people() {
        let policy = Policy::default();
        let clear = clear_but(CheckName::Image, Some(Outcome::Pass));
        let demand = [required()];
        let waiting = decide_on_path(&clear, &policy, Path { demand: &demand, accepted: &[] });
        assert_eq!(waiting, Decision::InReview { reasons: demand.to_vec(), warnings: Vec::new() });
        assert_eq!(approved(&clear, &policy, &demand), Decision::Active { warnings: Vec::new() });
        assert_eq!(decide_on_path(&clear, &policy, Path::default()), Decision::Active { warnings: Vec::new() });

        let untold = clear_but(CheckName::Vulnerabilities, Some(Outcome::Unknown));
        let Decision::Active { warnings } = approved(&untold, &policy, &[]) else { panic!("not accepted") };
        assert_eq!(warnings.len(), 1, "what was accepted stays told");
        // The same could not be told, but for another reason than the one that was accepted.
        let other = [Reason::new(RejectionCode::SecurityScanIncomplete, "rule", "something else")];
        let path = Path { demand: &[], accepted: &other };
        assert!(matches!(decide_on_path(&untold, &policy, path), Decision::InReview { .. }));
    }

    #[test]
    fn no_person_turns_a_failure_an_error_or_a_missing_check_into_a_pass() {
        for name in CheckName::ALL {
            for outcome in [Some(Outcome::Fail), Some(Outcome::Error), None] {
                let checks = clear_but(*name, outcome);
                let decision = approved(&checks, &Policy::default(), &[required()]);
                assert!(!matches!(decision, Decision::Active { .. }), "{name} {outcome:?}: {decision:?}");
            }
        }
        for proof in [CheckName::Image, CheckName::Archive, CheckName::Signature] {
            let checks = clear_but(proof, Some(Outcome::Unknown));
            assert!(!matches!(approved(&checks, &Policy::default(), &[]), Decision::Active { .. }), "{proof}");
            let mut policy = Policy::default();
            policy.reviews.acceptable.push(proof);
            assert!(policy.validate().is_err(), "{proof} is never left to a person");
        }
    }

    #[test]
    fn what_no_person_can_accept_is_told_before_anybody_tries() {
        let policy = Policy::default();
        let error = clear_but(CheckName::Signature, Some(Outcome::Error));
        let Decision::InReview { reasons, .. } = decide(&error, &policy) else { panic!("decided") };
        assert_eq!(beyond_people(&error, &policy), reasons);
        let unknown = clear_but(CheckName::Vulnerabilities, Some(Outcome::Unknown));
        assert_eq!(beyond_people(&unknown, &policy), []);
    }

    #[test]
    fn a_reason_that_was_accepted_of_one_check_is_not_accepted_of_another() {
        // The same words, once about what a person may accept and once about what could not be carried out.
        let checks = [
            clear_but(CheckName::Vulnerabilities, Some(Outcome::Unknown)),
            vec![result(CheckName::Signature, Outcome::Error)],
        ];
        let checks = checks.concat();
        assert!(matches!(approved(&checks, &Policy::default(), &[]), Decision::InReview { .. }));
    }

    proptest! {
        #[test]
        fn a_further_result_of_a_judged_check_never_improves(
            checks in any_results(), policy in any_policy(), outcome in proptest::sample::select(Outcome::ALL), at: usize,
        ) {
            prop_assume!(!checks.is_empty());
            let before = rank(&decide(&checks, &policy));
            let name = checks[at % checks.len()].name;
            let mut more = checks;
            more.push(result(name, outcome));
            prop_assert!(rank(&decide(&more, &policy)) >= before);
        }

        #[test]
        fn losing_a_check_that_did_not_fail_never_improves(checks in any_results(), policy in any_policy(), at: usize) {
            prop_assume!(!checks.is_empty());
            let before = rank(&decide(&checks, &policy));
            let lost = &checks[at % checks.len()];
            let only_result = checks.iter().filter(|check| check.name == lost.name).count() == 1;
            prop_assume!(only_result && lost.outcome != Outcome::Fail);
            let name = lost.name;
            let rest: Vec<_> = checks.into_iter().filter(|check| check.name != name).collect();
            prop_assert!(rank(&decide(&rest, &policy)) >= before);
        }

        #[test]
        fn no_loss_makes_a_version_active_whose_checks_are_all_required(checks in any_results(), at: usize) {
            prop_assume!(!checks.is_empty());
            let name = checks[at % checks.len()].name;
            let rest: Vec<_> = checks.into_iter().filter(|check| check.name != name).collect();
            prop_assert!(rank(&decide(&rest, &Policy::default())) >= 1);
        }

        #[test]
        fn worsening_a_result_never_improves(
            checks in any_results(), policy in any_policy(), worse in proptest::sample::select(Outcome::ALL), at: usize,
        ) {
            prop_assume!(!checks.is_empty());
            let before = rank(&decide(&checks, &policy));
            let mut changed = checks;
            let at = at % changed.len();
            let (name, was) = (changed[at].name, changed[at].outcome);
            let requirement = policy.requirements.of(name);
            prop_assume!(weigh(Some(worse), requirement) >= weigh(Some(was), requirement));
            changed[at] = result(name, worse);
            prop_assert!(rank(&decide(&changed, &policy)) >= before);
        }

        #[test]
        fn a_stricter_requirement_never_improves(
            checks in any_results(), name in proptest::sample::select(CheckName::ALL), from in 0_usize..4, to in 0_usize..4,
        ) {
            let (from, to) = (REQUIREMENTS[from], REQUIREMENTS[to]);
            prop_assume!(to.required >= from.required && to.enforced >= from.enforced);
            let before = rank(&decide(&checks, &requiring(name, from)));
            prop_assert!(rank(&decide(&checks, &requiring(name, to))) >= before);
        }

        #[test]
        fn a_path_never_improves_a_decision_without_a_person(checks in any_results(), policy in any_policy()) {
            let demand = [required()];
            let path = Path { demand: &demand, accepted: &[] };
            prop_assert!(rank(&decide_on_path(&checks, &policy, path)) >= rank(&decide(&checks, &policy)));
        }

        #[test]
        fn whatever_a_person_accepted_a_further_result_never_improves(
            checks in any_results(), policy in any_policy(), outcome in proptest::sample::select(Outcome::ALL), at: usize,
        ) {
            prop_assume!(!checks.is_empty());
            let asked = match decide(&checks, &policy) {
                Decision::InReview { reasons, .. } => reasons,
                Decision::Active { .. } | Decision::Rejected { .. } => Vec::new(),
            };
            let path = Path { demand: &[], accepted: &asked };
            let before = rank(&decide_on_path(&checks, &policy, path));
            let name = checks[at % checks.len()].name;
            let mut more = checks;
            more.push(result(name, outcome));
            prop_assert!(rank(&decide_on_path(&more, &policy, path)) >= before);
        }

        #[test]
        fn the_order_of_results_does_not_matter(checks in any_results(), policy in any_policy()) {
            let reversed: Vec<_> = checks.iter().rev().cloned().collect();
            prop_assert_eq!(rank(&decide(&checks, &policy)), rank(&decide(&reversed, &policy)));
        }
    }
}
