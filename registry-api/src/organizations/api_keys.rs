//! API keys: for programs that act as a member in one organization.

use actix_web::{HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use registry_db::api_keys::{self, ApiKey, NewApiKey};
use registry_db::audit::{self, Entry};
use registry_db::users::Identity;
use registry_db::{organizations, transaction};
use registry_types::audit::AuditAction;
use registry_types::ids::{ApiKeyId, OrganizationId, UserId};
use registry_types::people::Role;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::tokens::{self, TokenKind};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::rights::{Member, MemberOrganization, Operation};
use crate::state::AppState;

const MAX_LABEL: usize = 100;
/// Shown of a key, to recognise it by.
const PREFIX_LEN: usize = 12;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateApiKey {
    #[schema(example = "release pipeline")]
    pub(crate) label: String,
    /// Never, if not given.
    #[serde(default)]
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedApiKey {
    pub(crate) id: Uuid,
    /// Shown this once.
    pub(crate) key: String,
    pub(crate) label: String,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyItem {
    pub(crate) id: Uuid,
    /// The key's first characters.
    pub(crate) prefix: String,
    pub(crate) label: String,
    pub(crate) user_id: Uuid,
    pub(crate) user_email: String,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
    pub(crate) created_at: DateTime<Utc>,
}

impl From<ApiKey> for ApiKeyItem {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.0,
            prefix: key.prefix,
            label: key.label,
            user_id: key.user.0,
            user_email: key.email.to_string(),
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            created_at: key.created_at,
        }
    }
}

/// Create an API key with which a program acts as the caller in this organization
#[utoipa::path(
    tag = "organizations",
    operation_id = "createApiKey",
    params(("org" = String, Path, description = "Id or slug")),
    request_body = CreateApiKey,
    responses((status = 201, description = "Created; the key is shown this once", body = CreatedApiKey), Problems),
    security(("bearer" = []))
)]
#[post("/v1/orgs/{org}/api-keys")]
pub(crate) async fn create(
    state: web::Data<AppState>,
    member: Member,
    body: web::Json<CreateApiKey>,
) -> Result<HttpResponse, Problem> {
    let created = create_as(&state, &member.identity, &member.organization, body.into_inner()).await?;
    Ok(HttpResponse::Created().json(created))
}

/// [`create`], for a caller who was let in otherwise.
pub(crate) async fn create_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    body: CreateApiKey,
) -> Result<CreatedApiKey, Problem> {
    Operation::CreateApiKey.demand(identity, organization)?;
    check(&body)?;
    let key = tokens::generate(TokenKind::ApiKey)?;
    let new = NewApiKey {
        user: identity.user,
        organization: organization.id,
        label: body.label.trim().to_owned(),
        hash: tokens::hash_of(&key),
        prefix: key.expose_secret().chars().take(PREFIX_LEN).collect(),
        expires_at: body.expires_at,
    };
    let mut conn = state.pool.get().await?;
    let (id, created_at) = transaction(&mut conn, async |conn| -> Result<_, Problem> {
        // A key belongs to a membership; a superuser from outside has none.
        if organizations::role_of(conn, new.organization, new.user).await?.is_none() {
            return Err(Problem::forbidden("only members have API keys in an organization"));
        }
        let created = api_keys::create(conn, &new).await?;
        let entry = Entry {
            organization: Some(new.organization),
            actor: identity.actor(),
            action: AuditAction::ApiKeyCreated,
            subject: audit::Subject::ApiKey(created.0),
            details: json!({ "label": new.label }),
        };
        audit::append(conn, entry).await?;
        Ok(created)
    })
    .await?;
    Ok(CreatedApiKey {
        id: id.0,
        key: key.expose_secret().to_owned(),
        label: new.label,
        expires_at: new.expires_at,
        created_at,
    })
}

fn check(body: &CreateApiKey) -> Result<(), Problem> {
    let label = body.label.trim();
    if !(1..=MAX_LABEL).contains(&label.chars().count()) || label.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!("label must have 1 to {MAX_LABEL} printable characters")));
    }
    if body.expires_at.is_some_and(|at| at <= Utc::now()) {
        return Err(Problem::bad_request("expires_at must lie in the future"));
    }
    Ok(())
}

/// The API keys of an organization (admin)
#[utoipa::path(
    tag = "organizations",
    operation_id = "listApiKeys",
    params(("org" = String, Path, description = "Id or slug"), PageQuery),
    responses((status = 200, description = "One page, without the keys themselves", body = List<ApiKeyItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/api-keys")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    member: Member,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<ApiKeyItem>>, Problem> {
    page(&state, member.organization.id, None, &query).await.map(web::Json)
}

/// [`list`], for the page as well; those of one `owner` alone, if given.
pub(crate) async fn page(
    state: &AppState,
    organization: OrganizationId,
    owner: Option<UserId>,
    query: &PageQuery,
) -> Result<List<ApiKeyItem>, Problem> {
    let after: Option<ApiKeyId> = query.after()?;
    let mut conn = state.pool.get().await?;
    let page = api_keys::list(&mut conn, organization, owner, after, query.size()).await?;
    List::of(page.map(ApiKeyItem::from))
}

/// Revoke an API key: one's own, or any as admin
#[utoipa::path(
    tag = "organizations",
    operation_id = "revokeApiKey",
    params(("org" = String, Path, description = "Id or slug"), ("key" = Uuid, Path, description = "Id of the key")),
    responses((status = 204, description = "Revoked"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[delete("/v1/orgs/{org}/api-keys/{key}")]
pub(crate) async fn revoke(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Problem> {
    revoke_as(&state, &member.identity, &member.organization, ApiKeyId(path.into_inner().1)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// [`revoke`], for a caller who was let in otherwise.
pub(crate) async fn revoke_as(
    state: &AppState,
    identity: &Identity,
    organization: &MemberOrganization,
    key: ApiKeyId,
) -> Result<(), Problem> {
    Operation::RevokeApiKey.demand(identity, organization)?;
    let owner = match organization.role {
        Role::Admin => None,
        Role::Developer | Role::Viewer => Some(identity.user),
    };
    let organization = organization.id;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        api_keys::revoke(conn, organization, owner, key).await?;
        let entry = Entry {
            organization: Some(organization),
            actor: identity.actor(),
            action: AuditAction::ApiKeyRevoked,
            subject: audit::Subject::ApiKey(key),
            details: json!({}),
        };
        Ok(audit::append(conn, entry).await?)
    })
    .await
}
