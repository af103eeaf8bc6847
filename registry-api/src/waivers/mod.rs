//! Waivers: asked for by a member, decided by another person, in force until their date.

mod ask;
mod decide;
mod read;
mod wire;

pub(crate) use wire::Person;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(ask::ask)
        .service(read::list)
        .service(read::get)
        .service(decide::approve)
        .service(decide::refuse)
        .service(decide::withdraw);
}
