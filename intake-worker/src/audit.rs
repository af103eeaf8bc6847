//! Keeps the audit log chained, and signs the chain's end.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use registry_db::audit::{self, Head};
use registry_db::{DbError, Pool, transaction};
use serde_json::json;

use crate::verdict::VerdictKey;

/// How long an entry may stand unchained while workers run.
const INTERVAL: Duration = Duration::from_secs(2);
/// Entries chained in one transaction.
const BATCH: i64 = 1000;
/// What a signed end of the chain calls itself.
const PAYLOAD_TYPE: &str = "application/vnd.company-store.audit-checkpoint+json";

/// Chains what is new, for ever. Of several workers one does it at a time.
pub(crate) async fn keep_chained(pool: &Pool, key: &VerdictKey, store: &str) {
    loop {
        match chain(pool, key, store).await {
            Ok(()) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the audit log is not chained"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn chain(pool: &Pool, key: &VerdictKey, store: &str) -> Result<(), DbError> {
    let mut conn = pool.get().await?;
    loop {
        let head = transaction(&mut conn, async |conn| {
            let Some(head) = audit::seal(conn, BATCH).await? else { return Ok::<_, DbError>(None) };
            audit::add_checkpoint(conn, &head, &key.sign(PAYLOAD_TYPE, statement(store, &head)).to_json()).await?;
            Ok(Some(head))
        });
        if head.await?.is_none() {
            return Ok(());
        }
    }
}

fn statement(store: &str, head: &Head) -> Vec<u8> {
    let at = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
    json!({ "store": store, "sequence": head.sequence, "hash": head.hash, "at": at }).to_string().into_bytes()
}
