//! Whether a person is asked about a version that passes every check, and what that person is shown: pure.

use std::collections::BTreeSet;

use package_formats::{Capabilities, changes, demands};
use registry_db::reviews::{Baseline, Entry};
use registry_types::advisory::Severity;
use registry_types::intake::{CheckName, CheckResult, Reason};
use registry_types::package::PackageFormat;
use registry_types::people::TrustTier;
use registry_types::policy::ReviewPolicy;
use registry_types::rejection_code::RejectionCode;
use registry_types::review::ReviewPath;
use serde_json::Value;

/// A version on its way.
pub(crate) struct Candidate<'a> {
    pub(crate) tier: TrustTier,
    pub(crate) format: PackageFormat,
    pub(crate) package_manifest: &'a Value,
    pub(crate) checks: &'a [CheckResult],
}

/// What its organization's path means for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Asked {
    /// Why a person is asked; empty when nobody is.
    pub(crate) demand: Vec<Reason>,
    pub(crate) entry: Entry,
}

/// What is asked about a version, compared with the last active one.
pub(crate) fn asked(candidate: &Candidate<'_>, baseline: Option<&Baseline>, policy: &ReviewPolicy) -> Asked {
    let after = capabilities(candidate.format, candidate.package_manifest, candidate.checks);
    let before = baseline.map(|one| (one, capabilities(one.format, &one.package_manifest, &one.checks)));
    let entry = Entry {
        compared_with: baseline.map(|one| one.number.clone()),
        changes: match (&before, &after) {
            (Some((_, Some(before))), Some(after)) => changes(before, after),
            // Against nothing, everything that it asks for is new.
            (None, Some(after)) => changes(&Capabilities::default(), after),
            (Some((_, None)), _) | (_, None) => Vec::new(),
        },
    };
    let (tier, path) = (candidate.tier, policy.path(candidate.tier));
    let rule = format!("reviews.{tier}={path}");
    let required = |message: String| Reason::new(RejectionCode::ReviewRequired, rule.clone(), message);
    let demand = match (path, &before, &after) {
        (ReviewPath::Never, ..) => Vec::new(),
        (ReviewPath::Always, ..) => {
            vec![required(format!("a person reviews every version of organizations of the tier {tier}"))]
        }
        (ReviewPath::WhenGrown, None, _) => vec![required("a person reviews a package's first version".to_owned())],
        (ReviewPath::WhenGrown, Some((one, Some(_))), Some(_)) => {
            let grown = entry.changes.iter().filter(|change| change.grows);
            grown.map(|change| required(format!("{change}, compared with {}", one.number))).collect()
        }
        (ReviewPath::WhenGrown, Some((one, _)), _) => {
            vec![required(format!("it cannot be compared with {}", one.number))]
        }
    };
    Asked { demand, entry }
}

/// `None` when the package manifest cannot be read.
fn capabilities(format: PackageFormat, manifest: &Value, checks: &[CheckResult]) -> Option<Capabilities> {
    Some(Capabilities { demands: demands(format, manifest)?, signers: signers(checks), waived: waived(checks) })
}

fn evidence(checks: &[CheckResult], name: CheckName) -> &Value {
    checks.iter().find(|check| check.name == name).map_or(&Value::Null, |check| &check.evidence)
}

fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Of verified signatures only. A workflow that signs its own tags has another ref each time, and is the same signer.
fn signers(checks: &[CheckResult]) -> BTreeSet<String> {
    let images = members(evidence(checks, CheckName::Signature), "images");
    let candidates = images.flat_map(|image| members(image, "candidates"));
    let verified = candidates.filter(|one| matches!(one["outcome"].as_str(), Some("accepted" | "verified")));
    let signer = |one: &Value| match one["signer"].as_str()? {
        "identity" => {
            let subject = one["subject"].as_str()?;
            let subject = subject.split_once("@refs/").map_or(subject, |(workflow, _)| workflow);
            Some(format!("{subject} by {}", one["issuer"].as_str()?))
        }
        "key" => Some(format!("key {}", one["key"].as_str()?)),
        _ => None,
    };
    verified.filter_map(signer).collect()
}

