//! The check `vulnerabilities`: what the advisories say about an image's components, under the policy.
//!
//! "No finding" is a pass only when everything could be looked at; whatever could not be is `unknown`.

mod waived;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{SecondsFormat, TimeDelta, Utc};
use image_scan::advisories::{MatchResult, Uncomparable, Uncovered, matched_name, uncovered};
use registry_db::advisories::{PackageKey, SnapshotInfo};
use registry_db::waivers::{UsedWaiver, Waiver};
use registry_types::advisory::{AdvisoryOrigin, Finding, Severity};
use registry_types::component::{Component, EcosystemRelease};
use registry_types::ids::WaiverId;
use registry_types::intake::{CheckName, CheckResult, Outcome, Reason};
use registry_types::policy::{Policy, VulnerabilityPolicy};
use registry_types::profile::Profile;
use registry_types::rejection_code::RejectionCode;
use serde_json::{Value, json};

use crate::pipeline::check::{Observation, combined};

pub(crate) use waived::Waivers;

/// The rule of reasons that say why an image's components may not be all.
pub(crate) const INCOMPLETE_RULE: &str = "vulnerabilities.all_components_known";

/// The rule of reasons that tell of waived findings; the waiver's id follows it.
pub(crate) const WAIVED_RULE: &str = "vulnerabilities.waived";

/// What the check is made of.
pub(crate) struct Scan<'a> {
    pub(crate) components: &'a [Component],
    /// Places at which components may be missing, and why.
    pub(crate) incomplete: usize,
    pub(crate) incomplete_reasons: Vec<Reason>,
    pub(crate) snapshot: Option<&'a SnapshotInfo>,
    pub(crate) matched: &'a MatchResult,
    pub(crate) waivers: Waivers<'a>,
    pub(crate) policy: &'a Policy,
    pub(crate) profile: Profile,
}

/// The check's result, and the waivers that it rests on.
pub(crate) struct Checked {
    pub(crate) check: CheckResult,
    pub(crate) waivers: Vec<UsedWaiver>,
}

pub(crate) fn check(scan: &Scan<'_>) -> Checked {
    let limits = &scan.policy.vulnerabilities;
    let (waived, standing) = split(scan, limits);
    let mut observations = vec![Observation::new(Outcome::Unknown, scan.incomplete_reasons.clone())];
    // Nothing that an advisory could speak about is nothing to be found, whatever the advisories' state.
    if !scan.components.is_empty() {
        observations.extend(trust(scan.snapshot, scan.policy, scan.profile));
        let covered = scan.snapshot.map_or(&[][..], |snapshot| &snapshot.ecosystems);
        if scan.snapshot.is_some() {
            observations.push(Observation::new(Outcome::Unknown, not_covered(&uncovered(scan.components, covered))));
        }
    }
    observations.push(Observation::new(Outcome::Unknown, not_compared(&scan.matched.uncomparable)));
    observations.push(Observation::new(Outcome::Fail, rejecting(&standing, limits)));
    observations.push(Observation::new(Outcome::Warn, warning(&standing, limits)));
    // What is waived is never hidden.
    observations.push(Observation::new(Outcome::Warn, waived.iter().map(waived_reason).collect()));
    let requirement = scan.policy.requirements.vulnerabilities;
    let check = combined(CheckName::Vulnerabilities, requirement, observations, evidence(scan, &waived));
    let used: BTreeSet<WaiverId> = waived.iter().map(|one| one.waiver.id).collect();
    Checked { check, waivers: used.into_iter().collect() }
}

/// A finding that would count, and the waiver for which it does not.
struct Waived<'a> {
    finding: &'a Finding,
    waiver: &'a Waiver,
}

/// The findings that are waived, the worst first, and those that are not. What counts for nothing needs no waiver.
fn split<'a>(scan: &Scan<'a>, policy: &VulnerabilityPolicy) -> (Vec<Waived<'a>>, Vec<&'a Finding>) {
    let (mut waived, mut standing) = (Vec::new(), Vec::new());
    for finding in &scan.matched.findings {
        let counts = finding.severity.at_least(policy.warn_at);
        match counts.then(|| scan.waivers.of(finding)).flatten() {
            Some(waiver) => waived.push(Waived { finding, waiver }),
            None => standing.push(finding),
        }
    }
    waived.sort_by_key(|one| std::cmp::Reverse(one.finding.severity));
    (waived, standing)
}

