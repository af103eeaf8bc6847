//! Packages and versions as readers see them, and what a publisher changes about them afterwards.
//!
//! Who may see what is decided here, in the query: a function takes the [`Viewer`] and answers [`DbError::NotFound`] for
//! what does not exist and for what this viewer may not see alike.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::digest::Digest;
use registry_types::ids::{OrganizationId, PackageId, VersionId};
use registry_types::names::{OrganizationSlug, PackageName, PackageSlug};
use registry_types::package::{PackageFormat, PackageKind, VersionState, Visibility};
use registry_types::people::TrustTier;
use registry_types::rejection_code::RejectionCode;
use semver::Version as SemVer;
use serde_json::{Value, json};

use crate::audit::{self, Actor};
use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::versions;
use crate::users::Identity;
use crate::{Connection, DbError, DbResult, listing};

/// Who reads. Strangers see public and licensed packages that were active once; members also all of their organizations'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    Anonymous,
    Member { organizations: Vec<OrganizationId> },
    Superuser,
}

impl Viewer {
    /// How a caller reads.
    #[must_use]
    pub fn of(identity: Option<&Identity>) -> Self {
        match identity {
            None => Self::Anonymous,
            Some(identity) if identity.is_superuser => Self::Superuser,
            Some(identity) => {
                Self::Member { organizations: identity.memberships.iter().map(|own| own.organization).collect() }
            }
        }
    }

    /// Whether everything of `organization` is open to this viewer.
    #[must_use]
    pub fn is_member_of(&self, organization: OrganizationId) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Member { organizations } => organizations.contains(&organization),
            Self::Superuser => true,
        }
    }

    /// For the queries' `$1 OR organization_id = ANY($2)`.
    pub(crate) fn binds(&self) -> (bool, Vec<uuid::Uuid>) {
        match self {
            Self::Anonymous => (false, Vec::new()),
            Self::Member { organizations } => (false, organizations.iter().map(|id| id.0).collect()),
            Self::Superuser => (true, Vec::new()),
        }
    }
}

/// The organization that a package belongs to, as readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    pub slug: OrganizationSlug,
    pub display_name: String,
    pub trust_tier: TrustTier,
}

/// One package as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSummary {
    pub id: PackageId,
    pub organization: OrganizationId,
    pub publisher: Publisher,
    pub name: PackageSlug,
    pub kind: PackageKind,
    pub format: PackageFormat,
    pub visibility: Visibility,
    /// Title, description and tags are those of the newest active version; empty when there is none.
    pub title: String,
    pub description: String,
    pub tags: Vec<String>,
    pub latest_version: Option<SemVer>,
    /// When the newest active version became active.
    pub listed_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

impl PackageSummary {
    #[must_use]
    pub fn full_name(&self) -> PackageName {
        PackageName { publisher: self.publisher.slug.clone(), name: self.name.clone() }
    }
}

/// One version as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionSummary {
    pub id: VersionId,
    pub number: SemVer,
    pub state: VersionState,
    /// What the store pinned; `None` before that, and for packages without an image.
    pub digest: Option<Digest>,
    pub media_type: Option<String>,
    /// Of the whole image, all platforms.
    pub size_bytes: Option<u64>,
    /// Why it was rejected, or quarantined.
    pub rejection_code: Option<RejectionCode>,
    /// The publisher's word to those who still use it.
    pub deprecated: Option<String>,
    pub created_at: DateTime<Utc>,
    pub activated_at: Option<DateTime<Utc>>,
}

/// One version with what its publisher said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    pub package: PackageSummary,
    pub summary: VersionSummary,
    /// `package-formats`' description of the package manifest.
    pub descriptor: Value,
    /// The JSON text of the package manifest or template document. `None` for those who may not have the content:
    /// strangers to a licensed package, or to a version that is no longer active.
    pub package_manifest: Option<String>,
    /// What the author wrote, for members only: it may name a private registry.
    pub image_reference: Option<String>,
}

/// The columns of [`PackageRow`], from `packages p JOIN organizations o`.
pub(crate) const PACKAGE_COLUMNS: &str = "p.id, p.organization_id, o.slug, o.display_name, o.trust_tier, p.name, p.kind, \
    p.format, p.visibility, p.title, p.description, p.tags, p.latest_version, p.listed_at, p.created_at";

#[derive(QueryableByName)]
pub(crate) struct PackageRow {
    #[diesel(sql_type = Uuid)]
    id: uuid::Uuid,
    #[diesel(sql_type = Uuid)]
    organization_id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    slug: String,
    #[diesel(sql_type = Text)]
    display_name: String,
    #[diesel(sql_type = Text)]
    trust_tier: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    format: String,
    #[diesel(sql_type = Text)]
    visibility: String,
    #[diesel(sql_type = Text)]
    title: String,
    #[diesel(sql_type = Text)]
    description: String,
    #[diesel(sql_type = Array<Text>)]
    tags: Vec<String>,
    #[diesel(sql_type = Nullable<Text>)]
    latest_version: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    listed_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

impl TryFrom<PackageRow> for PackageSummary {
    type Error = DbError;

