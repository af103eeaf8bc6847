//! Who calls, and the right that a handler demands, as extractors: the right stands in the handler's signature.
//!
//! A credential is a Bearer token, an `X-API-Key`, a Basic password (docker's login) or the pages' cookie. Whoever lacks
//! a right on an organization that it belongs to gets 403; an organization that it doesn't belong to is not there (404).

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpRequest, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::LocalBoxFuture;
use registry_db::organizations::{self, OrganizationKey};
use registry_db::users::{Credential, Identity, Membership};
use registry_db::{Connection, api_keys, sessions};
use registry_types::ids::OrganizationId;
use registry_types::names::OrganizationSlug;
use registry_types::people::{Role, TrustTier};

use crate::auth::tokens::{self, TokenKind};
use crate::problem::Problem;
use crate::state::AppState;

/// The pages' cookie; it holds an access token.
pub const SESSION_COOKIE: &str = "session";

/// Anybody with a valid credential.
pub struct Authenticated(pub Identity);

/// Anybody. A credential that is sent must be valid; only an outdated cookie counts as none.
pub struct MaybeAuthenticated(pub Option<Identity>);

/// The platform's own people, logged in as themselves (not by API key).
pub struct Superuser(pub Identity);

/// A member of the organization that the path's `{org}` names by id or slug, or its `{publisher}` by slug, with at least the
/// role of `R`; a superuser counts as its administrator.
pub struct Member<R> {
    pub identity: Identity,
    pub organization: MemberOrganization,
    right: PhantomData<R>,
}

/// The organization that a request acts in, and the caller's role there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberOrganization {
    pub id: OrganizationId,
    pub slug: OrganizationSlug,
    pub display_name: String,
    pub trust_tier: TrustTier,
    pub role: Role,
}

/// A right inside an organization.
pub trait Right: 'static {
    const ROLE: Role;
}

macro_rules! rights {
    ($($(#[$meta:meta])* $name:ident = $role:ident),+ $(,)?) => {$(
        $(#[$meta])*
        pub enum $name {}
        impl Right for $name {
            const ROLE: Role = Role::$role;
        }
    )+};
}

rights! {
    /// To read.
    ViewerRight = Viewer,
    /// To publish.
    DeveloperRight = Developer,
    /// To administer members, keys and registries.
    AdminRight = Admin,
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
        Box::pin(async move { demand(&request).await.map(Self) })
    }
}

impl FromRequest for Superuser {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let identity = demand(&request).await?;
            if identity.is_superuser {
                Ok(Self(identity))
            } else {
                Err(Problem::forbidden("only the platform's superusers may do this"))
            }
        })
    }
}

impl<R: Right> FromRequest for Member<R> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let identity = demand(&request).await?;
            let path = request.match_info();
            let named = path.get("org").or_else(|| path.get("publisher"));
            let key = named.and_then(|org| org.parse().ok()).ok_or_else(no_organization)?;
            let organization = organization_of(state(&request)?, &identity, &key).await?;
            demand_role(&organization, R::ROLE)?;
            Ok(Self { identity, organization, right: PhantomData })
        })
    }
}

/// The organization that `key` names, if `identity` belongs to it or is a superuser.
///
/// # Errors
/// 404 for all others, whether it exists or not.
pub(crate) async fn organization_of(
    state: &AppState,
    identity: &Identity,
    key: &OrganizationKey,
) -> Result<MemberOrganization, Problem> {
    let is_named = |membership: &&Membership| match key {
        OrganizationKey::Id(id) => membership.organization == *id,
        OrganizationKey::Slug(slug) => membership.slug == *slug,
    };
    if let Some(own) = identity.memberships.iter().find(is_named) {
        return Ok(MemberOrganization {
            id: own.organization,
            slug: own.slug.clone(),
            display_name: own.display_name.clone(),
            trust_tier: own.trust_tier,
            role: if identity.is_superuser { Role::Admin } else { own.role },
        });
    }
    if !identity.is_superuser {
        return Err(no_organization());
    }
    let found = organizations::find(&mut *state.pool.get().await?, key).await?.ok_or_else(no_organization)?;
    Ok(MemberOrganization {
        id: found.id,
        slug: found.slug,
        display_name: found.display_name,
        trust_tier: found.trust_tier,
        role: Role::Admin,
    })
}

pub(crate) fn demand_role(organization: &MemberOrganization, role: Role) -> Result<(), Problem> {
    if organization.role >= role {
        Ok(())
    } else {
        Err(Problem::forbidden(format!("this needs the role {role} in {}", organization.slug)))
    }
}

/// Whoever decides about an organization's waivers and reviews: the platform's people, and in an organization that is the
/// platform's own its administrators. A person, not a program with a key.
pub(crate) fn demand_decider(identity: &Identity, organization: &MemberOrganization) -> Result<(), Problem> {
    demand_session(identity, "what persons decide")?;
    match organization.trust_tier {
        TrustTier::Internal => demand_role(organization, Role::Admin),
        TrustTier::Community | TrustTier::Verified if identity.is_superuser => Ok(()),
        TrustTier::Community | TrustTier::Verified => {
            Err(Problem::forbidden("only the platform's superusers decide this for the organization"))
        }
    }
}

/// Refuses API keys: what a stolen one changed would outlive its revocation.
pub(crate) fn demand_session(identity: &Identity, what: &str) -> Result<(), Problem> {
    match identity.credential {
        Credential::Session(_) => Ok(()),
        Credential::ApiKey(_) => Err(Problem::forbidden(format!("an API key cannot change {what}; log in"))),
    }
}

