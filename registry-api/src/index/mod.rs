//! `/index.json`: the whole public store as one cacheable document, also while the database is away.

mod cache;
mod document;
mod rendering;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, route, web};

pub(crate) use self::cache::IndexCache;
use self::document::Index;
use self::rendering::Coding;
use crate::problem::{Problem, Problems};
use crate::state::AppState;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(get_index);
}

/// The store index
///
/// The newest active version of every public package. Answers `If-None-Match` with 304; sent in brotli or gzip to those
/// who take it; may be kept by caches, also when this store does not answer.
#[utoipa::path(
    get,
    path = "/index.json",
    tag = "index",
    operation_id = "getIndex",
    responses(
        (status = 200, description = "The index", body = Index),
        (status = 304, description = "Unchanged since the ETag in If-None-Match"),
        Problems
    )
)]
#[route("/index.json", method = "GET", method = "HEAD")]
pub(crate) async fn get_index(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let rendering = state.index.current(&state).await?;
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let variant = rendering.variant(Coding::accepted(header(header::ACCEPT_ENCODING)));
    let is_unchanged = header(header::IF_NONE_MATCH).is_some_and(|tags| rendering.has_one_of(tags));
    let mut response = if is_unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, variant.etag.clone()))
        .insert_header((header::VARY, header::HeaderValue::from_static("Accept-Encoding")))
        .insert_header((header::CACHE_CONTROL, header::HeaderValue::from_static(CACHE_CONTROL)));
    if is_unchanged {
        return Ok(response.finish());
    }
    response.insert_header((header::CONTENT_TYPE, header::HeaderValue::from_static("application/json")));
    // Says to the compressing middleware that there is nothing to do.
    response.insert_header((header::CONTENT_ENCODING, header::HeaderValue::from_static(variant.coding.as_str())));
    Ok(response.body(variant.body.clone()))
}

/// Always asked again (cheap, by ETag), but kept for a day when the store does not answer.
const CACHE_CONTROL: &str = "public, max-age=0, must-revalidate, stale-if-error=86400";
