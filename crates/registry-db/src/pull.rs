//! What `/v2` serves: the manifests and blobs of active versions, by repository (`publisher/name`), tag and digest.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Bytea, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::digest::Digest;
use registry_types::ids::{OrganizationId, PackageId};
use registry_types::names::PackageName;
use registry_types::package::{VersionState, Visibility};
use semver::Version as SemVer;
use serde_json::Value;

use crate::error::stored;
use crate::packages::Viewer;
use crate::schema::{blobs, manifests, version_blobs, version_manifests, versions};
use crate::{Connection, DbError, DbResult};

/// A package as a repository. Only [`repository`] gives one, so that the lookups below need no viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    package: PackageId,
    /// Whether this viewer may pull; a licensed package is known to all and pulled by its organization only.
    pub may_pull: bool,
}

/// A stored manifest, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

/// A manifest that refers to another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Referrer {
    pub manifest: StoredManifest,
    pub artifact_type: Option<String>,
    pub annotations: Value,
}

/// The repository, if it has an active version and this viewer may know of it.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn repository(conn: &mut Connection, viewer: &Viewer, name: &PackageName) -> DbResult<Repository> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Uuid)]
        id: uuid::Uuid,
        #[diesel(sql_type = Uuid)]
        organization_id: uuid::Uuid,
        #[diesel(sql_type = Text)]
        visibility: String,
    }
    let (all, organizations) = viewer.binds();
    let row: Row = diesel::sql_query(
        "SELECT p.id, p.organization_id, p.visibility FROM packages p JOIN organizations o ON o.id = p.organization_id \
         WHERE o.slug = $3 AND p.name = $4 AND p.listed_at IS NOT NULL \
           AND ($1 OR p.visibility IN ('public', 'licensed') OR p.organization_id = ANY($2))",
    )
    .bind::<Bool, _>(all)
    .bind::<Array<Uuid>, _>(organizations)
    .bind::<Text, _>(name.publisher.as_str())
    .bind::<Text, _>(name.name.as_str())
    .get_result(conn)
    .await?;
    let may_pull = match stored("visibility", &row.visibility)? {
        Visibility::Public => true,
        Visibility::Organization | Visibility::Licensed => {
            viewer.is_member_of(OrganizationId::from(row.organization_id))
        }
    };
    Ok(Repository { package: row.id.into(), may_pull })
}

/// The manifest of an active version.
///
/// # Errors
/// [`DbError::NotFound`] when there is no such active version, or it has no image.
pub async fn manifest_of_version(
    conn: &mut Connection,
    repository: &Repository,
    version: &SemVer,
) -> DbResult<StoredManifest> {
    let row: ManifestRow = versions::table
        .inner_join(manifests::table.on(versions::digest.eq(manifests::digest.nullable())))
        .filter(versions::package_id.eq(repository.package.0))
        .filter(versions::version.eq(version.to_string()))
        .filter(versions::state.eq(VersionState::Active.as_str()))
        .select((manifests::digest, manifests::media_type, manifests::bytes))
        .first(conn)
        .await?;
    stored_manifest(row)
}

/// A manifest that belongs to an active version: its index or image, one of its platforms, or a referrer.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn manifest(conn: &mut Connection, repository: &Repository, digest: &Digest) -> DbResult<StoredManifest> {
    let row: ManifestRow = version_manifests::table
        .inner_join(versions::table.on(versions::id.eq(version_manifests::version_id)))
        .inner_join(manifests::table.on(manifests::digest.eq(version_manifests::digest)))
        .filter(version_manifests::digest.eq(digest.to_string()))
        .filter(versions::package_id.eq(repository.package.0))
        .filter(versions::state.eq(VersionState::Active.as_str()))
        .select((manifests::digest, manifests::media_type, manifests::bytes))
        .first(conn)
        .await?;
    stored_manifest(row)
}

type ManifestRow = (String, String, Vec<u8>);

fn stored_manifest((digest, media_type, bytes): ManifestRow) -> DbResult<StoredManifest> {
    Ok(StoredManifest { digest: stored("digest", &digest)?, media_type, bytes })
}

/// The size in bytes of a blob that belongs to an active version.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn blob_size(conn: &mut Connection, repository: &Repository, digest: &Digest) -> DbResult<u64> {
    let size: i64 = version_blobs::table
        .inner_join(versions::table.on(versions::id.eq(version_blobs::version_id)))
        .inner_join(blobs::table.on(blobs::digest.eq(version_blobs::digest)))
        .filter(version_blobs::digest.eq(digest.to_string()))
        .filter(versions::package_id.eq(repository.package.0))
        .filter(versions::state.eq(VersionState::Active.as_str()))
        .select(blobs::size_bytes)
        .first(conn)
        .await?;
    u64::try_from(size).map_err(|e| DbError::corrupt("size")(Box::new(e)))
}

/// The active versions with an image, in no order.
///
/// # Errors
/// When the database does not answer.
pub async fn version_numbers(conn: &mut Connection, repository: &Repository) -> DbResult<Vec<SemVer>> {
    let rows: Vec<String> = versions::table
        .filter(versions::package_id.eq(repository.package.0))
        .filter(versions::state.eq(VersionState::Active.as_str()))
        .filter(versions::digest.is_not_null())
        .select(versions::version)
        .load(conn)
        .await?;
    rows.iter().map(|number| stored("version", number)).collect()
}

/// The manifests that refer to `subject` and belong to an active version, in the order of their digests. Those of an old
/// form, which refer to an image by their tag only, are among them: they name no subject inside.
///
/// # Errors
/// When the database does not answer.
pub async fn referrers(conn: &mut Connection, repository: &Repository, subject: &Digest) -> DbResult<Vec<Referrer>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        digest: String,
        #[diesel(sql_type = Text)]
        media_type: String,
        #[diesel(sql_type = Bytea)]
        bytes: Vec<u8>,
        #[diesel(sql_type = Nullable<Text>)]
        artifact_type: Option<String>,
        #[diesel(sql_type = diesel::sql_types::Jsonb)]
        annotations: Value,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT m.digest, m.media_type, m.bytes, m.artifact_type, m.annotations FROM manifests m \
         WHERE m.digest IN (SELECT digest FROM manifests WHERE subject = $1 \
             UNION SELECT digest FROM version_manifests WHERE subject = $1) \
           AND EXISTS (SELECT 1 FROM version_manifests vm JOIN versions v ON v.id = vm.version_id \
             WHERE vm.digest = m.digest AND v.package_id = $2 AND v.state = 'active' \
               AND (m.subject = $1 OR vm.subject = $1)) \
         ORDER BY m.digest",
    )
    .bind::<Text, _>(subject.to_string())
    .bind::<Uuid, _>(repository.package.0)
    .load(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Referrer {
                manifest: stored_manifest((row.digest, row.media_type, row.bytes))?,
                artifact_type: row.artifact_type,
                annotations: row.annotations,
            })
        })
        .collect()
}
