//! How an intake ends that nobody wants any more.

use registry_types::audit::AuditAction;
use registry_types::ids::IntakeId;
use registry_types::rejection_code::RejectionCode;
use serde_json::json;

use super::decide::{End, end_without_verdict};
use super::work;
use crate::audit::Actor;
use crate::{Connection, DbError, DbResult, durable, jobs};

/// The job's key while an intake is open.
pub(crate) fn job_key(intake: IntakeId) -> String {
    format!("intake:{intake}")
}

/// Cancels an open intake: its job is withdrawn, so that a worker that carries it out cannot write any more, and its version
/// number may be published again. Call in a transaction. `false` when it has ended already.
///
/// # Errors
/// [`DbError::NotFound`] when there is no such intake.
pub async fn cancel(conn: &mut Connection, intake: IntakeId, actor: Actor) -> DbResult<bool> {
    durable(conn).await?;
    // Waits for a decision that is being written.
    let is_withdrawn = jobs::withdraw(conn, &job_key(intake)).await?;
    if !is_withdrawn {
        work::load(conn, intake).await?;
        return Ok(false);
    }
    let work = work::load(conn, intake).await?;
    let reason = "cancelled before it was decided";
    let audit_details = json!({ "code": RejectionCode::IntakeCancelled });
    let end = End {
        code: RejectionCode::IntakeCancelled,
        reason,
        action: AuditAction::IntakeCancelled,
        actor,
        audit_details,
    };
    match end_without_verdict(conn, &work, end).await {
        Err(DbError::Stale) => Err(DbError::corrupt("open job of an ended intake")("the intake has ended".into())),
        ended => ended.map(|()| true),
    }
}
