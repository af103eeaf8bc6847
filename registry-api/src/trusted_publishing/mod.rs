//! Trusted publishing: a job of continuous integration shows who it is by its provider's token, and is given a short-lived
//! right to publish one package. Nothing is asked of the provider here: a worker reads its keys.

mod exchange;
mod identity_token;
mod keys;
mod ownership;
pub(crate) mod publishers;
pub(crate) mod tokens;
pub(crate) mod wire;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(exchange::audience)
        .service(exchange::exchange)
        .service(publishers::add)
        .service(publishers::list)
        .service(publishers::remove)
        .service(tokens::list)
        .service(tokens::revoke);
}
