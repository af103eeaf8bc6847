//! Companies: what was made of templates, for the members of the organization that owns them.

mod answers;
mod handlers;

pub(crate) use answers::CompanyDetail;
pub(crate) use handlers::{detail, no_company};

use registry_db::packages::Viewer;
use registry_db::users::Identity;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(handlers::list).service(handlers::get).service(handlers::issues).service(handlers::activity);
}

/// What `identity` may see.
pub(crate) fn viewer(identity: &Identity) -> Viewer {
    if identity.is_superuser {
        return Viewer::Superuser;
    }
    Viewer::Member { organizations: identity.memberships.iter().map(|membership| membership.organization).collect() }
}
