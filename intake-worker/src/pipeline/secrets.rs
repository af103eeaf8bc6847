//! Part of step 8: secrets in the image's files, those of layers that later ones hide included.

use image_scan::merge::LocatedSecret;
use image_scan::secrets::Confidence;
use registry_types::intake::{CheckName, Outcome, Reason};
use registry_types::rejection_code::RejectionCode;
use serde_json::{Value, json};

use super::check::{Observation, combined};
use super::context::{Case, Run};
use super::merge::PlatformImage;

const RULE: &str = "secrets.none";

pub(super) fn check(run: &Run<'_>, case: &mut Case, platforms: &[PlatformImage]) {
    let mut secrets: Vec<_> = platforms.iter().flat_map(|platform| &platform.merged.secrets).collect();
    secrets.sort_unstable();
    secrets.dedup();
    let of = |confidence| secrets.iter().filter(|s| s.finding.confidence == confidence).map(|s| reason(s)).collect();
    let observations = vec![
        Observation::new(Outcome::Fail, of(Confidence::High)),
        Observation::new(Outcome::Unknown, cut(platforms)),
        Observation::new(Outcome::Warn, of(Confidence::Low)),
    ];
    let evidence = evidence(platforms, secrets.len());
    case.checks.push(combined(CheckName::Secrets, run.policy.requirements.secrets, observations, evidence));
}

fn reason(secret: &LocatedSecret) -> Reason {
    let finding = &secret.finding;
    let hidden = if secret.is_visible { "" } else { ", which a later layer hides but does not remove" };
    let message = format!("{} in line {}: {}{hidden}", finding.title, finding.line, finding.masked);
    Reason::new(RejectionCode::SecretDetected, format!("{RULE}/{}", finding.rule), message)
        .in_file(&finding.path)
        .in_layer(&secret.layer)
        .fixed_by("revoke the secret, build the image without it and publish again")
}

fn cut(platforms: &[PlatformImage]) -> Vec<Reason> {
    if !platforms.iter().any(|platform| platform.secret_search.is_cut) {
        return Vec::new();
    }
    vec![Reason::new(RejectionCode::SecretDetected, RULE, "there are more possible secrets than are listed")]
}

fn evidence(platforms: &[PlatformImage], found: usize) -> Value {
    let searched: Vec<_> = platforms
        .iter()
        .map(|platform| {
            json!({
                "platform": platform.platform,
                "text_files": platform.secret_search.text_files,
                "binary_files_not_searched": platform.secret_search.binary_files,
            })
        })
        .collect();
    json!({ "found": found, "searched": searched })
}
