//! The proof by a job of continuous integration: its provider vouches whose the job is, and the provider's registry gives each
//! owner the paths below its name.

use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::identity_provider::Issuer;
use registry_types::ids::{OrganizationId, RegistryNamespaceId};
use registry_types::image_reference::{RegistryHost, Repository};
use registry_types::namespace_pattern::OwnershipBasis;
use registry_types::workload::NumericId;
use serde_json::json;

use super::outcome::{Shown, announce, found, note};
use super::{Proof, get};
use crate::audit::Actor;
use crate::registries::{self, RegistryNamespace};
use crate::{Connection, DbResult};

/// Whom a job belongs to, by its provider's verified claims.
#[derive(Debug, Clone)]
pub struct OwnerClaims<'a> {
    pub issuer: &'a Issuer,
    /// The provider's number, which it gives to nobody else.
    pub owner_id: NumericId,
    /// The registry of the provider, and the path below which everything there is the owner's.
    pub host: &'a RegistryHost,
    pub path: &'a Repository,
    /// For the history: where the claims are written down.
    pub evidence: &'a str,
}

/// Proves the organization's namespaces that lie below the owner's path. One that another owner of the same name has proven
/// stays as it is. Call in the transaction that uses the claims up.
///
/// # Errors
/// When the database refuses.
pub async fn prove_by_claims(
    conn: &mut Connection,
    organization: OrganizationId,
    claims: &OwnerClaims<'_>,
    actor: Actor,
) -> DbResult<()> {
    for namespace in registries::lock_on_host(conn, organization, claims.host).await? {
        if namespace.pattern.is_within(claims.path) {
            prove(conn, &namespace, claims, actor).await?;
        }
    }
    Ok(())
}

async fn prove(
    conn: &mut Connection,
    namespace: &RegistryNamespace,
    claims: &OwnerClaims<'_>,
    actor: Actor,
) -> DbResult<()> {
    begin(conn, namespace, actor).await?;
    let Some(proof) = get(conn, namespace.id).await? else { return Ok(()) };
    if !is_of(&proof, claims) {
        return note(conn, namespace.id, "a job of another owner, who has the name now; a person decides").await;
    }
    let shown = Shown { how: OwnershipBasis::Claims, evidence: claims.evidence, actor };
    match found(conn, namespace, &proof, &shown).await? {
        Ok(()) => bind(conn, namespace.id, claims).await,
        Err(obstacle) => note(conn, namespace.id, obstacle.told()).await,
    }
}

/// Nobody needs to have asked for a challenge; the nonce stands by for who wants to push it, too.
async fn begin(conn: &mut Connection, namespace: &RegistryNamespace, actor: Actor) -> DbResult<()> {
    let sql = "INSERT INTO namespace_proofs (namespace_id, nonce) \
               VALUES ($1, replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')) \
               ON CONFLICT ON CONSTRAINT namespace_proofs_pkey DO NOTHING";
    let begun = diesel::sql_query(sql).bind::<sql_types::Uuid, _>(namespace.id.0).execute(conn).await?;
    if begun > 0 {
        let details = json!({ "how": OwnershipBasis::Claims });
        announce(conn, namespace, AuditAction::RegistryChallenged, actor, details).await?;
    }
    Ok(())
}

/// Whether nobody's claims have proven the namespace yet, or the same owner's.
fn is_of(proof: &Proof, claims: &OwnerClaims<'_>) -> bool {
    match (&proof.owner_issuer, proof.owner_id) {
        (None, None) => true,
        (issuer, id) => issuer.as_deref() == Some(claims.issuer.as_str()) && id == Some(claims.owner_id.into()),
    }
}

async fn bind(conn: &mut Connection, id: RegistryNamespaceId, claims: &OwnerClaims<'_>) -> DbResult<()> {
    diesel::sql_query("UPDATE namespace_proofs SET owner_issuer = $2, owner_id = $3 WHERE namespace_id = $1")
        .bind::<sql_types::Uuid, _>(id.0)
        .bind::<sql_types::Text, _>(claims.issuer.as_str())
        .bind::<sql_types::BigInt, _>(i64::from(claims.owner_id))
        .execute(conn)
        .await?;
    Ok(())
}
