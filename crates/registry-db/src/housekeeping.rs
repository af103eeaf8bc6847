//! Rows that nobody needs any more.

use diesel_async::RunQueryDsl;

use crate::{Connection, DbResult};

/// How long the answer to a request with an `Idempotency-Key` is kept: a day, as clients expect; a used-up refresh token a
/// while longer than it lives, so that its reuse is still noticed; an event with its deliveries for a month, which is much
/// longer than it is tried to be delivered; what a publish token was given for, for a quarter.
const REMOVALS: [&str; 6] = [
    "DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'",
    "DELETE FROM sessions WHERE refresh_expires_at < now() - interval '7 days'",
    "DELETE FROM events WHERE at < store_now() - interval '30 days'",
    "DELETE FROM webhook_secrets WHERE expires_at < store_now()",
    "DELETE FROM used_identity_tokens WHERE expires_at < store_now() - interval '1 hour'",
    "DELETE FROM publish_tokens WHERE expires_at < store_now() - interval '90 days'",
];

/// Removes expired rows; returns how many.
///
/// # Errors
/// When the database refuses.
pub async fn remove_expired(conn: &mut Connection) -> DbResult<usize> {
    let mut removed = 0;
    for statement in REMOVALS {
        removed += diesel::sql_query(statement).execute(conn).await?;
    }
    Ok(removed)
}
