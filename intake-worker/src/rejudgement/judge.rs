//! One version, judged by other advisories or waivers than before: pure.

use image_scan::advisories::MatchResult;
use registry_db::advisories::SnapshotInfo;
use registry_db::rejudgement::JudgedVersion;
use registry_db::reviews::{Baseline, Entry};
use registry_db::waivers::UsedWaiver;
use registry_types::advisory::Finding;
use registry_types::intake::{CheckName, CheckResult, Reason};
use registry_types::package::VersionState;
use registry_types::policy::Policy;
use registry_types::profile::Profile;
use registry_types::rejection_code::RejectionCode;
use registry_types::verdict::{Decision, Path, decide_on_path};

use crate::pipeline::review_path::{Asked, Candidate, asked};
use crate::vulnerabilities::{self, Checked, INCOMPLETE_RULE, Scan, Waivers};

/// What becomes of a version.
pub(super) enum Judged {
    /// Nothing about it has changed.
    AsBefore,
    /// It stays as it is for now, and is owed a judgement by better advisories: these may no longer carry a verdict.
    Left,
    Anew(Box<Anew>),
}

/// A new decision.
pub(super) struct Anew {
    /// The check that differs.
    pub(super) vulnerabilities: CheckResult,
    pub(super) checks: Vec<CheckResult>,
    pub(super) decision: Decision,
    pub(super) state: VersionState,
    pub(super) code: Option<RejectionCode>,
    pub(super) findings: Vec<Finding>,
    pub(super) waivers: Vec<UsedWaiver>,
    /// What a reviewer is shown, for a version that waits for one.
    pub(super) entry: Entry,
}

/// The version's checks with `vulnerabilities` made anew; all else of them stands.
pub(super) fn judge(
    version: &JudgedVersion,
    matched: MatchResult,
    snapshot: &SnapshotInfo,
    baseline: Option<&Baseline>,
    policy: &Policy,
    profile: Profile,
) -> Judged {
    let earlier = version.checks.iter().find(|check| check.name == CheckName::Vulnerabilities);
    let (incomplete, incomplete_reasons) = incomplete(earlier);
    let Checked { check, waivers } = vulnerabilities::check(&Scan {
        components: &version.components,
        incomplete,
        incomplete_reasons,
        snapshot: Some(snapshot),
        matched: &matched,
        waivers: Waivers {
            of_organization: &version.waivers,
            at: version.at,
            package: &version.package_name.name,
            version: &version.number,
        },
        policy,
        profile,
    });
    let says_the_same = earlier.is_some_and(|e| (e.outcome, &e.reasons) == (check.outcome, &check.reasons));
    if says_the_same && is_same(&version.findings, &matched.findings) {
        return Judged::AsBefore;
    }
    let others = version.checks.iter().filter(|other| other.name != CheckName::Vulnerabilities);
    let mut checks: Vec<_> = others.cloned().chain([check.clone()]).collect();
    checks.sort_by_key(|check| check.name);
    let asked = asked_about(version, &checks, baseline, policy);
    let path = Path { demand: &asked.demand, accepted: &version.accepted };
    let decision = decide_on_path(&checks, policy, path);
    let is_trusted = vulnerabilities::carries_verdict(snapshot, policy, profile);
    match next_state(version.state, &decision, is_trusted) {
        None => Judged::Left,
        Some(state) => Judged::Anew(Box::new(Anew {
            vulnerabilities: check,
            checks,
            code: code(state, &decision),
            decision,
            state,
            findings: matched.findings,
            waivers,
            entry: asked.entry,
        })),
    }
}

/// A version that was active once has gone its path; one that waits for a person is still on it.
fn asked_about(version: &JudgedVersion, checks: &[CheckResult], baseline: Option<&Baseline>, policy: &Policy) -> Asked {
    match version.state {
        VersionState::InReview => {
            let (tier, format, package_manifest) = (version.tier, version.format, &version.package_manifest);
            asked(&Candidate { tier, format, package_manifest, checks }, baseline, &policy.reviews)
        }
        VersionState::Pending
        | VersionState::Active
        | VersionState::Rejected
        | VersionState::Quarantined
        | VersionState::Yanked => Asked::default(),
    }
}

