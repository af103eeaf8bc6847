//! Mirrored content: blobs, manifests and layer catalogs, all by digest.
//!
//! Content-addressed rows are the same for every writer, so a second insert changes nothing and needs no lease.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::digest::Digest;
use registry_types::ids::{OrganizationId, VersionId};
use serde_json::Value;

use crate::error::stored;
use crate::prepared::prepared;
use crate::schema::{blobs, layer_catalogs, manifests, organization_blobs, version_blobs, version_manifests};
use crate::{Connection, DbError, DbResult};

/// What one layer holds, as one version of the analyzer saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCatalog {
    pub digest: Digest,
    pub analyzer_version: i32,
    /// Digest of the unpacked layer.
    pub diff_id: Digest,
    pub unpacked_bytes: u64,
    pub entries: u64,
    /// `image-scan`'s form.
    pub catalog: Value,
}

/// An image manifest, index or referrer, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewManifest {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Vec<u8>,
    /// The manifest that this one says it refers to.
    pub subject: Option<Digest>,
    pub artifact_type: Option<String>,
    pub annotations: Value,
}

/// What a manifest is to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestRole {
    /// Index or image manifest of the version.
    Image,
    /// Signature, attestation or verdict.
    Referrer,
}

impl ManifestRole {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Referrer => "referrer",
        }
    }
}

/// A manifest that `/v2` may serve for a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedManifest {
    pub digest: Digest,
    pub role: ManifestRole,
    /// `os/architecture[/variant]` of an image manifest.
    pub platform: Option<String>,
    /// The manifest that this one belongs to by its tag only. A fact of the version: elsewhere the same bytes may lie under
    /// another tag.
    pub subject: Option<Digest>,
}

#[derive(QueryableByName)]
struct ReusableRow {
    #[diesel(sql_type = sql_types::Text)]
    digest: String,
}

const REUSABLE: &str = "\
    SELECT digest FROM blobs WHERE digest = ANY($2) AND ( \
        EXISTS (SELECT FROM organization_blobs AS shown WHERE shown.organization_id = $1 AND shown.digest = blobs.digest) \
        OR EXISTS (SELECT FROM version_blobs JOIN versions ON versions.id = version_blobs.version_id \
            JOIN packages ON packages.id = versions.package_id \
            WHERE version_blobs.digest = blobs.digest AND versions.state = 'active' AND packages.visibility = 'public'))";

/// Those of `digests` whose bytes lie in the object store and are no secret to this organization: it has shown them itself,
/// or anybody may pull them.
///
/// # Errors
/// When the database does not answer.
pub async fn reusable_blobs(
    conn: &mut Connection,
    organization: OrganizationId,
    digests: &[Digest],
) -> DbResult<HashSet<Digest>> {
    let reusable = diesel::sql_query(REUSABLE)
        .bind::<sql_types::Uuid, _>(organization.0)
        .bind::<sql_types::Array<sql_types::Text>, _>(texts(digests));
    let rows: Vec<ReusableRow> = prepared(reusable).load(conn).await?;
    rows.into_iter().map(|row| stored("digest", &row.digest)).collect()
}

/// Records that an organization has shown the bytes of these blobs, which must be recorded before.
///
/// # Errors
/// When the database refuses.
pub async fn record_shown(conn: &mut Connection, organization: OrganizationId, digests: &[Digest]) -> DbResult<()> {
    let rows: Vec<_> = digests
        .iter()
        .map(|digest| {
            (organization_blobs::organization_id.eq(organization.0), organization_blobs::digest.eq(digest.to_string()))
        })
        .collect();
    diesel::insert_into(organization_blobs::table).values(rows).on_conflict_do_nothing().execute(conn).await?;
    Ok(())
}

/// The catalogs of those of `digests` that this version of the analyzer has seen and whose bytes are held.
///
/// # Errors
/// When the database does not answer.
pub async fn held_catalogs(
    conn: &mut Connection,
    digests: &[Digest],
    analyzer_version: i32,
) -> DbResult<HashMap<Digest, Value>> {
    let rows: Vec<(String, Value)> = layer_catalogs::table
        .filter(layer_catalogs::digest.eq_any(texts(digests)))
        .filter(layer_catalogs::analyzer_version.eq(analyzer_version))
        .select((layer_catalogs::digest, layer_catalogs::catalog))
        .load(conn)
        .await?;
    rows.into_iter().map(|(digest, catalog)| Ok((stored("digest", &digest)?, catalog))).collect()
}

/// Records blobs whose upload is complete, with their sizes in bytes.
///
/// # Errors
/// When the database refuses.
pub async fn insert_blobs(conn: &mut Connection, new: &[(Digest, u64)]) -> DbResult<()> {
    let rows = new
        .iter()
        .map(|(digest, size)| Ok((blobs::digest.eq(digest.to_string()), blobs::size_bytes.eq(signed(*size)?))))
        .collect::<DbResult<Vec<_>>>()?;
    diesel::insert_into(blobs::table).values(rows).on_conflict_do_nothing().execute(conn).await?;
    Ok(())
}

