//! The pipeline: from an image reference to a signed decision.
//!
//! Outside I/O never happens inside a transaction; every write is made under the job's lease. A package's fault ends as a
//! decision, an outage as another attempt.

pub(crate) mod check;
mod context;
mod decide;
mod document;
mod manifest;
mod merge;
mod mirror;
mod permissions;
mod resolve;
pub(crate) mod review_path;
mod scan;
mod secrets;
mod step;
mod step_error;
mod transfer;
mod ui;
mod verify;

use chrono::Utc;
use package_formats::Descriptor;
use registry_db::intakes::{self, IntakeWork};
use registry_db::jobs::ClaimedJob;
use registry_types::ids::IntakeId;
use registry_types::intake::{IntakeState, IntakeStep};
use registry_types::rejection_code::RejectionCode;

pub(crate) use context::Pipeline;
use context::{Case, Run};
use merge::PlatformImage;
use step_error::StepError;

use crate::job_error::JobError;

/// Carries out one intake, from wherever an earlier attempt left it, to its decision.
///
/// # Errors
/// What keeps it from being decided now.
pub(crate) async fn run(pipeline: &Pipeline, job: &ClaimedJob, id: IntakeId) -> Result<(), JobError> {
    fail_points::reach("intake", "claimed", id.0).await;
    let work = intakes::load(&mut *pipeline.pool.get().await?, id).await?;
    match work.state {
        IntakeState::Queued | IntakeState::Running => {}
        // The job outlived its intake; there is nothing to do any more.
        IntakeState::Decided | IntakeState::Failed => return pipeline.finish(job).await,
    }
    let run = Run::start(pipeline, job, work).await?;
    let mut case = Case::default();
    match judge(&run, &mut case).await {
        Ok(()) => {}
        Err(StepError::Refused(check)) => case.checks.push(*check),
        Err(StepError::Job(error)) => return Err(error),
    }
    run.step(IntakeStep::Decide, decide::decide(&run, case)).await
}

/// The steps in their order. What each learns is put into the case, so that a refusal half-way keeps its evidence.
async fn judge(run: &Run<'_>, case: &mut Case) -> Result<(), StepError> {
    let Some(reference) = &run.work.image else {
        document::judge(run, case);
        return Ok(());
    };
    run.at("resolve", "begin").await;
    let access = resolve::open(run, reference).await?;
    let image = run.step(IntakeStep::Resolve, resolve::resolve(run, case, &access, reference)).await?;
    let (signatures, layers) = tokio::try_join!(
        run.step(IntakeStep::Verify, verify::verify(run, &access, &image)),
        run.step(IntakeStep::Transfer, transfer::transfer(run, &access, &image))
    )?;
    verify::keep(case, signatures);
    transfer::keep(case, &image, &layers);
    run.at("merge", "begin").await;
    let started = Utc::now();
    let platforms = run.step(IntakeStep::Merge, merge::merge(run, case, &image, layers)).await?;
    let started = case.ended(IntakeStep::Merge, started);
    run.at("scan", "begin").await;
    run.step(IntakeStep::Scan, scan::scan(run, case)).await?;
    let started = case.ended(IntakeStep::Scan, started);
    run.at("manifest", "begin").await;
    let descriptor = run.sure_step(IntakeStep::Manifest, || manifest::review(run, case, &platforms));
    let started = case.ended(IntakeStep::Manifest, started);
    run.at("ui", "begin").await;
    run.sure_step(IntakeStep::Ui, || ui::check(run, case, descriptor.as_ref(), &platforms));
    case.ended(IntakeStep::Ui, started);
    run.step(IntakeStep::Policy, policy(run, case, descriptor.as_ref(), &platforms)).await
}

/// What the image holds that a rule forbids: secrets, and permissions beyond those declared.
async fn policy(
    run: &Run<'_>,
    case: &mut Case,
    descriptor: Option<&Descriptor>,
    platforms: &[PlatformImage],
) -> Result<(), StepError> {
    let started = Utc::now();
    run.at("secrets", "begin").await;
    secrets::check(run, case, platforms);
    run.at("permissions", "begin").await;
    permissions::check(run, case, descriptor);
    case.ended(IntakeStep::Policy, started);
    Ok(())
}

/// Ends an intake whose attempts are used up. `told` is what its author reads.
///
/// # Errors
/// When the database does not answer, or the lease is lost.
pub(crate) async fn give_up(
    pipeline: &Pipeline,
    job: &ClaimedJob,
    id: IntakeId,
    told: &str,
    error: &str,
) -> Result<(), JobError> {
    let mut conn = pipeline.pool.get().await?;
    let work: IntakeWork = intakes::load(&mut conn, id).await?;
    match work.state {
        IntakeState::Queued | IntakeState::Running => {}
        IntakeState::Decided | IntakeState::Failed => return pipeline.finish(job).await,
    }
    registry_db::transaction(&mut conn, async |conn| {
        intakes::fail(conn, job, &work, RejectionCode::IntakeFailed, told, error).await
    })
    .await?;
    Ok(())
}
