//! Keys that an organization enrolled: the signatures of package manifests that count as its authors'.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::ids::{ManifestKeyId, OrganizationId, UserId};
use registry_types::manifest_key::{KeyFingerprint, ManifestKey};
use registry_types::names::Email;

use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::{manifest_keys, organizations};
use crate::{Connection, DbError, DbResult};

#[derive(Debug, Clone)]
pub struct NewManifestKey {
    pub organization: OrganizationId,
    pub label: String,
    pub key: ManifestKey,
    pub enrolled_by: UserId,
}

/// An enrolled key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledKey {
    pub id: ManifestKeyId,
    pub label: String,
    pub key: ManifestKey,
    pub fingerprint: KeyFingerprint,
    pub enrolled_by: Email,
    pub enrolled_at: DateTime<Utc>,
    pub revocation: Option<Revocation>,
    /// Versions whose manifest it signed.
    pub signed_versions: u64,
    /// Those of them that were submitted when it was revoked already.
    pub signed_after_revocation: u64,
}

/// From when on, by whom and why a key does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    pub from: DateTime<Utc>,
    pub by: Email,
    pub reason: String,
}

/// What judging a signature needs of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStanding {
    pub id: ManifestKeyId,
    pub key: ManifestKey,
    pub revoked_from: Option<DateTime<Utc>>,
}

impl KeyStanding {
    /// Whether what is submitted at this time does not count as signed by it.
    #[must_use]
    pub fn is_revoked_at(&self, time: DateTime<Utc>) -> bool {
        self.revoked_from.is_some_and(|from| from <= time)
    }
}

/// Constraint that refuses the same key a second time in an organization.
pub const FINGERPRINT_TAKEN: &str = "manifest_keys_fingerprint_key";

/// Why a key is not enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyKeys;

/// Enrols a key unless the organization has `most` already. Call in a transaction.
///
/// # Errors
/// Constraint [`FINGERPRINT_TAKEN`].
pub async fn enrol(
    conn: &mut Connection,
    new: &NewManifestKey,
    most: u32,
) -> DbResult<Result<ManifestKeyId, TooManyKeys>> {
    let organization = new.organization.0;
    // Two that are enrolled at once are counted one after the other.
    let lock = organizations::table.find(organization).select(organizations::id).for_no_key_update();
    lock.first::<uuid::Uuid>(conn).await?;
    let count: i64 =
        manifest_keys::table.filter(manifest_keys::organization_id.eq(organization)).count().get_result(conn).await?;
    if count >= i64::from(most) {
        return Ok(Err(TooManyKeys));
    }
    let id = ManifestKeyId::new();
    diesel::insert_into(manifest_keys::table)
        .values((
            manifest_keys::id.eq(id.0),
            manifest_keys::organization_id.eq(organization),
            manifest_keys::label.eq(&new.label),
            manifest_keys::public_key.eq(new.key.as_der()),
            manifest_keys::fingerprint.eq(new.key.fingerprint().0.to_vec()),
            manifest_keys::enrolled_by.eq(new.enrolled_by.0),
        ))
        .execute(conn)
        .await?;
    Ok(Ok(id))
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Uuid)]
    id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    label: String,
    #[diesel(sql_type = Binary)]
    public_key: Vec<u8>,
    #[diesel(sql_type = Text)]
    enrolled_by: String,
    #[diesel(sql_type = Timestamptz)]
    enrolled_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    revoked_from: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    revoked_by: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    revocation_reason: Option<String>,
    #[diesel(sql_type = BigInt)]
    signed_versions: i64,
    #[diesel(sql_type = BigInt)]
    signed_after_revocation: i64,
}

impl TryFrom<Row> for EnrolledKey {
    type Error = DbError;

    fn try_from(row: Row) -> DbResult<Self> {
        let key = stored_key(row.public_key)?;
        let revocation = match (row.revoked_from, row.revoked_by, row.revocation_reason) {
            (Some(from), Some(by), Some(reason)) => {
                Some(Revocation { from, by: stored("e-mail address", &by)?, reason })
            }
            _ => None,
        };
        let count = |number: i64| u64::try_from(number).map_err(|e| DbError::corrupt("count")(Box::new(e)));
        Ok(Self {
            id: row.id.into(),
            label: row.label,
            fingerprint: key.fingerprint(),
            key,
            enrolled_by: stored("e-mail address", &row.enrolled_by)?,
            enrolled_at: row.enrolled_at,
            revocation,
            signed_versions: count(row.signed_versions)?,
            signed_after_revocation: count(row.signed_after_revocation)?,
        })
    }
}

