//! Keys that an organization's authors sign package manifests with.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use registry_db::audit::{self, Entry};
use registry_db::manifest_keys::{self, EnrolledKey, FINGERPRINT_TAKEN, NewManifestKey, TooManyKeys};
use registry_db::{DbError, store_settings, transaction};
use registry_types::audit::AuditAction;
use registry_types::ids::ManifestKeyId;
use registry_types::manifest_key::ManifestKey;
use registry_types::pointer::PointerError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::paging::{List, PageQuery};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::Member;
use crate::state::AppState;

const MAX_LABEL_CHARS: usize = 100;
const MAX_REASON_CHARS: usize = 500;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrolKey {
    /// RSA, 2048 to 8192 bits: a PEM block, or the base64 that `hla-compass keys show` prints.
    public_key: String,
    /// Whose key it is, 1 to 100 characters.
    #[schema(example = "Dana's laptop")]
    label: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeKey {
    /// Why, 1 to 500 characters.
    #[schema(example = "the laptop was stolen")]
    reason: String,
    /// What was submitted from then on does not count as signed by the key; now, if not given. May have passed, but not lie
    /// ahead.
    #[serde(default)]
    from: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ManifestKeyItem {
    id: Uuid,
    label: String,
    /// Base64 of the SHA-256 of the key's DER, as the HLA-Compass client shows it.
    fingerprint: String,
    /// Base64 of the DER of its `SubjectPublicKeyInfo`.
    public_key: String,
    /// E-mail address of who enrolled it.
    enrolled_by: String,
    enrolled_at: DateTime<Utc>,
    /// Null while the key counts.
    revocation: Option<RevocationItem>,
    /// Versions whose package manifest it signed.
    signed_versions: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RevocationItem {
    from: DateTime<Utc>,
    /// E-mail address of who revoked it.
    by: String,
    reason: String,
    /// Versions that were submitted from then on, before the key was revoked.
    signed_versions: u64,
}

impl From<EnrolledKey> for ManifestKeyItem {
    fn from(key: EnrolledKey) -> Self {
        use base64::Engine as _;
        let signed_versions = key.signed_after_revocation;
        Self {
            id: key.id.0,
            label: key.label,
            fingerprint: key.fingerprint.to_string(),
            public_key: base64::engine::general_purpose::STANDARD.encode(key.key.as_der()),
            enrolled_by: key.enrolled_by.to_string(),
            enrolled_at: key.enrolled_at,
            revocation: key.revocation.map(|revocation| RevocationItem {
                from: revocation.from,
                by: revocation.by.to_string(),
                reason: revocation.reason,
                signed_versions,
            }),
            signed_versions: key.signed_versions,
        }
    }
}

/// Enrol a key: package manifests that it signs count as the organization's (admin)
#[utoipa::path(
    tag = "organizations",
    operation_id = "enrolManifestKey",
    params(("org" = String, Path, description = "Id or slug")),
    request_body = EnrolKey,
    responses(
        (status = 201, description = "Enrolled", body = ManifestKeyItem),
        (status = 409, description = "`CONFLICT`: it is enrolled already, or was", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`MANIFEST_KEY_INVALID`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []))
)]
#[post("/v1/orgs/{org}/keys")]
pub(crate) async fn enrol(
    state: web::Data<AppState>,
    member: Member,
    body: web::Json<EnrolKey>,
) -> Result<HttpResponse, Problem> {
    let new = NewManifestKey {
        organization: member.organization.id,
        label: text(&body.label, MAX_LABEL_CHARS, "label")?,
        key: public_key(&body.public_key)?,
        enrolled_by: member.identity.user,
    };
    let mut conn = state.pool.get().await?;
    let enrolled = transaction(&mut conn, async |conn| -> Result<EnrolledKey, Problem> {
        let most = store_settings::quota(conn, member.organization.trust_tier).await?.manifest_keys;
        let id = manifest_keys::enrol(conn, &new, most).await.map_err(refused)?;
        let id = id.map_err(|TooManyKeys| {
            Problem::new(ProblemCode::QuotaExceeded, format!("an organization has at most {most} keys"))
        })?;
        let details = json!({ "label": new.label, "fingerprint": new.key.fingerprint() });
        audit::append(conn, entry(&member, AuditAction::ManifestKeyEnrolled, id, details)).await?;
        Ok(manifest_keys::get(conn, new.organization, id).await?)
    });
    Ok(HttpResponse::Created().json(ManifestKeyItem::from(enrolled.await?)))
}

fn refused(error: DbError) -> Problem {
    if error.is_constraint(FINGERPRINT_TAKEN) {
        Problem::new(ProblemCode::Conflict, "this key is enrolled already, or was and is revoked")
    } else {
        error.into()
    }
}

fn public_key(text: &str) -> Result<ManifestKey, Problem> {
    text.parse().map_err(|error: registry_types::public_key::PublicKeyError| {
        let detail = format!("public_key is no RSA public key of 2048 to 8192 bits: {error}");
        let place = PointerError::new("/public_key", "public_key", error.to_string());
        Problem::new(ProblemCode::ManifestKeyInvalid, detail).with_errors(vec![place])
    })
}

fn text(text: &str, most: usize, member: &str) -> Result<String, Problem> {
    let text = text.trim();
    if (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Problem::bad_request(format!("{member} must have 1 to {most} printable characters")))
}

fn entry(member: &Member, action: AuditAction, key: ManifestKeyId, details: serde_json::Value) -> Entry {
    let organization = Some(member.organization.id);
    Entry { organization, actor: member.identity.actor(), action, subject: audit::Subject::ManifestKey(key), details }
}

/// The enrolled keys, the oldest first, the revoked ones too
#[utoipa::path(
    tag = "organizations",
    operation_id = "listManifestKeys",
    params(("org" = String, Path, description = "Id or slug"), PageQuery),
    responses((status = 200, description = "One page of keys", body = List<ManifestKeyItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/keys")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    member: Member,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<ManifestKeyItem>>, Problem> {
    let after: Option<ManifestKeyId> = query.after()?;
    let mut conn = state.pool.get().await?;
    let page = manifest_keys::list(&mut conn, member.organization.id, after, query.size()).await?;
    Ok(web::Json(List::of(page.map(ManifestKeyItem::from))?))
}

/// One enrolled key
#[utoipa::path(
    tag = "organizations",
    operation_id = "getManifestKey",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path, description = "Id of the key")),
    responses((status = 200, description = "The key", body = ManifestKeyItem), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/keys/{id}")]
pub(crate) async fn get(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
) -> Result<web::Json<ManifestKeyItem>, Problem> {
    let id = ManifestKeyId(path.into_inner().1);
    let key = manifest_keys::get(&mut *state.pool.get().await?, member.organization.id, id).await?;
    Ok(web::Json(key.into()))
}

/// Revoke a key from a moment on (admin)
///
/// It can be revoked again from an earlier moment on, never from a later one.
#[utoipa::path(
    tag = "organizations",
    operation_id = "revokeManifestKey",
    params(("org" = String, Path, description = "Id or slug"), ("id" = Uuid, Path, description = "Id of the key")),
    request_body = RevokeKey,
    responses(
        (status = 200, description = "The revoked key, with the number of versions that this concerns", body = ManifestKeyItem),
        (status = 409, description = "`CONFLICT`: it is revoked from then or earlier on", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/keys/{id}/revoke")]
pub(crate) async fn revoke(
    state: web::Data<AppState>,
    member: Member,
    path: web::Path<(String, Uuid)>,
    body: web::Json<RevokeKey>,
) -> Result<web::Json<ManifestKeyItem>, Problem> {
    let (organization, id) = (member.organization.id, ManifestKeyId(path.into_inner().1));
    let now = Utc::now();
    let from = body.from.unwrap_or(now);
    if from > now {
        return Err(Problem::bad_request("from must not lie ahead"));
    }
    let reason = text(&body.reason, MAX_REASON_CHARS, "reason")?;
    let mut conn = state.pool.get().await?;
    let revoked = transaction(&mut conn, async |conn| -> Result<EnrolledKey, Problem> {
        match manifest_keys::revoke(conn, organization, id, member.identity.user, from, &reason).await {
            Err(DbError::Stale) => {
                return Err(Problem::new(ProblemCode::Conflict, "the key is revoked from then or earlier on"));
            }
            done => done?,
        }
        let details = json!({ "from": from, "reason": reason });
        audit::append(conn, entry(&member, AuditAction::ManifestKeyRevoked, id, details)).await?;
        Ok(manifest_keys::get(conn, organization, id).await?)
    });
    Ok(web::Json(revoked.await?.into()))
}
