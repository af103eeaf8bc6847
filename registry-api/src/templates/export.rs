//! `GET /api/templates/export`: a company as a template.

use actix_web::{HttpResponse, get, web};
use registry_db::companies;
use registry_db::packages::Viewer;
use registry_types::ids::CompanyId;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::companies::no_company;
use crate::problem::{Problem, Problems};
use crate::rights::Authenticated;
use crate::state::AppState;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// Id of the company.
    company: Uuid,
}

/// A company as a template, equal to the imported one as long as nothing was changed
#[utoipa::path(
    tag = "templates",
    operation_id = "exportTemplate",
    params(ExportQuery),
    responses((status = 200, description = "The template document", content_type = "application/json"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/api/templates/export")]
pub(super) async fn export_template(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    query: web::Query<ExportQuery>,
) -> Result<HttpResponse, Problem> {
    let viewer = Viewer::of(Some(&identity));
    let id = CompanyId(query.company);
    let mut conn = state.pool.get().await?;
    let template = registry_db::transaction(&mut conn, async |conn| companies::export(conn, &viewer, id).await)
        .await
        .map_err(no_company)?;
    let file = format!("attachment; filename=\"{}-{}.json\"", template.id, template.version);
    Ok(HttpResponse::Ok().insert_header(("Content-Disposition", file)).json(template))
}
