//! The store's pages for people: rendered on the server, readable without script, under a strict Content-Security-Policy.

mod api_keys;
mod assets;
mod audit;
mod check_view;
mod companies;
pub(crate) mod company_view;
pub(crate) mod error;
mod filled_form;
pub(crate) mod frame;
mod intake;
mod keys;
mod login;
mod members;
mod namespace;
mod organization;
mod package;
mod registries;
mod reviews;
mod signature_view;
mod store;
mod text;
mod trusted_publishers;
mod waivers;
mod webhook;
mod webhooks;

/// Pages are for people: they are not in the API's description.
pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.map(|cfg| {
        cfg.service(assets::stylesheet)
            .service(assets::icon)
            .service(store::store_page)
            .service(store::publisher_page)
            .service(package::package_page)
            .service(package::version_page)
            .service(intake::intake_page)
            .service(registries::registries_page)
            .service(namespace::namespace_page)
            .service(namespace::decide)
            .service(reviews::reviews_page)
            .service(reviews::decide)
            .service(waivers::waivers_page)
            .service(waivers::decide)
            .service(keys::keys_page)
            .service(members::members_page)
            .service(members::set)
            .service(members::remove)
            .service(api_keys::api_keys_page)
            .service(api_keys::create)
            .service(api_keys::revoke)
            .service(trusted_publishers::publishers_page)
            .service(trusted_publishers::add)
            .service(trusted_publishers::tokens_page)
            .service(trusted_publishers::remove)
            .service(trusted_publishers::revoke)
            .service(webhooks::webhooks_page)
            .service(webhooks::create)
            .service(webhook::webhook_page)
            .service(webhook::press)
            .service(webhook::rotate)
            .service(webhook::replay)
            .service(audit::audit_page)
            .service(login::login_form)
            .service(login::log_in)
            .service(login::log_out)
            .configure(companies::routes)
    });
}
