//! Prove that a namespace is the organization's own: ask for a challenge, push it, have it looked for; and who held what.

use actix_web::{HttpResponse, get, post, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use registry_db::audit::{self, Entry};
use registry_db::namespace_proofs::{self, Holding, Proof};
use registry_db::registries::RegistryNamespace;
use registry_db::users::Identity;
use registry_db::{registries, transaction};
use registry_types::audit::AuditAction;
use registry_types::ids::{OrganizationId, RegistryNamespaceId};
use registry_types::namespace_pattern::{CHALLENGE_ANNOTATION, NamespaceState, challenge_repository, challenge_tag};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::paging::{List, PageQuery};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::request::RequestId;
use crate::rights::{Member, MemberOrganization, Operation};
use crate::state::AppState;

#[derive(Serialize, ToSchema)]
pub(crate) struct ChallengeItem {
    /// Where an OCI artifact has to be pushed, whatever else it holds.
    #[schema(example = "ghcr.io/my-org/company-store-challenge:company-store-0192…")]
    pub(crate) reference: String,
    /// The manifest's annotation that has to hold `nonce`.
    pub(crate) annotation: &'static str,
    pub(crate) nonce: String,
    /// When it was last found.
    pub(crate) proven_at: Option<DateTime<Utc>>,
    /// Times in a row that it was missing since.
    pub(crate) misses: i32,
    /// What the last look found, for people.
    pub(crate) last_result: Option<String>,
    /// When the last look ended, or a job's claims were last taken.
    pub(crate) looked_at: Option<DateTime<Utc>>,
}

impl ChallengeItem {
    pub(crate) fn of(namespace: &RegistryNamespace, proof: Proof) -> Self {
        let (id, pattern) = (namespace.id, &namespace.pattern);
        Self {
            reference: format!("{}/{}:{}", pattern.host(), challenge_repository(pattern), challenge_tag(id)),
            annotation: CHALLENGE_ANNOTATION,
            nonce: proof.nonce,
            proven_at: proof.proven_at,
            misses: proof.misses,
            last_result: proof.last_result,
            looked_at: proof.looked_at,
        }
    }
}

/// One time that the namespace's state was decided.
#[derive(Serialize, ToSchema)]
pub(crate) struct HoldingItem {
    pub(crate) pattern: String,
    pub(crate) at: DateTime<Utc>,
    /// `pending`, `verified`, `suspended` or `refused`.
    pub(crate) state: &'static str,
    /// `person`, `challenge`, `claims` or `proof_lost`.
    pub(crate) how: &'static str,
    /// As in the audit log.
    pub(crate) actor: String,
    /// What proved it: the digest of the manifest that held the challenge, or issuer, owner and publish token of the job.
    pub(crate) evidence: Option<String>,
    /// Why a person refused it, or what was found instead of the proof.
    pub(crate) reason: Option<String>,
}

impl From<Holding> for HoldingItem {
    fn from(holding: Holding) -> Self {
        Self {
            pattern: holding.pattern,
            at: holding.at,
            state: holding.state.as_str(),
            how: holding.how.as_str(),
            actor: holding.actor,
            evidence: holding.evidence,
            reason: holding.reason,
        }
    }
}

/// Ask for a challenge to prove a namespace with; an earlier one no longer counts (admin)
#[utoipa::path(
    tag = "registries",
    operation_id = "challengeRegistry",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses((status = 201, description = "What to push, and where", body = ChallengeItem), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/registries/{id}/challenge")]
pub(crate) async fn challenge(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Problem> {
    let id = RegistryNamespaceId(path.into_inner().1);
    let challenge = challenge_as(&state, &member.identity, &member.organization, id).await?;
    Ok(HttpResponse::Created().json(challenge))
}

/// [`challenge`], for a caller who was let in otherwise.
pub(crate) async fn challenge_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    id: RegistryNamespaceId,
) -> Result<ChallengeItem, Problem> {
    Operation::ChallengeRegistry.demand(identity, organization)?;
    let organization = organization.id;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| Problem::internal(e.to_string()))?;
    let nonce = URL_SAFE_NO_PAD.encode(random);
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<_, Problem> {
        let namespace = registries::get(conn, organization, id).await?;
        namespace_proofs::challenge(conn, id, &nonce).await?;
        let entry = Entry {
            organization: Some(organization),
            actor: identity.actor(),
            action: AuditAction::RegistryChallenged,
            subject: audit::Subject::Registry(id),
            details: json!({ "pattern": namespace.pattern.to_string() }),
        };
        audit::append(conn, entry).await?;
        let proof = namespace_proofs::get(conn, id).await?.ok_or_else(no_challenge)?;
        Ok(ChallengeItem::of(&namespace, proof))
    })
    .await
}

