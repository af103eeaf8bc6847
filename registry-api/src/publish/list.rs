//! `GET /v1/modules`: an organization's own modules in the words of the HLA-Compass client.

use actix_web::{HttpRequest, get, web};
use chrono::{DateTime, Utc};
use registry_db::modules::{self, PublishedModule};
use registry_db::users::Identity;
use registry_db::withdrawal;
use registry_types::ids::{OrganizationId, PackageId};
use registry_types::package::VersionState;
use registry_types::rejection_code::RejectionCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::target;
use crate::paging::{self, List};
use crate::problem::{Problem, Problems};
use crate::rights::Authenticated;
use crate::state::AppState;

/// The client asks for up to 500 and does not page.
const MAX_SIZE: usize = 500;
const DEFAULT_SIZE: usize = 100;
/// Versions shown with one module.
const SHOWN_VERSIONS: i64 = 100;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ModulesQuery {
    /// 1 to 500; 100 if not given.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only modules with this tag.
    category: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ModuleQuery {
    /// This version instead of the newest.
    version: Option<String>,
}

/// A module with its newest version, whatever state that is in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModuleItem {
    id: Uuid,
    name: String,
    #[serde(rename = "display_name")]
    display_name: String,
    /// `publisher/name`.
    package: String,
    description: String,
    version: String,
    /// State of the newest version.
    state: &'static str,
    validation: Validation,
    author: Author,
    format: &'static str,
    /// `public`, `organization` or `licensed`.
    visibility: &'static str,
    organization_id: Uuid,
    image: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
struct Validation {
    status: &'static str,
    /// Rejection code.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// Who published the newest version.
#[derive(Serialize, ToSchema)]
#[schema(as = ModuleAuthor)]
struct Author {
    id: Uuid,
    email: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ModuleList {
    modules: Vec<ModuleItem>,
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ModuleDetail {
    #[serde(flatten)]
    module: ModuleItem,
    /// The newest first.
    versions: Vec<ModuleVersion>,
}

#[derive(Serialize, ToSchema)]
struct ModuleVersion {
    version: String,
    state: &'static str,
}

impl From<PublishedModule> for ModuleItem {
    fn from(module: PublishedModule) -> Self {
        Self {
            id: module.id.0,
            name: module.name.name.to_string(),
            display_name: module.title,
            package: module.name.to_string(),
            description: module.description,
            version: module.version,
            state: module.state.as_str(),
            validation: Validation {
                status: validation(module.state),
                error: module.rejection_code.map(RejectionCode::as_str),
            },
            author: Author { id: module.author.0, email: module.author_email.to_string() },
            format: module.format.as_str(),
            visibility: module.visibility.as_str(),
            organization_id: module.organization.0,
            image: module.image_reference,
            created_at: module.created_at,
            updated_at: module.updated_at,
        }
    }
}

const fn validation(state: VersionState) -> &'static str {
    match state {
        VersionState::Pending => "pending",
        VersionState::InReview => "in_review",
        VersionState::Active | VersionState::Yanked => "passed",
        VersionState::Rejected | VersionState::Quarantined => "failed",
    }
}

/// The modules of the caller's organizations
#[utoipa::path(
    tag = "modules",
    operation_id = "listModules",
    params(ModulesQuery, ("X-Organization-Id" = Option<String>, Header, description = "Only this organization's")),
    responses((status = 200, description = "The newest first", body = ModuleList), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/modules")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    request: HttpRequest,
    query: web::Query<ModulesQuery>,
) -> Result<web::Json<ModuleList>, Problem> {
    own_modules(&state, &identity, &request, &query).await.map(web::Json)
}

/// The modules of an API key's organization (the path that the HLA-Compass client uses with an API key)
#[utoipa::path(
    tag = "modules",
    operation_id = "listModulesByApiKey",
    params(ModulesQuery),
    responses((status = 200, description = "The newest first", body = ModuleList), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/api/modules")]
pub(crate) async fn list_by_key(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    request: HttpRequest,
    query: web::Query<ModulesQuery>,
) -> Result<web::Json<ModuleList>, Problem> {
    own_modules(&state, &identity, &request, &query).await.map(web::Json)
}

/// One module of the caller's organizations, with its versions
#[utoipa::path(
    tag = "modules",
    operation_id = "getModule",
    params(("id" = Uuid, Path), ModuleQuery),
    responses((status = 200, description = "The module", body = ModuleDetail), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/modules/{id}")]
pub(crate) async fn get(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<Uuid>,
    query: web::Query<ModuleQuery>,
) -> Result<web::Json<ModuleDetail>, Problem> {
    module(&state, &identity, PackageId(path.into_inner()), &query).await.map(web::Json)
}

/// One module (the path that the HLA-Compass client uses with an API key)
#[utoipa::path(
    tag = "modules",
    operation_id = "getModuleByApiKey",
    params(("id" = Uuid, Path), ModuleQuery),
    responses((status = 200, description = "The module", body = ModuleDetail), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/api/modules/{id}")]
pub(crate) async fn get_by_key(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<Uuid>,
    query: web::Query<ModuleQuery>,
) -> Result<web::Json<ModuleDetail>, Problem> {
    module(&state, &identity, PackageId(path.into_inner()), &query).await.map(web::Json)
}

async fn own_modules(
    state: &AppState,
    identity: &Identity,
    request: &HttpRequest,
    query: &ModulesQuery,
) -> Result<ModuleList, Problem> {
    let organizations = organizations(state, identity, request).await?;
    let size = query.limit.unwrap_or(DEFAULT_SIZE).clamp(1, MAX_SIZE);
    let after: Option<PackageId> = query.cursor.as_deref().map(paging::decode).transpose()?;
    let mut conn = state.pool.get().await?;
    let page = modules::list(&mut conn, &organizations, query.category.as_deref(), after, size).await?;
    let page = List::of(page.map(ModuleItem::from))?;
    Ok(ModuleList { modules: page.items, next_cursor: page.next_cursor })
}

/// All that the caller belongs to, or the one that the header names.
async fn organizations(
    state: &AppState,
    identity: &Identity,
    request: &HttpRequest,
) -> Result<Vec<OrganizationId>, Problem> {
    Ok(match target::in_header(state, identity, request).await? {
        Some(organization) => vec![organization.id],
        None => identity.memberships.iter().map(|membership| membership.organization).collect(),
    })
}

async fn module(
    state: &AppState,
    identity: &Identity,
    id: PackageId,
    query: &ModuleQuery,
) -> Result<ModuleDetail, Problem> {
    let mut conn = state.pool.get().await?;
    let own = if identity.is_superuser {
        vec![withdrawal::owner(&mut conn, id).await?]
    } else {
        identity.memberships.iter().map(|membership| membership.organization).collect()
    };
    let module = modules::get(&mut conn, &own, id, query.version.as_deref()).await?;
    let versions = modules::versions(&mut conn, id, SHOWN_VERSIONS).await?;
    Ok(ModuleDetail {
        module: module.into(),
        versions: versions
            .into_iter()
            .map(|(version, state)| ModuleVersion { version, state: state.as_str() })
            .collect(),
    })
}
