//! Read intakes. They show what an organization publishes before anybody may see it, so only its members may.

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use registry_db::intakes::{self, Intake};
use registry_db::paging::Page;
use registry_db::users::Identity;
use registry_db::{Connection, DbError};
use registry_types::ids::IntakeId;
use uuid::Uuid;

use super::wire::{IntakeDetail, IntakeItem};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::rights::{Authenticated, Member};
use crate::state::AppState;

/// An intake that `identity` may see: one of its own organizations', of its package if its credential is for one; a superuser
/// sees all.
///
/// # Errors
/// 404 for all others.
pub(crate) async fn own_intake(conn: &mut Connection, identity: &Identity, id: IntakeId) -> Result<Intake, Problem> {
    let not_found = || Problem::not_found("intake");
    let intake = intakes::get(conn, id).await.map_err(|error| match error {
        DbError::NotFound => not_found(),
        other => other.into(),
    })?;
    let is_own = identity.memberships.iter().any(|own| own.organization == intake.summary.organization);
    let is_own = is_own && identity.may_act_on(&intake.summary.package_name.name);
    if is_own || identity.is_superuser { Ok(intake) } else { Err(not_found()) }
}

/// One intake with every check and its evidence
#[utoipa::path(
    tag = "intakes",
    operation_id = "getIntake",
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The intake", body = IntakeDetail), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/intakes/{id}")]
pub(crate) async fn get(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<Uuid>,
) -> Result<web::Json<IntakeDetail>, Problem> {
    let id = IntakeId(path.into_inner());
    let mut conn = state.pool.get().await?;
    let intake = own_intake(&mut conn, &identity, id).await?;
    Ok(web::Json(with_steps(&mut conn, intake).await?))
}

/// The intake as it is answered.
pub(super) async fn with_steps(conn: &mut Connection, intake: Intake) -> Result<IntakeDetail, Problem> {
    let steps = intakes::steps(conn, intake.summary.id).await?;
    Ok(IntakeDetail::new(intake, steps))
}

/// The intakes of an organization, the newest first
#[utoipa::path(
    tag = "intakes",
    operation_id = "listIntakes",
    params(("org" = String, Path, description = "Id or slug"), PageQuery),
    responses((status = 200, description = "One page", body = List<IntakeItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/intakes")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    member: Member,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<IntakeItem>>, Problem> {
    let after: Option<(DateTime<Utc>, IntakeId)> = query.after()?;
    let size = query.size();
    let mut conn = state.pool.get().await?;
    let mut rows = intakes::list(&mut conn, member.organization.id, after, size as i64 + 1).await?;
    let has_next = rows.len() > size;
    rows.truncate(size);
    let next = if has_next { rows.last().map(|last| (last.created_at, last.id)) } else { None };
    Ok(web::Json(List::of(Page { items: rows, next }.map(IntakeItem::from))?))
}
