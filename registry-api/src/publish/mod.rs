//! Publishing modules by image reference, in the words of the HLA-Compass client.

mod config;
mod fingerprint;
mod list;
mod refusal;
mod request;
mod signature;
mod signers;
mod status;
mod submit;
mod target;
mod unsupported;
mod withdraw;

pub(crate) use refusal::refused;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    // Before `publish/{id}`, which would take `config` for an id.
    cfg.service(config::config)
        .service(submit::publish_module)
        .service(submit::publish_by_key)
        .service(unsupported::upload_source)
        .service(unsupported::upload_source_by_key)
        .service(unsupported::run)
        .service(unsupported::run_by_key)
        .service(unsupported::runs)
        .service(unsupported::runs_by_key)
        .service(status::get)
        .service(status::get_by_key)
        .service(list::list)
        .service(list::list_by_key)
        .service(list::get)
        .service(list::get_by_key)
        .service(withdraw::suspend)
        .service(withdraw::suspend_by_key)
        .service(withdraw::delete)
        .service(withdraw::delete_by_key);
}
