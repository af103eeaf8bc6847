//! Companies: what was made of templates, for the members of the organization that owns them.

mod answers;
mod handlers;

pub(crate) use answers::CompanyDetail;
pub(crate) use handlers::{detail, no_company};

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(handlers::list).service(handlers::get).service(handlers::issues).service(handlers::activity);
}
