//! Which jobs may publish which package.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::identity_provider::CiProvider;
use registry_types::ids::{OrganizationId, TrustedPublisherId, UserId};
use registry_types::names::{Email, PackageSlug};
use registry_types::trusted_publisher::Binding;
use registry_types::workload::NumericId;

use crate::clock::store_now;
use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::publish::lock_organization;
use crate::schema::{trusted_publishers as publishers, users};
use crate::{Connection, DbError, DbResult};

#[derive(Debug, Clone)]
pub struct NewTrustedPublisher {
    pub organization: OrganizationId,
    pub package: PackageSlug,
    pub provider: CiProvider,
    pub binding: Binding,
    /// `owner/name`, shown and never compared.
    pub repository: String,
    pub created_by: UserId,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedPublisher {
    pub id: TrustedPublisherId,
    pub package: PackageSlug,
    pub provider: CiProvider,
    pub binding: Binding,
    pub repository: String,
    pub created_by: Email,
    pub created_at: DateTime<Utc>,
    /// When a job of it was last given a token.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Index that refuses the same binding twice for a package.
pub const BINDING_TAKEN: &str = "trusted_publishers_binding_key";

/// The organization has as many as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyPublishers;

type Row = (
    uuid::Uuid,
    String,
    String,
    (String, i64, i64, String, Option<String>, Option<String>),
    String,
    String,
    DateTime<Utc>,
    Option<DateTime<Utc>>,
);

type Columns = (
    publishers::id,
    publishers::package_name,
    publishers::provider,
    (
        publishers::issuer,
        publishers::repository_id,
        publishers::owner_id,
        publishers::workflow,
        publishers::environment,
        publishers::reference,
    ),
    publishers::repository,
    users::email,
    publishers::created_at,
    publishers::last_used_at,
);

const COLUMNS: Columns = (
    publishers::id,
    publishers::package_name,
    publishers::provider,
    (
        publishers::issuer,
        publishers::repository_id,
        publishers::owner_id,
        publishers::workflow,
        publishers::environment,
        publishers::reference,
    ),
    publishers::repository,
    users::email,
    publishers::created_at,
    publishers::last_used_at,
);

fn from_row(
    (id, package, provider, binding, repository, email, created_at, last_used_at): Row,
) -> DbResult<TrustedPublisher> {
    let (issuer, repository_id, owner_id, workflow, environment, reference) = binding;
    Ok(TrustedPublisher {
        id: id.into(),
        package: stored("package name", &package)?,
        provider: stored("provider", &provider)?,
        binding: Binding {
            issuer: stored("issuer", &issuer)?,
            repository_id: numeric_id(repository_id)?,
            owner_id: numeric_id(owner_id)?,
            workflow,
            environment,
            reference,
        },
        repository,
        created_by: stored("e-mail address", &email)?,
        created_at,
        last_used_at,
    })
}

fn numeric_id(stored: i64) -> DbResult<NumericId> {
    stored.try_into().map_err(|e| DbError::corrupt("numeric id")(Box::new(e)))
}

/// Adds a publisher unless the organization has `most` already. Call in a transaction.
///
/// # Errors
/// Constraint [`BINDING_TAKEN`].
pub async fn add(
    conn: &mut Connection,
    new: &NewTrustedPublisher,
    most: u32,
) -> DbResult<Result<TrustedPublisher, TooManyPublishers>> {
    lock_organization(conn, new.organization).await?;
    let live = publishers::table
        .filter(publishers::organization_id.eq(new.organization.0))
        .filter(publishers::removed_at.is_null());
    if live.count().get_result::<i64>(conn).await? >= i64::from(most) {
        return Ok(Err(TooManyPublishers));
    }
    let id = TrustedPublisherId::new();
    let binding = &new.binding;
    diesel::insert_into(publishers::table)
        .values((
            publishers::id.eq(id.0),
            publishers::organization_id.eq(new.organization.0),
            publishers::package_name.eq(new.package.as_str()),
            publishers::provider.eq(new.provider.as_str()),
            publishers::issuer.eq(binding.issuer.as_str()),
            publishers::repository_id.eq(i64::from(binding.repository_id)),
            publishers::owner_id.eq(i64::from(binding.owner_id)),
            publishers::workflow.eq(&binding.workflow),
            publishers::environment.eq(&binding.environment),
            publishers::reference.eq(&binding.reference),
            publishers::repository.eq(&new.repository),
            publishers::created_by.eq(new.created_by.0),
        ))
        .execute(conn)
        .await?;
    get(conn, new.organization, id).await.map(Ok)
}

/// # Errors
/// [`DbError::NotFound`] when the organization has no such publisher, or no longer.
pub async fn get(
    conn: &mut Connection,
    organization: OrganizationId,
    id: TrustedPublisherId,
) -> DbResult<TrustedPublisher> {
    let row: Row = publishers::table
        .inner_join(users::table.on(users::id.eq(publishers::created_by)))
        .filter(publishers::id.eq(id.0))
        .filter(publishers::organization_id.eq(organization.0))
        .filter(publishers::removed_at.is_null())
        .select(COLUMNS)
        .first(conn)
        .await?;
    from_row(row)
}

/// The organization's publishers in the order of creation, after the one `after`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    organization: OrganizationId,
    after: Option<TrustedPublisherId>,
    size: usize,
) -> DbResult<Page<TrustedPublisher, TrustedPublisherId>> {
    let rows: Vec<Row> = publishers::table
        .inner_join(users::table.on(users::id.eq(publishers::created_by)))
        .filter(publishers::organization_id.eq(organization.0))
        .filter(publishers::removed_at.is_null())
        .filter(publishers::id.gt(after.map_or(uuid::Uuid::nil(), uuid::Uuid::from)))
        .order(publishers::id)
        .limit(one_more(size))
        .select(COLUMNS)
        .load(conn)
        .await?;
    let listed = rows.into_iter().map(from_row).collect::<DbResult<Vec<_>>>()?;
    Ok(Page::from_rows(listed, size, |last| last.id))
}

/// The publishers of one package.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn of_package(
    conn: &mut Connection,
    organization: OrganizationId,
    package: &PackageSlug,
) -> DbResult<Vec<TrustedPublisher>> {
    let rows: Vec<Row> = publishers::table
        .inner_join(users::table.on(users::id.eq(publishers::created_by)))
        .filter(publishers::organization_id.eq(organization.0))
        .filter(publishers::package_name.eq(package.as_str()))
        .filter(publishers::removed_at.is_null())
        .order(publishers::id)
        .select(COLUMNS)
        .load(conn)
        .await?;
    rows.into_iter().map(from_row).collect()
}

/// Removes a publisher and returns it; its live tokens end with it. Call in a transaction.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn remove(
    conn: &mut Connection,
    organization: OrganizationId,
    id: TrustedPublisherId,
    by: UserId,
) -> DbResult<TrustedPublisher> {
    let publisher = get(conn, organization, id).await?;
    let live = publishers::table
        .filter(publishers::id.eq(id.0))
        .filter(publishers::organization_id.eq(organization.0))
        .filter(publishers::removed_at.is_null());
    let removed = diesel::update(live)
        .set((publishers::removed_at.eq(store_now().nullable()), publishers::removed_by.eq(Some(by.0))))
        .execute(conn)
        .await?;
    if removed == 0 { Err(DbError::NotFound) } else { Ok(publisher) }
}
