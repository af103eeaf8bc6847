//! `POST /v1/templates/publish`: a template document becomes a version that waits for its verdict.

use actix_web::{HttpResponse, post, web};
use package_formats::json::parse_strict;
use package_formats::parse_submitted;
use registry_db::publish::{NewSubmission, submit};
use registry_types::package::{PackageFormat, Visibility};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{body, import::target};
use crate::problem::{Problem, Problems};
use crate::publish::refused;
use crate::request::RequestId;
use crate::rights::{Authenticated, Operation};
use crate::state::AppState;

/// A template to be published.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = PublishTemplate)]
pub(crate) struct PublishRequest {
    /// Organization, by id or slug; the caller's primary one if not given.
    organization: Option<String>,
    /// The template document; its `id` becomes the package's name.
    #[schema(value_type = Object)]
    template: Box<RawValue>,
    #[serde(default)]
    #[schema(required = false)]
    scope: Scope,
}

/// Who may see the package.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TemplateScope)]
pub(crate) enum Scope {
    #[default]
    Org,
    Public,
}

impl From<Scope> for Visibility {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Org => Self::Organization,
            Scope::Public => Self::Public,
        }
    }
}

/// Where to look for the verdict.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PublishedTemplate)]
pub(crate) struct PublishAnswer {
    /// Id of the intake.
    publish_id: Uuid,
    /// `publisher/name`.
    package: String,
    version: String,
    #[schema(example = "queued")]
    state: &'static str,
}

/// Publish a company template
///
/// It becomes visible with its verdict, which the intake tells.
#[utoipa::path(
    tag = "templates",
    operation_id = "publishTemplate",
    request_body(content = PublishRequest, content_type = "application/json"),
    responses(
        (status = 202, description = "Accepted; `Location` is the intake", body = PublishAnswer),
        (status = 409, description = "VERSION_EXISTS or INTAKE_IN_PROGRESS"),
        (status = 422, description = "TEMPLATE_INVALID, with all errors and their pointers"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/templates/publish")]
pub(super) async fn publish_template(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    request_id: web::ReqData<RequestId>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let request: PublishRequest = body::read(&body)?;
    let organization = target(&state, &identity, request.organization.as_deref(), Operation::PublishTemplate).await?;
    let document = parse_strict(request.template.get().as_bytes()).map_err(body::invalid)?;
    let descriptor = parse_submitted(PackageFormat::CompanyTemplate, &document).map_err(body::invalid)?;
    let new = NewSubmission {
        organization: organization.id,
        name: descriptor.name.clone(),
        format: PackageFormat::CompanyTemplate,
        version: descriptor.version.clone(),
        visibility: request.scope.into(),
        package_manifest: request.template,
        descriptor: serde_json::to_value(&descriptor).map_err(Problem::internal)?,
        image: None,
        namespace: None,
        requested_by: identity.user,
        actor: identity.actor(),
        request_id: request_id.into_inner().0,
        manifest_signature: None,
        tier: organization.trust_tier,
    };
    let mut conn = state.pool.get().await?;
    let submitted = registry_db::transaction(&mut conn, async |conn| {
        submit(conn, &new).await?.map_err(|refusal| refused(refusal, &new))
    })
    .await?;
    Ok(HttpResponse::Accepted().insert_header(("Location", format!("/v1/intakes/{}", submitted.intake))).json(
        PublishAnswer {
            publish_id: submitted.intake.0,
            package: format!("{}/{}", organization.slug, descriptor.name),
            version: descriptor.version.to_string(),
            state: "queued",
        },
    ))
}
