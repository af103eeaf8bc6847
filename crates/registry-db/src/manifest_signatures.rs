//! How the package manifests of versions were signed.

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{ManifestKeyId, VersionId};
use registry_types::manifest_key::{KeyFingerprint, SignatureStanding};

use crate::schema::{intakes, manifest_keys, manifest_signatures};
use crate::{Connection, DbError, DbResult};

/// What was found when the manifest was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewManifestSignature {
    /// SHA-256 of the canonical form.
    pub manifest_sha256: [u8; 32],
    /// Of the key whose signature was verified; `None` for an unsigned manifest.
    pub key: Option<KeyFingerprint>,
    /// The key, if it is enrolled.
    pub enrolled: Option<ManifestKeyId>,
}

/// How a version's manifest is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionSignature {
    pub standing: SignatureStanding,
    pub manifest_sha256: [u8; 32],
    pub key: Option<KeyFingerprint>,
    pub enrolled: Option<ManifestKeyId>,
    pub submitted_at: DateTime<Utc>,
}

/// Records it with the version; a version that is submitted again has another.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn record(
    conn: &mut Connection,
    version: VersionId,
    new: Option<NewManifestSignature>,
) -> DbResult<()> {
    diesel::delete(manifest_signatures::table.find(version.0)).execute(conn).await?;
    let Some(new) = new else { return Ok(()) };
    diesel::insert_into(manifest_signatures::table)
        .values((
            manifest_signatures::version_id.eq(version.0),
            manifest_signatures::manifest_sha256.eq(new.manifest_sha256.to_vec()),
            manifest_signatures::key_fingerprint.eq(new.key.map(|key| key.0.to_vec())),
            manifest_signatures::manifest_key_id.eq(new.enrolled.map(uuid::Uuid::from)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// How a version's manifest is signed, by what is known of the key today; `None` when nobody looked, also when a program that
/// does not look has taken the version in again since.
///
/// # Errors
/// When the database does not answer.
pub async fn of_version(conn: &mut Connection, version: VersionId) -> DbResult<Option<VersionSignature>> {
    type Row = (Vec<u8>, Option<Vec<u8>>, Option<uuid::Uuid>, DateTime<Utc>, Option<DateTime<Utc>>);
    // Written in the transaction of its intake, so at the same time.
    let later = intakes::table
        .filter(intakes::version_id.eq(version.0))
        .filter(intakes::created_at.gt(manifest_signatures::submitted_at));
    let row: Option<Row> = manifest_signatures::table
        .left_join(manifest_keys::table.on(manifest_keys::id.nullable().eq(manifest_signatures::manifest_key_id)))
        .filter(manifest_signatures::version_id.eq(version.0))
        .filter(not(exists(later)))
        .select((
            manifest_signatures::manifest_sha256,
            manifest_signatures::key_fingerprint,
            manifest_signatures::manifest_key_id,
            manifest_signatures::submitted_at,
            manifest_keys::revoked_from.nullable(),
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((manifest, key, enrolled, submitted_at, revoked_from)) = row else { return Ok(None) };
    let is_revoked = revoked_from.is_some_and(|from| from <= submitted_at);
    let standing = match (&key, enrolled) {
        (None, _) => SignatureStanding::Unsigned,
        (Some(_), None) => SignatureStanding::NotEnrolled,
        (Some(_), Some(_)) if is_revoked => SignatureStanding::Revoked,
        (Some(_), Some(_)) => SignatureStanding::Enrolled,
    };
    Ok(Some(VersionSignature {
        standing,
        manifest_sha256: hash(&manifest)?,
        key: key.as_deref().map(hash).transpose()?.map(KeyFingerprint),
        enrolled: enrolled.map(Into::into),
        submitted_at,
    }))
}

fn hash(bytes: &[u8]) -> DbResult<[u8; 32]> {
    bytes.try_into().map_err(|e| DbError::corrupt("hash")(Box::new(e)))
}
