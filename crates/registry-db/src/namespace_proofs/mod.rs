//! The proof that a namespace belongs to its organization: asked for, found, looked for again; and the history of who held what.

mod claims;
mod history;
mod outcome;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::ids::{OrganizationId, RegistryNamespaceId};
use registry_types::image_reference::RegistryHost;
use registry_types::job::JobPayload;
use registry_types::namespace_pattern::{NamespaceState, OwnershipBasis};

pub use claims::{OwnerClaims, prove_by_claims};
pub use history::{Holding, holdings};
pub use outcome::{Look, settle};

use crate::audit::Actor;
use crate::error::stored;
use crate::jobs::{self, Enqueue};
use crate::registries::RegistryNamespace;
use crate::schema::namespace_proofs as proofs;
use crate::{Connection, DbResult};
use history::{NewHolding, record};

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
    /// When the last look for it, or a job's claims, ended.
    pub looked_at: Option<DateTime<Utc>>,
    /// Whose claims have proven it.
    owner_issuer: Option<String>,
    owner_id: Option<i64>,
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

/// Whether the proof was found, and has not been missing too often since.
///
/// # Errors
/// When the database does not answer.
pub async fn is_proven(conn: &mut Connection, id: RegistryNamespaceId) -> DbResult<bool> {
    Ok(get(conn, id).await?.is_some_and(|proof| proof.proven_at.is_some() && proof.misses < MISSES))
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

/// A person decided: what the proof said before no longer matters, and once it is approved whoever owns the name now may prove it.
/// Call in the transaction of the decision.
///
/// # Errors
/// When the database refuses.
pub async fn decided(conn: &mut Connection, namespace: &RegistryNamespace, actor: Actor) -> DbResult<()> {
    let sql = "UPDATE namespace_proofs SET is_lost = false, \
               owner_issuer = CASE WHEN $2 THEN NULL ELSE owner_issuer END, \
               owner_id = CASE WHEN $2 THEN NULL ELSE owner_id END WHERE namespace_id = $1";
    diesel::sql_query(sql)
        .bind::<sql_types::Uuid, _>(namespace.id.0)
        .bind::<sql_types::Bool, _>(namespace.state == NamespaceState::Verified)
        .execute(conn)
        .await?;
    let how = OwnershipBasis::Person;
    let reason = namespace.refusal.as_deref();
    record(conn, namespace, &NewHolding { state: namespace.state, how, actor, evidence: None, reason }).await
}
