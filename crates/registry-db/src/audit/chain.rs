//! The chain over the audit log.
//!
//! Entries are written by many transactions at once, which must not wait for one another; so they get their place in the
//! chain, and their hash, a moment after they were committed.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::audit::chain_hash;
use registry_types::digest::Digest;
use serde_json::Value;

use super::read::{AuditEntry, COLUMNS, Row};
use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::{audit_checkpoints, audit_entries};
use crate::{Connection, DbResult};

/// Held by the one transaction that seals.
const LOCK: i64 = 0x0041_5544_4954;

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub sequence: i64,
    pub hash: Digest,
}

/// The chain's end at a time, signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub head: Head,
    /// DSSE envelope.
    pub envelope: Value,
    pub created_at: DateTime<Utc>,
}

/// Chains up to `limit` entries that have no place yet, in the order of their ids. Returns the new end, and `None` when there
/// is nothing to do or somebody else is at it.
///
/// # Errors
/// When the database refuses.
pub async fn seal(conn: &mut Connection, limit: i64) -> DbResult<Option<Head>> {
    let is_ours: bool = diesel::select(
        diesel::dsl::sql::<sql_types::Bool>("pg_try_advisory_xact_lock(").bind::<sql_types::BigInt, _>(LOCK).sql(")"),
    )
    .get_result(conn)
    .await?;
    if !is_ours {
        return Ok(None);
    }
    let rows: Vec<Row> = audit_entries::table
        .filter(audit_entries::sequence.is_null())
        .order(audit_entries::id)
        .limit(limit)
        .select(COLUMNS)
        .load(conn)
        .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut head = head(conn).await?;
    let (mut ids, mut sequences, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let entry = AuditEntry::try_from(row)?;
        let sequence = head.as_ref().map_or(0, |head| head.sequence) + 1;
        let hash = chain_hash(head.as_ref().map(|head| &head.hash), &entry.at_place(sequence));
        ids.push(entry.id);
        sequences.push(sequence);
        hashes.push(hash.to_string());
        head = Some(Head { sequence, hash });
    }
    diesel::sql_query(
        "UPDATE audit_entries e SET sequence = s.sequence, hash = s.hash \
         FROM unnest($1, $2, $3) AS s (id, sequence, hash) WHERE e.id = s.id",
    )
    .bind::<sql_types::Array<sql_types::BigInt>, _>(ids)
    .bind::<sql_types::Array<sql_types::BigInt>, _>(sequences)
    .bind::<sql_types::Array<sql_types::Text>, _>(hashes)
    .execute(conn)
    .await?;
    Ok(head)
}

async fn head(conn: &mut Connection) -> DbResult<Option<Head>> {
    let last: Option<(Option<i64>, Option<String>)> = audit_entries::table
        .filter(audit_entries::sequence.is_not_null())
        .order(audit_entries::sequence.desc())
        .select((audit_entries::sequence, audit_entries::hash))
        .first(conn)
        .await
        .optional()?;
    let Some((Some(sequence), Some(hash))) = last else { return Ok(None) };
    Ok(Some(Head { sequence, hash: stored("audit hash", &hash)? }))
}

/// # Errors
/// When the database refuses.
pub async fn add_checkpoint(conn: &mut Connection, head: &Head, envelope: &Value) -> DbResult<()> {
    diesel::insert_into(audit_checkpoints::table)
        .values((
            audit_checkpoints::sequence.eq(head.sequence),
            audit_checkpoints::hash.eq(head.hash.to_string()),
            audit_checkpoints::envelope.eq(envelope),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Checkpoints behind the one at `after`, in the order of the chain.
///
/// # Errors
/// When the database does not answer.
pub async fn checkpoints(conn: &mut Connection, after: i64, size: usize) -> DbResult<Page<Checkpoint, i64>> {
    let rows: Vec<(i64, String, Value, DateTime<Utc>)> = audit_checkpoints::table
        .filter(audit_checkpoints::sequence.gt(after))
        .order(audit_checkpoints::sequence)
        .limit(one_more(size))
        .load(conn)
        .await?;
    let checkpoint = |(sequence, hash, envelope, created_at): (i64, String, Value, DateTime<Utc>)| {
        Ok(Checkpoint { head: Head { sequence, hash: stored("audit hash", &hash)? }, envelope, created_at })
    };
    let found = rows.into_iter().map(checkpoint).collect::<DbResult<Vec<_>>>()?;
    Ok(Page::from_rows(found, size, |last| last.head.sequence))
}
