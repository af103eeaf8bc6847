//! Modules as their publisher sees them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::ids::{OrganizationId, PackageId, UserId};
use registry_types::names::{Email, PackageName};
use registry_types::package::{PackageFormat, PackageKind, VersionState, Visibility};
use registry_types::rejection_code::RejectionCode;

use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::versions;
use crate::{Connection, DbError, DbResult};

/// A module with its newest version, or the one that was asked for, whatever state that is in.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedModule {
    pub id: PackageId,
    pub organization: OrganizationId,
    pub name: PackageName,
    pub format: PackageFormat,
    pub visibility: Visibility,
    pub title: String,
    pub description: String,
    pub version: String,
    pub state: VersionState,
    pub rejection_code: Option<RejectionCode>,
    pub image_reference: Option<String>,
    pub author: UserId,
    pub author_email: Email,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct ModuleRow {
    #[diesel(sql_type = Uuid)]
    id: uuid::Uuid,
    #[diesel(sql_type = Uuid)]
    organization_id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    publisher: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    format: String,
    #[diesel(sql_type = Text)]
    visibility: String,
    #[diesel(sql_type = Text)]
    title: String,
    #[diesel(sql_type = Text)]
    description: String,
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Nullable<Text>)]
    rejection_code: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    image_reference: Option<String>,
    #[diesel(sql_type = Uuid)]
    published_by: uuid::Uuid,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
}

/// `$1` organizations, `$2` kind, `$3` one package or NULL, `$4` the last seen package or NULL, `$5` limit, `$6` one version
/// instead of the newest or NULL, `$7` a tag or NULL.
const MODULES: &str = "\
    SELECT p.id, p.organization_id, o.slug AS publisher, p.name, p.format, p.visibility, \
           coalesce(v.descriptor->>'title', p.name) AS title, \
           coalesce(v.descriptor->>'description', '') AS description, \
           v.version, v.state, v.rejection_code, v.image_reference, v.published_by, u.email, p.created_at, \
           greatest(v.created_at, v.activated_at, i.finished_at) AS updated_at \
    FROM packages p \
    JOIN organizations o ON o.id = p.organization_id \
    JOIN LATERAL (SELECT * FROM versions WHERE package_id = p.id AND ($6 IS NULL OR version = $6) \
                  ORDER BY created_at DESC, id DESC LIMIT 1) v ON true \
    JOIN users u ON u.id = v.published_by \
    LEFT JOIN LATERAL (SELECT finished_at FROM intakes WHERE version_id = v.id \
                       ORDER BY created_at DESC, id DESC LIMIT 1) i ON true \
    WHERE p.organization_id = ANY($1) AND p.kind = $2 AND p.withdrawn_at IS NULL \
      AND ($3 IS NULL OR p.id = $3) AND ($4 IS NULL OR p.id < $4) \
      AND ($7 IS NULL OR jsonb_exists(v.descriptor->'tags', $7)) \
    ORDER BY p.id DESC LIMIT $5";

/// Which modules, beside whose.
#[derive(Default)]
struct Choice<'a> {
    package: Option<PackageId>,
    after: Option<PackageId>,
    version: Option<&'a str>,
    tag: Option<&'a str>,
}

async fn modules_where(
    conn: &mut Connection,
    organizations: &[OrganizationId],
    choice: Choice<'_>,
    limit: i64,
) -> DbResult<Vec<PublishedModule>> {
    let organizations: Vec<uuid::Uuid> = organizations.iter().map(|id| id.0).collect();
    let rows: Vec<ModuleRow> = diesel::sql_query(MODULES)
        .bind::<Array<Uuid>, _>(organizations)
        .bind::<Text, _>(PackageKind::Module.as_str())
        .bind::<Nullable<Uuid>, _>(choice.package.map(uuid::Uuid::from))
        .bind::<Nullable<Uuid>, _>(choice.after.map(uuid::Uuid::from))
        .bind::<BigInt, _>(limit)
        .bind::<Nullable<Text>, _>(choice.version)
        .bind::<Nullable<Text>, _>(choice.tag)
        .load(conn)
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The modules of `organizations`, the newest first, behind the one `after`; only those with this tag, if one is given.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    organizations: &[OrganizationId],
    tag: Option<&str>,
    after: Option<PackageId>,
    size: usize,
) -> DbResult<Page<PublishedModule, PackageId>> {
    let choice = Choice { after, tag, ..Choice::default() };
    let modules = modules_where(conn, organizations, choice, one_more(size)).await?;
    Ok(Page::from_rows(modules, size, |last| last.id))
}

/// One module of `organizations`, with its newest version or the one that is named.
///
/// # Errors
/// [`DbError::NotFound`] when none of them has it, or it has no such version.
pub async fn get(
    conn: &mut Connection,
    organizations: &[OrganizationId],
    id: PackageId,
    version: Option<&str>,
) -> DbResult<PublishedModule> {
    let choice = Choice { package: Some(id), version, ..Choice::default() };
    modules_where(conn, organizations, choice, 1).await?.pop().ok_or(DbError::NotFound)
}

/// The numbers and states of a package's versions, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn versions(conn: &mut Connection, package: PackageId, limit: i64) -> DbResult<Vec<(String, VersionState)>> {
    let rows: Vec<(String, String)> = versions::table
        .filter(versions::package_id.eq(package.0))
        .order((versions::created_at.desc(), versions::id.desc()))
        .limit(limit)
        .select((versions::version, versions::state))
        .load(conn)
        .await?;
    rows.into_iter().map(|(number, state)| Ok((number, stored("version state", &state)?))).collect()
}

impl TryFrom<ModuleRow> for PublishedModule {
    type Error = DbError;

    fn try_from(row: ModuleRow) -> DbResult<Self> {
        Ok(Self {
            id: row.id.into(),
            organization: row.organization_id.into(),
            name: stored("package name", &format!("{}/{}", row.publisher, row.name))?,
            format: stored("package format", &row.format)?,
            visibility: stored("visibility", &row.visibility)?,
            title: row.title,
            description: row.description,
            version: row.version,
            state: stored("version state", &row.state)?,
            rejection_code: row.rejection_code.map(|code| stored("rejection code", &code)).transpose()?,
            image_reference: row.image_reference,
            author: row.published_by.into(),
            author_email: stored("e-mail address", &row.email)?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
