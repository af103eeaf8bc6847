//! Packages and versions: reading them with all that the store found out, and what a publisher changes afterwards.

mod evidence;
mod publisher;
pub(crate) mod query;
mod read;
mod verdict_keys;
pub(crate) mod wire;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(read::list_packages)
        .service(read::get_package)
        .service(read::list_versions)
        .service(read::get_version)
        .service(read::get_manifest)
        .service(evidence::get_sbom)
        .service(evidence::list_components)
        .service(evidence::list_findings)
        .service(evidence::get_signatures)
        .service(evidence::get_verdict)
        .service(verdict_keys::list_verdict_keys)
        .service(publisher::yank_version)
        .service(publisher::deprecate_version)
        .service(publisher::withdraw_deprecation);
}
