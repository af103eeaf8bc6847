//! Rights are looked at before anything of a request's body is: what a stranger sends is not read, and whether there is a fault
//! in it says nothing.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpRequest};
use registry_db::users::Identity;

use super::credential::demand_any;
use super::organization::{no_organization, organization_of};
use super::routes::{Route, route_of};
use super::{Access, MemberOrganization, Operation, state};
use crate::problem::Problem;

/// That the caller may carry the operation out, as far as the path tells.
#[derive(Clone)]
pub(super) struct Authorised {
    pub(super) operation: Operation,
    pub(super) identity: Identity,
    /// Which the path names.
    pub(super) organization: Option<MemberOrganization>,
}

/// Refuses whomever the operation's rule refuses. Pages, which have no rule, and what is not there go on.
pub(crate) async fn authorise<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    match authorised(request.request()).await {
        Ok(Some(authorised)) => {
            request.extensions_mut().insert(authorised);
        }
        Ok(None) => {}
        Err(problem) => return Ok(request.error_response(problem).map_into_right_body()),
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}

/// `None`: anybody may.
async fn authorised(request: &HttpRequest) -> Result<Option<Authorised>, Problem> {
    let Some(Route { operation, organization: named }) = route_of(request) else { return Ok(None) };
    let rule = operation.rule();
    if rule.access == Access::Public {
        return Ok(None);
    }
    let identity = demand_any(request).await?;
    // First: whoever may do it nowhere does not learn which organizations there are.
    rule.demand_caller(&identity)?;
    let organization = match named {
        Some(named) => {
            let key = named.parse().map_err(|_| no_organization())?;
            let organization = organization_of(state(request)?, &identity, &key).await?;
            operation.demand(&identity, &organization)?;
            Some(organization)
        }
        None => None,
    };
    Ok(Some(Authorised { operation, identity, organization }))
}
