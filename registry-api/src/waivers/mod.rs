//! Waivers: asked for by a member, decided by another person, in force until their date.

mod ask;
mod decide;
mod import;
mod read;
mod vex;
mod wire;

pub(crate) use decide::{WaiverNote, approve_as, refuse_as, withdraw_as};
pub(crate) use read::{WaiverQuery, page};
pub(crate) use wire::{Person, WaiverItem};

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(ask::ask)
        .service(read::list)
        .service(read::get)
        .service(vex::export)
        .service(import::import)
        .service(decide::approve)
        .service(decide::refuse)
        .service(decide::withdraw);
}
