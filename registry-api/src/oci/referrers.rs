//! Referrers: the signatures, attestations and verdicts of an image.

use actix_web::{HttpResponse, get, web};
use registry_db::Connection;
use registry_db::pull::{self, Referrer, Repository, StoredManifest};
use registry_types::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::IntoParams;

use super::caller::Puller;
use super::error::OciError;
use super::repository;
use crate::state::AppState;

const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReferrersQuery {
    /// Only referrers of this artifact type.
    #[serde(rename = "artifactType")]
    artifact_type: Option<String>,
}

/// The manifests that refer to a manifest
///
/// An image index, empty when nothing refers to it.
#[utoipa::path(
    tag = "pull",
    operation_id = "listReferrers",
    params(("publisher" = String, Path), ("name" = String, Path), ("digest" = String, Path), ReferrersQuery),
    responses(
        (status = 200, description = "OCI image index", content_type = "application/vnd.oci.image.index.v1+json", body = Object),
        (status = 404, description = "NAME_UNKNOWN")
    )
)]
#[get("/v2/{publisher}/{name}/referrers/{digest}")]
pub(super) async fn list_referrers(
    state: web::Data<AppState>,
    puller: Puller,
    path: web::Path<(String, String, String)>,
    query: web::Query<ReferrersQuery>,
) -> Result<HttpResponse, OciError> {
    let (publisher, name, digest) = path.into_inner();
    let digest: Digest = digest.parse().map_err(|_| OciError::DigestInvalid)?;
    let mut conn = state.pool.get().await.map_err(OciError::of_db(OciError::Unavailable))?;
    let repository = repository::open(&mut conn, &puller, &publisher, &name).await?;
    let found = with_subject(&mut conn, &repository, &digest).await?;
    let mut response = HttpResponse::Ok();
    response.content_type(IMAGE_INDEX);
    let wanted = query.into_inner().artifact_type;
    if wanted.is_some() {
        response.insert_header(("OCI-Filters-Applied", "artifactType"));
    }
    let listed = found.into_iter().filter(|referrer| wanted.is_none() || referrer.artifact_type == wanted);
    Ok(response.body(serde_json::to_vec(&ImageIndex::of(listed)).map_err(|_| OciError::Internal)?))
}

/// The list as the manifest that clients without the referrers API look for under the tag `sha256-<hex>`.
pub(super) async fn as_manifest(
    conn: &mut Connection,
    repository: &Repository,
    subject: &Digest,
) -> Result<StoredManifest, OciError> {
    let found = with_subject(conn, repository, subject).await?;
    if found.is_empty() {
        return Err(OciError::ManifestUnknown);
    }
    let bytes = serde_json::to_vec(&ImageIndex::of(found.into_iter())).map_err(|_| OciError::Internal)?;
    Ok(StoredManifest { digest: Digest::sha256_of(&bytes), media_type: IMAGE_INDEX.to_owned(), bytes })
}

/// A signature (`sig`) or attestation (`att`) in cosign's older form: its manifest names no subject, only its tag did.
pub(super) async fn attachment(
    conn: &mut Connection,
    repository: &Repository,
    of: &Digest,
    suffix: &str,
) -> Result<StoredManifest, OciError> {
    let found = all(conn, repository, of).await?;
    let layer_type = match suffix {
        "sig" => "application/vnd.dev.cosign.simplesigning.v1+json",
        "att" => "application/vnd.dsse.envelope.v1+json",
        _ => return Err(OciError::ManifestUnknown),
    };
    let is_it = |referrer: &Referrer| {
        let parts = parts(&referrer.manifest);
        parts.subject.is_none() && parts.layers.iter().any(|layer| layer.media_type == layer_type)
    };
    found.into_iter().find(is_it).map(|referrer| referrer.manifest).ok_or(OciError::ManifestUnknown)
}

async fn with_subject(
    conn: &mut Connection,
    repository: &Repository,
    subject: &Digest,
) -> Result<Vec<Referrer>, OciError> {
    let subject = subject.to_string();
    let names_it = |referrer: &Referrer| parts(&referrer.manifest).subject.is_some_and(|named| named.digest == subject);
    Ok(all(conn, repository, &subject.parse().map_err(|_| OciError::DigestInvalid)?)
        .await?
        .into_iter()
        .filter(names_it)
        .collect())
}

async fn all(conn: &mut Connection, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>, OciError> {
    pull::referrers(conn, repository, subject).await.map_err(OciError::of_db(OciError::ManifestUnknown))
}

/// What a referrer's manifest says of itself.
#[derive(Default, Deserialize)]
struct Parts {
    subject: Option<Subject>,
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Subject {
    digest: String,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(rename = "mediaType")]
    media_type: String,
}

fn parts(manifest: &StoredManifest) -> Parts {
    serde_json::from_slice(&manifest.bytes).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageIndex {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    annotations: Value,
}

fn is_empty(annotations: &Value) -> bool {
    annotations.as_object().is_none_or(serde_json::Map::is_empty)
}

impl ImageIndex {
    fn of(referrers: impl Iterator<Item = Referrer>) -> Self {
        let descriptor = |referrer: Referrer| Descriptor {
            media_type: referrer.manifest.media_type,
            digest: referrer.manifest.digest.to_string(),
            size: referrer.manifest.bytes.len(),
            artifact_type: referrer.artifact_type,
            annotations: referrer.annotations,
        };
        Self { schema_version: 2, media_type: IMAGE_INDEX, manifests: referrers.map(descriptor).collect() }
    }
}
