//! `/v2/`: the OCI distribution API for pulling active versions, referrers included. Read only.

mod blobs;
mod caller;
mod error;
mod manifests;
mod range;
mod referrers;
mod repository;
mod tags;

use actix_web::{HttpResponse, route};

use self::caller::Puller;
use self::error::OciError;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(ping)
        .service(manifests::get_manifest)
        .service(blobs::get_blob)
        .service(tags::list_tags)
        .service(referrers::list_referrers)
        // Behind the others: whatever else a client may ask of a registry.
        .map(|cfg| cfg.service(unsupported).service(unknown));
}

/// Whether this is a registry
#[utoipa::path(
    get,
    path = "/v2/",
    tag = "pull",
    operation_id = "pingRegistry",
    responses((status = 200, description = "OCI distribution API"), (status = 401, description = "The credential is wrong"))
)]
#[route("/v2/", method = "GET", method = "HEAD")]
async fn ping(_puller: Puller) -> HttpResponse {
    // Public packages need no login, so this is no 401; the challenge tells clients that hold a credential to send it.
    HttpResponse::Ok()
        .insert_header(("Docker-Distribution-Api-Version", "registry/2.0"))
        .insert_header(caller::CHALLENGE)
        .json(serde_json::json!({}))
}

#[route("/v2/{tail:.*}", method = "POST", method = "PUT", method = "PATCH", method = "DELETE")]
async fn unsupported() -> OciError {
    OciError::Unsupported
}

#[route("/v2{tail:(/.*)?}", method = "GET", method = "HEAD")]
async fn unknown() -> OciError {
    OciError::NameUnknown
}
