//! Manifests by tag and by digest.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, route, web};
use registry_db::pull::{self, Repository, StoredManifest};
use registry_db::{Connection, DbError};
use registry_types::digest::Digest;
use semver::Version as SemVer;

use super::caller::Puller;
use super::error::OciError;
use super::{referrers, repository};
use crate::state::AppState;

/// A manifest
///
/// By digest, or by tag: a tag is a version number, with `_` for the `+` that tags cannot hold.
#[utoipa::path(
    get,
    path = "/v2/{publisher}/{name}/manifests/{reference}",
    tag = "pull",
    operation_id = "getManifest",
    params(
        ("publisher" = String, Path),
        ("name" = String, Path),
        ("reference" = String, Path, description = "Version number or digest")
    ),
    responses(
        (status = 200, description = "The manifest, byte for byte, in its own media type"),
        (status = 404, description = "MANIFEST_UNKNOWN or NAME_UNKNOWN")
    )
)]
#[route("/v2/{publisher}/{name}/manifests/{reference}", method = "GET", method = "HEAD")]
pub(super) async fn get_manifest(
    request: HttpRequest,
    state: web::Data<AppState>,
    puller: Puller,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, OciError> {
    let (publisher, name, reference) = path.into_inner();
    let reference = Reference::parse(&reference)?;
    let manifest = {
        let mut conn = state.pool.get().await.map_err(OciError::of_db(OciError::Unavailable))?;
        let repository = repository::open(&mut conn, &puller, &publisher, &name).await?;
        find(&mut conn, &repository, &reference).await?
    };
    Ok(respond(&request, manifest))
}

/// What stands behind `/manifests/`.
enum Reference {
    Digest(Digest),
    Version(SemVer),
    /// `sha256-<hex>`: where clients that do not know the referrers API look for the same list.
    ReferrersOf(Digest),
    /// `sha256-<hex>.sig` and the like: where cosign kept signatures before there were referrers.
    Attachment {
        of: Digest,
        suffix: String,
    },
    Unknown,
}

impl Reference {
    fn parse(text: &str) -> Result<Self, OciError> {
        if text.contains(':') {
            return text.parse().map(Self::Digest).map_err(|_| OciError::DigestInvalid);
        }
        if let Ok(version) = text.replace('_', "+").parse() {
            return Ok(Self::Version(version));
        }
        let (stem, suffix) = text.split_once('.').unwrap_or((text, ""));
        let digest = stem.split_once('-').and_then(|(algorithm, hex)| format!("{algorithm}:{hex}").parse().ok());
        Ok(match digest {
            Some(digest) if suffix.is_empty() => Self::ReferrersOf(digest),
            Some(of) => Self::Attachment { of, suffix: suffix.to_owned() },
            None => Self::Unknown,
        })
    }
}

async fn find(
    conn: &mut Connection,
    repository: &Repository,
    reference: &Reference,
) -> Result<StoredManifest, OciError> {
    let found = match reference {
        Reference::Digest(digest) => pull::manifest(conn, repository, digest).await,
        Reference::Version(version) => pull::manifest_of_version(conn, repository, version).await,
        Reference::ReferrersOf(digest) => return referrers::as_manifest(conn, repository, digest).await,
        Reference::Attachment { of, suffix } => return referrers::attachment(conn, repository, of, suffix).await,
        Reference::Unknown => Err(DbError::NotFound),
    };
    found.map_err(OciError::of_db(OciError::ManifestUnknown))
}

fn respond(request: &HttpRequest, manifest: StoredManifest) -> HttpResponse {
    let etag = format!("\"{}\"", manifest.digest);
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_unchanged = known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag));
    let mut response = if is_unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, etag))
        .insert_header(("Docker-Content-Digest", manifest.digest.to_string()))
        .insert_header((header::CONTENT_TYPE, manifest.media_type));
    if is_unchanged { response.finish() } else { response.body(manifest.bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_versions_and_digests_are_told_from_tags() {
        let hex = "a".repeat(64);
        assert!(matches!(Reference::parse("1.2.3"), Ok(Reference::Version(_))));
        assert!(
            matches!(Reference::parse("1.2.3-rc.1_build.5"), Ok(Reference::Version(v)) if v.build.as_str() == "build.5")
        );
        assert!(matches!(Reference::parse("latest"), Ok(Reference::Unknown)));
        assert!(matches!(Reference::parse(&format!("sha256:{hex}")), Ok(Reference::Digest(_))));
        assert!(matches!(Reference::parse("sha256:short"), Err(OciError::DigestInvalid)));
        assert!(matches!(Reference::parse(&format!("sha256-{hex}")), Ok(Reference::ReferrersOf(_))));
        let attachment = Reference::parse(&format!("sha256-{hex}.sig"));
        assert!(matches!(attachment, Ok(Reference::Attachment { suffix, .. }) if suffix == "sig"));
        assert!(matches!(Reference::parse("sha256-short.sig"), Ok(Reference::Unknown)));
    }
}
