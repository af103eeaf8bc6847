//! Approve, refuse and withdraw waivers.

use actix_web::{post, web};
use registry_db::users::Identity;
use registry_db::waivers::{self, ANOTHER_PERSON, Decided, NotOpen, Waiver};
use registry_db::{Connection, DbError, transaction};
use registry_types::ids::WaiverId;
use registry_types::people::Role;
use registry_types::waiver::Statement;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::wire::{WaiverItem, items};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::{Member, MemberOrganization, Operation};
use crate::state::AppState;

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaiverNote {
    /// For the one who asked.
    #[serde(default)]
    note: Option<String>,
}

/// Put a waiver in force (superuser; in an internal organization its administrators)
///
/// Never the person who asked. Versions that have the finding are judged anew.
#[utoipa::path(
    tag = "waivers",
    operation_id = "approveWaiver",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    request_body = WaiverNote,
    responses(
        (status = 200, description = "In force", body = WaiverItem),
        (status = 403, description = "`ANOTHER_PERSON_REQUIRED`, `FORBIDDEN`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`WAIVER_NOT_OPEN`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []))
)]
#[post("/v1/orgs/{org}/waivers/{id}/approve")]
pub(crate) async fn approve(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
    body: web::Json<WaiverNote>,
) -> Result<web::Json<WaiverItem>, Problem> {
    let id = path.into_inner().1;
    approve_as(&state, &member.identity, &member.organization, id, body.into_inner()).await.map(web::Json)
}

/// Refuse a waiver (superuser; in an internal organization its administrators)
#[utoipa::path(
    tag = "waivers",
    operation_id = "refuseWaiver",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    request_body = WaiverNote,
    responses(
        (status = 200, description = "Refused", body = WaiverItem),
        (status = 403, description = "`ANOTHER_PERSON_REQUIRED`, `FORBIDDEN`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`WAIVER_NOT_OPEN`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []))
)]
#[post("/v1/orgs/{org}/waivers/{id}/refuse")]
pub(crate) async fn refuse(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
    body: web::Json<WaiverNote>,
) -> Result<web::Json<WaiverItem>, Problem> {
    let id = path.into_inner().1;
    refuse_as(&state, &member.identity, &member.organization, id, body.into_inner()).await.map(web::Json)
}

/// Take a waiver back (who asked for it, or an administrator)
///
/// Versions that rest on it are judged anew.
#[utoipa::path(
    tag = "waivers",
    operation_id = "withdrawWaiver",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses(
        (status = 200, description = "Withdrawn", body = WaiverItem),
        (status = 409, description = "`WAIVER_NOT_OPEN`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/waivers/{id}/withdraw")]
pub(crate) async fn withdraw(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<web::Json<WaiverItem>, Problem> {
    let id = path.into_inner().1;
    withdraw_as(&state, &member.identity, &member.organization, id).await.map(web::Json)
}

/// [`approve`], for a caller who was let in otherwise.
pub(crate) async fn approve_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    id: Uuid,
    body: WaiverNote,
) -> Result<WaiverItem, Problem> {
    Operation::ApproveWaiver.demand(identity, organization)?;
    let (id, organization, decided) = (WaiverId(id), organization.id, decided(identity, body)?);
    let mut conn = state.pool.get().await?;
    let waiver = transaction(&mut conn, async |conn| -> Result<Waiver, Problem> {
        waivers::approve(conn, organization, id, &decided).await.map_err(refusal)?.map_err(not_open)
    })
    .await?;
    answer(&mut conn, waiver).await
}

/// [`refuse`], for a caller who was let in otherwise.
pub(crate) async fn refuse_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    id: Uuid,
    body: WaiverNote,
) -> Result<WaiverItem, Problem> {
    Operation::RefuseWaiver.demand(identity, organization)?;
    let (id, organization, decided) = (WaiverId(id), organization.id, decided(identity, body)?);
    let mut conn = state.pool.get().await?;
    let waiver = transaction(&mut conn, async |conn| -> Result<Waiver, Problem> {
        waivers::refuse(conn, organization, id, &decided).await.map_err(refusal)?.map_err(not_open)
    })
    .await?;
    answer(&mut conn, waiver).await
}

/// [`withdraw`], for a caller who was let in otherwise.
pub(crate) async fn withdraw_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    id: Uuid,
) -> Result<WaiverItem, Problem> {
    Operation::WithdrawWaiver.demand(identity, organization)?;
    let (id, by, actor) = (WaiverId(id), identity.user, identity.actor());
    let is_admin = organization.role >= Role::Admin;
    let organization = organization.id;
    let mut conn = state.pool.get().await?;
    let waiver = transaction(&mut conn, async |conn| -> Result<Waiver, Problem> {
        if !is_admin && waivers::get(conn, organization, id).await?.asked_by != by {
            return Err(Problem::forbidden("only who asked for a waiver, or an administrator, withdraws it"));
        }
        waivers::withdraw(conn, organization, id, by, actor).await?.map_err(not_open)
    })
    .await?;
    answer(&mut conn, waiver).await
}

fn decided(identity: &Identity, body: WaiverNote) -> Result<Decided, Problem> {
    let note = body.note.filter(|note| !note.trim().is_empty()).map(|note| note.parse::<Statement>());
    let note = note.transpose().map_err(|_| Problem::bad_request("a note has at most 2000 printable characters"))?;
    Ok(Decided { by: identity.user, actor: identity.actor(), note: note.map(|note| note.to_string()) })
}

fn refusal(error: DbError) -> Problem {
    if error.is_constraint(ANOTHER_PERSON) {
        let detail = "another person than the one who asked decides about a waiver";
        Problem::new(ProblemCode::AnotherPersonRequired, detail)
    } else {
        error.into()
    }
}

fn not_open(NotOpen { state }: NotOpen) -> Problem {
    Problem::new(ProblemCode::WaiverNotOpen, format!("the waiver is {state}"))
}

async fn answer(conn: &mut Connection, waiver: Waiver) -> Result<WaiverItem, Problem> {
    items(conn, vec![waiver]).await?.pop().ok_or_else(|| Problem::not_found("waiver"))
}
