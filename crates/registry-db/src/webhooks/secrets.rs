//! What deliveries are signed with: the newest secret and, for a while, the one before.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::WebhookId;
use secrecy::SecretString;

use crate::clock;
use crate::key_ring::{KeyRing, KeyRingError, Sealed};
use crate::schema::webhook_secrets as secrets;
use crate::{Connection, DbError, DbResult, Pool, transaction};

/// A secret for one webhook, sealed.
#[derive(Debug, Clone)]
pub struct NewSecret(pub Sealed);

pub(super) async fn insert_secret(conn: &mut Connection, webhook: WebhookId, new: &NewSecret) -> DbResult<()> {
    diesel::insert_into(secrets::table)
        .values((
            secrets::id.eq(uuid::Uuid::now_v7()),
            secrets::webhook_id.eq(webhook.0),
            secrets::ciphertext.eq(&new.0.ciphertext),
            secrets::nonce.eq(&new.0.nonce),
            secrets::key_id.eq(&new.0.key_id),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Puts a new secret in the place of the newest, which stays good for `overlap`; one from a rotation before ends at once.
/// Returns when the old one ends. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn rotate(
    conn: &mut Connection,
    webhook: WebhookId,
    new: &NewSecret,
    overlap: TimeDelta,
) -> DbResult<DateTime<Utc>> {
    let of_webhook = secrets::table.filter(secrets::webhook_id.eq(webhook.0));
    diesel::delete(of_webhook.filter(secrets::expires_at.is_not_null())).execute(conn).await?;
    let ends = clock::now(conn).await? + overlap;
    diesel::update(of_webhook).set(secrets::expires_at.eq(Some(ends))).execute(conn).await?;
    insert_secret(conn, webhook, new).await?;
    Ok(ends)
}

/// The secrets that are good now, the newest first.
pub(super) async fn open_secrets(
    conn: &mut Connection,
    webhook: WebhookId,
    ring: &KeyRing,
) -> DbResult<Result<Vec<SecretString>, KeyRingError>> {
    let now = clock::now(conn).await?;
    let rows: Vec<(Vec<u8>, Vec<u8>, String)> = secrets::table
        .filter(secrets::webhook_id.eq(webhook.0))
        .filter(secrets::expires_at.is_null().or(secrets::expires_at.gt(now)))
        .order(secrets::expires_at.desc().nulls_first())
        .select((secrets::ciphertext, secrets::nonce, secrets::key_id))
        .load(conn)
        .await?;
    let open = |(ciphertext, nonce, key_id)| ring.open_webhook_secret(webhook, &Sealed { ciphertext, nonce, key_id });
    Ok(rows.into_iter().map(open).collect())
}

/// What became of the secrets at a rotation of the key ring.
#[derive(Default)]
pub(crate) struct Resealed {
    pub(crate) resealed: u64,
    pub(crate) unopened: Vec<WebhookId>,
}

const BATCH: i64 = 100;

/// Reseals every secret that is not under the ring's current key, in short transactions.
pub(crate) async fn reseal_all(pool: &Pool, ring: &KeyRing) -> DbResult<Resealed> {
    let mut total = Resealed::default();
    let mut after = uuid::Uuid::nil();
    loop {
        let mut conn = pool.get().await?;
        let batch = transaction(&mut conn, async |conn| reseal_batch(conn, ring, after).await).await?;
        let Some(last) = batch.last() else { return Ok(total) };
        after = last.0;
        for (_, webhook, is_resealed) in batch {
            if is_resealed {
                total.resealed += 1;
            } else {
                total.unopened.push(webhook);
            }
        }
    }
}

/// The secrets that it looked at, each with its webhook and whether it opened.
async fn reseal_batch(
    conn: &mut Connection,
    ring: &KeyRing,
    after: uuid::Uuid,
) -> DbResult<Vec<(uuid::Uuid, WebhookId, bool)>> {
    type Row = (uuid::Uuid, uuid::Uuid, Vec<u8>, Vec<u8>, String);
    let rows: Vec<Row> = secrets::table
        .filter(secrets::key_id.ne(ring.current()))
        .filter(secrets::id.gt(after))
        .order(secrets::id)
        .limit(BATCH)
        .select((secrets::id, secrets::webhook_id, secrets::ciphertext, secrets::nonce, secrets::key_id))
        .for_update()
        .load(conn)
        .await?;
    let mut seen = Vec::new();
    for (id, webhook, ciphertext, nonce, key_id) in rows {
        let webhook = WebhookId::from(webhook);
        let Ok(secret) = ring.open_webhook_secret(webhook, &Sealed { ciphertext, nonce, key_id }) else {
            seen.push((id, webhook, false));
            continue;
        };
        let sealed =
            ring.seal_webhook_secret(webhook, &secret).map_err(|e| DbError::corrupt("webhook secret")(Box::new(e)))?;
        diesel::update(secrets::table.find(id))
            .set((
                secrets::ciphertext.eq(sealed.ciphertext),
                secrets::nonce.eq(sealed.nonce),
                secrets::key_id.eq(sealed.key_id),
            ))
            .execute(conn)
            .await?;
        seen.push((id, webhook, true));
    }
    Ok(seen)
}
