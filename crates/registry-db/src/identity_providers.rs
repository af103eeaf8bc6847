//! The keys of identity providers, as a worker read them last. Whoever needs one that is not there asks for a reading; how
//! often a provider is asked is bounded, whoever asks.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::identity_provider::{Issuer, SigningKey};
use registry_types::job::JobPayload;
use serde_json::Value;

use crate::clock;
use crate::jobs::{self, Enqueue, Lease};
use crate::schema::{identity_providers, trusted_publishers};
use crate::{Connection, DbError, DbResult};

/// Older keys are not used: the provider may have withdrawn them since.
const LONGEST_USE: TimeDelta = TimeDelta::hours(24);
/// Between two readings of keys that were read.
const PAUSE: TimeDelta = TimeDelta::seconds(60);
/// Between two attempts when the last one failed.
const PAUSE_AFTER_FAILURE: TimeDelta = TimeDelta::seconds(10);

/// What is known of the key that a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAnswer {
    Found(SigningKey),
    /// The provider was asked just now and has no such key.
    Unknown,
    /// The provider was asked just now and did not answer.
    Unavailable,
    /// A worker has to ask; `attempts` have ended so far.
    NotRead {
        attempts: i64,
    },
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = identity_providers)]
struct Row {
    keys: Value,
    keys_read_at: Option<DateTime<Utc>>,
    attempts: i64,
    attempted_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
}

/// The provider's key of that id.
///
/// # Errors
/// When the database does not answer.
pub async fn key(conn: &mut Connection, issuer: &Issuer, id: &str) -> DbResult<KeyAnswer> {
    let now = clock::now(conn).await?;
    let Some(row) = row(conn, issuer).await? else { return Ok(KeyAnswer::NotRead { attempts: 0 }) };
    if row.keys_read_at.is_some_and(|read_at| now - read_at < LONGEST_USE)
        && let Some(key) = keys(row.keys)?.into_iter().find(|key| key.id == id)
    {
        return Ok(KeyAnswer::Found(key));
    }
    let since = row.attempted_at.map_or(TimeDelta::MAX, |at| now - at);
    Ok(match &row.last_error {
        None if since < PAUSE => KeyAnswer::Unknown,
        Some(_) if since < PAUSE_AFTER_FAILURE => KeyAnswer::Unavailable,
        None | Some(_) => KeyAnswer::NotRead { attempts: row.attempts },
    })
}

/// Attempts to read the provider's keys that have ended.
///
/// # Errors
/// When the database does not answer.
pub async fn attempts(conn: &mut Connection, issuer: &Issuer) -> DbResult<i64> {
    Ok(row(conn, issuer).await?.map_or(0, |row| row.attempts))
}

/// Lets a worker read the provider's keys, unless that is under way.
///
/// # Errors
/// When the database refuses.
pub async fn request(conn: &mut Connection, issuer: &Issuer, request_id: Option<String>) -> DbResult<()> {
    let how = Enqueue {
        dedup_key: Some(format!("identity_keys:{issuer}")),
        request_id,
        // Whoever waits for it has gone by the second.
        max_attempts: 1,
        ..Enqueue::default()
    };
    jobs::enqueue(conn, &JobPayload::IdentityKeys { issuer: issuer.clone() }, how).await.map(|_| ())
}

/// Lets a worker read the keys of all providers that somebody's trusted publishers rest on.
///
/// # Errors
/// When the database refuses.
pub async fn request_all_used(conn: &mut Connection) -> DbResult<()> {
    let issuers: Vec<String> = trusted_publishers::table
        .filter(trusted_publishers::removed_at.is_null())
        .select(trusted_publishers::issuer)
        .distinct()
        .load(conn)
        .await?;
    for issuer in issuers {
        request(conn, &crate::error::stored("issuer", &issuer)?, None).await?;
    }
    Ok(())
}

/// Ends a worker's reading: with the keys, or with why there are none, which leaves the earlier ones as they are. Call in a
/// transaction.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn record(
    conn: &mut Connection,
    lease: Lease,
    issuer: &Issuer,
    read: Result<&[SigningKey], &str>,
) -> DbResult<()> {
    jobs::finish(conn, lease).await?;
    let keys = read.ok().map(serde_json::to_value).transpose().map_err(|e| DbError::corrupt("keys")(Box::new(e)))?;
    diesel::sql_query(
        "INSERT INTO identity_providers AS p (issuer, keys, keys_read_at, attempts, attempted_at, last_error) \
         VALUES ($1, coalesce($2, '[]'), CASE WHEN $2 IS NOT NULL THEN store_now() END, 1, store_now(), $3) \
         ON CONFLICT ON CONSTRAINT identity_providers_pkey DO UPDATE SET \
             keys = coalesce($2, p.keys), keys_read_at = coalesce(excluded.keys_read_at, p.keys_read_at), \
             attempts = p.attempts + 1, attempted_at = excluded.attempted_at, last_error = excluded.last_error",
    )
    .bind::<sql_types::Text, _>(issuer.as_str())
    .bind::<sql_types::Nullable<sql_types::Jsonb>, _>(keys)
    .bind::<sql_types::Nullable<sql_types::Text>, _>(read.err())
    .execute(conn)
    .await?;
    Ok(())
}

async fn row(conn: &mut Connection, issuer: &Issuer) -> DbResult<Option<Row>> {
    let row = identity_providers::table.find(issuer.as_str()).select(Row::as_select()).first(conn).await;
    Ok(row.optional()?)
}

fn keys(stored: Value) -> DbResult<Vec<SigningKey>> {
    serde_json::from_value(stored).map_err(|e| DbError::corrupt("signing keys")(Box::new(e)))
}
