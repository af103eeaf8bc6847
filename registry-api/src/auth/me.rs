//! Who the caller is.

use actix_web::{get, web};
use registry_db::users::{Credential, Identity};
use registry_types::people::Role;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::{Problem, Problems};
use crate::rights::Authenticated;

#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    id: Uuid,
    email: String,
    is_superuser: bool,
    /// `session` or `api_key`.
    #[serde(rename = "credentialType")]
    credential_type: &'static str,
    /// The primary organization.
    organization_id: Option<Uuid>,
    /// Role in the primary organization; `superuser` for the platform's own.
    role: Option<&'static str>,
    organizations: Vec<MyOrganization>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MyOrganization {
    id: Uuid,
    slug: String,
    display_name: String,
    #[schema(value_type = String, example = "developer")]
    role: Role,
    is_primary: bool,
}

impl From<Identity> for Me {
    fn from(identity: Identity) -> Self {
        let primary = identity.memberships.iter().find(|membership| membership.is_primary);
        let role = if identity.is_superuser { Some("superuser") } else { primary.map(|m| m.role.as_str()) };
        Self {
            id: identity.user.0,
            organization_id: primary.map(|membership| membership.organization.0),
            role,
            email: identity.email.to_string(),
            is_superuser: identity.is_superuser,
            credential_type: match identity.credential {
                Credential::Session(_) => "session",
                Credential::ApiKey(_) => "api_key",
                Credential::PublishToken(_) => "publish_token",
            },
            organizations: identity
                .memberships
                .into_iter()
                .map(|membership| MyOrganization {
                    id: membership.organization.0,
                    slug: membership.slug.to_string(),
                    display_name: membership.display_name,
                    role: membership.role,
                    is_primary: membership.is_primary,
                })
                .collect(),
        }
    }
}

/// Who the caller is
#[utoipa::path(
    tag = "auth",
    operation_id = "me",
    responses((status = 200, description = "The caller", body = Me), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/auth/me")]
pub(crate) async fn me(Authenticated(identity): Authenticated) -> Result<web::Json<Me>, Problem> {
    Ok(web::Json(identity.into()))
}

/// Who the caller is (the path that the HLA-Compass client uses with an API key)
#[utoipa::path(
    tag = "auth",
    operation_id = "meByApiKey",
    responses((status = 200, description = "The caller", body = Me), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/api/auth/me")]
pub(crate) async fn me_by_key(Authenticated(identity): Authenticated) -> Result<web::Json<Me>, Problem> {
    Ok(web::Json(identity.into()))
}
