//! Refuse the claim of a namespace, and ask for it anew.

use actix_web::{post, web};
use registry_db::audit::{self, Entry};
use registry_db::registries::{self, NotPending, RegistryNamespace};
use registry_db::users::Identity;
use registry_db::{Connection, namespace_proofs, transaction};
use registry_types::audit::AuditAction;
use registry_types::ids::RegistryNamespaceId;
use registry_types::namespace_pattern::NamespaceState;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::wire::{RegistryItem, taken};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::{Member, MemberOrganization, Operation};
use crate::state::AppState;

const MAX_REASON: usize = 1000;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    /// Shown to the organization: 1 to 1,000 characters.
    #[schema(example = "my-org on ghcr.io belongs to somebody else")]
    reason: String,
}

/// Refuse the claim of a namespace (superuser)
///
/// Of one that waits; what is verified is suspended instead. No proof lifts it: an administrator asks for the namespace anew.
#[utoipa::path(
    tag = "registries",
    operation_id = "refuseRegistry",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    request_body = Refusal,
    responses(
        (status = 200, description = "Refused", body = RegistryItem),
        (status = 409, description = "`CONFLICT`: the namespace does not wait for a decision", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []))
)]
#[post("/v1/orgs/{org}/registries/{id}/refuse")]
pub(crate) async fn refuse(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
    body: web::Json<Refusal>,
) -> Result<web::Json<RegistryItem>, Problem> {
    let id = RegistryNamespaceId(path.into_inner().1);
    refuse_as(&state, &member.identity, &member.organization, id, &body.reason).await.map(|now| web::Json(now.into()))
}

/// [`refuse`], for a caller who was let in otherwise.
pub(crate) async fn refuse_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    id: RegistryNamespaceId,
    reason: &str,
) -> Result<RegistryNamespace, Problem> {
    Operation::RefuseRegistry.demand(identity, organization)?;
    let reason = reason.trim();
    if !(1..=MAX_REASON).contains(&reason.chars().count()) {
        return Err(Problem::bad_request(format!("reason must have 1 to {MAX_REASON} characters")));
    }
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<_, Problem> {
        let refused = registries::refuse(conn, organization.id, id, reason).await?;
        let refused = refused.map_err(|NotPending| {
            Problem::new(ProblemCode::Conflict, "only a claim that waits is refused; suspend what is verified")
        })?;
        write_down(conn, identity, &refused, AuditAction::RegistryRefused).await?;
        Ok(refused)
    })
    .await
}

/// Ask anew for a namespace that was refused (admin)
///
/// After what the refusal named was changed. It waits again, for its proof or for a superuser.
#[utoipa::path(
    tag = "registries",
    operation_id = "reopenRegistry",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses(
        (status = 200, description = "Waits again", body = RegistryItem),
        (status = 409, description = "`CONFLICT`: the namespace was not refused", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/registries/{id}/reopen")]
pub(crate) async fn reopen(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<web::Json<RegistryItem>, Problem> {
    let id = RegistryNamespaceId(path.into_inner().1);
    reopen_as(&state, &member.identity, &member.organization, id).await.map(|now| web::Json(now.into()))
}

/// [`reopen`], for a caller who was let in otherwise.
pub(crate) async fn reopen_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    id: RegistryNamespaceId,
) -> Result<RegistryNamespace, Problem> {
    Operation::ReopenRegistry.demand(identity, organization)?;
    let organization = organization.id;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<_, Problem> {
        let current = registries::lock(conn, id).await?.filter(|found| found.organization == organization);
        let current = current.ok_or(registry_db::DbError::NotFound)?;
        if current.state != NamespaceState::Refused {
            return Err(Problem::new(ProblemCode::Conflict, "only what was refused is asked for anew"));
        }
        let pending = NamespaceState::Pending;
        let reopened = registries::set_state(conn, organization, id, pending).await?.map_err(|_| taken())?;
        write_down(conn, identity, &reopened, AuditAction::RegistryReopened).await?;
        Ok(reopened)
    })
    .await
}

/// In the namespace's history, and in the audit log.
async fn write_down(
    conn: &mut Connection,
    identity: &Identity,
    namespace: &RegistryNamespace,
    action: AuditAction,
) -> Result<(), Problem> {
    let actor = identity.actor();
    namespace_proofs::decided(conn, namespace, actor).await?;
    let entry = Entry {
        organization: Some(namespace.organization),
        actor,
        action,
        subject: audit::Subject::Registry(namespace.id),
        details: json!({ "pattern": namespace.pattern.to_string(), "reason": namespace.refusal }),
    };
    Ok(audit::append(conn, entry).await?)
}
