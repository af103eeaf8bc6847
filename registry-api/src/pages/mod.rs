//! The store's pages for people: rendered on the server, readable without script, under a strict Content-Security-Policy.

mod assets;
mod companies;
pub(crate) mod company_view;
pub(crate) mod frame;

/// Pages are for people: they are not in the API's description.
pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.map(|cfg| cfg.service(assets::stylesheet).service(assets::icon).configure(companies::routes));
}