/// No proof lifts what a person decided, and a worker does not look for one.
fn demand_undecided(namespace: &RegistryNamespace, proof: &Proof) -> Result<(), Problem> {
    let conflict = |detail: &str| Err(Problem::new(ProblemCode::Conflict, detail));
    match namespace.state {
        NamespaceState::Refused => conflict("the claim was refused; ask for it anew first"),
        NamespaceState::Suspended if !proof.is_lost => conflict("a person has suspended it; only a person lifts that"),
        NamespaceState::Suspended | NamespaceState::Pending | NamespaceState::Verified => Ok(()),
    }
}

fn no_challenge() -> Problem {
    Problem::new(ProblemCode::Conflict, "ask for a challenge first, and push it")
}

/// The challenge of a namespace, and how its proof stands (admin)
#[utoipa::path(
    tag = "registries",
    operation_id = "getRegistryChallenge",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses(
        (status = 200, description = "What to push, where, and what the last look found", body = ChallengeItem),
        (status = 409, description = "`CONFLICT`: nobody asked for a challenge", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/registries/{id}/challenge")]
pub(crate) async fn read_challenge(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<web::Json<ChallengeItem>, Problem> {
    let id = RegistryNamespaceId(path.into_inner().1);
    let mut conn = state.pool.get().await?;
    let namespace = registries::get(&mut conn, member.organization.id, id).await?;
    let proof = namespace_proofs::get(&mut conn, id).await?.ok_or_else(no_challenge)?;
    Ok(web::Json(ChallengeItem::of(&namespace, proof)))
}

/// Let a worker look for the challenge; a namespace that waits for its proof is then verified (admin)
#[utoipa::path(
    tag = "registries",
    operation_id = "proveRegistry",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses(
        (status = 202, description = "Accepted; look at the namespace's `state` and its history"),
        (status = 409, description = "`CONFLICT`: nobody asked for a challenge, or a person has suspended or refused the namespace", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/registries/{id}/prove")]
pub(crate) async fn prove(
    state: web::Data<AppState>,
    member: Member,
    request_id: web::ReqData<RequestId>,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Problem> {
    let (id, request_id) = (RegistryNamespaceId(path.into_inner().1), request_id.into_inner());
    prove_as(&state, &member.identity, &member.organization, request_id, id).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// [`prove`], for a caller who was let in otherwise.
pub(crate) async fn prove_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    RequestId(request_id): RequestId,
    id: RegistryNamespaceId,
) -> Result<(), Problem> {
    Operation::ProveRegistry.demand(identity, organization)?;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        let namespace = registries::get(conn, organization.id, id).await?;
        let proof = namespace_proofs::get(conn, id).await?.ok_or_else(no_challenge)?;
        demand_undecided(&namespace, &proof)?;
        Ok(namespace_proofs::request(conn, &namespace, Some(request_id)).await?)
    })
    .await
}

/// Who held the namespace, since when and by what, the newest first
#[utoipa::path(
    tag = "registries",
    operation_id = "listRegistryHistory",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path), PageQuery),
    responses((status = 200, description = "One page", body = List<HoldingItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/registries/{id}/history")]
pub(crate) async fn history(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<HoldingItem>>, Problem> {
    let id = RegistryNamespaceId(path.into_inner().1);
    history_page(&state, member.organization.id, id, &query).await.map(web::Json)
}

/// [`history`], for the page as well.
pub(crate) async fn history_page(
    state: &AppState,
    organization: OrganizationId,
    id: RegistryNamespaceId,
    query: &PageQuery,
) -> Result<List<HoldingItem>, Problem> {
    let mut conn = state.pool.get().await?;
    let page = namespace_proofs::holdings(&mut conn, organization, id, query.after()?, query.size()).await?;
    List::of(page.map(HoldingItem::from))
}