fn waived(checks: &[CheckResult]) -> BTreeSet<String> {
    let waivers = members(evidence(checks, CheckName::Vulnerabilities), "waivers");
    let grave = waivers.filter(|one| {
        let severity = one["severity"].as_str().and_then(|word| word.parse::<Severity>().ok());
        severity.is_none_or(|severity| severity.at_least(Severity::High))
    });
    grave.filter_map(|one| Some(format!("{} in {}", one["advisory"].as_str()?, one["component"].as_str()?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(permissions: &Value) -> Value {
        json!({
            "schemaVersion": "1.0", "name": "ranker", "version": "1.0.0", "type": "no-ui",
            "execution": {"entrypoint": "backend.main:Module", "supports": ["interactive"]},
            "permissions": permissions,
        })
    }

    fn signed_by(subject: &str) -> CheckResult {
        let signer = json!({"outcome": "verified", "signer": "identity", "subject": subject, "issuer": "https://ci"});
        CheckResult::pass(CheckName::Signature, json!({"images": [{"candidates": [signer]}]}))
    }

    fn waiving(severity: &str) -> CheckResult {
        let waiver = json!({"advisory": "CVE-1", "component": "pkg:pypi/x", "severity": severity});
        CheckResult::pass(CheckName::Vulnerabilities, json!({"waivers": [waiver]}))
    }

    fn baseline(permissions: &Value, checks: Vec<CheckResult>) -> Baseline {
        Baseline {
            number: "1.0.0".parse().unwrap(),
            format: PackageFormat::HlaCompassModule,
            package_manifest: manifest(permissions),
            checks,
        }
    }

    fn of(tier: TrustTier, permissions: &Value, checks: &[CheckResult], before: Option<&Baseline>) -> Asked {
        let package_manifest = &manifest(permissions);
        let candidate = Candidate { tier, format: PackageFormat::HlaCompassModule, package_manifest, checks };
        asked(&candidate, before, &ReviewPolicy::default())
    }

    #[test]
    fn each_tier_has_its_path() {
        let nothing = json!({});
        let same = baseline(&nothing, Vec::new());
        let is_asked = |tier, before: Option<&Baseline>| !of(tier, &nothing, &[], before).demand.is_empty();
        for before in [None, Some(&same)] {
            assert!(is_asked(TrustTier::Community, before));
            assert!(!is_asked(TrustTier::Internal, before));
        }
        assert!(is_asked(TrustTier::Verified, None), "a first version");
        assert!(!is_asked(TrustTier::Verified, Some(&same)), "nothing grew");
    }

    #[test]
    fn a_verified_version_that_grew_says_what() {
        let before = baseline(&json!({"network": ["a.example.org"]}), Vec::new());
        let asked = of(TrustTier::Verified, &json!({"network": ["b.example.org"]}), &[], Some(&before));
        assert_eq!(asked.entry.changes.len(), 2);
        assert_eq!(asked.demand.len(), 1, "what is gone needs nobody");
        assert_eq!(asked.demand[0].code, RejectionCode::ReviewRequired);
        assert_eq!(asked.demand[0].message, "network b.example.org is new, compared with 1.0.0");
    }

    #[test]
    fn a_signer_is_the_same_on_another_tag_and_another_workflow_is_not() {
        let workflow = |name: &str, tag: &str| signed_by(&format!("https://github.com/a/b/{name}.yml@refs/tags/{tag}"));
        let before = baseline(&json!({}), vec![workflow("release", "v1")]);
        let grown = |check: CheckResult| of(TrustTier::Verified, &json!({}), &[check], Some(&before)).demand.len();
        assert_eq!(grown(workflow("release", "v2")), 0);
        assert_eq!(grown(workflow("other", "v2")), 1);
        assert_eq!(grown(CheckResult::not_applicable(CheckName::Signature, json!({}))), 1, "unsigned");
    }

    #[test]
    fn a_grave_finding_that_is_newly_waived_is_growth() {
        let before = baseline(&json!({}), Vec::new());
        let grown = |check: CheckResult| of(TrustTier::Verified, &json!({}), &[check], Some(&before)).demand.len();
        assert_eq!((grown(waiving("HIGH")), grown(waiving("CRITICAL")), grown(waiving("MEDIUM"))), (1, 1, 0));
    }

    #[test]
    fn what_cannot_be_compared_asks_a_person() {
        let mut before = baseline(&json!({}), Vec::new());
        before.package_manifest = json!({"name": "no manifest of today"});
        assert_eq!(of(TrustTier::Verified, &json!({}), &[], Some(&before)).demand.len(), 1);
    }
}
