//! Logging in and out, and who one is. The paths and bodies are those that the HLA-Compass client speaks.

mod bootstrap;
pub(crate) mod login;
mod me;
mod password_change;
pub(crate) mod passwords;
pub(crate) mod tokens;

pub use bootstrap::{BootstrapSettings, Bootstrapped, bootstrap};

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(login::login)
        .service(login::refresh)
        .service(login::logout)
        .service(password_change::change)
        .service(me::me)
        .service(me::me_by_key);
}
