//! Where a publish goes: into which organization, and from which of its registry namespaces.

use actix_web::HttpRequest;
use registry_db::organizations::OrganizationKey;
use registry_db::registries::{self, RegistryNamespace};
use registry_db::users::Identity;
use registry_db::{Connection, namespace_proofs};
use registry_types::image_reference::ImageReference;
use registry_types::namespace_pattern::NamespaceState;
use registry_types::policy::Policy;

use crate::problem::{Problem, ProblemCode};
use crate::rights::{MemberOrganization, not_a_member, organization_in_header, organization_of};
use crate::state::AppState;

/// The body's organization, else the header's, else the caller's primary one. A superuser belongs everywhere and must name
/// one. Both that are named must be the caller's own.
pub(super) async fn organization(
    state: &AppState,
    identity: &Identity,
    in_body: Option<&str>,
    request: &HttpRequest,
) -> Result<MemberOrganization, Problem> {
    let in_header = in_header(state, identity, request).await?;
    match (in_body.map(str::trim).filter(|named| !named.is_empty()), in_header) {
        (Some(named), _) => {
            let key = named.parse().map_err(|_| not_a_member(named))?;
            own(state, identity, &key).await
        }
        (None, Some(organization)) => Ok(organization),
        (None, None) if identity.is_superuser => {
            Err(Problem::bad_request("a superuser must name the organization: orgId, or X-Organization-Id"))
        }
        (None, None) => {
            let primary = identity.memberships.iter().find(|own| own.is_primary);
            let primary = primary.ok_or_else(|| Problem::forbidden("you belong to no organization"))?;
            own(state, identity, &OrganizationKey::Id(primary.organization)).await
        }
    }
}

/// The caller's organization that the header `X-Organization-Id` names.
pub(super) async fn in_header(
    state: &AppState,
    identity: &Identity,
    request: &HttpRequest,
) -> Result<Option<MemberOrganization>, Problem> {
    match organization_in_header(request)? {
        Some(key) => own(state, identity, &key).await.map(Some),
        None => Ok(None),
    }
}

async fn own(state: &AppState, identity: &Identity, key: &OrganizationKey) -> Result<MemberOrganization, Problem> {
    organization_of(state, identity, key).await.map_err(|problem| match (problem.code, key) {
        (ProblemCode::NotFound, OrganizationKey::Id(id)) => not_a_member(&id.to_string()),
        (ProblemCode::NotFound, OrganizationKey::Slug(slug)) => not_a_member(slug.as_str()),
        _ => problem,
    })
}

/// The verified namespace that covers the image.
pub(super) async fn namespace(
    conn: &mut Connection,
    policy: &Policy,
    organization: &MemberOrganization,
    image: &ImageReference,
) -> Result<RegistryNamespace, Problem> {
    let matching = registries::matching(conn, organization.id, image).await?;
    let (closest, state) = (matching.first().map(|namespace| namespace.id), matching.first().map(|one| one.state));
    if let Some(namespace) = matching.into_iter().find(|namespace| namespace.state == NamespaceState::Verified) {
        return demand_proof(conn, policy, organization, &namespace).await.map(|()| namespace);
    }
    if let Some(closest) = closest
        && namespace_proofs::get(conn, closest).await?.is_some_and(|proof| proof.is_lost)
    {
        let detail = "publishing from the registry namespace has stopped: its proof was missing three times in a row; push \
                      the challenge again, then `company-store registry prove`";
        return Err(Problem::new(ProblemCode::RegistryProofLost, detail));
    }
    let (image, slug) = (format!("{}/{}", image.host, image.repository), &organization.slug);
    let detail = match state {
        None => format!(
            "no registry namespace of {slug} covers {image}; an administrator adds one with `company-store registry add`"
        ),
        Some(NamespaceState::Refused) => {
            format!("the claim of {slug} to the registry namespace that covers {image} was refused")
        }
        Some(NamespaceState::Suspended) => format!("the registry namespace of {slug} that covers {image} is suspended"),
        Some(NamespaceState::Pending | NamespaceState::Verified) => {
            format!("the registry namespace of {slug} that covers {image} still waits for its approval")
        }
    };
    Err(Problem::new(ProblemCode::RegistryUnauthorized, detail))
}

/// Where the policy demands it, a person's approval does not suffice.
async fn demand_proof(
    conn: &mut Connection,
    policy: &Policy,
    organization: &MemberOrganization,
    namespace: &RegistryNamespace,
) -> Result<(), Problem> {
    let is_demanded = policy.namespaces.of(organization.trust_tier).is_for_publishing();
    if !is_demanded || namespace_proofs::is_proven(conn, namespace.id).await? {
        return Ok(());
    }
    let detail = format!(
        "this store takes images only from namespaces that are proven, and {} is not: `company-store registry challenge {}`",
        namespace.pattern, namespace.id
    );
    Err(Problem::new(ProblemCode::RegistryProofRequired, detail))
}
