//! For operators: is the process alive, can it do its work, what does it do.

use actix_web::{HttpResponse, get, web};

use crate::problem::{Problem, Problems};
use crate::state::AppState;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(live).service(ready).service(metrics);
}

/// Whether the process runs
#[utoipa::path(tag = "operations", operation_id = "live", responses((status = 200, description = "It runs"), Problems))]
#[get("/livez")]
async fn live() -> &'static str {
    "ok\n"
}

/// Whether the store can answer: the database is reached
#[utoipa::path(tag = "operations", operation_id = "ready", responses((status = 200, description = "It can"), Problems))]
#[get("/readyz")]
async fn ready(state: web::Data<AppState>) -> Result<&'static str, Problem> {
    state.pool.check().await?;
    Ok("ok\n")
}

/// Metrics in OpenMetrics text
#[utoipa::path(
    tag = "operations",
    operation_id = "metrics",
    responses((status = 200, description = "OpenMetrics text", content_type = "application/openmetrics-text"), Problems)
)]
#[get("/metrics")]
async fn metrics(state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let text = state.metrics.text().map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8").body(text))
}
