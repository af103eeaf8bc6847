//! Who calls, as extractors: the handler's signature says what it needs to know of the caller.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use futures_util::future::LocalBoxFuture;
use registry_db::users::Identity;

use super::MemberOrganization;
use super::authorise::Authorised;
use super::credential::{demand, identify};
use super::routes::operation_of;
use crate::problem::Problem;

/// Anybody. A credential that is sent must be valid; only an outdated cookie counts as none.
pub struct MaybeAuthenticated(pub Option<Identity>);

/// Anybody with a valid credential whom the operation's rule does not exclude. Where the rule speaks of an organization that
/// the path does not name, the handler has to ask [`super::Operation::demand`].
pub struct Authenticated(pub Identity);

/// Whom the operation's rule lets act in the organization that the path's `{org}` names by id or slug, or its `{publisher}` by
/// slug.
pub struct Member {
    pub identity: Identity,
    pub organization: MemberOrganization,
}

impl FromRequest for MaybeAuthenticated {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { identify(&request).await.map(Self) })
    }
}

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            // Pages have no rule of their own; what they do asks for the operation's.
            if operation_of(&request).is_none() {
                return demand(&request).await.map(Self);
            }
            Ok(Self(authorised(&request)?.identity))
        })
    }
}

impl FromRequest for Member {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(authorised(request).and_then(|Authorised { identity, organization, .. }| {
            let organization = organization.ok_or_else(|| Problem::internal("the path names no organization"))?;
            Ok(Self { identity, organization })
        }))
    }
}

/// What was found before the request was routed, if it was about the route that was taken.
fn authorised(request: &HttpRequest) -> Result<Authorised, Problem> {
    let found = request.extensions().get::<Authorised>().cloned();
    found
        .filter(|authorised| operation_of(request) == Some(authorised.operation))
        .ok_or_else(|| Problem::internal("nobody looked at the rights on this operation"))
}