/// Names the waiver, so that a verdict by another one is another verdict.
fn waived_reason(one: &Waived<'_>) -> Reason {
    let Waived { finding, waiver } = one;
    let mut reason = reason(finding, &format!("{WAIVED_RULE}/{}", waiver.id));
    let until = waiver.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    reason.message = format!("{}; waived until {until} ({})", reason.message, waiver.reason);
    reason
}

/// What advisories about a component are looked up by.
pub(crate) fn package_key(component: &Component) -> PackageKey {
    PackageKey {
        scope: EcosystemRelease { ecosystem: component.ecosystem, release: component.ecosystem_release.clone() },
        package: matched_name(component.ecosystem, &component.source_name),
    }
}

/// Whether `snapshot` is good enough for a version to become active by it.
pub(crate) fn carries_verdict(snapshot: &SnapshotInfo, policy: &Policy, profile: Profile) -> bool {
    trust(Some(snapshot), policy, profile).is_none_or(|observation| observation.outcome != Outcome::Unknown)
}

/// Whether the advisory data itself can carry a verdict.
fn trust(snapshot: Option<&SnapshotInfo>, policy: &Policy, profile: Profile) -> Option<Observation> {
    let unknown = |message: &str| {
        let reason = Reason::new(RejectionCode::SecurityScanIncomplete, "vulnerabilities.advisories", message);
        let fix = "the operator loads advisories with `company-store advisories sync`";
        Some(Observation::new(Outcome::Unknown, vec![reason.fixed_by(fix)]))
    };
    let Some(snapshot) = snapshot else { return unknown("there are no advisories to judge by") };
    match snapshot.origin {
        AdvisoryOrigin::Starter if policy.accepts_starter_set(profile) => {
            let message = "judged by the bundled starter advisories only, which know few problems";
            let reason = Reason::new(RejectionCode::SecurityScanIncomplete, "vulnerabilities.advisories", message);
            let fix = "the operator loads advisories with `company-store advisories sync`";
            Some(Observation::new(Outcome::Warn, vec![reason.fixed_by(fix)]))
        }
        AdvisoryOrigin::Starter => unknown("there are only the bundled starter advisories"),
        AdvisoryOrigin::Synced if is_stale(snapshot, &policy.vulnerabilities) => {
            unknown("the advisories are older than the policy allows")
        }
        AdvisoryOrigin::Synced => None,
    }
}

/// The data's own age, where it is known, tells more than the time of the load.
fn is_stale(snapshot: &SnapshotInfo, policy: &VulnerabilityPolicy) -> bool {
    let age = Utc::now() - snapshot.data_as_of.unwrap_or(snapshot.created_at);
    age > TimeDelta::hours(i64::from(policy.max_advisory_age_hours))
}

fn not_covered(uncovered: &[Uncovered]) -> Vec<Reason> {
    let reason = |one: &Uncovered| {
        let message =
            format!("the advisories say nothing about {}, of which {} components are", one.scope, one.components);
        Reason::new(RejectionCode::SecurityScanIncomplete, "vulnerabilities.advisories", message)
            .fixed_by("the operator loads advisories for it with `company-store advisories sync`")
    };
    uncovered.iter().map(reason).collect()
}

fn not_compared(uncomparable: &[Uncomparable]) -> Vec<Reason> {
    let reason = |one: &Uncomparable| {
        let message = format!("{} cannot be compared with the advisory {}", one.version, one.advisory);
        Reason::new(RejectionCode::SecurityScanIncomplete, "vulnerabilities.comparable", message)
            .of_package(format!("{} {}", one.package, one.version))
            .in_layer(&one.layer)
            .in_file(&one.path)
    };
    uncomparable.iter().map(reason).collect()
}

fn rejecting(findings: &[&Finding], policy: &VulnerabilityPolicy) -> Vec<Reason> {
    let rule = format!("vulnerabilities.reject_at={}", policy.reject_at);
    reasons(findings, &rule, |severity| severity.at_least(policy.reject_at))
}

