//! Bind jobs to packages.

use actix_web::{HttpResponse, delete, get, post, web};
use registry_db::audit::{self, Entry};
use registry_db::trusted_publishers::{self, BINDING_TAKEN, NewTrustedPublisher, TooManyPublishers, TrustedPublisher};
use registry_db::users::Identity;
use registry_db::{DbError, identity_providers, store_settings, transaction};
use registry_types::audit::AuditAction;
use registry_types::ids::{OrganizationId, TrustedPublisherId};
use serde_json::json;
use uuid::Uuid;

use super::wire::{AddTrustedPublisher, TrustedPublisherItem};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::request::RequestId;
use crate::rights::{Member, MemberOrganization, Operation};
use crate::state::AppState;

/// Let a job of continuous integration publish a package (admin)
#[utoipa::path(
    tag = "trusted publishing",
    operation_id = "addTrustedPublisher",
    params(("org" = String, Path, description = "Id or slug")),
    request_body = AddTrustedPublisher,
    responses(
        (status = 201, description = "Bound", body = TrustedPublisherItem),
        (status = 409, description = "`CONFLICT`: the package has this one", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`TRUSTED_PUBLISHER_INVALID`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []))
)]
#[post("/v1/orgs/{org}/trusted-publishers")]
pub(crate) async fn add(
    state: web::Data<AppState>,
    member: Member,
    request_id: web::ReqData<RequestId>,
    body: web::Json<AddTrustedPublisher>,
) -> Result<HttpResponse, Problem> {
    let (Member { identity, organization }, request_id) = (member, request_id.into_inner());
    let added = add_as(&state, &identity, &organization, request_id, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(added))
}

/// [`add`], for a caller who was let in otherwise.
pub(crate) async fn add_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    RequestId(request_id): RequestId,
    body: AddTrustedPublisher,
) -> Result<TrustedPublisherItem, Problem> {
    Operation::AddTrustedPublisher.demand(identity, organization)?;
    let mut conn = state.pool.get().await?;
    let policy = store_settings::policy(&mut conn).await?;
    let most = policy.limits.quotas.of(organization.trust_tier).trusted_publishers;
    let new = NewTrustedPublisher {
        organization: organization.id,
        binding: body.binding(&policy.trusted_publishing)?,
        package: body.package,
        provider: body.provider,
        repository: body.repository,
        created_by: identity.user,
    };
    let added = transaction(&mut conn, async |conn| -> Result<TrustedPublisher, Problem> {
        let added = trusted_publishers::add(conn, &new, most).await.map_err(refusal)?.map_err(|TooManyPublishers| {
            Problem::new(ProblemCode::QuotaExceeded, format!("an organization has at most {most} trusted publishers"))
        })?;
        let entry = Entry {
            organization: Some(new.organization),
            actor: identity.actor(),
            action: AuditAction::TrustedPublisherAdded,
            subject: audit::Subject::TrustedPublisher(added.id),
            details: json!({
                "package": added.package,
                "provider": added.provider,
                "repository": added.repository,
                "binding": added.binding,
            }),
        };
        audit::append(conn, entry).await?;
        // A provider that cannot be reached shows before the first release does.
        identity_providers::request(conn, &added.binding.issuer, Some(request_id)).await?;
        Ok(added)
    })
    .await?;
    Ok(added.into())
}

fn refusal(error: DbError) -> Problem {
    if error.is_constraint(BINDING_TAKEN) {
        Problem::new(ProblemCode::Conflict, "the package has this trusted publisher already")
    } else {
        error.into()
    }
}

/// The jobs that may publish packages of an organization (admin)
#[utoipa::path(
    tag = "trusted publishing",
    operation_id = "listTrustedPublishers",
    params(("org" = String, Path, description = "Id or slug"), PageQuery),
    responses((status = 200, description = "One page", body = List<TrustedPublisherItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/trusted-publishers")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    member: Member,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<TrustedPublisherItem>>, Problem> {
    page(&state, member.organization.id, &query).await.map(web::Json)
}

/// [`list`], for the page as well.
pub(crate) async fn page(
    state: &AppState,
    organization: OrganizationId,
    query: &PageQuery,
) -> Result<List<TrustedPublisherItem>, Problem> {
    let after: Option<TrustedPublisherId> = query.after()?;
    let mut conn = state.pool.get().await?;
    let page = trusted_publishers::list(&mut conn, organization, after, query.size()).await?;
    List::of(page.map(TrustedPublisherItem::from))
}

/// Take the right to publish from a job; its live tokens end (admin)
#[utoipa::path(
    tag = "trusted publishing",
    operation_id = "removeTrustedPublisher",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses((status = 204, description = "Removed"), Problems),
    security(("bearer" = []))
)]
#[delete("/v1/orgs/{org}/trusted-publishers/{id}")]
pub(crate) async fn remove(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Problem> {
    remove_as(&state, &member.identity, &member.organization, TrustedPublisherId(path.into_inner().1)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// [`remove`], for a caller who was let in otherwise.
pub(crate) async fn remove_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    id: TrustedPublisherId,
) -> Result<(), Problem> {
    Operation::RemoveTrustedPublisher.demand(identity, organization)?;
    let organization = organization.id;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        let removed = trusted_publishers::remove(conn, organization, id, identity.user).await?;
        let entry = Entry {
            organization: Some(organization),
            actor: identity.actor(),
            action: AuditAction::TrustedPublisherRemoved,
            subject: audit::Subject::TrustedPublisher(id),
            details: json!({
                "package": removed.package,
                "provider": removed.provider,
                "repository": removed.repository,
            }),
        };
        Ok(audit::append(conn, entry).await?)
    })
    .await
}