    fn try_from(row: PackageRow) -> DbResult<Self> {
        Ok(Self {
            id: row.id.into(),
            organization: row.organization_id.into(),
            publisher: Publisher {
                slug: stored("organization slug", &row.slug)?,
                display_name: row.display_name,
                trust_tier: stored("trust tier", &row.trust_tier)?,
            },
            name: stored("package name", &row.name)?,
            kind: stored("package kind", &row.kind)?,
            format: stored("package format", &row.format)?,
            visibility: stored("visibility", &row.visibility)?,
            title: row.title,
            description: row.description,
            tags: row.tags,
            latest_version: row.latest_version.map(|v| stored("version", &v)).transpose()?,
            listed_at: row.listed_at,
            created_at: row.created_at,
        })
    }
}

#[derive(QueryableByName)]
struct VersionRow {
    #[diesel(sql_type = Uuid)]
    version_id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Nullable<Text>)]
    digest: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    media_type: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    size_bytes: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    rejection_code: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    deprecated: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    version_created_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    activated_at: Option<DateTime<Utc>>,
}

const VERSION_COLUMNS: &str = "v.id AS version_id, v.version, v.state, v.digest, v.media_type, v.size_bytes, \
    v.rejection_code, v.deprecated, v.created_at AS version_created_at, v.activated_at";

impl TryFrom<VersionRow> for VersionSummary {
    type Error = DbError;

    fn try_from(row: VersionRow) -> DbResult<Self> {
        Ok(Self {
            id: row.version_id.into(),
            number: stored("version", &row.version)?,
            state: stored("version state", &row.state)?,
            digest: row.digest.map(|d| stored("digest", &d)).transpose()?,
            media_type: row.media_type,
            size_bytes: row
                .size_bytes
                .map(|size| u64::try_from(size).map_err(|e| DbError::corrupt("size")(Box::new(e))))
                .transpose()?,
            rejection_code: row.rejection_code.map(|c| stored("rejection code", &c)).transpose()?,
            deprecated: row.deprecated,
            created_at: row.version_created_at,
            activated_at: row.activated_at,
        })
    }
}

/// A package that this viewer may see.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn package(conn: &mut Connection, viewer: &Viewer, name: &PackageName) -> DbResult<PackageSummary> {
    let (all, organizations) = viewer.binds();
    let sql = format!(
        "SELECT {PACKAGE_COLUMNS} FROM packages p JOIN organizations o ON o.id = p.organization_id \
         WHERE o.slug = $3 AND p.name = $4 \
           AND ($1 OR p.organization_id = ANY($2) OR (p.visibility IN ('public', 'licensed') \
             AND EXISTS (SELECT 1 FROM versions v WHERE v.package_id = p.id AND v.activated_at IS NOT NULL)))"
    );
    let row: PackageRow = diesel::sql_query(sql)
        .bind::<Bool, _>(all)
        .bind::<Array<Uuid>, _>(organizations)
        .bind::<Text, _>(name.publisher.as_str())
        .bind::<Text, _>(name.name.as_str())
        .get_result(conn)
        .await?;
    row.try_into()
}

/// The publisher, if this viewer may see one of its packages or belongs to it.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn publisher(conn: &mut Connection, viewer: &Viewer, slug: &OrganizationSlug) -> DbResult<Publisher> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        display_name: String,
        #[diesel(sql_type = Text)]
        trust_tier: String,
    }
    let (all, organizations) = viewer.binds();
    let row: Row = diesel::sql_query(
        "SELECT o.display_name, o.trust_tier FROM organizations o WHERE o.slug = $3 \
           AND ($1 OR o.id = ANY($2) OR EXISTS (SELECT 1 FROM packages p \
             WHERE p.organization_id = o.id AND p.listed_at IS NOT NULL AND p.visibility IN ('public', 'licensed')))",
    )
    .bind::<Bool, _>(all)
    .bind::<Array<Uuid>, _>(organizations)
    .bind::<Text, _>(slug.as_str())
    .get_result(conn)
    .await?;
    Ok(Publisher {
        slug: slug.clone(),
        display_name: row.display_name,
        trust_tier: stored("trust tier", &row.trust_tier)?,
    })
}

/// Where a page of versions begins: behind this one.
pub type VersionCursor = (DateTime<Utc>, VersionId);

