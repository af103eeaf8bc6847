//! `POST /v1/modules/publish`: what can be judged at once is judged, the rest becomes an intake.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, post, web};
use registry_db::idempotency::{self, RequestKey, Seen, StoredAnswer};
use registry_db::publish::{self, NewSubmission};
use registry_db::registries::RegistryNamespace;
use registry_db::users::Identity;
use registry_db::{Connection, store_settings, transaction};
use registry_types::names::PackageSlug;
use registry_types::package::Visibility;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::fingerprint::fingerprint;
use super::refusal::refused;
use super::request::{Publish, PublishRequest};
use super::signature::Submitter;
use super::signers::{TrustedSigner, trusted_signers};
use super::{signature, target};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::request::RequestId;
use crate::rights::{Authenticated, MemberOrganization, Operation};
use crate::state::AppState;

/// Where to look for the verdict. `status` and `state` say the same in the words of two client generations.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PublishAccepted {
    /// Id of the intake; null in a dry run.
    publish_id: Option<Uuid>,
    /// Id of the package; null in a dry run.
    module_id: Option<Uuid>,
    version_id: Option<Uuid>,
    /// `publisher/name`.
    package: String,
    version: String,
    /// The image as the store understood it.
    image: String,
    /// `in_progress`; `validated` in a dry run.
    status: &'static str,
    /// `SUBMITTED` for scope `public`, else `PENDING`; `VALIDATED` in a dry run.
    state: &'static str,
    dry_run: bool,
    /// In a dry run: whose signature the namespace demands of the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    trusted_signers: Vec<TrustedSigner>,
}

/// Publish a module by image reference
///
/// Judged at once: the right, the registry namespace, the package manifest and its signature, the version number, the
/// quota. Otherwise an intake is queued. A repeated `Idempotency-Key` gives the first answer again.
#[utoipa::path(
    tag = "modules",
    operation_id = "publishModule",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 256 printable ASCII characters"),
        ("X-Organization-Id" = Option<String>, Header, description = "Organization, if the body names none")
    ),
    request_body(content = PublishRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "Dry run: nothing was stored", body = PublishAccepted),
        (status = 202, description = "Accepted; `Location` is the intake", body = PublishAccepted),
        (status = 403, description = "`FORBIDDEN`, `REGISTRY_UNAUTHORIZED`, `REGISTRY_PROOF_LOST`, `REGISTRY_PROOF_REQUIRED`, `MANIFEST_KEY_NOT_ENROLLED`, `MANIFEST_KEY_REVOKED`, `QUOTA_EXCEEDED`, `SOURCE_PUBLISH_UNSUPPORTED`", body = ProblemBody),
        (status = 409, description = "`VERSION_EXISTS`, `INTAKE_IN_PROGRESS`, `IDEMPOTENCY_KEY_REUSED`, `CONFLICT`", body = ProblemBody),
        (status = 422, description = "`MANIFEST_INVALID`, with all errors and their pointers, `MANIFEST_UNSIGNED`, `MANIFEST_SIGNATURE_INVALID`", body = ProblemBody),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/modules/publish")]
pub(crate) async fn publish_module(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    request_id: web::ReqData<RequestId>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    accept(&state, &identity, request_id.into_inner(), &request, body).await
}

/// Publish a module (the path that the HLA-Compass client uses with an API key)
#[utoipa::path(
    tag = "modules",
    operation_id = "publishModuleByApiKey",
    request_body(content = PublishRequest, content_type = "application/json"),
    responses((status = 202, description = "As `publishModule`", body = PublishAccepted), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/api/modules/publish")]
pub(crate) async fn publish_by_key(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    request_id: web::ReqData<RequestId>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    accept(&state, &identity, request_id.into_inner(), &request, body).await
}

async fn accept(
    state: &AppState,
    identity: &Identity,
    request_id: RequestId,
    request: &HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(request)?;
    let asked = web::block(move || Publish::read(&body)).await.map_err(|e| Problem::unavailable(e.to_string()))??;
    let organization = target::organization(state, identity, asked.organization.as_deref(), request).await?;
    Operation::PublishModule.demand(identity, &organization)?;

    let mut conn = state.pool.get().await?;
    let policy = store_settings::policy(&mut conn).await?;
    let namespace = target::namespace(&mut conn, &policy, &organization, &asked.image).await?;
    let descriptor = asked.descriptor()?;
    demand_package(identity, &descriptor.name)?;
    let submitter = Submitter::of(identity);
    let signature = signature::judge(&mut conn, &policy, &organization, submitter, &asked, descriptor.format).await?;
    let operation = format!("publish:{}", organization.id);
    let key = key.as_deref().map(|key| RequestKey {
        user: identity.user,
        operation: &operation,
        key,
        fingerprint: fingerprint(&asked, descriptor.format, organization.id),
    });
    let is_dry_run = asked.dry_run;
    let new = NewSubmission {
        organization: organization.id,
        name: descriptor.name.clone(),
        format: descriptor.format,
        version: descriptor.version.clone(),
        visibility: asked.visibility,
        package_manifest: asked.manifest,
        descriptor: serde_json::to_value(&descriptor).map_err(Problem::internal)?,
        image: Some(asked.image),
        namespace: Some(namespace.id),
        requested_by: identity.user,
        actor: identity.actor(),
        request_id: request_id.0,
        manifest_signature: signature,
        tier: organization.trust_tier,
    };
    let answer = if is_dry_run {
        judge_only(&mut conn, &new, &organization, &namespace, key).await?
    } else {
        submit_and_commit(&mut conn, &new, &organization, key).await?
    };
    Ok(respond(&answer))
}

/// A publish token is for one package.
fn demand_package(identity: &Identity, name: &PackageSlug) -> Result<(), Problem> {
    if identity.may_act_on(name) {
        Ok(())
    } else {
        Err(Problem::forbidden(format!("the publish token is for another package than {name}")))
    }
}

/// 1 to 256 printable ASCII characters.
fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=256).contains(&key.len()) && key.bytes().all(|b| (0x20..0x7f).contains(&b)));
    key.map(|key| Some(key.to_owned()))
        .ok_or_else(|| Problem::bad_request("Idempotency-Key must have 1 to 256 printable ASCII characters"))
}

