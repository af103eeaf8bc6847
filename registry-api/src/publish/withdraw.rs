//! What the HLA-Compass client calls suspending a version and deleting a module: the version is yanked, the module's
//! versions all are. Nothing that was published is unmade.

use actix_web::{delete, post, web};
use registry_db::organizations::OrganizationKey;
use registry_db::packages::{self, PackageSummary, Viewer};
use registry_db::users::Identity;
use registry_db::{Connection, DbError, modules, transaction, withdrawal};
use registry_types::ids::{OrganizationId, PackageId};
use registry_types::package::VersionState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::{Authenticated, Operation, organization_of};
use crate::state::AppState;

const MAX_REASON_CHARS: usize = 500;

/// A version that was suspended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Suspended {
    module_id: Uuid,
    version: String,
    /// `yanked`.
    state: &'static str,
}

/// A module that was deleted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deleted {
    module_id: Uuid,
    deleted: bool,
}

/// Unknown members are ignored: the client sends a password with it where a store asks for one.
#[derive(Deserialize, Default, ToSchema)]
pub(crate) struct DeleteRequest {
    /// Why, for the audit log; at most 500 characters.
    #[serde(default)]
    reason: Option<String>,
}

/// Suspend a version of a module: the client's word for yanking it (developer)
#[utoipa::path(
    tag = "modules",
    operation_id = "suspendVersion",
    params(("id" = Uuid, Path), ("version" = String, Path)),
    responses(
        (status = 200, description = "It can no longer be had; also when that was so before", body = Suspended),
        (status = 409, description = "`CONFLICT`: it is not active", body = ProblemBody),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/modules/{id}/versions/{version}/suspend")]
pub(crate) async fn suspend(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<(Uuid, semver::Version)>,
) -> Result<web::Json<Suspended>, Problem> {
    suspend_version(&state, &identity, path.into_inner()).await
}

/// Suspend a version, with an API key
#[utoipa::path(
    tag = "modules",
    operation_id = "suspendVersionByApiKey",
    params(("id" = Uuid, Path), ("version" = String, Path)),
    responses((status = 200, description = "As `suspendVersion`", body = Suspended), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/api/modules/{id}/versions/{version}/suspend")]
pub(crate) async fn suspend_by_key(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<(Uuid, semver::Version)>,
) -> Result<web::Json<Suspended>, Problem> {
    suspend_version(&state, &identity, path.into_inner()).await
}

/// Delete a module: take all of its versions back (admin)
///
/// Open intakes are cancelled, active versions are yanked, the module leaves all lists. The name stays its publisher's and
/// the version numbers stay used; the next version that is submitted brings the module back.
#[utoipa::path(
    tag = "modules",
    operation_id = "deleteModule",
    params(("id" = Uuid, Path)),
    request_body(content = DeleteRequest, description = "May be empty"),
    responses((status = 200, description = "Deleted; also when it was before", body = Deleted), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[delete("/v1/modules/{id}")]
pub(crate) async fn delete(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<Uuid>,
    body: web::Bytes,
) -> Result<web::Json<Deleted>, Problem> {
    delete_module(&state, &identity, PackageId(path.into_inner()), &body).await
}

/// Delete a module, with an API key
#[utoipa::path(
    tag = "modules",
    operation_id = "deleteModuleByApiKey",
    params(("id" = Uuid, Path)),
    request_body(content = DeleteRequest, description = "May be empty"),
    responses((status = 200, description = "As `deleteModule`", body = Deleted), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[delete("/v1/api/modules/{id}")]
pub(crate) async fn delete_by_key(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<Uuid>,
    body: web::Bytes,
) -> Result<web::Json<Deleted>, Problem> {
    delete_module(&state, &identity, PackageId(path.into_inner()), &body).await
}

async fn suspend_version(
    state: &AppState,
    identity: &Identity,
    (id, number): (Uuid, semver::Version),
) -> Result<web::Json<Suspended>, Problem> {
    let id = PackageId(id);
    let mut conn = state.pool.get().await?;
    let organization = owner(&mut conn, state, identity, id, Operation::SuspendVersion).await?;
    let version = number.to_string();
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        let module = modules::get(conn, &[organization], id, Some(&version)).await?;
        if module.state == VersionState::Yanked {
            return Ok(());
        }
        let package: PackageSummary = packages::package(conn, &Viewer::of(Some(identity)), &module.name).await?;
        match packages::yank(conn, identity.actor(), &package, &number, "suspended by its publisher").await {
            Err(DbError::Stale) => Err(not_active(&module.state)),
            yanked => Ok(yanked?),
        }
    })
    .await?;
    state.index.invalidate();
    Ok(web::Json(Suspended { module_id: id.0, version, state: VersionState::Yanked.as_str() }))
}

fn not_active(state: &VersionState) -> Problem {
    Problem::new(ProblemCode::Conflict, format!("the version is {state}; only an active version can be suspended"))
}

async fn delete_module(
    state: &AppState,
    identity: &Identity,
    id: PackageId,
    body: &[u8],
) -> Result<web::Json<Deleted>, Problem> {
    let body: DeleteRequest = if body.is_empty() {
        DeleteRequest::default()
    } else {
        serde_json::from_slice(body).map_err(|e| Problem::bad_request(format!("the body is not as expected: {e}")))?
    };
    let reason = body.reason.unwrap_or_default();
    if reason.chars().count() > MAX_REASON_CHARS {
        return Err(Problem::bad_request(format!("reason must have at most {MAX_REASON_CHARS} characters")));
    }
    let mut conn = state.pool.get().await?;
    owner(&mut conn, state, identity, id, Operation::DeleteModule).await?;
    transaction(&mut conn, async |conn| withdrawal::withdraw(conn, id, identity.actor(), reason.trim()).await).await?;
    state.index.invalidate();
    Ok(web::Json(Deleted { module_id: id.0, deleted: true }))
}

/// The module's organization, in which the caller has at least this role.
async fn owner(
    conn: &mut Connection,
    state: &AppState,
    identity: &Identity,
    id: PackageId,
    operation: Operation,
) -> Result<OrganizationId, Problem> {
    let no_module = || Problem::not_found("module");
    let owner = match withdrawal::owner(conn, id).await {
        Err(DbError::NotFound) => return Err(no_module()),
        owner => owner?,
    };
    let organization = organization_of(state, identity, &OrganizationKey::Id(owner)).await;
    let organization = organization.map_err(|problem| match problem.code {
        ProblemCode::NotFound => no_module(),
        _ => problem,
    })?;
    operation.demand(identity, &organization)?;
    Ok(organization.id)
}
