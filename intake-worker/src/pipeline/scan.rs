//! Step 5: the components against the advisories.

use std::collections::BTreeSet;

use image_scan::advisories::{AffectedPackage, MatchResult, match_components};
use image_scan::merge::Incomplete;
use registry_db::advisories::{self, AdvisoryRow, PackageKey, SnapshotInfo};
use registry_db::waivers;
use registry_types::component::Component;
use registry_types::intake::Reason;
use registry_types::rejection_code::RejectionCode;
use serde_json::Value;

use super::context::{Case, Run};
use super::step_error::StepError;
use crate::job_error::JobError;
use crate::vulnerabilities::{self, Checked, INCOMPLETE_RULE, Scan, Waivers};

pub(super) async fn scan(run: &Run<'_>, case: &mut Case) -> Result<(), StepError> {
    let snapshot = advisories::latest_usable(&mut *run.pipeline.pool.get().await?).await?;
    let matched = match &snapshot {
        Some(snapshot) if !case.components.is_empty() => match_all(run, snapshot, &case.components).await?,
        Some(_) | None => MatchResult::default(),
    };
    let standing = waivers::in_force(&mut *run.pipeline.pool.get().await?, run.work.organization).await?;
    let Checked { check, waivers } = vulnerabilities::check(&Scan {
        components: &case.components,
        incomplete: case.incomplete.len(),
        incomplete_reasons: incomplete(&case.incomplete),
        snapshot: snapshot.as_ref(),
        matched: &matched,
        waivers: Waivers {
            of_organization: &standing.waivers,
            at: standing.at,
            package: &run.work.package_name.name,
            version: &run.work.version_number,
        },
        policy: &run.policy,
        profile: run.pipeline.profile,
    });
    case.checks.push(check);
    case.waivers = waivers;
    case.advisories = snapshot.as_ref().map_or(Value::Null, vulnerabilities::snapshot_facts);
    case.advisory_snapshot = snapshot.map(|snapshot| snapshot.number);
    case.findings = matched.findings;
    Ok(())
}

/// One query for the image, then matching off the runtime.
async fn match_all(run: &Run<'_>, snapshot: &SnapshotInfo, components: &[Component]) -> Result<MatchResult, StepError> {
    let keys: BTreeSet<PackageKey> = components.iter().map(vulnerabilities::package_key).collect();
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

/// Why the components may not be all.
fn incomplete(incomplete: &[Incomplete]) -> Vec<Reason> {
    let reason = |one: &Incomplete| {
        let mut reason = Reason::new(RejectionCode::SecurityScanIncomplete, INCOMPLETE_RULE, one.why.clone());
        reason.file = one.path.clone();
        reason.layer = one.layer.as_ref().map(ToString::to_string);
        reason.fixed_by("keep the package databases and os-release of a supported distribution in the image")
    };
    incomplete.iter().map(reason).collect()
}
