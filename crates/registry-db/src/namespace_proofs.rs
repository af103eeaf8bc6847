//! The proof that a namespace belongs to its organization: asked for, found, looked for again; and the history of who held what.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::digest::Digest;
use registry_types::ids::{OrganizationId, RegistryNamespaceId};
use registry_types::image_reference::RegistryHost;
use registry_types::job::JobPayload;
use registry_types::namespace_pattern::{NamespaceState, OwnershipBasis};
use serde_json::json;

use crate::audit::{self, Actor, Entry};
use crate::error::stored;
use crate::jobs::{self, Enqueue, Lease};
use crate::packages::{Page, one_more};
use crate::registries::{self, RegistryNamespace};
use crate::schema::{namespace_history as history, namespace_proofs as proofs, registry_namespaces as namespaces};
use crate::{Connection, DbResult};

/// So often in a row may the proof be missing before publishing stops.
const MISSES: i32 = 3;
/// Somebody waits for the first look.
const ATTEMPTS: i32 = 2;

/// How the proof of a namespace stands.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = proofs)]
pub struct Proof {
    pub nonce: String,
    pub asked_at: DateTime<Utc>,
    pub proven_at: Option<DateTime<Utc>>,
    pub misses: i32,
    /// The namespace is suspended because of the misses.
    pub is_lost: bool,
    /// For people.
    pub last_result: Option<String>,
}

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

/// One line of a namespace's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub id: i64,
    pub pattern: String,
    pub at: DateTime<Utc>,
    pub state: NamespaceState,
    pub how: OwnershipBasis,
    pub actor: String,
    pub evidence: Option<String>,
}

/// Asks for a proof with this nonce; an earlier one no longer counts. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn challenge(conn: &mut Connection, id: RegistryNamespaceId, nonce: &str) -> DbResult<()> {
    diesel::sql_query(
        "INSERT INTO namespace_proofs (namespace_id, nonce) VALUES ($1, $2) \
         ON CONFLICT ON CONSTRAINT namespace_proofs_pkey DO UPDATE SET nonce = excluded.nonce, asked_at = excluded.asked_at",
    )
    .bind::<sql_types::Uuid, _>(id.0)
    .bind::<sql_types::Text, _>(nonce)
    .execute(conn)
    .await?;
    Ok(())
}

/// # Errors
/// When the database does not answer.
pub async fn get(conn: &mut Connection, id: RegistryNamespaceId) -> DbResult<Option<Proof>> {
    Ok(proofs::table.find(id.0).select(Proof::as_select()).first(conn).await.optional()?)
}

/// Lets a worker look for the proof, unless one is about to.
///
/// # Errors
/// When the database refuses.
pub async fn request(conn: &mut Connection, namespace: &RegistryNamespace, request_id: Option<String>) -> DbResult<()> {
    enqueue(conn, namespace.id, namespace.organization, namespace.pattern.host().clone(), request_id).await
}

async fn enqueue(
    conn: &mut Connection,
    namespace: RegistryNamespaceId,
    organization: OrganizationId,
    host: RegistryHost,
    request_id: Option<String>,
) -> DbResult<()> {
    let how = Enqueue {
        organization: Some(organization),
        source_host: Some(host),
        request_id,
        dedup_key: Some(format!("namespace_proof:{namespace}")),
        max_attempts: ATTEMPTS,
        ..Enqueue::default()
    };
    jobs::enqueue(conn, &JobPayload::NamespaceProof { namespace }, how).await.map(|_| ())
}

