//! An identity token for a publish token.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use chrono::{DateTime, TimeDelta, Utc};
use registry_db::audit::{self, Actor, Entry};
use registry_db::organizations::{self, Organization, OrganizationKey};
use registry_db::trusted_publishers::{self, Exchange, Exchanged, NewPublishToken, Refusal};
use registry_db::{Connection, clock, store_settings, transaction};
use registry_types::audit::AuditAction;
use registry_types::names::PackageSlug;
use registry_types::policy::{TrustedIssuer, TrustedPublishingPolicy};
use registry_types::workload::{Workload, evidence};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::identity_token::{IdentityToken, Invalid, VerifiedToken};
use super::keys::signing_key;
use super::ownership::Owned;
use crate::auth::tokens::{self, TokenKind};
use crate::limits::client_address;
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::request::RequestId;
use crate::state::AppState;

#[derive(Serialize, ToSchema)]
pub(crate) struct Audience {
    /// What a job asks its provider to make its token for.
    #[schema(example = "https://store.example.org")]
    audience: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeRequest {
    /// The identity token that the provider gave to the job.
    #[schema(value_type = String)]
    token: SecretString,
    /// Id or slug.
    #[schema(value_type = String, example = "my-org")]
    organization: String,
    /// The package's name, without the publisher.
    #[schema(value_type = String, example = "app")]
    package: PackageSlug,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ExchangeAnswer {
    /// Send it as `Authorization: Bearer …` to publish the package and to follow its intakes; it is good for nothing else.
    token: String,
    expires_at: DateTime<Utc>,
    /// `publisher/name`.
    package: String,
}

/// What identity tokens must be made for
#[utoipa::path(
    tag = "trusted publishing",
    operation_id = "getOidcAudience",
    responses((status = 200, description = "The audience", body = Audience), Problems)
)]
#[get("/v1/oidc/audience")]
pub(crate) async fn audience(state: web::Data<AppState>) -> Result<web::Json<Audience>, Problem> {
    let policy = store_settings::policy(&mut *state.pool.get().await?).await?.trusted_publishing;
    Ok(web::Json(Audience { audience: own_audience(&state, &policy) }))
}

/// Exchange a job's identity token for the right to publish
///
/// For jobs of GitHub Actions and GitLab CI that an administrator bound to the package. An identity token counts once. It also
/// proves the organization's registry namespaces that lie below the job's owner on the provider's own registry.
#[utoipa::path(
    tag = "trusted publishing",
    operation_id = "exchangeIdentityToken",
    request_body = ExchangeRequest,
    responses(
        (status = 200, description = "A publish token, shown this once", body = ExchangeAnswer),
        (status = 401, description = "`IDENTITY_TOKEN_REFUSED`, whatever the reason; the organization's audit log tells it", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`UNAVAILABLE`: the issuer's keys cannot be read; nothing is known about the token", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    )
)]
#[post("/v1/oidc/exchange")]
pub(crate) async fn exchange(
    state: web::Data<AppState>,
    request_id: web::ReqData<RequestId>,
    request: HttpRequest,
    body: web::Json<ExchangeRequest>,
) -> Result<HttpResponse, Problem> {
    let body = body.into_inner();
    let policy = store_settings::policy(&mut *state.pool.get().await?).await?.trusted_publishing;
    let (trusted, token) = verified(&state, &policy, body.token, request_id.into_inner()).await?;
    let job = Workload::read(trusted.provider, &trusted.issuer, &token.claims);
    let asked = Exchange {
        issuer: &trusted.issuer,
        token_id: token.id,
        token_expires_at: token.expires_at,
        job: job.as_ref().map_err(ToString::to_string),
    };
    let mut conn = state.pool.get().await?;
    let organization = find(&mut conn, &body.organization).await?.ok_or_else(refused)?;
    let secret = tokens::generate(TokenKind::Publish)?;
    let (claims, owned) = (evidence(&token.claims), job.as_ref().ok().and_then(|job| Owned::of(trusted, job)));
    let new = NewPublishToken {
        organization: organization.id,
        package: &body.package,
        hash: tokens::hash_of(&secret),
        lifetime: TimeDelta::minutes(policy.token_minutes.into()),
        claims: &claims,
    };
    let address = client_address(&request, &state.trusted_proxies);
    let exchanged = transaction(&mut conn, async |conn| -> Result<_, Problem> {
        let exchanged = trusted_publishers::exchange(conn, &asked, &new).await?;
        if let (Ok(exchanged), Some(owned)) = (&exchanged, &owned) {
            owned.prove(conn, new.organization, exchanged, address).await?;
        }
        if let Some(entry) = audit_entry(&exchanged, &new, address) {
            audit::append(conn, entry).await?;
        }
        Ok(exchanged)
    });
    // What was refused is committed, too: the token is used up.
    let exchanged = exchanged.await?.map_err(|refusal| refused().caused_by(format!("{refusal:?}")))?;
    Ok(HttpResponse::Ok().json(ExchangeAnswer {
        token: secret.expose_secret().to_owned(),
        expires_at: exchanged.expires_at,
        package: format!("{}/{}", organization.slug, body.package),
    }))
}

