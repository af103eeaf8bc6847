//! What the HLA-Compass client asks before it publishes.

use actix_web::{get, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problems;
use crate::rights::Authenticated;

#[derive(Serialize, ToSchema)]
pub(crate) struct PublishConfig {
    /// Registry that the client pushes to when no image is named. Empty: authors push to their own registry.
    registry: &'static str,
}

/// What a client must know before it publishes
#[utoipa::path(
    tag = "modules",
    operation_id = "getPublishConfig",
    responses((status = 200, description = "The store takes images from the author's own registry only", body = PublishConfig), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/modules/publish/config")]
pub(crate) async fn config(_: Authenticated) -> web::Json<PublishConfig> {
    web::Json(PublishConfig { registry: "" })
}