/// Lets workers look for all proofs whose time has come. Each is taken once, so that of two who ask at the same time one does not
/// ask for a second look, and a second miss, after the first has ended. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn request_due(conn: &mut Connection) -> DbResult<()> {
    #[derive(QueryableByName)]
    struct Due {
        #[diesel(sql_type = sql_types::Uuid)]
        id: uuid::Uuid,
        #[diesel(sql_type = sql_types::Uuid)]
        organization_id: uuid::Uuid,
        #[diesel(sql_type = sql_types::Text)]
        host: String,
    }
    // The day is for a look that never ends; one that ends says itself when the next is due.
    let take = "UPDATE namespace_proofs SET due_at = store_now() + interval '1 day' FROM registry_namespaces \
                WHERE registry_namespaces.id = namespace_id AND namespace_id IN ( \
                    SELECT namespace_id FROM namespace_proofs WHERE due_at <= store_now() ORDER BY due_at LIMIT 1000 FOR UPDATE) \
                RETURNING registry_namespaces.id, organization_id, host";
    for due in diesel::sql_query(take).load::<Due>(conn).await? {
        let host = stored("registry host", &due.host)?;
        enqueue(conn, due.id.into(), due.organization_id.into(), host, None).await?;
    }
    Ok(())
}

/// Ends a worker's look, and does what follows from it: a pending namespace that is proven is verified unless another
/// organization holds a part of it; one whose proof was missing three times in a row is suspended until it is found again. Call
/// in a transaction.
///
/// # Errors
/// [`crate::DbError::Stale`] when the lease is lost.
pub async fn settle(conn: &mut Connection, lease: Lease, id: RegistryNamespaceId, look: &Look) -> DbResult<()> {
    jobs::finish(conn, lease).await?;
    let held: Option<uuid::Uuid> = namespaces::table
        .find(id.0)
        .select(namespaces::organization_id)
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    let Some(organization) = held else { return Ok(()) };
    let namespace = registries::get(conn, organization.into(), id).await?;
    let Some(proof) = get(conn, id).await? else { return Ok(()) };
    match look {
        Look::Outage(why) => after_outage(conn, id, why).await,
        // Asked for anew meanwhile: what was found is an earlier one.
        Look::Found { nonce, .. } if *nonce != proof.nonce => {
            missed(conn, &namespace, &proof, "an earlier nonce").await
        }
        Look::Found { evidence, .. } => found(conn, &namespace, &proof, evidence).await,
        Look::Missing(why) => missed(conn, &namespace, &proof, why).await,
    }
}

async fn after_outage(conn: &mut Connection, id: RegistryNamespaceId, why: &str) -> DbResult<()> {
    let sql = "UPDATE namespace_proofs SET last_result = $2, \
               due_at = CASE WHEN due_at IS NOT NULL THEN store_now() + interval '1 hour' END WHERE namespace_id = $1";
    diesel::sql_query(sql).bind::<sql_types::Uuid, _>(id.0).bind::<sql_types::Text, _>(why).execute(conn).await?;
    Ok(())
}

async fn found(conn: &mut Connection, namespace: &RegistryNamespace, proof: &Proof, evidence: &Digest) -> DbResult<()> {
    let becomes_verified = match namespace.state {
        NamespaceState::Pending => true,
        NamespaceState::Suspended => proof.is_lost,
        NamespaceState::Verified => false,
    };
    if becomes_verified {
        let verified = NamespaceState::Verified;
        if registries::set_state(conn, namespace.organization, namespace.id, verified).await?.is_err() {
            return missed(conn, namespace, proof, "another organization holds repositories of it").await;
        }
        let how = OwnershipBasis::Challenge;
        record(conn, namespace, verified, how, Actor::Worker, Some(evidence)).await?;
        announce(conn, namespace, AuditAction::RegistryApproved, json!({ "how": how, "evidence": evidence })).await?;
    }
    let sql = "UPDATE namespace_proofs SET proven_at = store_now(), due_at = store_now() + interval '7 days', misses = 0, \
               is_lost = false, last_result = 'found' WHERE namespace_id = $1";
    diesel::sql_query(sql).bind::<sql_types::Uuid, _>(namespace.id.0).execute(conn).await?;
    Ok(())
}

