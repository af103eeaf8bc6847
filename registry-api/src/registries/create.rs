//! Allow a namespace.

use actix_web::{HttpResponse, post, web};
use registry_db::audit::{self, Entry};
use registry_db::namespace_proofs;
use registry_db::registries::{self, NewNamespace, PATTERN_EXISTS, RegistryNamespace};
use registry_db::{DbError, store_settings, transaction};
use registry_types::audit::AuditAction;
use registry_types::namespace_pattern::{NamespacePattern, NamespaceState, PatternError, RegistryProvider};
use registry_types::pointer::PointerError;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::wire::{CredentialBody, RegistryItem, parse_signature_policy, taken};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::Member;
use crate::state::AppState;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRegistry {
    /// `host[:port]/path/*` for every repository below that path, or one exact repository.
    #[schema(example = "ghcr.io/my-org/*")]
    pattern: String,
    /// `ghcr`, `dockerhub`, `ecr` or `generic`; `generic` if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "ghcr")]
    provider: Option<RegistryProvider>,
    #[serde(default)]
    credential: Option<CredentialBody>,
    /// `{"mode":"none"}`, or `{"mode":"required","keys":[…],"identities":[{"issuer":…,"subject":{"exact":…}}]}`.
    #[serde(default)]
    #[schema(value_type = Object)]
    signature_policy: Option<Value>,
}

/// Allow a registry namespace (admin)
///
/// Added by a superuser it is `verified` at once, unless the policy demands a proof; added by an administrator it is `pending`
/// until it is proven, or a superuser approves it.
#[utoipa::path(
    tag = "registries",
    operation_id = "createRegistry",
    params(("org" = String, Path, description = "Id or slug")),
    request_body = CreateRegistry,
    responses(
        (status = 201, description = "Created", body = RegistryItem),
        (status = 409, description = "`REGISTRY_PATTERN_TAKEN`, `CONFLICT`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`REGISTRY_PATTERN_INVALID`, `SIGNATURE_POLICY_INVALID`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/registries")]
pub(crate) async fn create(
    state: web::Data<AppState>,
    member: Member,
    body: web::Json<CreateRegistry>,
) -> Result<HttpResponse, Problem> {
    let body = body.into_inner();
    let organization = member.organization.id;
    let provider = body.provider.unwrap_or(RegistryProvider::Generic);
    let pattern = parse_pattern(&body.pattern, provider)?;
    let signature_policy = body.signature_policy.map(parse_signature_policy).transpose()?.unwrap_or_default();
    let credential =
        body.credential.map(|credential| credential.seal(&state.key_ring, organization, &pattern)).transpose()?;
    let mut new = NewNamespace {
        organization,
        provider,
        pattern,
        state: if member.identity.is_superuser { NamespaceState::Verified } else { NamespaceState::Pending },
        signature_policy,
        credential,
        created_by: member.identity.user,
    };
    let mut conn = state.pool.get().await?;
    let created = transaction(&mut conn, async |conn| -> Result<RegistryNamespace, Problem> {
        let tier = member.organization.trust_tier;
        let policy = store_settings::policy(conn).await?;
        if policy.namespaces.of(tier).is_for_approval() {
            new.state = NamespaceState::Pending;
        }
        let most = policy.limits.quotas.of(tier).registries;
        if registries::count(conn, organization).await? >= i64::from(most) {
            let detail = format!("an organization has at most {most} registry namespaces");
            return Err(Problem::new(ProblemCode::QuotaExceeded, detail));
        }
        let created = registries::create(conn, &new).await.map_err(refusal)?.map_err(|_| taken())?;
        if created.state == NamespaceState::Verified {
            namespace_proofs::decided(conn, &created, member.identity.actor()).await?;
        }
        let entry = Entry {
            organization: Some(organization),
            actor: member.identity.actor(),
            action: AuditAction::RegistryCreated,
            subject: audit::Subject::Registry(created.id),
            details: json!({
                "pattern": created.pattern.to_string(),
                "state": created.state,
                "has_credential": created.has_credential,
                "signature_policy": created.signature_policy,
            }),
        };
        audit::append(conn, entry).await?;
        Ok(created)
    })
    .await?;
    let location = format!("/v1/orgs/{organization}/registries/{}", created.id);
    Ok(HttpResponse::Created().insert_header(("Location", location)).json(RegistryItem::from(created)))
}

fn parse_pattern(text: &str, provider: RegistryProvider) -> Result<NamespacePattern, Problem> {
    let invalid = |code: &str, message: String| {
        Problem::new(ProblemCode::RegistryPatternInvalid, message.clone())
            .with_errors(vec![PointerError::new("/pattern", code, message)])
    };
    let pattern: NamespacePattern =
        text.parse().map_err(|error: PatternError| invalid("pattern", error.to_string()))?;
    if provider.serves(pattern.host()) {
        Ok(pattern)
    } else {
        Err(invalid("provider", format!("the provider {provider} does not serve {}", pattern.host())))
    }
}

fn refusal(error: DbError) -> Problem {
    if error.is_constraint(PATTERN_EXISTS) {
        Problem::new(ProblemCode::Conflict, "the organization has this pattern already")
    } else {
        error.into()
    }
}
