//! Test a namespace, approve it, suspend it.

use actix_web::{HttpResponse, post, web};
use registry_db::audit::{self, Entry};
use registry_db::jobs::{self, Enqueue};
use registry_db::namespace_proofs;
use registry_db::registries::{self, RegistryNamespace};
use registry_db::users::Identity;
use registry_db::{Connection, store_settings, transaction};
use registry_types::audit::AuditAction;
use registry_types::ids::{JobId, RegistryNamespaceId};
use registry_types::job::JobPayload;
use registry_types::namespace_pattern::NamespaceState;
use registry_types::people::TrustTier;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::wire::{RegistryItem, taken};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::request::RequestId;
use crate::rights::{Member, MemberOrganization, Operation};
use crate::state::AppState;

/// A person waits for the result, so a test is not tried for long.
const TEST_ATTEMPTS: i32 = 2;

#[derive(Serialize, ToSchema)]
pub(crate) struct TestAccepted {
    /// The job; its result appears in the namespace's `last_test`.
    job: Uuid,
}

/// Let the worker try a namespace (admin)
#[utoipa::path(
    tag = "registries",
    operation_id = "testRegistry",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses(
        (status = 202, description = "Accepted; look at the namespace's `last_test`", body = TestAccepted),
        (status = 409, description = "`CONFLICT`: the namespace is suspended or refused", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/registries/{id}/test")]
pub(crate) async fn test(
    state: web::Data<AppState>,
    member: Member,
    request_id: web::ReqData<RequestId>,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Problem> {
    let (id, request_id) = (RegistryNamespaceId(path.into_inner().1), request_id.into_inner());
    let job = test_as(&state, &member.identity, &member.organization, request_id, id).await?;
    let location = format!("/v1/orgs/{}/registries/{id}", member.organization.id);
    Ok(HttpResponse::Accepted().insert_header(("Location", location)).json(TestAccepted { job: job.0 }))
}

/// [`test`], for a caller who was let in otherwise.
pub(crate) async fn test_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    RequestId(request_id): RequestId,
    namespace: RegistryNamespaceId,
) -> Result<JobId, Problem> {
    Operation::TestRegistry.demand(identity, organization)?;
    let organization = organization.id;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<JobId, Problem> {
        let current = registries::get(conn, organization, namespace).await?;
        match current.state {
            NamespaceState::Pending | NamespaceState::Verified => {}
            NamespaceState::Suspended | NamespaceState::Refused => {
                return Err(Problem::new(ProblemCode::Conflict, "a suspended or refused namespace is not tested"));
            }
        }
        let how = Enqueue {
            organization: Some(organization),
            source_host: Some(current.pattern.host().clone()),
            request_id: Some(request_id),
            dedup_key: Some(format!("registry_test:{namespace}")),
            max_attempts: TEST_ATTEMPTS,
            ..Enqueue::default()
        };
        Ok(jobs::enqueue(conn, &JobPayload::RegistryTest { namespace }, how).await?)
    })
    .await
}

/// Accept a namespace as the organization's own (superuser)
#[utoipa::path(
    tag = "registries",
    operation_id = "approveRegistry",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses(
        (status = 200, description = "Verified", body = RegistryItem),
        (status = 403, description = "`REGISTRY_PROOF_REQUIRED`: the policy demands a proof first", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`REGISTRY_PATTERN_TAKEN`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []))
)]
#[post("/v1/orgs/{org}/registries/{id}/approve")]
pub(crate) async fn approve(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<web::Json<RegistryItem>, Problem> {
    let id = RegistryNamespaceId(path.into_inner().1);
    approve_as(&state, &member.identity, &member.organization, id).await.map(|now| web::Json(now.into()))
}

/// [`approve`], for a caller who was let in otherwise.
pub(crate) async fn approve_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    id: RegistryNamespaceId,
) -> Result<RegistryNamespace, Problem> {
    Operation::ApproveRegistry.demand(identity, organization)?;
    set_state(state, identity, organization, id, NamespaceState::Verified, AuditAction::RegistryApproved).await
}

/// Stop publishing from a namespace (superuser)
#[utoipa::path(
    tag = "registries",
    operation_id = "suspendRegistry",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses((status = 200, description = "Suspended", body = RegistryItem), Problems),
    security(("bearer" = []))
)]
#[post("/v1/orgs/{org}/registries/{id}/suspend")]
pub(crate) async fn suspend(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<web::Json<RegistryItem>, Problem> {
    let id = RegistryNamespaceId(path.into_inner().1);
    suspend_as(&state, &member.identity, &member.organization, id).await.map(|now| web::Json(now.into()))
}

/// [`suspend`], for a caller who was let in otherwise.
pub(crate) async fn suspend_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    id: RegistryNamespaceId,
) -> Result<RegistryNamespace, Problem> {
    Operation::SuspendRegistry.demand(identity, organization)?;
    set_state(state, identity, organization, id, NamespaceState::Suspended, AuditAction::RegistrySuspended).await
}

async fn set_state(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    id: RegistryNamespaceId,
    new: NamespaceState,
    action: AuditAction,
) -> Result<RegistryNamespace, Problem> {
    let (organization, tier) = (organization.id, organization.trust_tier);
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<RegistryNamespace, Problem> {
        if new == NamespaceState::Verified {
            demand_proof(conn, tier, id).await?;
        }
        let changed = registries::set_state(conn, organization, id, new).await?.map_err(|_| taken())?;
        namespace_proofs::decided(conn, &changed, identity.actor()).await?;
        let entry = Entry {
            organization: Some(organization),
            actor: identity.actor(),
            action,
            subject: audit::Subject::Registry(id),
            details: json!({ "pattern": changed.pattern.to_string() }),
        };
        audit::append(conn, entry).await?;
        Ok(changed)
    })
    .await
}

/// A person approves without a proof only where the policy leaves it to people.
async fn demand_proof(conn: &mut Connection, tier: TrustTier, id: RegistryNamespaceId) -> Result<(), Problem> {
    let is_demanded = store_settings::policy(conn).await?.namespaces.of(tier).is_for_approval();
    if is_demanded && !namespace_proofs::is_proven(conn, id).await? {
        let detail =
            format!("the policy demands a proof of namespaces of {tier} organizations before they are approved");
        return Err(Problem::new(ProblemCode::RegistryProofRequired, detail));
    }
    Ok(())
}
