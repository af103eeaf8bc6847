//! Intakes as the API shows them.

use chrono::{DateTime, Utc};
use registry_db::intakes::{Intake, IntakeSummary, StepTiming};
use registry_types::intake::{CheckResult, Reason};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// One run of the pipeline for one version.
#[derive(Serialize, ToSchema)]
pub(crate) struct IntakeItem {
    pub(crate) id: Uuid,
    /// `publisher/name`.
    #[schema(example = "acme/pdf-tools")]
    pub(crate) package: String,
    #[schema(example = "1.2.0")]
    pub(crate) version: String,
    /// What the author wrote; null for packages without an image.
    pub(crate) image_reference: Option<String>,
    /// What the store pinned.
    pub(crate) digest: Option<String>,
    /// `queued`, `running`, `decided` or `failed`.
    pub(crate) state: &'static str,
    /// The step that is being carried out, or that failed.
    pub(crate) step: Option<&'static str>,
    /// `active`, `rejected` or `in_review` once decided.
    pub(crate) outcome: Option<String>,
    /// A rejection code.
    pub(crate) failure_code: Option<&'static str>,
    pub(crate) failure_reason: Option<String>,
    /// `development` or `production`.
    pub(crate) profile: Option<&'static str>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

impl From<IntakeSummary> for IntakeItem {
    fn from(intake: IntakeSummary) -> Self {
        Self {
            id: intake.id.0,
            package: intake.package_name.to_string(),
            version: intake.version_number,
            image_reference: intake.image_reference,
            digest: intake.digest.map(|digest| digest.to_string()),
            state: intake.state.as_str(),
            step: intake.step.map(registry_types::intake::IntakeStep::as_str),
            outcome: intake.outcome,
            failure_code: intake.failure_code.map(registry_types::rejection_code::RejectionCode::as_str),
            failure_reason: intake.failure_reason,
            profile: intake.profile.map(registry_types::profile::Profile::as_str),
            created_at: intake.created_at,
            started_at: intake.started_at,
            finished_at: intake.finished_at,
        }
    }
}

/// An intake with every check, its evidence, and what each step took.
#[derive(Serialize, ToSchema)]
pub(crate) struct IntakeDetail {
    #[serde(flatten)]
    pub(crate) intake: IntakeItem,
    pub(crate) checks: Vec<IntakeCheck>,
    /// The finished steps.
    pub(crate) steps: Vec<StepItem>,
}

impl IntakeDetail {
    pub(crate) fn new(intake: Intake, steps: Vec<StepTiming>) -> Self {
        Self {
            intake: intake.summary.into(),
            checks: intake.checks.into_iter().map(IntakeCheck::from).collect(),
            steps: steps.into_iter().map(StepItem::from).collect(),
        }
    }
}

/// The result of one check.
#[derive(Serialize, ToSchema)]
pub(crate) struct IntakeCheck {
    #[schema(example = "vulnerabilities")]
    pub(crate) name: &'static str,
    /// `pass`, `warn`, `fail`, `error`, `unknown` or `not_applicable`.
    pub(crate) outcome: &'static str,
    /// The weightiest first; each with code, rule, message, and where it applies: file, layer, package, fix.
    #[schema(value_type = Vec<Object>)]
    pub(crate) reasons: Vec<Reason>,
    #[schema(value_type = Object)]
    pub(crate) evidence: Value,
}

impl From<CheckResult> for IntakeCheck {
    fn from(check: CheckResult) -> Self {
        Self {
            name: check.name.as_str(),
            outcome: check.outcome.as_str(),
            reasons: check.reasons,
            evidence: check.evidence,
        }
    }
}

/// One finished step.
#[derive(Serialize, ToSchema)]
pub(crate) struct StepItem {
    #[schema(example = "transfer")]
    step: &'static str,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
}

impl From<StepTiming> for StepItem {
    fn from(timing: StepTiming) -> Self {
        Self { step: timing.step.as_str(), started_at: timing.started_at, finished_at: timing.finished_at }
    }
}