/// Records what a held layer holds.
///
/// # Errors
/// When the database refuses; the blob must be recorded before.
pub async fn insert_catalog(conn: &mut Connection, new: &NewCatalog) -> DbResult<()> {
    diesel::insert_into(layer_catalogs::table)
        .values((
            layer_catalogs::digest.eq(new.digest.to_string()),
            layer_catalogs::analyzer_version.eq(new.analyzer_version),
            layer_catalogs::diff_id.eq(new.diff_id.to_string()),
            layer_catalogs::unpacked_bytes.eq(signed(new.unpacked_bytes)?),
            layer_catalogs::entries.eq(signed(new.entries)?),
            layer_catalogs::catalog.eq(&new.catalog),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// Records manifests byte for byte.
///
/// # Errors
/// When the database refuses.
pub async fn insert_manifests(conn: &mut Connection, new: &[NewManifest]) -> DbResult<()> {
    let rows: Vec<_> = new
        .iter()
        .map(|manifest| {
            (
                manifests::digest.eq(manifest.digest.to_string()),
                manifests::media_type.eq(&manifest.media_type),
                manifests::bytes.eq(&manifest.bytes),
                manifests::subject.eq(manifest.subject.as_ref().map(Digest::to_string)),
                manifests::artifact_type.eq(&manifest.artifact_type),
                manifests::annotations.eq(&manifest.annotations),
            )
        })
        .collect();
    diesel::insert_into(manifests::table).values(rows).on_conflict_do_nothing().execute(conn).await?;
    Ok(())
}

/// Makes exactly these manifests and blobs the version's content.
///
/// # Errors
/// When the database refuses; each manifest and blob must be recorded before.
pub async fn link_version(
    conn: &mut Connection,
    version: VersionId,
    linked: &[LinkedManifest],
    digests: &[Digest],
) -> DbResult<()> {
    unlink_version(conn, version).await?;
    let id = uuid::Uuid::from(version);
    let manifest_rows: Vec<_> = linked
        .iter()
        .map(|manifest| {
            (
                version_manifests::version_id.eq(id),
                version_manifests::digest.eq(manifest.digest.to_string()),
                version_manifests::role.eq(manifest.role.as_str()),
                version_manifests::platform.eq(&manifest.platform),
                version_manifests::subject.eq(manifest.subject.as_ref().map(Digest::to_string)),
            )
        })
        .collect();
    diesel::insert_into(version_manifests::table).values(manifest_rows).on_conflict_do_nothing().execute(conn).await?;
    let blob_rows: Vec<_> = digests
        .iter()
        .map(|digest| (version_blobs::version_id.eq(id), version_blobs::digest.eq(digest.to_string())))
        .collect();
    diesel::insert_into(version_blobs::table).values(blob_rows).on_conflict_do_nothing().execute(conn).await?;
    Ok(())
}

/// Adds a referrer to what is served for a version; the bytes of its blobs, given with their sizes, lie in the object store.
///
/// # Errors
/// When the database refuses.
pub async fn serve_referrer(
    conn: &mut Connection,
    version: VersionId,
    manifest: &NewManifest,
    blobs: &[(Digest, u64)],
) -> DbResult<()> {
    insert_blobs(conn, blobs).await?;
    insert_manifests(conn, std::slice::from_ref(manifest)).await?;
    let id = uuid::Uuid::from(version);
    let row = (
        version_manifests::version_id.eq(id),
        version_manifests::digest.eq(manifest.digest.to_string()),
        version_manifests::role.eq(ManifestRole::Referrer.as_str()),
    );
    diesel::insert_into(version_manifests::table).values(row).on_conflict_do_nothing().execute(conn).await?;
    let rows: Vec<_> = blobs
        .iter()
        .map(|(digest, _)| (version_blobs::version_id.eq(id), version_blobs::digest.eq(digest.to_string())))
        .collect();
    diesel::insert_into(version_blobs::table).values(rows).on_conflict_do_nothing().execute(conn).await?;
    Ok(())
}

/// Takes all content from a version: a rejected one serves nothing, and what no version holds may be removed.
///
/// # Errors
/// When the database refuses.
pub async fn unlink_version(conn: &mut Connection, version: VersionId) -> DbResult<()> {
    let id = uuid::Uuid::from(version);
    diesel::delete(version_manifests::table.filter(version_manifests::version_id.eq(id))).execute(conn).await?;
    diesel::delete(version_blobs::table.filter(version_blobs::version_id.eq(id))).execute(conn).await?;
    Ok(())
}

fn texts(digests: &[Digest]) -> Vec<String> {
    digests.iter().map(Digest::to_string).collect()
}

fn signed(value: u64) -> DbResult<i64> {
    i64::try_from(value).map_err(|e| DbError::corrupt("size")(Box::new(e)))
}
