//! What a publisher changes about a version afterwards: take it back, or warn those who use it.

use actix_web::{HttpResponse, delete, post, put, web};
use registry_db::packages::{self, PackageSummary, Viewer};
use registry_db::{Connection, transaction};
use serde::Deserialize;
use utoipa::ToSchema;

use super::read::VersionPath;
use crate::problem::{Problem, ProblemCode, Problems};
use crate::rights::Member;
use crate::state::AppState;

const MAX_NOTE_CHARS: usize = 500;

#[derive(Deserialize, ToSchema)]
pub(crate) struct YankRequest {
    /// Why, for the audit log; at most 500 characters.
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct DeprecationRequest {
    /// What those who use this version should know, 1 to 500 characters.
    #[schema(example = "has a memory leak; use 1.2.1")]
    note: String,
}

/// Take an active version back
///
/// It leaves the index and can no longer be pulled; its number stays used. Needs the role `developer` in the publishing
/// organization.
#[utoipa::path(
    tag = "packages",
    operation_id = "yankVersion",
    params(("publisher" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    request_body = YankRequest,
    responses((status = 204, description = "Yanked"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/packages/{publisher}/{name}/versions/{version}/yank")]
pub(crate) async fn yank_version(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<VersionPath>,
    body: web::Json<YankRequest>,
) -> Result<HttpResponse, Problem> {
    let reason = note(&body.reason)?;
    let actor = member.identity.actor();
    transaction(&mut *state.pool.get().await?, async |conn| -> Result<(), Problem> {
        let package = own_package(conn, &member, &path).await?;
        Ok(packages::yank(conn, actor, &package, &path.version, reason).await?)
    })
    .await
    .map_err(|problem| {
        let is_conflict = problem.code == ProblemCode::Conflict;
        if is_conflict { Problem::new(problem.code, "only an active version can be yanked") } else { problem }
    })?;
    state.index.invalidate();
    Ok(HttpResponse::NoContent().finish())
}

/// Warn those who use a version
#[utoipa::path(
    tag = "packages",
    operation_id = "deprecateVersion",
    params(("publisher" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    request_body = DeprecationRequest,
    responses((status = 204, description = "The note is shown with the version"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[put("/v1/packages/{publisher}/{name}/versions/{version}/deprecation")]
pub(crate) async fn deprecate_version(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<VersionPath>,
    body: web::Json<DeprecationRequest>,
) -> Result<HttpResponse, Problem> {
    let text = note(&body.note)?;
    if text.is_empty() {
        return Err(Problem::bad_request("note must not be empty"));
    }
    set_deprecation(&state, &member, &path, Some(text)).await
}

/// Take the warning about a version back
#[utoipa::path(
    tag = "packages",
    operation_id = "withdrawDeprecation",
    params(("publisher" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 204, description = "The note is gone"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[delete("/v1/packages/{publisher}/{name}/versions/{version}/deprecation")]
pub(crate) async fn withdraw_deprecation(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<VersionPath>,
) -> Result<HttpResponse, Problem> {
    set_deprecation(&state, &member, &path, None).await
}

async fn set_deprecation(
    state: &AppState,
    member: &Member,
    path: &VersionPath,
    text: Option<&str>,
) -> Result<HttpResponse, Problem> {
    let actor = member.identity.actor();
    transaction(&mut *state.pool.get().await?, async |conn| -> Result<(), Problem> {
        let package = own_package(conn, member, path).await?;
        Ok(packages::deprecate(conn, actor, &package, &path.version, text).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn own_package(conn: &mut Connection, member: &Member, path: &VersionPath) -> Result<PackageSummary, Problem> {
    Ok(packages::package(conn, &Viewer::of(Some(&member.identity)), &path.package()).await?)
}

fn note(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    if text.chars().count() > MAX_NOTE_CHARS {
        return Err(Problem::bad_request(format!("at most {MAX_NOTE_CHARS} characters are allowed")));
    }
    Ok(text)
}
