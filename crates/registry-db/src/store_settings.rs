//! Facts of the installation itself: its id, its policy document, the public keys of its verdicts.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::digest::Digest;
use registry_types::people::TrustTier;
use registry_types::policy::{Policy, Quota};
use serde_json::json;
use uuid::Uuid;

use crate::schema::store_settings;
use crate::{Connection, DbError, DbResult};

const STORE_ID: &str = "store_id";
const POLICY: &str = "policy";
const VERDICT_KEYS: &str = "verdict_keys";

/// The id of this installation; made at the first call.
///
/// # Errors
/// When the database does not answer.
pub async fn store_id(conn: &mut Connection) -> DbResult<Uuid> {
    diesel::insert_into(store_settings::table)
        .values((store_settings::key.eq(STORE_ID), store_settings::value.eq(json!(Uuid::now_v7()))))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    let value = read(conn, STORE_ID).await?.ok_or(DbError::NotFound)?;
    serde_json::from_value(value).map_err(|e| DbError::corrupt("store id")(Box::new(e)))
}

/// The policy document in force: the stored one, else the defaults.
///
/// # Errors
/// [`DbError::Corrupt`] when the stored one does not load: judging by another would be wrong.
pub async fn policy(conn: &mut Connection) -> DbResult<Policy> {
    let Some(value) = read(conn, POLICY).await? else { return Ok(Policy::default()) };
    let policy: Policy = serde_json::from_value(value).map_err(|e| DbError::corrupt("policy")(Box::new(e)))?;
    policy.validate().map_err(|e| DbError::corrupt("policy")(Box::new(e)))?;
    Ok(policy)
}

/// What an organization of this tier may have.
///
/// # Errors
/// As [`policy`].
pub async fn quota(conn: &mut Connection, tier: TrustTier) -> DbResult<Quota> {
    Ok(policy(conn).await?.limits.quotas.of(tier))
}

/// What names this policy document and no other.
///
/// # Errors
/// Never, unless the document cannot be written as JSON.
pub fn policy_digest(policy: &Policy) -> DbResult<Digest> {
    let bytes = serde_json::to_vec(policy).map_err(|e| DbError::corrupt("policy")(Box::new(e)))?;
    Ok(Digest::sha256_of(&bytes))
}

/// Puts a policy document in the place of the one with this digest; others who do the same wait for the end of the caller's
/// transaction. `false`, and nothing is changed, when another one is in force.
///
/// # Errors
/// When the database refuses.
pub async fn replace_policy(conn: &mut Connection, replaced: &Digest, new: &Policy) -> DbResult<bool> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('policy', 0))").execute(conn).await?;
    if policy_digest(&policy(conn).await?)? != *replaced {
        return Ok(false);
    }
    set_policy(conn, new).await?;
    Ok(true)
}

/// Puts a policy document in force, which the caller has validated.
///
/// # Errors
/// When the database refuses.
pub async fn set_policy(conn: &mut Connection, policy: &Policy) -> DbResult<()> {
    let value = serde_json::to_value(policy).map_err(|e| DbError::corrupt("policy")(Box::new(e)))?;
    diesel::insert_into(store_settings::table)
        .values((store_settings::key.eq(POLICY), store_settings::value.eq(&value)))
        .on_conflict(store_settings::key)
        .do_update()
        .set((store_settings::value.eq(&value), store_settings::updated_at.eq(diesel::dsl::now)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Remembers a public key that verdicts are signed with; earlier ones stay, because earlier verdicts do.
///
/// # Errors
/// When the database refuses.
pub async fn add_verdict_key(conn: &mut Connection, key_id: &str, public_key_pem: &str) -> DbResult<()> {
    diesel::sql_query(
        "INSERT INTO store_settings (key, value) VALUES ($1, jsonb_build_object($2::text, $3::text)) \
         ON CONFLICT ON CONSTRAINT store_settings_pkey \
         DO UPDATE SET value = store_settings.value || excluded.value, updated_at = now() \
         WHERE NOT store_settings.value @> excluded.value",
    )
    .bind::<sql_types::Text, _>(VERDICT_KEYS)
    .bind::<sql_types::Text, _>(key_id)
    .bind::<sql_types::Text, _>(public_key_pem)
    .execute(conn)
    .await?;
    Ok(())
}

/// Every public key that verdicts were ever signed with: PEM by key id.
///
/// # Errors
/// When the database does not answer.
pub async fn verdict_keys(conn: &mut Connection) -> DbResult<BTreeMap<String, String>> {
    let Some(value) = read(conn, VERDICT_KEYS).await? else { return Ok(BTreeMap::new()) };
    serde_json::from_value(value).map_err(|e| DbError::corrupt("verdict keys")(Box::new(e)))
}

async fn read(conn: &mut Connection, key: &str) -> DbResult<Option<serde_json::Value>> {
    Ok(store_settings::table
        .filter(store_settings::key.eq(key))
        .select(store_settings::value)
        .first(conn)
        .await
        .optional()?)
}
