//! `Idempotency-Key`: the answer of a finished request, given again when the request is repeated.

use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::ids::UserId;
use serde_json::Value;

use crate::schema::idempotency_keys;
use crate::{Connection, DbError, DbResult};

/// Which request: the same key of another user or for another operation is another key.
#[derive(Debug, Clone, Copy)]
pub struct RequestKey<'a> {
    pub user: UserId,
    /// What is asked for and where, e.g. `publish:<organization>`.
    pub operation: &'a str,
    pub key: &'a str,
    /// Hash of what is asked.
    pub fingerprint: [u8; 32],
}

/// An answer that was given.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAnswer {
    pub status: u16,
    pub body: Value,
}

/// Whether a request was seen before.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Never,
    /// Give this answer again.
    Answered(StoredAnswer),
    /// The key was used for something else.
    Other,
}

/// Looks the request up, and keeps others with the same key waiting until the caller's transaction ends.
///
/// # Errors
/// When the database does not answer.
pub async fn look_up(conn: &mut Connection, request: RequestKey<'_>) -> DbResult<Seen> {
    let lock = format!("{}\n{}\n{}", request.user, request.operation, request.key);
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))")
        .bind::<sql_types::Text, _>(lock)
        .execute(conn)
        .await?;
    let found: Option<(Vec<u8>, i16, Value)> = idempotency_keys::table
        .find((request.user.0, request.operation, request.key))
        .select((idempotency_keys::fingerprint, idempotency_keys::status, idempotency_keys::body))
        .first(conn)
        .await
        .optional()?;
    let Some((fingerprint, status, body)) = found else { return Ok(Seen::Never) };
    if fingerprint != request.fingerprint {
        return Ok(Seen::Other);
    }
    let status = u16::try_from(status).map_err(|e| DbError::corrupt("status")(Box::new(e)))?;
    Ok(Seen::Answered(StoredAnswer { status, body }))
}

/// Keeps the answer, in the transaction of what it answers.
///
/// # Errors
/// When the database refuses.
pub async fn store(conn: &mut Connection, request: RequestKey<'_>, answer: &StoredAnswer) -> DbResult<()> {
    let status = i16::try_from(answer.status).map_err(|e| DbError::corrupt("status")(Box::new(e)))?;
    diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::user_id.eq(request.user.0),
            idempotency_keys::operation.eq(request.operation),
            idempotency_keys::key.eq(request.key),
            idempotency_keys::fingerprint.eq(request.fingerprint.to_vec()),
            idempotency_keys::status.eq(status),
            idempotency_keys::body.eq(&answer.body),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
