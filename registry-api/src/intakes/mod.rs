//! Intakes: their checks with evidence, and their events as they happen.

mod cancel;
mod events;
pub(crate) mod hub;
mod read;
mod wire;

pub(crate) use read::own_intake;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(read::get).service(read::list).service(cancel::cancel).service(events::follow);
}
