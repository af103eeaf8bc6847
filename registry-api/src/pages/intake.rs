//! The page of one intake: first, when it was refused, why; then the steps and the checks.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, web};
use askama::Template;
use registry_db::intakes::{self, IntakeSummary, StepTiming};
use registry_db::verdicts;
use registry_types::ids::IntakeId;
use registry_types::intake::{IntakeState, IntakeStep};
use registry_types::verdict::Decision;

use super::check_view::{CheckView, ReasonView};
use super::error::sentence;
use super::frame::{Frame, Section, log_in_first, render};
use super::text;
use crate::intakes::own_intake;
use crate::problem::Problem;
use crate::rights::MaybeAuthenticated;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "intake.html")]
struct IntakePage {
    frame: Frame,
    package: String,
    version: String,
    state: &'static str,
    ending: Ending,
    warnings: Vec<ReasonView>,
    steps: Vec<StepView>,
    checks: Vec<CheckView>,
    image_reference: Option<String>,
    digest: Option<String>,
    profile: Option<&'static str>,
    created: String,
    finished: Option<String>,
}

impl IntakePage {
    fn is_open(&self) -> bool {
        matches!(self.ending, Ending::Open)
    }
}

/// How it ended, for the head of the page.
enum Ending {
    Open,
    Active,
    Refused {
        code: String,
        reasons: Vec<ReasonView>,
    },
    InReview {
        reasons: Vec<ReasonView>,
    },
    /// It could not be carried out.
    Failed {
        code: String,
        reason: String,
    },
}

struct StepView {
    name: &'static str,
    what: &'static str,
    /// `done`, `running`, `failed` or `waiting`; also its style.
    state: &'static str,
    /// Empty for a step that has not ended.
    took: String,
}

#[get("/intakes/{id}")]
pub(super) async fn intake_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    path: web::Path<IntakeId>,
) -> Result<HttpResponse, Problem> {
    let id = path.into_inner();
    let Some(identity) = identity else { return Ok(log_in_first(&format!("/intakes/{id}"))) };
    let mut conn = state.pool.get().await?;
    let intake = own_intake(&mut conn, &identity, id).await?;
    let timings = intakes::steps(&mut conn, id).await?;
    let decision = verdicts::of_intake(&mut conn, id).await?.map(|verdict| verdict.decision);
    let summary = intake.summary;
    let steps = steps(&summary, &timings);
    let (ending, warnings) = ending(&summary, decision);
    let page = IntakePage {
        frame: Frame::new(&state, Some(&identity), Section::Elsewhere),
        package: summary.package_name.to_string(),
        version: summary.version_number.to_string(),
        state: summary.state.as_str(),
        ending,
        warnings: warnings.into_iter().map(Into::into).collect(),
        steps,
        checks: intake.checks.into_iter().map(Into::into).collect(),
        image_reference: summary.image_reference,
        digest: summary.digest.map(|digest| digest.to_string()),
        profile: summary.profile.map(|profile| profile.as_str()),
        created: text::time(summary.created_at),
        finished: summary.finished_at.map(text::time),
    };
    Ok(render(StatusCode::OK, &page))
}

fn ending(summary: &IntakeSummary, decision: Option<Decision>) -> (Ending, Vec<registry_types::intake::Reason>) {
    let views = |reasons: Vec<registry_types::intake::Reason>| reasons.into_iter().map(Into::into).collect();
    match (summary.state, decision) {
        (IntakeState::Queued | IntakeState::Running, _) => (Ending::Open, Vec::new()),
        (IntakeState::Decided, Some(Decision::Active { warnings })) => (Ending::Active, warnings),
        (IntakeState::Decided, Some(Decision::Rejected { code, reasons, warnings })) => {
            (Ending::Refused { code: code.to_string(), reasons: views(reasons) }, warnings)
        }
        (IntakeState::Decided, Some(Decision::InReview { reasons, warnings })) => {
            (Ending::InReview { reasons: views(reasons) }, warnings)
        }
        (IntakeState::Decided, None) | (IntakeState::Failed, _) => {
            let code = summary.failure_code.map(|code| code.to_string()).unwrap_or_default();
            let reason = sentence(summary.failure_reason.as_deref().unwrap_or("the intake could not be carried out"));
            (Ending::Failed { code, reason }, Vec::new())
        }
    }
}

fn steps(summary: &IntakeSummary, timings: &[StepTiming]) -> Vec<StepView> {
    let took = |step| {
        let timing = timings.iter().find(|timing| timing.step == step)?;
        Some(text::duration(timing.finished_at - timing.started_at))
    };
    IntakeStep::ALL
        .iter()
        .map(|step| StepView {
            name: step.as_str(),
            what: what(*step),
            state: step_state(summary, *step),
            took: took(*step).unwrap_or_default(),
        })
        .collect()
}

fn step_state(summary: &IntakeSummary, step: IntakeStep) -> &'static str {
    match (summary.state, summary.step) {
        (IntakeState::Decided, _) => "done",
        (IntakeState::Queued, _) | (IntakeState::Running | IntakeState::Failed, None) => "waiting",
        (IntakeState::Running | IntakeState::Failed, Some(current)) if step < current => "done",
        (IntakeState::Running | IntakeState::Failed, Some(current)) if step > current => "waiting",
        (IntakeState::Running, Some(_)) => "running",
        (IntakeState::Failed, Some(_)) => "failed",
    }
}

const fn what(step: IntakeStep) -> &'static str {
    match step {
        IntakeStep::Resolve => "find the image and pin its digest",
        IntakeStep::Verify => "look for signatures",
        IntakeStep::Transfer => "read every layer once, keep it, list what it holds",
        IntakeStep::Merge => "put the layers together",
        IntakeStep::Scan => "match components against advisories",
        IntakeStep::Manifest => "compare the package manifest with the submitted one",
        IntakeStep::Ui => "look for the UI bundle",
        IntakeStep::Policy => "apply the policy",
        IntakeStep::Decide => "decide and sign the verdict",
    }
}
