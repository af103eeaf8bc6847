//! Registry namespaces: onboarding, credentials, tests and approval.

mod change;
mod create;
pub(crate) mod decide;
pub(crate) mod proof;
mod read;
pub(crate) mod refuse;
mod wire;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(create::create)
        .service(read::list)
        .service(read::get)
        .service(change::change)
        .service(change::remove)
        .service(decide::test)
        .service(decide::approve)
        .service(decide::suspend)
        .service(refuse::refuse)
        .service(refuse::reopen)
        .service(proof::challenge)
        .service(proof::read_challenge)
        .service(proof::prove)
        .service(proof::history);
}
