//! What follows from a proof that was found, or was not.

use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::digest::Digest;
use registry_types::ids::RegistryNamespaceId;
use registry_types::namespace_pattern::{NamespaceState, OwnershipBasis};
use serde_json::json;

use super::history::{NewHolding, basis, record};
use super::{MISSES, Proof, get};
use crate::audit::{self, Actor, Entry, Subject};
use crate::jobs::{self, Lease};
use crate::registries::{self, RegistryNamespace, Taken};
use crate::{Connection, DbResult};

/// What a worker saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// The nonce stands in the manifest of this digest.
    Found { nonce: String, evidence: Digest },
    /// The registry answered, and it is not there.
    Missing(String),
    /// Nothing could be seen, which is nobody's miss.
    Outage(String),
}

/// A proof that holds.
pub(super) struct Shown<'a> {
    pub(super) how: OwnershipBasis,
    pub(super) evidence: &'a str,
    pub(super) actor: Actor,
}

/// Why a proof that holds does not verify the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    Taken,
    Stopped,
}

impl Obstacle {
    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::Taken => "another organization holds repositories of it",
            Self::Stopped => "a person has suspended a namespace that shares repositories with it; a person decides",
        }
    }
}

/// Ends a worker's look, and does what follows from it: a pending namespace that is proven is verified unless another
/// organization holds a part of it; one whose proof was missing three times in a row is suspended until it is found again. Call
/// in a transaction.
///
/// # Errors
/// [`crate::DbError::Stale`] when the lease is lost.
pub async fn settle(conn: &mut Connection, lease: Lease, id: RegistryNamespaceId, look: &Look) -> DbResult<()> {
    if let Some(namespace) = registries::lock(conn, id).await?
        && let Some(proof) = get(conn, id).await?
    {
        take(conn, &namespace, &proof, look).await?;
    }
    // Namespace, proof, job: in this order whoever asks for a look locks them, too.
    jobs::finish(conn, lease).await
}

async fn take(conn: &mut Connection, namespace: &RegistryNamespace, proof: &Proof, look: &Look) -> DbResult<()> {
    match look {
        Look::Outage(why) => after_outage(conn, namespace.id, why).await,
        // Asked for anew meanwhile: what was found is an earlier one.
        Look::Found { nonce, .. } if *nonce != proof.nonce => missed(conn, namespace, proof, "an earlier nonce").await,
        Look::Found { evidence, .. } => {
            let evidence = evidence.to_string();
            let shown = Shown { how: OwnershipBasis::Challenge, evidence: &evidence, actor: Actor::Worker };
            match found(conn, namespace, proof, &shown).await? {
                Ok(()) => Ok(()),
                Err(obstacle) => missed(conn, namespace, proof, obstacle.told()).await,
            }
        }
        Look::Missing(why) => missed(conn, namespace, proof, why).await,
    }
}

async fn after_outage(conn: &mut Connection, id: RegistryNamespaceId, why: &str) -> DbResult<()> {
    let sql = "UPDATE namespace_proofs SET last_result = $2, looked_at = store_now(), \
               due_at = CASE WHEN due_at IS NOT NULL THEN store_now() + interval '1 hour' END WHERE namespace_id = $1";
    diesel::sql_query(sql).bind::<sql_types::Uuid, _>(id.0).bind::<sql_types::Text, _>(why).execute(conn).await?;
    Ok(())
}

/// Verifies what waits for its proof, or had lost it, and renews the proof. What a person has suspended or refused stays so.
pub(super) async fn found(
    conn: &mut Connection,
    namespace: &RegistryNamespace,
    proof: &Proof,
    shown: &Shown<'_>,
) -> DbResult<Result<(), Obstacle>> {
    let becomes_verified = match namespace.state {
        NamespaceState::Pending => true,
        NamespaceState::Suspended => proof.is_lost,
        NamespaceState::Verified | NamespaceState::Refused => false,
    };
    if becomes_verified && let Err(obstacle) = verify(conn, namespace, shown).await? {
        return Ok(Err(obstacle));
    }
    let sql = "UPDATE namespace_proofs SET proven_at = store_now(), looked_at = store_now(), \
               due_at = store_now() + interval '7 days', misses = 0, is_lost = false, last_result = 'found' \
               WHERE namespace_id = $1";
    diesel::sql_query(sql).bind::<sql_types::Uuid, _>(namespace.id.0).execute(conn).await?;
    Ok(Ok(()))
}

