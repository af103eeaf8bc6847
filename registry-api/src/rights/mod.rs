//! Who may do what. [`Operation`] is the table: every operation of the API with its rule. [`authorise`] goes by it before a
//! request's body is read; a handler that learns only later which organization the request is about asks it by name
//! ([`Operation::demand`]). The tests read it too (`tests/integration/rights/`).
//!
//! Whoever lacks a right on an organization that it belongs to gets 403; an organization that it doesn't belong to is not there
//! (404).

mod authorise;
mod caller;
mod credential;
mod operations;
mod organization;
mod routes;
mod rule;

use actix_web::{HttpRequest, web};

pub(crate) use authorise::authorise;
pub use caller::{Authenticated, MaybeAuthenticated, Member};
pub use credential::SESSION_COOKIE;
pub(crate) use credential::{credential_hash, demand_same_origin};
pub use operations::Operation;
pub use organization::MemberOrganization;
pub(crate) use organization::{not_a_member, organization_in_header, organization_of, own_organization};
pub(crate) use routes::check_routes;
pub use rule::{Access, Rule};

use crate::problem::Problem;
use crate::state::AppState;

fn state(request: &HttpRequest) -> Result<&AppState, Problem> {
    match request.app_data::<web::Data<AppState>>() {
        Some(state) => Ok(state.get_ref()),
        None => Err(Problem::internal("the application has no state")),
    }
}
