//! Organizations, their members, and the members' API keys.

mod api_keys;
mod members;
mod organization;
mod users;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(organization::create)
        .service(organization::list)
        .service(organization::get)
        .service(organization::change)
        .service(members::list)
        .service(members::add)
        .service(members::remove)
        .service(users::create)
        .service(api_keys::create)
        .service(api_keys::list)
        .service(api_keys::revoke);
}