/// The organization that the header `X-Organization-Id` names, by id or slug.
///
/// # Errors
/// When it names none: as an organization that the caller does not belong to.
pub(crate) fn organization_in_header(request: &HttpRequest) -> Result<Option<OrganizationKey>, Problem> {
    let Some(value) = request.headers().get("x-organization-id") else { return Ok(None) };
    let named = value.to_str().unwrap_or_default().trim();
    if named.is_empty() {
        return Ok(None);
    }
    named.parse().map(Some).map_err(|_| not_a_member(named))
}

/// The same whether the organization exists or not.
pub(crate) fn not_a_member(named: &str) -> Problem {
    let named: String = named.chars().filter(|c| !c.is_control()).take(64).collect();
    Problem::forbidden(format!("you do not belong to the organization {named}"))
}

fn no_organization() -> Problem {
    Problem::not_found("organization")
}

async fn demand(request: &HttpRequest) -> Result<Identity, Problem> {
    identify(request).await?.ok_or_else(|| Problem::unauthenticated("log in, or send a token or an API key"))
}

/// Where a credential came from: what is sent by the browser on its own is trusted less.
enum Presented {
    Explicit(String),
    Cookie(String),
}

async fn identify(request: &HttpRequest) -> Result<Option<Identity>, Problem> {
    let identity = by_credential(request).await?;
    let address = request.peer_addr().map(|peer| peer.ip());
    Ok(identity.map(|identity| Identity { address, ..identity }))
}

async fn by_credential(request: &HttpRequest) -> Result<Option<Identity>, Problem> {
    let state = state(request)?;
    match presented(request)? {
        None => Ok(None),
        Some(Presented::Explicit(secret)) => match by_secret(state, &secret).await? {
            Some(identity) => Ok(Some(identity)),
            None => Err(Problem::unauthenticated("the token or API key is unknown, expired or revoked")),
        },
        Some(Presented::Cookie(secret)) => {
            demand_same_origin(request, state)?;
            by_secret(state, &secret).await
        }
    }
}

fn presented(request: &HttpRequest) -> Result<Option<Presented>, Problem> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let value = value.to_str().ok().and_then(|value| value.split_once(' '));
        let secret = match value {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim().to_owned()),
            Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => basic_password(encoded.trim()),
            Some(_) | None => None,
        };
        let secret = secret.ok_or_else(|| Problem::unauthenticated("the Authorization header cannot be read"))?;
        return Ok(Some(Presented::Explicit(secret)));
    }
    if let Some(key) = request.headers().get("x-api-key") {
        let key = key.to_str().map_err(|_| Problem::unauthenticated("the X-API-Key header cannot be read"))?;
        return Ok(Some(Presented::Explicit(key.trim().to_owned())));
    }
    Ok(request.cookie(SESSION_COOKIE).map(|cookie| Presented::Cookie(cookie.value().to_owned())))
}

/// Docker sends what `docker login` was given: any user name, and a token or API key as password.
fn basic_password(encoded: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

async fn by_secret(state: &AppState, secret: &str) -> Result<Option<Identity>, Problem> {
    let (Some(kind), Some(hash)) = (TokenKind::of(secret), tokens::hash(secret)) else { return Ok(None) };
    let mut conn = state.pool.get().await?;
    let conn: &mut Connection = &mut conn;
    Ok(match kind {
        TokenKind::Access => sessions::identity(conn, hash).await?,
        TokenKind::ApiKey => api_keys::identity(conn, hash).await?,
        TokenKind::Refresh => None,
    })
}

/// A browser sends its cookie with whatever page asks; a change must come from our own pages.
pub(crate) fn demand_same_origin(request: &HttpRequest, state: &AppState) -> Result<(), Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let is_own = match (header("sec-fetch-site"), header("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            origin == state.public_url.origin().ascii_serialization()
                || origin.split_once("://").is_some_and(|(_, authority)| header("host") == Some(authority))
        }
        (None, None) => false,
    };
    if is_own { Ok(()) } else { Err(Problem::forbidden("a page of another site may not do this")) }
}

fn state(request: &HttpRequest) -> Result<&AppState, Problem> {
    match request.app_data::<web::Data<AppState>>() {
        Some(state) => Ok(state.get_ref()),
        None => Err(Problem::internal("the application has no state")),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn explicit(request: TestRequest) -> Option<String> {
        match presented(&request.to_http_request()).unwrap() {
            Some(Presented::Explicit(secret)) => Some(secret),
            Some(Presented::Cookie(_)) | None => None,
        }
    }

    #[test]
    fn a_header_goes_before_the_cookie() {
        let cookie = || TestRequest::get().cookie(actix_web::cookie::Cookie::new(SESSION_COOKIE, "c"));
        assert_eq!(explicit(cookie().insert_header(("Authorization", "Bearer t"))).as_deref(), Some("t"));
        assert_eq!(explicit(cookie().insert_header(("X-API-Key", "k"))).as_deref(), Some("k"));
        assert!(matches!(presented(&cookie().to_http_request()), Ok(Some(Presented::Cookie(_)))));
        let basic = format!("Basic {}", STANDARD.encode("anybody:with:colon"));
        assert_eq!(explicit(TestRequest::get().insert_header(("Authorization", basic))).as_deref(), Some("with:colon"));
        let digest = TestRequest::get().insert_header(("Authorization", "Digest x")).to_http_request();
        assert!(presented(&digest).is_err());
    }
}
