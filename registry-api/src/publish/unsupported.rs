//! What the HLA-Compass client can ask for and this store does not do: refused with a code, so that the client stops.

use actix_web::{HttpResponse, get, post};

use super::request::source_unsupported;
use crate::problem::{Problem, ProblemCode, Problems};
use crate::rights::Authenticated;

/// Publish from sources: always refused, this store takes images
#[utoipa::path(
    tag = "modules",
    operation_id = "uploadSource",
    responses((status = 403, description = "`SOURCE_PUBLISH_UNSUPPORTED`"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/modules/publish/source-upload")]
pub(crate) async fn upload_source(_: Authenticated) -> Result<HttpResponse, Problem> {
    Err(source_unsupported())
}

/// Publish from sources, with an API key: always refused
#[utoipa::path(
    tag = "modules",
    operation_id = "uploadSourceByApiKey",
    responses((status = 403, description = "`SOURCE_PUBLISH_UNSUPPORTED`"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/api/modules/publish/source-upload")]
pub(crate) async fn upload_source_by_key(_: Authenticated) -> Result<HttpResponse, Problem> {
    Err(source_unsupported())
}

/// Run a module: always refused, a store runs nothing
#[utoipa::path(
    tag = "modules",
    operation_id = "runModule",
    responses((status = 403, description = "`MODULE_RUNS_UNSUPPORTED`"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/module-runs")]
pub(crate) async fn run(_: Authenticated) -> Result<HttpResponse, Problem> {
    Err(runs_unsupported())
}

/// Run a module, with an API key: always refused
#[utoipa::path(
    tag = "modules",
    operation_id = "runModuleByApiKey",
    responses((status = 403, description = "`MODULE_RUNS_UNSUPPORTED`"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/api/module-runs")]
pub(crate) async fn run_by_key(_: Authenticated) -> Result<HttpResponse, Problem> {
    Err(runs_unsupported())
}

/// List the runs of modules: always refused
#[utoipa::path(
    tag = "modules",
    operation_id = "listModuleRuns",
    responses((status = 403, description = "`MODULE_RUNS_UNSUPPORTED`"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/module-runs")]
pub(crate) async fn runs(_: Authenticated) -> Result<HttpResponse, Problem> {
    Err(runs_unsupported())
}

/// List the runs of modules, with an API key: always refused
#[utoipa::path(
    tag = "modules",
    operation_id = "listModuleRunsByApiKey",
    responses((status = 403, description = "`MODULE_RUNS_UNSUPPORTED`"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/api/module-runs")]
pub(crate) async fn runs_by_key(_: Authenticated) -> Result<HttpResponse, Problem> {
    Err(runs_unsupported())
}

fn runs_unsupported() -> Problem {
    Problem::new(ProblemCode::ModuleRunsUnsupported, "this store keeps and checks modules; it does not run them")
}
