//! Organizations, their members, the members' API keys, and the keys that manifests are signed with.

pub(crate) mod api_keys;
mod manifest_keys;
pub(crate) mod members;
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
        .service(users::reset_password)
        .service(api_keys::create)
        .service(api_keys::list)
        .service(api_keys::revoke)
        .service(manifest_keys::enrol)
        .service(manifest_keys::list)
        .service(manifest_keys::get)
        .service(manifest_keys::revoke);
}
