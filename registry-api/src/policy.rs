//! The policy document: what is demanded, and how much anybody may ask for.

use actix_web::http::header::{ETAG, IF_MATCH};
use actix_web::{HttpRequest, HttpResponse, get, put, web};
use registry_db::audit::{self, Entry};
use registry_db::{store_settings, transaction};
use registry_types::audit::AuditAction;
use registry_types::digest::Digest;
use registry_types::policy::Policy;
use serde_json::{Value, json};

use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::Authenticated;
use crate::state::AppState;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(get_policy).service(set_policy);
}

/// The policy document in force (superuser)
///
/// Whole, with what it takes by default. `docs/operating.md` says what each part means.
#[utoipa::path(
    tag = "policy",
    operation_id = "getPolicy",
    responses(
        (status = 200, description = "The document", body = Object, headers(("ETag" = String, description = "Names this document"))),
        Problems
    ),
    security(("bearer" = []))
)]
#[get("/v1/policy")]
async fn get_policy(state: web::Data<AppState>, _: Authenticated) -> Result<HttpResponse, Problem> {
    let policy = store_settings::policy(&mut *state.pool.get().await?).await?;
    answer(&policy)
}

/// Put another policy document in force (superuser)
///
/// `If-Match` names the one that it replaces, so that nobody overwrites what somebody else has just changed. What is left out
/// takes its default. What was decided before stays decided.
#[utoipa::path(
    tag = "policy",
    operation_id = "setPolicy",
    request_body = Object,
    params(("If-Match" = String, Header, description = "`ETag` of the document that it replaces")),
    responses(
        (status = 200, description = "The document as it is in force now", body = Object),
        (status = 412, description = "`PRECONDITION_FAILED`: another document is in force", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`POLICY_INVALID`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 428, description = "`PRECONDITION_REQUIRED`: no `If-Match`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []))
)]
#[put("/v1/policy")]
async fn set_policy(
    request: HttpRequest,
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    body: web::Json<Value>,
) -> Result<HttpResponse, Problem> {
    let replaced = replaced(&request)?;
    let policy = parse(body.into_inner())?;
    let after = store_settings::policy_digest(&policy)?;
    let entry = Entry {
        organization: None,
        actor: identity.actor(),
        action: AuditAction::PolicyChanged,
        subject: audit::Subject::Policy,
        details: json!({ "before": replaced, "after": after }),
    };
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        if !store_settings::replace_policy(conn, &replaced, &policy).await? {
            return Err(Problem::new(ProblemCode::PreconditionFailed, "another policy document is in force by now"));
        }
        Ok(audit::append(conn, entry).await?)
    })
    .await?;
    state.limits.set(policy.limits);
    answer(&policy)
}

fn answer(policy: &Policy) -> Result<HttpResponse, Problem> {
    let digest = store_settings::policy_digest(policy)?;
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{digest}\""))).json(policy))
}

fn replaced(request: &HttpRequest) -> Result<Digest, Problem> {
    let Some(value) = request.headers().get(IF_MATCH) else {
        let detail = "name the document that this one replaces: send its ETag as If-Match";
        return Err(Problem::new(ProblemCode::PreconditionRequired, detail));
    };
    let named = value.to_str().ok().and_then(|value| value.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    // A text that no document has for its ETag.
    named.ok_or_else(|| Problem::new(ProblemCode::PreconditionFailed, "If-Match names no policy document"))
}

fn parse(document: Value) -> Result<Policy, Problem> {
    let invalid = |why: String| Problem::new(ProblemCode::PolicyInvalid, why);
    let policy: Policy = serde_json::from_value(document).map_err(|error| invalid(error.to_string()))?;
    policy.validate().map_err(|error| invalid(error.to_string()))?;
    Ok(policy)
}
