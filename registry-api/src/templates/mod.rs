//! Company templates: publish one, make a company of one, get a company as one.

mod body;
mod export;
pub(crate) mod import;
pub(crate) mod plan;
mod publish;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(publish::publish_template).service(import::import_template).service(export::export_template);
}
