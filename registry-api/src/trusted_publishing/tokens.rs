//! The publish tokens that a trusted publisher's jobs were given.

use actix_web::{HttpResponse, delete, get, web};
use registry_db::audit::{self, Entry};
use registry_db::{transaction, trusted_publishers};
use registry_types::audit::AuditAction;
use registry_types::ids::{PublishTokenId, TrustedPublisherId};
use serde_json::json;
use uuid::Uuid;

use super::wire::PublishTokenItem;
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::rights::Member;
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
    let after: Option<PublishTokenId> = query.after()?;
    let mut conn = state.pool.get().await?;
    trusted_publishers::get(&mut conn, member.organization.id, publisher).await?;
    let page = trusted_publishers::list_tokens(&mut conn, publisher, after, query.size()).await?;
    Ok(web::Json(List::of(page.map(PublishTokenItem::from))?))
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
    let (publisher, token) = (TrustedPublisherId(publisher), PublishTokenId(token));
    let organization = member.organization.id;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        trusted_publishers::revoke_token(conn, organization, publisher, token).await?;
        let entry = Entry {
            organization: Some(organization),
            actor: member.identity.actor(),
            action: AuditAction::PublishTokenRevoked,
            subject: audit::Subject::PublishToken(token),
            details: json!({ "publisher": publisher }),
        };
        Ok(audit::append(conn, entry).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}