fn warning(findings: &[&Finding], policy: &VulnerabilityPolicy) -> Vec<Reason> {
    let rule = format!("vulnerabilities.warn_at={}", policy.warn_at);
    reasons(findings, &rule, |severity| severity.at_least(policy.warn_at) && !severity.at_least(policy.reject_at))
}

/// The worst first.
fn reasons(findings: &[&Finding], rule: &str, counts: impl Fn(Severity) -> bool) -> Vec<Reason> {
    let mut chosen: Vec<_> = findings.iter().copied().filter(|finding| counts(finding.severity)).collect();
    chosen.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    chosen.into_iter().map(|finding| reason(finding, rule)).collect()
}

fn reason(finding: &Finding, rule: &str) -> Reason {
    let names: Vec<_> = std::iter::once(&finding.advisory).chain(&finding.aliases).map(String::as_str).collect();
    let (package, version) = (&finding.package, &finding.version);
    let fixed = match &finding.fixed_version {
        Some(fixed) => format!("fixed in {fixed}"),
        None => "no fixed version is known".to_owned(),
    };
    let summary = if finding.summary.is_empty() { String::new() } else { format!(": {}", finding.summary) };
    let message = format!("{package} {version} has {} ({}){summary}; {fixed}", names.join(", "), finding.severity);
    let fix = match &finding.fixed_version {
        Some(fixed) => format!("update {package} to {fixed} or later"),
        None => format!("remove or replace {package}"),
    };
    Reason::new(RejectionCode::SecurityScanFailed, rule, message)
        .of_package(format!("{package} {version}"))
        .in_layer(&finding.layer)
        .in_file(&finding.path)
        .fixed_by(fix)
}

