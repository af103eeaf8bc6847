//! The API's description: collected from the handlers, served as `/openapi.json` and, for people, as `/docs`.

use actix_web::http::header;
use actix_web::{App, HttpResponse, get, web};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, OpenApi};
use utoipa::{Modify, OpenApi as _};
use utoipa_actix_web::AppExt as _;

mod page;

/// The document as it is served.
#[derive(Clone)]
pub(crate) struct Document {
    json: web::Bytes,
    page: web::Bytes,
}

impl Document {
    pub(crate) fn new(api: &OpenApi) -> Result<Self, serde_json::Error> {
        Ok(Self { json: serde_json::to_vec_pretty(api)?.into(), page: page::render(api).into() })
    }
}

/// What no handler states.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Company Store",
        description = "A self-hosted store for packages of agents, modules and company templates. Errors are \
                       `application/problem+json` with a stable `code`; lists answer `items` and `next_cursor`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(crate::problem::ProblemBody, crate::problem::ErrorAt)),
    modifiers(&SecuritySchemes)
)]
struct Frame;

struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, openapi: &mut OpenApi) {
        let components = openapi.components.get_or_insert_with(Components::new);
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        components
            .add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    }
}

/// The description of all operations of the API.
#[must_use]
pub fn openapi() -> OpenApi {
    let (_, api) = App::new().into_utoipa_app().openapi(Frame::openapi()).configure(crate::routes).split_for_parts();
    api
}

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(machine_readable).map(|cfg| cfg.service(readable));
}

/// This description
#[utoipa::path(
    tag = "operations",
    operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1 document", content_type = "application/json"), crate::problem::Problems)
)]
#[get("/openapi.json")]
async fn machine_readable(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document.json.clone())
}

#[get("/docs")]
async fn readable(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'",
        ))
        .body(document.page.clone())
}
