//! Cancel an intake.

use actix_web::{post, web};
use registry_db::organizations::OrganizationKey;
use registry_db::{intakes, transaction};
use registry_types::ids::IntakeId;
use uuid::Uuid;

use super::read::{own_intake, with_steps};
use super::wire::IntakeDetail;
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::{Authenticated, Operation, organization_of};
use crate::state::AppState;

/// Cancel an intake that is not decided yet (developer)
///
/// The intake ends as `failed` with `INTAKE_CANCELLED`; its version number may be published again. What a worker has under
/// way for it is void at once.
#[utoipa::path(
    tag = "intakes",
    operation_id = "cancelIntake",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The cancelled intake", body = IntakeDetail),
        (status = 409, description = "`CONFLICT`: the intake has ended", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/intakes/{id}/cancel")]
pub(crate) async fn cancel(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<Uuid>,
) -> Result<web::Json<IntakeDetail>, Problem> {
    let id = IntakeId(path.into_inner());
    let mut conn = state.pool.get().await?;
    let intake = own_intake(&mut conn, &identity, id).await?;
    let key = OrganizationKey::Id(intake.summary.organization);
    Operation::CancelIntake.demand(&identity, &organization_of(&state, &identity, &key).await?)?;
    let is_cancelled = transaction(&mut conn, async |conn| intakes::cancel(conn, id, identity.actor()).await).await?;
    if !is_cancelled {
        return Err(Problem::new(ProblemCode::Conflict, "the intake has ended; there is nothing to cancel"));
    }
    let intake = intakes::get(&mut conn, id).await?;
    Ok(web::Json(with_steps(&mut conn, intake).await?))
}