/// Why the components may not be all, as the intake found it: that does not change with the advisories. What it did not
/// note is not assumed to be well.
fn incomplete(earlier: Option<&CheckResult>) -> (usize, Vec<Reason>) {
    let noted = earlier.and_then(|check| check.evidence.get("incomplete")?.as_u64());
    let count = noted.map_or(1, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let all = earlier.map_or(&[][..], |check| &check.reasons);
    let mut reasons: Vec<_> = all.iter().filter(|reason| reason.rule == INCOMPLETE_RULE).cloned().collect();
    if count > 0 && reasons.is_empty() {
        let message = "the intake did not record that all components are known";
        let reason = Reason::new(RejectionCode::SecurityScanIncomplete, INCOMPLETE_RULE, message);
        reasons.push(reason.fixed_by("publish the module again under a new version number"));
    }
    (count, reasons)
}

fn is_same(earlier: &[Finding], later: &[Finding]) -> bool {
    let sorted = |findings: &[Finding]| {
        let mut sorted = findings.to_vec();
        sorted.sort_unstable();
        sorted
    };
    earlier.len() == later.len() && sorted(earlier) == sorted(later)
}

/// `None`: it is left as it is. Advisories that a version may not become active by (stale, the starter set in production)
/// can show that one must be quarantined, not that nothing can be told about it any more.
const fn next_state(from: VersionState, decision: &Decision, is_trusted: bool) -> Option<VersionState> {
    match (from, decision) {
        (VersionState::Active | VersionState::Quarantined | VersionState::InReview, Decision::Active { .. }) => {
            Some(VersionState::Active)
        }
        (VersionState::Active | VersionState::Quarantined, Decision::Rejected { .. }) => {
            Some(VersionState::Quarantined)
        }
        (VersionState::Active, Decision::InReview { .. }) if !is_trusted => None,
        // Not knowing is not enough to be served.
        (VersionState::Active | VersionState::Quarantined, Decision::InReview { .. }) => {
            Some(VersionState::Quarantined)
        }
        (VersionState::InReview, Decision::Rejected { .. }) => Some(VersionState::Rejected),
        (VersionState::InReview, Decision::InReview { .. }) => Some(VersionState::InReview),
        // Nobody asks about these.
        (VersionState::Pending | VersionState::Rejected | VersionState::Yanked, _) => None,
    }
}

/// Why a version is rejected or quarantined.
fn code(state: VersionState, decision: &Decision) -> Option<RejectionCode> {
    match (state, decision) {
        (VersionState::Rejected | VersionState::Quarantined, Decision::Rejected { code, .. }) => Some(*code),
        (VersionState::Quarantined, Decision::InReview { reasons, .. }) => {
            Some(reasons.first().map_or(RejectionCode::SecurityScanIncomplete, |reason| reason.code))
        }
        (_, Decision::Active { .. } | Decision::Rejected { .. } | Decision::InReview { .. }) => None,
    }
}

#[cfg(test)]
mod tests {
    use registry_types::intake::Outcome;
    use serde_json::json;

    use super::*;

    fn decisions() -> [Decision; 3] {
        let reasons = vec![Reason::new(RejectionCode::SecurityScanIncomplete, "rule", "why")];
        [
            Decision::Active { warnings: Vec::new() },
            Decision::Rejected {
                code: RejectionCode::SecurityScanFailed,
                reasons: reasons.clone(),
                warnings: Vec::new(),
            },
            Decision::InReview { reasons, warnings: Vec::new() },
        ]
    }

    #[test]
    fn a_version_is_served_only_by_a_decision_that_says_so() {
        for from in VersionState::ALL {
            for decision in decisions() {
                for is_trusted in [false, true] {
                    let to = next_state(*from, &decision, is_trusted);
                    let says_active = matches!(decision, Decision::Active { .. });
                    assert!(to != Some(VersionState::Active) || says_active, "{from} {decision:?}");
                }
            }
        }
    }

    #[test]
    fn what_was_served_is_quarantined_and_what_never_was_is_rejected() {
        let [_, rejected, undecided] = decisions();
        assert_eq!(next_state(VersionState::Active, &rejected, true), Some(VersionState::Quarantined));
        assert_eq!(next_state(VersionState::Active, &rejected, false), Some(VersionState::Quarantined));
        assert_eq!(next_state(VersionState::Active, &undecided, true), Some(VersionState::Quarantined));
        assert_eq!(next_state(VersionState::Active, &undecided, false), None);
        assert_eq!(next_state(VersionState::InReview, &rejected, true), Some(VersionState::Rejected));
        assert_eq!(next_state(VersionState::InReview, &undecided, true), Some(VersionState::InReview));
        assert_eq!(code(VersionState::Quarantined, &rejected), Some(RejectionCode::SecurityScanFailed));
        assert_eq!(code(VersionState::Quarantined, &undecided), Some(RejectionCode::SecurityScanIncomplete));
        assert_eq!(code(VersionState::InReview, &undecided), None);
    }

    #[test]
    fn components_that_the_intake_may_have_missed_stay_missed() {
        let check = |reasons: Vec<Reason>, evidence| {
            CheckResult::with_reasons(CheckName::Vulnerabilities, Outcome::Unknown, reasons, evidence)
        };
        let noted = Reason::new(RejectionCode::SecurityScanIncomplete, INCOMPLETE_RULE, "no package database");
        let other = Reason::new(RejectionCode::SecurityScanFailed, "vulnerabilities.reject_at=HIGH", "a finding");
        let known = check(vec![other.clone(), noted.clone()], json!({"incomplete": 1}));
        assert_eq!(incomplete(Some(&known)), (1, vec![noted]));
        let complete = check(vec![other.clone()], json!({"incomplete": 0}));
        assert_eq!(incomplete(Some(&complete)), (0, Vec::new()));
        // Cut off by the limit of listed reasons, not noted at all, no check at all.
        let cut = check(vec![other.clone()], json!({"incomplete": 3}));
        let unnoted = check(vec![other], json!({}));
        for earlier in [Some(&cut), Some(&unnoted), None] {
            assert_eq!(incomplete(earlier).1.len(), 1, "{earlier:?}");
        }
    }
}
