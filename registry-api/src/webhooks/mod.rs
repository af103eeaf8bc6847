//! Webhooks: where an organization's events, or all of the store's, are sent to.

pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod manager;
mod of_store;
mod secret;
pub(crate) mod wire;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(endpoints::create)
        .service(endpoints::list)
        .service(endpoints::get)
        .service(endpoints::change)
        .service(endpoints::remove)
        .service(endpoints::rotate_secret)
        .service(deliveries::test)
        .service(deliveries::list)
        .service(deliveries::get)
        .service(deliveries::replay)
        .service(deliveries::replay_failed)
        .configure(of_store::routes);
}