pub(crate) fn snapshot_facts(snapshot: &SnapshotInfo) -> Value {
    json!({
        "number": snapshot.number,
        "origin": snapshot.origin,
        "source": snapshot.source,
        "digest": snapshot.digest,
        "records": snapshot.records,
        "data_as_of": snapshot.data_as_of,
        "ecosystems": snapshot.ecosystems.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// A waiver as a verdict keeps it, with how many findings it covers.
fn waiver_facts(waiver: &Waiver, waived: &[Waived<'_>]) -> Value {
    json!({
        "id": waiver.id,
        "advisory": waiver.advisory,
        "component": waiver.component.to_string(),
        "reason": waiver.reason,
        "statement": waiver.statement,
        "asked_by": waiver.asked_by,
        "approved_by": waiver.decided_by,
        "expires_at": waiver.expires_at,
        "findings": waived.iter().filter(|one| one.waiver.id == waiver.id).count(),
        "severity": waived.iter().find(|one| one.waiver.id == waiver.id).map(|one| one.finding.severity),
    })
}

fn evidence(scan: &Scan<'_>, waived: &[Waived<'_>]) -> Value {
    let used: BTreeMap<WaiverId, &Waiver> = waived.iter().map(|one| (one.waiver.id, one.waiver)).collect();
    let mut severities: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in &scan.matched.findings {
        *severities.entry(finding.severity.as_str()).or_default() += 1;
    }
    let mut ecosystems: BTreeMap<&str, usize> = BTreeMap::new();
    for component in scan.components {
        *ecosystems.entry(component.ecosystem.as_str()).or_default() += 1;
    }
    json!({
        "components": scan.components.len(),
        "ecosystems": ecosystems,
        "findings": scan.matched.findings.len(),
        "severities": severities,
        "uncomparable": scan.matched.uncomparable.len(),
        "waived": waived.len(),
        "waivers": used.values().map(|waiver| waiver_facts(waiver, waived)).collect::<Vec<_>>(),
        "incomplete": scan.incomplete,
        "advisories": scan.snapshot.map_or(Value::Null, snapshot_facts),
    })
}

#[cfg(test)]
mod tests {
    use registry_types::digest::Digest;

    use super::*;

    fn snapshot(origin: AdvisoryOrigin, age_hours: i64) -> SnapshotInfo {
        SnapshotInfo {
            number: 1,
            origin,
            source: "test".to_owned(),
            digest: Digest::sha256_of(b"advisories"),
            records: 1,
            ecosystems: Vec::new(),
            data_as_of: Some(Utc::now() - TimeDelta::hours(age_hours)),
            created_at: Utc::now(),
        }
    }

    #[test]
    fn advisory_data_is_trusted_only_when_synced_and_fresh() {
        let policy = Policy::default();
        let outcome = |snapshot: Option<SnapshotInfo>, profile| {
            trust(snapshot.as_ref(), &policy, profile).map(|observation| observation.outcome)
        };
        let (synced, starter) = (AdvisoryOrigin::Synced, AdvisoryOrigin::Starter);
        assert_eq!(outcome(Some(snapshot(synced, 1)), Profile::Production), None);
        assert_eq!(outcome(Some(snapshot(synced, 100)), Profile::Production), Some(Outcome::Unknown));
        assert_eq!(outcome(Some(snapshot(synced, 100)), Profile::Development), Some(Outcome::Unknown));
        assert_eq!(outcome(Some(snapshot(starter, 1)), Profile::Development), Some(Outcome::Warn));
        assert_eq!(outcome(Some(snapshot(starter, 1)), Profile::Production), Some(Outcome::Unknown));
        assert_eq!(outcome(None, Profile::Development), Some(Outcome::Unknown));
    }

    fn finding(severity: Severity) -> Finding {
        Finding {
            advisory: "GHSA-1".to_owned(),
            aliases: vec!["CVE-1".to_owned()],
            severity,
            summary: "escapes the sandbox".to_owned(),
            purl: "pkg:pypi/jinja2@2.0".to_owned(),
            package: "jinja2".to_owned(),
            version: "2.0".to_owned(),
            fixed_version: Some("2.1".to_owned()),
            layer: Digest::sha256_of(b"layer"),
            path: "usr/lib/jinja2.dist-info/METADATA".to_owned(),
        }
    }

    #[test]
    fn findings_reject_warn_or_neither_by_severity() {
        let policy = VulnerabilityPolicy::default();
        let count = |severity| {
            let found = finding(severity);
            (rejecting(&[&found], &policy).len(), warning(&[&found], &policy).len())
        };
        assert_eq!(count(Severity::Critical), (1, 0));
        assert_eq!(count(Severity::High), (1, 0));
        assert_eq!(count(Severity::Medium), (0, 1));
        assert_eq!(count(Severity::Unknown), (0, 1));
        assert_eq!(count(Severity::Low), (0, 0));
    }

    #[test]
    fn a_reason_names_package_fix_layer_and_file() {
        let reason = &rejecting(&[&finding(Severity::High)], &VulnerabilityPolicy::default())[0];
        assert_eq!(reason.code, RejectionCode::SecurityScanFailed);
        assert_eq!(reason.message, "jinja2 2.0 has GHSA-1, CVE-1 (HIGH): escapes the sandbox; fixed in 2.1");
        assert_eq!(reason.package.as_deref(), Some("jinja2 2.0"));
        assert_eq!(reason.fix.as_deref(), Some("update jinja2 to 2.1 or later"));
        assert!(reason.layer.is_some() && reason.file.is_some());
    }

    #[test]
    fn a_waived_finding_warns_and_is_told_with_its_waiver() {
        let now = Utc::now();
        let waiver = super::waived::tests::waiver(now);
        let matched = MatchResult { findings: vec![super::waived::tests::finding()], uncomparable: Vec::new() };
        let (package, version) = ("ranker".parse().unwrap(), "1.0.0".parse().unwrap());
        let judged = |at| {
            check(&Scan {
                components: &[],
                incomplete: 0,
                incomplete_reasons: Vec::new(),
                snapshot: None,
                matched: &matched,
                waivers: Waivers {
                    of_organization: std::slice::from_ref(&waiver),
                    at,
                    package: &package,
                    version: &version,
                },
                policy: &Policy::default(),
                profile: Profile::Production,
            })
        };
        let waived = judged(now);
        assert_eq!((waived.check.outcome, waived.waivers), (Outcome::Warn, vec![waiver.id]));
        assert_eq!(waived.check.reasons[0].rule, format!("{WAIVED_RULE}/{}", waiver.id));
        assert_eq!(waived.check.evidence["waivers"][0]["approved_by"], json!(waiver.decided_by));
        let over = judged(waiver.expires_at);
        assert_eq!((over.check.outcome, over.waivers), (Outcome::Fail, Vec::new()));
    }
}