/// What the store calls itself towards identity providers.
fn own_audience(state: &AppState, policy: &TrustedPublishingPolicy) -> String {
    policy.audience.clone().unwrap_or_else(|| state.public_url.as_str().trim_end_matches('/').to_owned())
}

/// The token's issuer, and what it vouches for.
async fn verified<'p>(
    state: &AppState,
    policy: &'p TrustedPublishingPolicy,
    token: SecretString,
    request_id: RequestId,
) -> Result<(&'p TrustedIssuer, VerifiedToken), Problem> {
    let invalid = |invalid: Invalid| refused().caused_by(invalid);
    let token = IdentityToken::read(token).map_err(invalid)?;
    let trusted = policy.issuer(&token.issuer).ok_or_else(|| invalid(Invalid::Issuer))?;
    let key = signing_key(state, &trusted.issuer, &token.key_id, request_id).await?.map_err(invalid)?;
    let now = clock::now(&mut *state.pool.get().await?).await?;
    let verified = token.verify(&trusted.issuer, &key, &own_audience(state, policy), now).map_err(invalid)?;
    Ok((trusted, verified))
}

async fn find(conn: &mut Connection, named: &str) -> Result<Option<Organization>, Problem> {
    let Ok(key) = named.parse::<OrganizationKey>() else { return Ok(None) };
    Ok(organizations::find(conn, &key).await?)
}

/// The same for every reason: which claims a publisher is bound to, and whether there is one, is nobody's business.
fn refused() -> Problem {
    let detail = "the identity token does not count here, or no trusted publisher of the package is bound to this job; the \
                  organization's audit log says more";
    Problem::new(ProblemCode::IdentityTokenRefused, detail)
}

/// Every token leaves one entry when it is first shown, and one when it is first shown again.
fn audit_entry(
    exchanged: &Result<Exchanged, Refusal>,
    new: &NewPublishToken<'_>,
    address: Option<std::net::IpAddr>,
) -> Option<Entry> {
    let (action, publisher, subject, what) = match exchanged {
        Err(Refusal::Replayed { replays }) if *replays > 1 => return None,
        Err(refusal) => {
            (AuditAction::PublishTokenRefused, None, audit::Subject::PackageName(new.package.clone()), reason(refusal))
        }
        Ok(exchanged) => {
            let what = json!({ "publisher": exchanged.publisher, "expires_at": exchanged.expires_at });
            (
                AuditAction::PublishTokenIssued,
                Some(exchanged.publisher),
                audit::Subject::PublishToken(exchanged.token),
                what,
            )
        }
    };
    let mut details = json!({ "package": new.package, "claims": new.claims });
    if let (Value::Object(details), Value::Object(what)) = (&mut details, what) {
        details.extend(what);
    }
    let actor = Actor::Job { publisher, address };
    Some(Entry { organization: Some(new.organization), actor, action, subject, details })
}

fn reason(refusal: &Refusal) -> Value {
    match refusal {
        Refusal::Replayed { .. } => json!({ "reason": "replayed" }),
        Refusal::Claims(claims) => json!({ "reason": "claims", "detail": claims }),
        Refusal::NoMatch(mismatches) => {
            let differ = |(publisher, mismatch): &(_, _)| json!({ "publisher": publisher, "differs_in": mismatch });
            json!({ "reason": "no_match", "publishers": mismatches.iter().map(differ).collect::<Vec<_>>() })
        }
    }
}
