//! The stylesheet and the icon, compiled into the program.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get};
use registry_types::digest::Digest;

const STYLESHEET: &str = include_str!("../../assets/store.css");
const ICON: &str = include_str!("../../assets/icon.svg");

/// The address changes with the bytes, so that a browser may keep the stylesheet for ever.
static STYLESHEET_PATH: LazyLock<String> =
    LazyLock::new(|| format!("/assets/store.css?v={}", &Digest::sha256_of(STYLESHEET.as_bytes()).hex()[..12]));

pub(super) fn stylesheet_path() -> &'static str {
    &STYLESHEET_PATH
}

#[get("/assets/store.css")]
pub(super) async fn stylesheet(request: HttpRequest) -> HttpResponse {
    let is_current = STYLESHEET_PATH.ends_with(request.query_string()) && !request.query_string().is_empty();
    asset("text/css; charset=utf-8", STYLESHEET, is_current)
}

#[get("/assets/icon.svg")]
pub(super) async fn icon() -> HttpResponse {
    asset("image/svg+xml", ICON, false)
}

fn asset(content_type: &'static str, body: &'static str, is_immutable: bool) -> HttpResponse {
    let cache = if is_immutable { "public, max-age=31536000, immutable" } else { "public, max-age=3600" };
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'"))
        .body(body)
}
