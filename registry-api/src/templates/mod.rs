//! Company templates: publish one, make a company of one, get a company as one.

mod body;
mod export;
mod import;
mod plan;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(import::import).service(export::export);
}
