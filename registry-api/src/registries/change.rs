//! Change or remove a namespace. Its pattern stays: a credential is sealed to it.

use actix_web::{HttpResponse, delete, patch, web};
use registry_db::audit::{self, Entry};
use registry_db::registries::{self, NamespaceChange, RegistryNamespace};
use registry_db::transaction;
use registry_types::audit::AuditAction;
use registry_types::ids::RegistryNamespaceId;
use registry_types::image_reference::RegistryHost;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::wire::{CredentialBody, RegistryItem, parse_signature_policy};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::Member;
use crate::state::AppState;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRegistry {
    /// A new one, or null to forget the stored one.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<CredentialBody>)]
    credential: Option<Option<CredentialBody>>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    signature_policy: Option<Value>,
    /// All token hosts that may receive the credential beside the registry's own. A new one must be the `token_host` that the
    /// last test showed.
    #[serde(default)]
    confirmed_token_hosts: Option<Vec<String>>,
}

/// Tells null from absent.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<CredentialBody>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Change credential, signature policy or confirmed token hosts (admin)
#[utoipa::path(
    tag = "registries",
    operation_id = "changeRegistry",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    request_body = ChangeRegistry,
    responses(
        (status = 200, description = "The namespace as it is now", body = RegistryItem),
        (status = 422, description = "`SIGNATURE_POLICY_INVALID`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[patch("/v1/orgs/{org}/registries/{id}")]
pub(crate) async fn change(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
    body: web::Json<ChangeRegistry>,
) -> Result<web::Json<RegistryItem>, Problem> {
    let body = body.into_inner();
    let id = RegistryNamespaceId(path.into_inner().1);
    let organization = member.organization.id;
    let signature_policy = body.signature_policy.map(parse_signature_policy).transpose()?;
    let mut conn = state.pool.get().await?;
    let changed = transaction(&mut conn, async |conn| -> Result<RegistryNamespace, Problem> {
        let current = registries::get(conn, organization, id).await?;
        let hosts = body.confirmed_token_hosts.map(|hosts| confirmable(&current, &hosts)).transpose()?;
        let credential = match body.credential {
            Some(Some(new)) => Some(Some(new.seal(&state.key_ring, organization, &current.pattern)?)),
            Some(None) => Some(None),
            None => None,
        };
        let entry = Entry {
            organization: Some(organization),
            actor: member.identity.actor(),
            action: AuditAction::RegistryChanged,
            subject: audit::Subject::Registry(id),
            details: json!({
                "pattern": current.pattern.to_string(),
                "credential": credential.as_ref().map(|new| if new.is_some() { "set" } else { "cleared" }),
                "signature_policy": signature_policy,
                "confirmed_token_hosts": hosts.as_ref().map(|hosts| hosts.iter().map(RegistryHost::as_str).collect::<Vec<_>>()),
            }),
        };
        let change = NamespaceChange { credential, signature_policy, confirmed_token_hosts: hosts };
        let changed = registries::change(conn, organization, id, change).await?;
        audit::append(conn, entry).await?;
        Ok(changed)
    })
    .await?;
    Ok(web::Json(changed.into()))
}

/// The hosts that an administrator may confirm: those confirmed before, and the one that the last test showed. So a slip
/// of the pen cannot send the credential to a stranger.
fn confirmable(current: &RegistryNamespace, hosts: &[String]) -> Result<Vec<RegistryHost>, Problem> {
    let shown = current.last_test.as_ref().and_then(|test| test.get("token_host")).and_then(|host| host.as_str());
    let mut confirmed = Vec::new();
    for text in hosts {
        let host: RegistryHost =
            text.parse().map_err(|_| Problem::bad_request("confirmed_token_hosts must be hosts, host[:port]"))?;
        if !current.confirmed_token_hosts.contains(&host) && shown != Some(host.as_str()) {
            let detail = format!("{host} is not the token host that the last test showed; test the namespace first");
            return Err(Problem::bad_request(detail));
        }
        if !confirmed.contains(&host) {
            confirmed.push(host);
        }
    }
    Ok(confirmed)
}

/// Remove a namespace; what was published from it stays (admin)
#[utoipa::path(
    tag = "registries",
    operation_id = "removeRegistry",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path)),
    responses(
        (status = 204, description = "Removed, with its credential"),
        (status = 409, description = "`CONFLICT`: a superuser has suspended it", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[delete("/v1/orgs/{org}/registries/{id}")]
pub(crate) async fn remove(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Problem> {
    let id = RegistryNamespaceId(path.into_inner().1);
    let organization = member.organization.id;
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| -> Result<(), Problem> {
        let current = registries::get(conn, organization, id).await?;
        if !member.identity.is_superuser && registries::is_suspended_by_person(conn, &current).await? {
            let detail = "a superuser has suspended the namespace, and only a superuser removes it";
            return Err(Problem::new(ProblemCode::Conflict, detail));
        }
        registries::remove(conn, organization, id).await?;
        let entry = Entry {
            organization: Some(organization),
            actor: member.identity.actor(),
            action: AuditAction::RegistryRemoved,
            subject: audit::Subject::Registry(id),
            details: json!({ "pattern": current.pattern.to_string() }),
        };
        Ok(audit::append(conn, entry).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_clears_a_credential_and_absence_keeps_it() {
        let parse = |text| serde_json::from_str::<ChangeRegistry>(text).unwrap().credential;
        assert!(parse("{}").is_none());
        assert!(matches!(parse(r#"{"credential":null}"#), Some(None)));
        assert!(matches!(parse(r#"{"credential":{"username":"u","token":"t"}}"#), Some(Some(_))));
        assert!(serde_json::from_str::<ChangeRegistry>(r#"{"pattern":"x/y"}"#).is_err());
    }
}
