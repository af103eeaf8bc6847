//! What surrounds a step: its span, its time limit, its metrics.

use std::time::Instant;

use registry_types::intake::IntakeStep;
use tracing::{Instrument as _, Span, field};

use super::context::Run;
use super::step_error::StepError;
use crate::job_error::JobError;

impl Run<'_> {
    /// Carries out a step.
    ///
    /// # Errors
    /// The step's own, or an outage when it takes longer than it may.
    pub(super) async fn step<T, E>(&self, step: IntakeStep, work: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        E: StepEnd,
    {
        let span = self.step_span(step);
        let started = Instant::now();
        let limit = self.pipeline.step_limits.of(step);
        let result = match tokio::time::timeout(limit, work.instrument(span.clone())).await {
            Ok(result) => result,
            Err(_) => Err(E::from(JobError::Outage {
                message: format!("the step {step} took longer than {} seconds", limit.as_secs()),
                retry_after: None,
            })),
        };
        self.step_ended(step, &span, result.as_ref().map_or_else(E::outcome, |_| "done"), started);
        result
    }

    /// Carries out a step that waits for nothing and cannot fail: what it finds stands in its checks.
    pub(super) fn sure_step<T>(&self, step: IntakeStep, work: impl FnOnce() -> T) -> T {
        let span = self.step_span(step);
        let started = Instant::now();
        let result = span.in_scope(work);
        self.step_ended(step, &span, "done", started);
        result
    }

    fn step_span(&self, step: IntakeStep) -> Span {
        let (bytes, outcome) = (field::Empty, field::Empty);
        tracing::info_span!("step", intake = %self.work.id, step = %step, bytes, outcome)
    }

    fn step_ended(&self, step: IntakeStep, span: &Span, outcome: &'static str, started: Instant) {
        let took = started.elapsed();
        span.record("outcome", outcome);
        span.in_scope(|| tracing::debug!(took_ms = took.as_millis(), "step ended"));
        self.pipeline.metrics.step_ended(step, outcome, took);
    }
}

/// How a step ended that was not done, in a word.
pub(super) trait StepEnd: From<JobError> {
    fn outcome(&self) -> &'static str;
}

impl StepEnd for JobError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::LeaseLost => "lease_lost",
            Self::Outage { .. } => "outage",
            Self::Away { .. } => "away",
            Self::Internal { .. } => "internal",
        }
    }
}

impl StepEnd for StepError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Job(error) => error.outcome(),
        }
    }
}
