//! Blobs: layers and configs.

use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, route, web};
use blob_store::{BlobError, ObjectKey};
use bytes::Bytes;
use futures_util::stream;
use registry_db::pull;
use registry_types::digest::Digest;

use super::caller::Puller;
use super::error::OciError;
use super::range::Requested;
use super::repository;
use crate::state::AppState;

/// How long a link to the object store works: enough to begin a download that waits for others.
const LINK_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// A blob
///
/// A `Range` of it, if asked for. By redirect where clients reach the object store themselves.
#[utoipa::path(
    get,
    path = "/v2/{publisher}/{name}/blobs/{digest}",
    tag = "pull",
    operation_id = "getBlob",
    params(("publisher" = String, Path), ("name" = String, Path), ("digest" = String, Path)),
    responses(
        (status = 200, description = "The blob", content_type = "application/octet-stream"),
        (status = 206, description = "The part that Range asks for", content_type = "application/octet-stream"),
        (status = 307, description = "It is to be had there"),
        (status = 404, description = "BLOB_UNKNOWN or NAME_UNKNOWN"),
        (status = 416, description = "The range lies outside the blob")
    )
)]
#[route("/v2/{publisher}/{name}/blobs/{digest}", method = "GET", method = "HEAD")]
pub(super) async fn get_blob(
    request: HttpRequest,
    state: web::Data<AppState>,
    puller: Puller,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, OciError> {
    let (publisher, name, digest) = path.into_inner();
    let digest: Digest = digest.parse().map_err(|_| OciError::DigestInvalid)?;
    let size = {
        let mut conn = state.pool.get().await.map_err(OciError::of_db(OciError::Unavailable))?;
        let repository = repository::open(&mut conn, &puller, &publisher, &name).await?;
        pull::blob_size(&mut conn, &repository, &digest).await.map_err(OciError::of_db(OciError::BlobUnknown))?
    };
    if request.method() == Method::HEAD {
        let nothing = stream::empty::<Result<Bytes, BlobError>>();
        return Ok(described(HttpResponse::Ok(), &digest).body(SizedStream::new(size, nothing)));
    }
    let key = ObjectKey::Blob(digest.clone());
    if let Some(link) = state.blobs.presigned_get(&key, LINK_LIFETIME).await? {
        return Ok(HttpResponse::TemporaryRedirect()
            .insert_header((header::LOCATION, link))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish());
    }
    let range = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
    match Requested::parse(range, size) {
        Requested::Whole => {
            let object = state.blobs.get(&key, None).await?;
            Ok(described(HttpResponse::Ok(), &digest).body(SizedStream::new(size, object.stream)))
        }
        Requested::Part(part) => {
            let object = state.blobs.get(&key, Some(part.clone())).await?;
            Ok(described(HttpResponse::PartialContent(), &digest)
                .insert_header((header::CONTENT_RANGE, format!("bytes {}-{}/{size}", part.start, part.end - 1)))
                .body(SizedStream::new(part.end - part.start, object.stream)))
        }
        Requested::Outside => Err(OciError::RangeInvalid { size }),
    }
}

fn described(mut response: HttpResponseBuilder, digest: &Digest) -> HttpResponseBuilder {
    response
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::ETAG, format!("\"{digest}\"")))
        .insert_header(("Docker-Content-Digest", digest.to_string()));
    response
}