/// A package's versions, the newest submission first. Strangers see those that were active once: somebody who uses a
/// version that was yanked or quarantined since must be able to learn that.
///
/// # Errors
/// When the database does not answer.
pub async fn versions(
    conn: &mut Connection,
    viewer: &Viewer,
    package: &PackageSummary,
    after: Option<VersionCursor>,
    size: usize,
) -> DbResult<Page<VersionSummary, VersionCursor>> {
    let (after_at, after_id) = after.unzip();
    let sql = format!(
        "SELECT {VERSION_COLUMNS} FROM versions v WHERE v.package_id = $1 AND ($2 OR v.activated_at IS NOT NULL) \
           AND ($3 IS NULL OR (v.created_at, v.id) < ($3, $4)) \
         ORDER BY v.created_at DESC, v.id DESC LIMIT $5"
    );
    let rows: Vec<VersionRow> = diesel::sql_query(sql)
        .bind::<Uuid, _>(package.id.0)
        .bind::<Bool, _>(viewer.is_member_of(package.organization))
        .bind::<Nullable<Timestamptz>, _>(after_at)
        .bind::<Nullable<Uuid>, _>(after_id.map(|id| id.0))
        .bind::<BigInt, _>(one_more(size))
        .load(conn)
        .await?;
    let rows = rows.into_iter().map(TryInto::try_into).collect::<DbResult<Vec<VersionSummary>>>()?;
    Ok(Page::from_rows(rows, size, |version| (version.created_at, version.id)))
}

/// One version of a package, under the same rule as [`versions`].
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn version(conn: &mut Connection, viewer: &Viewer, name: &PackageName, number: &SemVer) -> DbResult<Version> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(embed)]
        version: VersionRow,
        #[diesel(sql_type = Jsonb)]
        descriptor: Value,
        #[diesel(sql_type = Text)]
        package_manifest: String,
        #[diesel(sql_type = Nullable<Text>)]
        image_reference: Option<String>,
    }
    let package = package(conn, viewer, name).await?;
    let is_member = viewer.is_member_of(package.organization);
    let sql = format!(
        "SELECT {VERSION_COLUMNS}, v.descriptor, v.package_manifest::text AS package_manifest, v.image_reference FROM versions v \
         WHERE v.package_id = $1 AND v.version = $2 AND ($3 OR v.activated_at IS NOT NULL)"
    );
    let row: Row = diesel::sql_query(sql)
        .bind::<Uuid, _>(package.id.0)
        .bind::<Text, _>(number.to_string())
        .bind::<Bool, _>(is_member)
        .get_result(conn)
        .await?;
    let summary = VersionSummary::try_from(row.version)?;
    let may_have_content = is_member || (package.visibility == Visibility::Public && summary.state.is_visible());
    Ok(Version {
        package,
        summary,
        descriptor: row.descriptor,
        package_manifest: may_have_content.then_some(row.package_manifest),
        image_reference: row.image_reference.filter(|_| is_member),
    })
}

/// Takes an active version out of the index and out of `/v2`; its number stays used. Call in a transaction.
///
/// # Errors
/// [`DbError::NotFound`] when the package has no such version, [`DbError::Stale`] when it is not active.
pub async fn yank(
    conn: &mut Connection,
    actor: Actor,
    package: &PackageSummary,
    number: &SemVer,
    reason: &str,
) -> DbResult<()> {
    let id = version_id(conn, package, number).await?;
    let changed = diesel::update(versions::table.find(id.0))
        .filter(versions::state.eq(VersionState::Active.as_str()))
        .set(versions::state.eq(VersionState::Yanked.as_str()))
        .execute(conn)
        .await?;
    if changed == 0 {
        return Err(DbError::Stale);
    }
    let details = json!({"package": package.full_name().to_string(), "version": number, "reason": reason});
    audit::append(
        conn,
        audit::Entry {
            organization: Some(package.organization),
            actor,
            action: AuditAction::VersionYanked,
            subject: audit::Subject::Version(id),
            details,
        },
    )
    .await?;
    listing::refresh_listing(conn, package.id).await
}

/// Sets the note to those who use this version, or takes it back. Call in a transaction.
///
/// # Errors
/// [`DbError::NotFound`] when the package has no such version.
pub async fn deprecate(
    conn: &mut Connection,
    actor: Actor,
    package: &PackageSummary,
    number: &SemVer,
    note: Option<&str>,
) -> DbResult<()> {
    let id = version_id(conn, package, number).await?;
    diesel::update(versions::table.find(id.0)).set(versions::deprecated.eq(note)).execute(conn).await?;
    audit::append(
        conn,
        audit::Entry {
            organization: Some(package.organization),
            actor,
            action: AuditAction::VersionDeprecated,
            subject: audit::Subject::Version(id),
            details: json!({"package": package.full_name().to_string(), "version": number, "note": note}),
        },
    )
    .await
}

async fn version_id(conn: &mut Connection, package: &PackageSummary, number: &SemVer) -> DbResult<VersionId> {
    let id: uuid::Uuid = versions::table
        .filter(versions::package_id.eq(package.id.0))
        .filter(versions::version.eq(number.to_string()))
        .select(versions::id)
        .first(conn)
        .await?;
    Ok(id.into())
}
