//! An exchange shows whom its job belongs to, which proves registry namespaces of that owner.

use std::net::IpAddr;

use registry_db::audit::Actor;
use registry_db::namespace_proofs::{self, OwnerClaims};
use registry_db::trusted_publishers::Exchanged;
use registry_db::{Connection, DbResult};
use registry_types::identity_provider::Issuer;
use registry_types::ids::OrganizationId;
use registry_types::image_reference::{RegistryHost, Repository};
use registry_types::policy::TrustedIssuer;
use registry_types::workload::{NumericId, Workload};

/// What a job's owner holds on the registry of its provider.
pub(super) struct Owned<'a> {
    issuer: &'a Issuer,
    name: &'a str,
    id: NumericId,
    host: RegistryHost,
    path: Repository,
}

impl<'a> Owned<'a> {
    /// `None` where it is not known which registry gives owners their paths.
    pub(super) fn of(trusted: &'a TrustedIssuer, job: &'a Workload) -> Option<Self> {
        let (host, path) = (trusted.owners_registry()?, job.owner_path()?);
        Some(Self { issuer: &trusted.issuer, name: &job.owner, id: job.owner_id, host, path })
    }

    /// # Errors
    /// When the database refuses.
    pub(super) async fn prove(
        &self,
        conn: &mut Connection,
        organization: OrganizationId,
        exchanged: &Exchanged,
        address: Option<IpAddr>,
    ) -> DbResult<()> {
        // The claims themselves stand in the audit log, with the token.
        let evidence = format!("{}, owner {} ({}), publish_token:{}", self.issuer, self.id, self.name, exchanged.token);
        let claims = OwnerClaims {
            issuer: self.issuer,
            owner_id: self.id,
            host: &self.host,
            path: &self.path,
            evidence: &evidence,
        };
        let actor = Actor::Job { publisher: Some(exchanged.publisher), address };
        namespace_proofs::prove_by_claims(conn, organization, &claims, actor).await
    }
}