async fn verify(
    conn: &mut Connection,
    namespace: &RegistryNamespace,
    &Shown { how, evidence, actor }: &Shown<'_>,
) -> DbResult<Result<(), Obstacle>> {
    if registries::is_stopped_by_person(conn, namespace).await? {
        return Ok(Err(Obstacle::Stopped));
    }
    let state = NamespaceState::Verified;
    if let Err(Taken) = registries::set_state(conn, namespace.organization, namespace.id, state).await? {
        return Ok(Err(Obstacle::Taken));
    }
    record(conn, namespace, &NewHolding { state, how, actor, evidence: Some(evidence), reason: None }).await?;
    announce(conn, namespace, AuditAction::RegistryApproved, actor, json!({ "how": how, "evidence": evidence }))
        .await?;
    Ok(Ok(()))
}

/// Before it was found once there is nothing to lose, and nothing is looked for again by itself. What a person has approved
/// stands without a proof: it is looked for until it has been missing too often, and nothing is suspended.
async fn missed(conn: &mut Connection, namespace: &RegistryNamespace, proof: &Proof, why: &str) -> DbResult<()> {
    let misses = if proof.proven_at.is_some() { proof.misses.saturating_add(1) } else { 0 };
    let is_out_of_force = misses >= MISSES;
    let rests_on_person = basis(conn, namespace).await? == Some(OwnershipBasis::Person);
    let is_lost = is_out_of_force && namespace.state == NamespaceState::Verified && !rests_on_person;
    diesel::sql_query(
        "UPDATE namespace_proofs SET misses = $2, is_lost = is_lost OR $3, last_result = $4, looked_at = store_now(), \
         due_at = CASE WHEN proven_at IS NOT NULL AND NOT $5 THEN store_now() + interval '1 day' END WHERE namespace_id = $1",
    )
    .bind::<sql_types::Uuid, _>(namespace.id.0)
    .bind::<sql_types::Integer, _>(misses)
    .bind::<sql_types::Bool, _>(is_lost)
    .bind::<sql_types::Text, _>(why)
    .bind::<sql_types::Bool, _>(is_out_of_force && rests_on_person)
    .execute(conn)
    .await?;
    if is_lost {
        let (state, how, actor) = (NamespaceState::Suspended, OwnershipBasis::ProofLost, Actor::Worker);
        // Only what is verified can be taken.
        let _ = registries::set_state(conn, namespace.organization, namespace.id, state).await?;
        record(conn, namespace, &NewHolding { state, how, actor, evidence: None, reason: Some(why) }).await?;
        let details = json!({ "how": how, "reason": why });
        announce(conn, namespace, AuditAction::RegistrySuspended, actor, details).await?;
    }
    Ok(())
}

/// What was seen, where nothing follows from it.
pub(super) async fn note(conn: &mut Connection, id: RegistryNamespaceId, seen: &str) -> DbResult<()> {
    diesel::sql_query("UPDATE namespace_proofs SET last_result = $2, looked_at = store_now() WHERE namespace_id = $1")
        .bind::<sql_types::Uuid, _>(id.0)
        .bind::<sql_types::Text, _>(seen)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn announce(
    conn: &mut Connection,
    namespace: &RegistryNamespace,
    action: AuditAction,
    actor: Actor,
    mut details: serde_json::Value,
) -> DbResult<()> {
    details["pattern"] = json!(namespace.pattern.to_string());
    let subject = Subject::Registry(namespace.id);
    audit::append(conn, Entry { organization: Some(namespace.organization), actor, action, subject, details }).await
}