fn stored_key(der: Vec<u8>) -> DbResult<ManifestKey> {
    ManifestKey::from_der(der).map_err(|e| DbError::corrupt("manifest key")(Box::new(e)))
}

/// `$1` organization, `$2` one key or NULL, `$3` the last seen key or NULL, `$4` limit. Ids are time-ordered.
const KEYS: &str = "\
    SELECT k.id, k.label, k.public_key, e.email AS enrolled_by, k.enrolled_at, k.revoked_from, r.email AS revoked_by, \
           k.revocation_reason, s.signed_versions, s.signed_after_revocation \
    FROM manifest_keys k \
    JOIN users e ON e.id = k.enrolled_by \
    LEFT JOIN users r ON r.id = k.revoked_by \
    CROSS JOIN LATERAL (SELECT count(*) AS signed_versions, \
                               count(*) FILTER (WHERE submitted_at >= k.revoked_from) AS signed_after_revocation \
                        FROM manifest_signatures WHERE manifest_key_id = k.id) s \
    WHERE k.organization_id = $1 AND ($2 IS NULL OR k.id = $2) AND ($3 IS NULL OR k.id > $3) \
    ORDER BY k.id LIMIT $4";

async fn keys_where(
    conn: &mut Connection,
    organization: OrganizationId,
    one: Option<ManifestKeyId>,
    after: Option<ManifestKeyId>,
    limit: i64,
) -> DbResult<Vec<EnrolledKey>> {
    let rows: Vec<Row> = diesel::sql_query(KEYS)
        .bind::<Uuid, _>(organization.0)
        .bind::<Nullable<Uuid>, _>(one.map(uuid::Uuid::from))
        .bind::<Nullable<Uuid>, _>(after.map(uuid::Uuid::from))
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The organization's keys, the oldest first, behind the one `after`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    organization: OrganizationId,
    after: Option<ManifestKeyId>,
    size: usize,
) -> DbResult<Page<EnrolledKey, ManifestKeyId>> {
    let keys = keys_where(conn, organization, None, after, one_more(size)).await?;
    Ok(Page::from_rows(keys, size, |last| last.id))
}

/// # Errors
/// [`DbError::NotFound`].
pub async fn get(conn: &mut Connection, organization: OrganizationId, id: ManifestKeyId) -> DbResult<EnrolledKey> {
    keys_where(conn, organization, Some(id), None, 1).await?.pop().ok_or(DbError::NotFound)
}

/// Revokes a key from a moment on, which may have passed. A revoked key can only be revoked from an earlier moment on.
///
/// # Errors
/// [`DbError::NotFound`]; [`DbError::Stale`] when it is revoked from then or earlier on.
pub async fn revoke(
    conn: &mut Connection,
    organization: OrganizationId,
    id: ManifestKeyId,
    by: UserId,
    from: DateTime<Utc>,
    reason: &str,
) -> DbResult<()> {
    let key = manifest_keys::table
        .filter(manifest_keys::id.eq(id.0))
        .filter(manifest_keys::organization_id.eq(organization.0));
    let revoked_from: Option<DateTime<Utc>> = key.select(manifest_keys::revoked_from).for_update().first(conn).await?;
    if revoked_from.is_some_and(|earlier| earlier <= from) {
        return Err(DbError::Stale);
    }
    diesel::update(manifest_keys::table.find(id.0))
        .set((
            manifest_keys::revoked_from.eq(from),
            manifest_keys::revoked_by.eq(by.0),
            manifest_keys::revocation_reason.eq(reason),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The organization's key with this fingerprint; all of its keys without one.
///
/// # Errors
/// When the database does not answer.
pub async fn standings(
    conn: &mut Connection,
    organization: OrganizationId,
    fingerprint: Option<KeyFingerprint>,
) -> DbResult<Vec<KeyStanding>> {
    let mut keys = manifest_keys::table
        .filter(manifest_keys::organization_id.eq(organization.0))
        .order(manifest_keys::id)
        .select((manifest_keys::id, manifest_keys::public_key, manifest_keys::revoked_from))
        .into_boxed();
    if let Some(fingerprint) = fingerprint {
        keys = keys.filter(manifest_keys::fingerprint.eq(fingerprint.0.to_vec()));
    }
    let rows: Vec<(uuid::Uuid, Vec<u8>, Option<DateTime<Utc>>)> = keys.load(conn).await?;
    rows.into_iter()
        .map(|(id, key, revoked_from)| Ok(KeyStanding { id: id.into(), key: stored_key(key)?, revoked_from }))
        .collect()
}
