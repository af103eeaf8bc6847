//! Step 5: the components against the advisories.
//!
//! "No finding" is a pass only when everything could be looked at; whatever could not be is `unknown`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{TimeDelta, Utc};
use image_scan::advisories::{
    AffectedPackage, MatchResult, Uncomparable, Uncovered, match_components, matched_name, uncovered,
};
use image_scan::merge::Incomplete;
use registry_db::advisories::{self, AdvisoryRow, PackageKey, SnapshotInfo};
use registry_types::advisory::{AdvisoryOrigin, Finding, Severity};
use registry_types::component::{Component, EcosystemRelease};
use registry_types::intake::{CheckName, Outcome, Reason};
use registry_types::policy::{Policy, VulnerabilityPolicy};
use registry_types::profile::Profile;
use registry_types::rejection_code::RejectionCode;
use serde_json::{Value, json};

use super::check::{Observation, combined};
use super::context::{Case, Run};
use super::step_error::StepError;
use crate::job_error::JobError;

pub(super) async fn scan(run: &Run<'_>, case: &mut Case) -> Result<(), StepError> {
    let mut observations = vec![Observation::new(Outcome::Unknown, incomplete(&case.incomplete))];
    let snapshot = advisories::latest_usable(&mut *run.pipeline.pool.get().await?).await?;
    let mut matched = MatchResult::default();
    // Nothing that an advisory could speak about is nothing to be found, whatever the advisories' state.
    if !case.components.is_empty() {
        observations.extend(trust(snapshot.as_ref(), &run.policy, run.pipeline.profile));
        if let Some(snapshot) = &snapshot {
            matched = match_all(run, snapshot, &case.components).await?;
            observations.push(Observation::new(
                Outcome::Unknown,
                not_covered(&uncovered(&case.components, &snapshot.ecosystems)),
            ));
        }
    }
    let limits = &run.policy.vulnerabilities;
    observations.push(Observation::new(Outcome::Unknown, not_compared(&matched.uncomparable)));
    observations.push(Observation::new(Outcome::Fail, rejecting(&matched.findings, limits)));
    observations.push(Observation::new(Outcome::Warn, warning(&matched.findings, limits)));
    case.advisories = snapshot.as_ref().map_or(Value::Null, snapshot_facts);
    let evidence = evidence(case, &matched);
    case.checks.push(combined(
        CheckName::Vulnerabilities,
        run.policy.requirements.vulnerabilities,
        observations,
        evidence,
    ));
    case.findings = matched.findings;
    Ok(())
}

/// One query for the image, then matching off the runtime.
async fn match_all(run: &Run<'_>, snapshot: &SnapshotInfo, components: &[Component]) -> Result<MatchResult, StepError> {
    let keys: BTreeSet<PackageKey> = components
        .iter()
        .map(|component| PackageKey {
            scope: EcosystemRelease { ecosystem: component.ecosystem, release: component.ecosystem_release.clone() },
            package: matched_name(component.ecosystem, &component.source_name),
        })
        .collect();
    let keys: Vec<_> = keys.into_iter().collect();
    let rows = advisories::for_packages(&mut *run.pipeline.pool.get().await?, snapshot.number, &keys).await?;
    let components = components.to_vec();
    let matched = tokio::task::spawn_blocking(move || {
        let affected = rows.into_iter().map(affected_package).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, serde_json::Error>(match_components(&components, &affected))
    });
    let matched = matched.await.map_err(|e| JobError::internal("advisory matching")(Box::new(e)))?;
    Ok(matched.map_err(|e| JobError::internal("stored advisory")(Box::new(e)))?)
}

fn affected_package(row: AdvisoryRow) -> Result<AffectedPackage, serde_json::Error> {
    serde_json::from_value(row.record)
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

fn incomplete(incomplete: &[Incomplete]) -> Vec<Reason> {
    let reason = |one: &Incomplete| {
        let mut reason =
            Reason::new(RejectionCode::SecurityScanIncomplete, "vulnerabilities.all_components_known", one.why.clone());
        reason.file = one.path.clone();
        reason.layer = one.layer.as_ref().map(ToString::to_string);
        reason.fixed_by("keep the package databases and os-release of a supported distribution in the image")
    };
    incomplete.iter().map(reason).collect()
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

fn rejecting(findings: &[Finding], policy: &VulnerabilityPolicy) -> Vec<Reason> {
    let rule = format!("vulnerabilities.reject_at={}", policy.reject_at);
    reasons(findings, &rule, |severity| severity.at_least(policy.reject_at))
}

fn warning(findings: &[Finding], policy: &VulnerabilityPolicy) -> Vec<Reason> {
    let rule = format!("vulnerabilities.warn_at={}", policy.warn_at);
    reasons(findings, &rule, |severity| severity.at_least(policy.warn_at) && !severity.at_least(policy.reject_at))
}

/// The worst first.
fn reasons(findings: &[Finding], rule: &str, counts: impl Fn(Severity) -> bool) -> Vec<Reason> {
    let mut chosen: Vec<_> = findings.iter().filter(|finding| counts(finding.severity)).collect();
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

fn snapshot_facts(snapshot: &SnapshotInfo) -> Value {
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

fn evidence(case: &Case, matched: &MatchResult) -> Value {
    let mut severities: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in &matched.findings {
        *severities.entry(finding.severity.as_str()).or_default() += 1;
    }
    let mut ecosystems: BTreeMap<&str, usize> = BTreeMap::new();
    for component in &case.components {
        *ecosystems.entry(component.ecosystem.as_str()).or_default() += 1;
    }
    json!({
        "components": case.components.len(),
        "ecosystems": ecosystems,
        "findings": matched.findings.len(),
        "severities": severities,
        "uncomparable": matched.uncomparable.len(),
        "incomplete": case.incomplete.len(),
        "advisories": case.advisories,
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
            let findings = [finding(severity)];
            (rejecting(&findings, &policy).len(), warning(&findings, &policy).len())
        };
        assert_eq!(count(Severity::Critical), (1, 0));
        assert_eq!(count(Severity::High), (1, 0));
        assert_eq!(count(Severity::Medium), (0, 1));
        assert_eq!(count(Severity::Unknown), (0, 1));
        assert_eq!(count(Severity::Low), (0, 0));
    }

    #[test]
    fn a_reason_names_package_fix_layer_and_file() {
        let reason = &rejecting(&[finding(Severity::High)], &VulnerabilityPolicy::default())[0];
        assert_eq!(reason.code, RejectionCode::SecurityScanFailed);
        assert_eq!(reason.message, "jinja2 2.0 has GHSA-1, CVE-1 (HIGH): escapes the sandbox; fixed in 2.1");
        assert_eq!(reason.package.as_deref(), Some("jinja2 2.0"));
        assert_eq!(reason.fix.as_deref(), Some("update jinja2 to 2.1 or later"));
        assert!(reason.layer.is_some() && reason.file.is_some());
    }
}
