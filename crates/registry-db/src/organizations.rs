//! Organizations and their members.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{OrganizationId, UserId};
use registry_types::names::{Email, OrganizationSlug};
use registry_types::people::{Role, TrustTier};

use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::{memberships, organizations, users};
use crate::{Connection, DbResult};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    pub id: OrganizationId,
    pub slug: OrganizationSlug,
    pub display_name: String,
    pub trust_tier: TrustTier,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrganization {
    pub slug: OrganizationSlug,
    pub display_name: String,
    pub trust_tier: TrustTier,
}

/// How a request names an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrganizationKey {
    Id(OrganizationId),
    Slug(OrganizationSlug),
}

impl std::str::FromStr for OrganizationKey {
    type Err = registry_types::names::NameError;

    /// A UUID is an id: with its 36 characters it would be a slug as well.
    fn from_str(value: &str) -> Result<Self, Self::Err> {
        match value.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => value.parse().map(Self::Slug),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub user: UserId,
    pub email: Email,
    pub role: Role,
    pub is_primary: bool,
    pub since: DateTime<Utc>,
}

type Row = (uuid::Uuid, String, String, String, DateTime<Utc>);

fn from_row((id, slug, display_name, trust_tier, created_at): Row) -> DbResult<Organization> {
    Ok(Organization {
        id: id.into(),
        slug: stored("organization slug", &slug)?,
        display_name,
        trust_tier: stored("trust tier", &trust_tier)?,
        created_at,
    })
}

type Columns = (
    organizations::id,
    organizations::slug,
    organizations::display_name,
    organizations::trust_tier,
    organizations::created_at,
);
const COLUMNS: Columns = (
    organizations::id,
    organizations::slug,
    organizations::display_name,
    organizations::trust_tier,
    organizations::created_at,
);

/// Constraint that refuses a second organization of the same slug.
pub const SLUG_TAKEN: &str = "organizations_slug_key";

/// # Errors
/// Constraint [`SLUG_TAKEN`].
pub async fn create(conn: &mut Connection, new: &NewOrganization) -> DbResult<Organization> {
    let row = diesel::insert_into(organizations::table)
        .values((
            organizations::id.eq(uuid::Uuid::from(OrganizationId::new())),
            organizations::slug.eq(new.slug.as_str()),
            organizations::display_name.eq(&new.display_name),
            organizations::trust_tier.eq(new.trust_tier.as_str()),
        ))
        .returning(COLUMNS)
        .get_result(conn)
        .await?;
    from_row(row)
}

/// # Errors
/// When the database does not answer.
pub async fn find(conn: &mut Connection, key: &OrganizationKey) -> DbResult<Option<Organization>> {
    let row = match key {
        OrganizationKey::Id(id) => organizations::table.find(id.0).select(COLUMNS).first(conn).await.optional()?,
        OrganizationKey::Slug(slug) => organizations::table
            .filter(organizations::slug.eq(slug.as_str()))
            .select(COLUMNS)
            .first(conn)
            .await
            .optional()?,
    };
    row.map(from_row).transpose()
}

/// All organizations by slug, for the platform's own people; after `after`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    after: Option<&OrganizationSlug>,
    size: usize,
) -> DbResult<Page<Organization, OrganizationSlug>> {
    let rows: Vec<Row> = organizations::table
        .filter(organizations::slug.gt(after.map_or("", OrganizationSlug::as_str)))
        .order(organizations::slug)
        .limit(one_more(size))
        .select(COLUMNS)
        .load(conn)
        .await?;
    let organizations = rows.into_iter().map(from_row).collect::<DbResult<_>>()?;
    Ok(Page::from_rows(organizations, size, |last| last.slug.clone()))
}

/// Makes `user` a member in `role`, or changes the member's role. A user's first organization is the primary one.
///
/// # Errors
/// When the database refuses.
pub async fn set_member(conn: &mut Connection, organization: OrganizationId, user: UserId, role: Role) -> DbResult<()> {
    let has_primary: bool = diesel::select(diesel::dsl::exists(
        memberships::table.filter(memberships::user_id.eq(user.0)).filter(memberships::is_primary),
    ))
    .get_result(conn)
    .await?;
    diesel::insert_into(memberships::table)
        .values((
            memberships::organization_id.eq(organization.0),
            memberships::user_id.eq(user.0),
            memberships::role.eq(role.as_str()),
            memberships::is_primary.eq(!has_primary),
        ))
        .on_conflict((memberships::organization_id, memberships::user_id))
        .do_update()
        .set(memberships::role.eq(role.as_str()))
        .execute(conn)
        .await?;
    Ok(())
}

