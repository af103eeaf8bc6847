//! The publish tokens that a trusted publisher's jobs were given.

use actix_web::{HttpResponse, delete, get, web};
use registry_db::audit::{self, Entry};
use registry_db::users::Identity;
use registry_db::{transaction, trusted_publishers};
use registry_types::audit::AuditAction;
use registry_types::ids::{OrganizationId, PublishTokenId, TrustedPublisherId};
use serde_json::json;
use uuid::Uuid;

use super::wire::{PublishTokenItem, TrustedPublisherItem};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::rights::{Member, MemberOrganization, Operation};
use crate::state::AppState;

/// The tokens that a trusted publisher's jobs were given, the newest first (admin)
#[utoipa::path(
    tag = "trusted publishing",
    operation_id = "listPublishTokens",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path), PageQuery),
    responses((status = 200, description = "One page, without the tokens themselves", body = List<PublishTokenItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/trusted-publishers/{id}/tokens")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<PublishTokenItem>>, Problem> {
    let publisher = TrustedPublisherId(path.into_inner().1);
    page(&state, member.organization.id, publisher, &query).await.map(|(_, tokens)| web::Json(tokens))
}

/// [`list`], for the page as well, with the publisher itself.
pub(crate) async fn page(
    state: &AppState,
    organization: OrganizationId,
    publisher: TrustedPublisherId,
    query: &PageQuery,
) -> Result<(TrustedPublisherItem, List<PublishTokenItem>), Problem> {
    let after: Option<PublishTokenId> = query.after()?;
    let mut conn = state.pool.get().await?;
    let found = trusted_publishers::get(&mut conn, organization, publisher).await?;
    let tokens = trusted_publishers::list_tokens(&mut conn, publisher, after, query.size()).await?;
    Ok((found.into(), List::of(tokens.map(PublishTokenItem::from))?))
}

/// Revoke a publish token (admin)
#[utoipa::path(
    tag = "trusted publishing",
    operation_id = "revokePublishToken",
    params(
        ("org" = String, Path, description = "Id or slug"),
        ("id" = Uuid, Path, description = "Id of the trusted publisher"),
        ("token" = Uuid, Path, description = "Id of the token")
    ),
    responses((status = 204, description = "Revoked"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[delete("/v1/orgs/{org}/trusted-publishers/{id}/tokens/{token}")]
pub(crate) async fn revoke(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid, Uuid)>,
) -> Result<HttpResponse, Problem> {
    let (_, publisher, token) = path.into_inner();
    let Member { identity, organization } = member;
    revoke_as(&state, &identity, &organization, TrustedPublisherId(publisher), PublishTokenId(token)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// [`revoke`], for a caller who was let in otherwise.
pub(crate) async fn revoke_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    publisher: TrustedPublisherId,
    token: PublishTokenId,
) -> Result<(), Problem> {
    Operation::RevokePublishToken.demand(identity, organization)?;
    let organization = organization.id;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        trusted_publishers::revoke_token(conn, organization, publisher, token).await?;
        let entry = Entry {
            organization: Some(organization),
            actor: identity.actor(),
            action: AuditAction::PublishTokenRevoked,
            subject: audit::Subject::PublishToken(token),
            details: json!({ "publisher": publisher }),
        };
        Ok(audit::append(conn, entry).await?)
    })
    .await
}
