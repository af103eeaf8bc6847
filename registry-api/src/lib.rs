//! The registry API: the store's HTTP surface for people, programs and existing clients.
//!
//! A handler reads: extractor (who, what right) → parse into types → one call into `registry-db` (one transaction) →
//! response. It never opens a connection to an outside registry.

mod audit;
mod auth;
mod companies;
mod events;
mod health;
mod index;
mod intakes;
mod limits;
mod oci;
mod openapi;
mod organizations;
mod packages;
mod pages;
mod paging;
mod policy;
pub mod problem;
mod publish;
mod registries;
mod request;
mod reviews;
pub mod rights;
mod server;
mod settings;
pub mod state;
mod superusers;
mod telemetry;
mod templates;
mod trusted_publishing;
mod waivers;
mod webhooks;

pub use auth::{BootstrapSettings, Bootstrapped, bootstrap};
pub use openapi::openapi;
pub use server::{ApiError, Server, run};
pub use settings::{ApiSettings, TokenLifetimes};
pub use telemetry::start_log;

/// Every area's routes. What is registered here is in the API's description.
fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.configure(health::routes)
        .configure(openapi::routes)
        .configure(organizations::routes)
        .configure(audit::routes)
        .configure(auth::routes)
        .configure(companies::routes)
        .configure(events::routes)
        .configure(index::routes)
        .configure(oci::routes)
        .configure(packages::routes)
        .configure(pages::routes)
        .configure(intakes::routes)
        .configure(policy::routes)
        .configure(publish::routes)
        .configure(registries::routes)
        .configure(reviews::routes)
        .configure(superusers::routes)
        .configure(templates::routes)
        .configure(trusted_publishing::routes)
        .configure(waivers::routes)
        .configure(webhooks::routes);
}