/// Before it was found once there is nothing to lose, and nothing is looked for again by itself.
async fn missed(conn: &mut Connection, namespace: &RegistryNamespace, proof: &Proof, why: &str) -> DbResult<()> {
    let is_proven = proof.proven_at.is_some();
    let misses = if is_proven { proof.misses.saturating_add(1) } else { 0 };
    let is_lost = misses >= MISSES && namespace.state == NamespaceState::Verified;
    diesel::sql_query(
        "UPDATE namespace_proofs SET misses = $2, is_lost = is_lost OR $3, last_result = $4, \
         due_at = CASE WHEN proven_at IS NOT NULL THEN store_now() + interval '1 day' END WHERE namespace_id = $1",
    )
    .bind::<sql_types::Uuid, _>(namespace.id.0)
    .bind::<sql_types::Integer, _>(misses)
    .bind::<sql_types::Bool, _>(is_lost)
    .bind::<sql_types::Text, _>(why)
    .execute(conn)
    .await?;
    if is_lost {
        let (suspended, how) = (NamespaceState::Suspended, OwnershipBasis::ProofLost);
        // Only what is verified can be taken.
        let _ = registries::set_state(conn, namespace.organization, namespace.id, suspended).await?;
        record(conn, namespace, suspended, how, Actor::Worker, None).await?;
        announce(conn, namespace, AuditAction::RegistrySuspended, json!({ "how": how, "reason": why })).await?;
    }
    Ok(())
}

async fn announce(
    conn: &mut Connection,
    namespace: &RegistryNamespace,
    action: AuditAction,
    mut details: serde_json::Value,
) -> DbResult<()> {
    details["pattern"] = json!(namespace.pattern.to_string());
    let subject = audit::Subject::Registry(namespace.id);
    audit::append(
        conn,
        Entry { organization: Some(namespace.organization), actor: Actor::Worker, action, subject, details },
    )
    .await
}

/// A person decided: what the proof said before no longer matters. Call in the transaction of the decision.
///
/// # Errors
/// When the database refuses.
pub async fn decided(conn: &mut Connection, namespace: &RegistryNamespace, actor: Actor) -> DbResult<()> {
    diesel::update(proofs::table.find(namespace.id.0))
        .set((proofs::is_lost.eq(false), proofs::misses.eq(0)))
        .execute(conn)
        .await?;
    match namespace.state {
        NamespaceState::Pending => Ok(()),
        state @ (NamespaceState::Verified | NamespaceState::Suspended) => {
            record(conn, namespace, state, OwnershipBasis::Person, actor, None).await
        }
    }
}

async fn record(
    conn: &mut Connection,
    namespace: &RegistryNamespace,
    state: NamespaceState,
    how: OwnershipBasis,
    actor: Actor,
    evidence: Option<&Digest>,
) -> DbResult<()> {
    diesel::insert_into(history::table)
        .values((
            history::namespace_id.eq(namespace.id.0),
            history::organization_id.eq(namespace.organization.0),
            history::pattern.eq(namespace.pattern.to_string()),
            history::state.eq(state.as_str()),
            history::how.eq(how.as_str()),
            history::actor.eq(actor.to_string()),
            history::evidence.eq(evidence.map(ToString::to_string)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The history of a namespace, the newest first, before the one `after`; also of one that is gone.
///
/// # Errors
/// When the database does not answer.
pub async fn holdings(
    conn: &mut Connection,
    organization: OrganizationId,
    id: RegistryNamespaceId,
    after: Option<i64>,
    size: usize,
) -> DbResult<Page<Holding, i64>> {
    type Row = (i64, String, DateTime<Utc>, String, String, String, Option<String>);
    let rows: Vec<Row> = history::table
        .filter(history::organization_id.eq(organization.0))
        .filter(history::namespace_id.eq(id.0))
        .filter(history::id.lt(after.unwrap_or(i64::MAX)))
        .order(history::id.desc())
        .limit(one_more(size))
        .select((
            history::id,
            history::pattern,
            history::at,
            history::state,
            history::how,
            history::actor,
            history::evidence,
        ))
        .load(conn)
        .await?;
    let holding = |(id, pattern, at, state, how, actor, evidence): Row| {
        let (state, how) = (stored("namespace state", &state)?, stored("ownership basis", &how)?);
        Ok(Holding { id, pattern, at, state, how, actor, evidence })
    };
    let holdings = rows.into_iter().map(holding).collect::<DbResult<Vec<_>>>()?;
    Ok(Page::from_rows(holdings, size, |last| last.id))
}