/// How many administrators an organization has; others that change its members wait until the caller's transaction ends.
///
/// # Errors
/// When the database does not answer.
pub async fn admin_count(conn: &mut Connection, organization: OrganizationId) -> DbResult<usize> {
    let admins: Vec<uuid::Uuid> = memberships::table
        .filter(memberships::organization_id.eq(organization.0))
        .filter(memberships::role.eq(Role::Admin.as_str()))
        .order(memberships::user_id)
        .select(memberships::user_id)
        .for_update()
        .load(conn)
        .await?;
    Ok(admins.len())
}

/// What became of the wish to remove a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    Removed,
    NotAMember,
    /// An organization keeps at least one administrator.
    LastAdmin,
}

/// Removes a member together with the API keys it made for this organization. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn remove_member(conn: &mut Connection, organization: OrganizationId, user: UserId) -> DbResult<Removal> {
    let members: Vec<(uuid::Uuid, String)> = memberships::table
        .filter(memberships::organization_id.eq(organization.0))
        .filter(memberships::role.eq(Role::Admin.as_str()).or(memberships::user_id.eq(user.0)))
        .order(memberships::user_id)
        .select((memberships::user_id, memberships::role))
        .for_update()
        .load(conn)
        .await?;
    let Some((_, role)) = members.iter().find(|(id, _)| *id == user.0) else { return Ok(Removal::NotAMember) };
    let admins = members.iter().filter(|(_, role)| role == Role::Admin.as_str()).count();
    if role == Role::Admin.as_str() && admins == 1 {
        return Ok(Removal::LastAdmin);
    }
    diesel::delete(memberships::table.find((organization.0, user.0))).execute(conn).await?;
    Ok(Removal::Removed)
}

/// The members by e-mail address, after `after`.
///
/// # Errors
/// When the database does not answer.
pub async fn members(
    conn: &mut Connection,
    organization: OrganizationId,
    after: Option<&Email>,
    size: usize,
) -> DbResult<Page<Member, Email>> {
    let rows: Vec<(uuid::Uuid, String, String, bool, DateTime<Utc>)> = memberships::table
        .inner_join(users::table.on(users::id.eq(memberships::user_id)))
        .filter(memberships::organization_id.eq(organization.0))
        .filter(users::email.gt(after.map_or("", Email::as_str)))
        .order(users::email)
        .limit(one_more(size))
        .select((users::id, users::email, memberships::role, memberships::is_primary, memberships::created_at))
        .load(conn)
        .await?;
    let members = rows
        .into_iter()
        .map(|(user, email, role, is_primary, since)| {
            Ok(Member {
                user: user.into(),
                email: stored("e-mail address", &email)?,
                role: stored("role", &role)?,
                is_primary,
                since,
            })
        })
        .collect::<DbResult<_>>()?;
    Ok(Page::from_rows(members, size, |last| last.email.clone()))
}

/// The role of `user` in `organization`.
///
/// # Errors
/// When the database does not answer.
pub async fn role_of(conn: &mut Connection, organization: OrganizationId, user: UserId) -> DbResult<Option<Role>> {
    let role: Option<String> =
        memberships::table.find((organization.0, user.0)).select(memberships::role).first(conn).await.optional()?;
    role.map(|role| stored("role", &role)).transpose()
}

/// Sets how much the platform trusts an organization; returns what it was. What was decided before stays. Call in a
/// transaction.
///
/// # Errors
/// [`crate::DbError::NotFound`].
pub async fn set_trust_tier(conn: &mut Connection, id: OrganizationId, tier: TrustTier) -> DbResult<TrustTier> {
    let was: String =
        organizations::table.find(id.0).select(organizations::trust_tier).for_no_key_update().first(conn).await?;
    diesel::update(organizations::table.find(id.0))
        .set(organizations::trust_tier.eq(tier.as_str()))
        .execute(conn)
        .await?;
    stored("trust tier", &was)
}

/// How many organizations a user belongs to.
///
/// # Errors
/// When the database does not answer.
pub async fn count_of(conn: &mut Connection, user: UserId) -> DbResult<i64> {
    Ok(memberships::table.filter(memberships::user_id.eq(user.0)).count().get_result(conn).await?)
}