async fn submit_and_commit(
    conn: &mut Connection,
    new: &NewSubmission,
    organization: &MemberOrganization,
    key: Option<RequestKey<'_>>,
) -> Result<StoredAnswer, Problem> {
    let answer = transaction(conn, async |conn| {
        let answer = submit_once(conn, new, organization, key).await?;
        fail_points::reach("publish", "commit", organization.id.0).await;
        Ok::<_, Problem>(answer)
    })
    .await?;
    fail_points::reach("publish", "committed", organization.id.0).await;
    Ok(answer)
}

/// Submits, unless the same request was answered before.
async fn submit_once(
    conn: &mut Connection,
    new: &NewSubmission,
    organization: &MemberOrganization,
    key: Option<RequestKey<'_>>,
) -> Result<StoredAnswer, Problem> {
    if let Some(key) = key {
        match idempotency::look_up(conn, key).await? {
            Seen::Never => {}
            Seen::Answered(answer) => return Ok(answer),
            Seen::Other => {
                let detail = "the Idempotency-Key was used for another publish; use a new one";
                return Err(Problem::new(ProblemCode::IdempotencyKeyReused, detail));
            }
        }
    }
    let submitted = publish::submit(conn, new).await?.map_err(|refusal| refused(refusal, new))?;
    let body = PublishAccepted {
        publish_id: Some(submitted.intake.0),
        module_id: Some(submitted.package.0),
        version_id: Some(submitted.version.0),
        status: "in_progress",
        // Client 2.0.5 takes `SUBMITTED` for a publish to everybody, and tells its user to wait for a superuser.
        state: if new.visibility == Visibility::Public { "SUBMITTED" } else { "PENDING" },
        dry_run: false,
        ..answer_of(new, organization)
    };
    let answer = stored(StatusCode::ACCEPTED, &body)?;
    if let Some(key) = key {
        idempotency::store(conn, key, &answer).await?;
    }
    Ok(answer)
}

/// Judges by doing it and taking it back: nothing is stored, nobody is woken.
async fn judge_only(
    conn: &mut Connection,
    new: &NewSubmission,
    organization: &MemberOrganization,
    namespace: &RegistryNamespace,
    key: Option<RequestKey<'_>>,
) -> Result<StoredAnswer, Problem> {
    enum TakenBack {
        Accepted,
        Refused(Problem),
    }
    impl From<registry_db::DbError> for TakenBack {
        fn from(error: registry_db::DbError) -> Self {
            Self::Refused(error.into())
        }
    }
    let judged = transaction(conn, async |conn| -> Result<(), TakenBack> {
        submit_once(conn, new, organization, key).await.map_err(TakenBack::Refused)?;
        Err(TakenBack::Accepted)
    });
    match judged.await {
        Ok(()) | Err(TakenBack::Accepted) => {
            let trusted_signers = trusted_signers(namespace);
            stored(StatusCode::OK, &PublishAccepted { trusted_signers, ..answer_of(new, organization) })
        }
        Err(TakenBack::Refused(problem)) => Err(problem),
    }
}

fn answer_of(new: &NewSubmission, organization: &MemberOrganization) -> PublishAccepted {
    PublishAccepted {
        publish_id: None,
        module_id: None,
        version_id: None,
        package: format!("{}/{}", organization.slug, new.name),
        version: new.version.to_string(),
        image: new.image.as_ref().map(ToString::to_string).unwrap_or_default(),
        status: "validated",
        state: "VALIDATED",
        dry_run: true,
        trusted_signers: Vec::new(),
    }
}

fn stored(status: StatusCode, body: &PublishAccepted) -> Result<StoredAnswer, Problem> {
    Ok(StoredAnswer { status: status.as_u16(), body: serde_json::to_value(body).map_err(Problem::internal)? })
}

fn respond(answer: &StoredAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::ACCEPTED);
    let mut response = HttpResponse::build(status);
    if let Some(id) = answer.body.get("publishId").and_then(|id| id.as_str()) {
        response.insert_header(("Location", format!("/v1/intakes/{id}")));
    }
    response.json(&answer.body)
}
