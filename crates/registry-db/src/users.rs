//! Users, and who a presented credential belongs to.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{ApiKeyId, OrganizationId, PublishTokenId, SessionId, UserId};
use registry_types::names::{Email, OrganizationSlug, PackageSlug};
use registry_types::people::{Role, TrustTier};

use crate::audit::Actor;
use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::users;
use crate::{Connection, DbError, DbResult, sessions};

/// Sha256 of a token or key. The tokens have 256 random bits, so a plain hash is as good as a slow one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash(pub [u8; 32]);

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub is_superuser: bool,
    pub created_at: DateTime<Utc>,
}

/// A user's stored proof: an argon2id hash in PHC form.
#[derive(Clone)]
pub struct PasswordRecord {
    pub user: User,
    pub password_hash: String,
}

#[derive(Clone)]
pub struct NewUser {
    pub email: Email,
    /// PHC string.
    pub password_hash: String,
    pub is_superuser: bool,
}

/// What the caller proved its identity with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    Session(SessionId),
    ApiKey(ApiKeyId),
    /// Of a trusted publisher's job: good for publishing one package, and nothing else.
    PublishToken(PublishTokenId),
}

/// One organization of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub organization: OrganizationId,
    pub slug: OrganizationSlug,
    pub display_name: String,
    pub trust_tier: TrustTier,
    pub role: Role,
    pub is_primary: bool,
}

/// Who calls. An API key is its user within one organization, and never a superuser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub user: UserId,
    pub email: Email,
    pub is_superuser: bool,
    pub credential: Credential,
    /// Where the request came from, as far as the server sees.
    pub address: Option<IpAddr>,
    pub memberships: Vec<Membership>,
    /// The only package that the credential is good for; `None` = all that its holder may.
    pub only_package: Option<PackageSlug>,
}

impl Identity {
    /// Whether the credential is good for this package of an organization that it is good for.
    #[must_use]
    pub fn may_act_on(&self, package: &PackageSlug) -> bool {
        self.only_package.as_ref().is_none_or(|only| only == package)
    }

    /// Who stands in the audit log.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        Actor::Caller { user: self.user, credential: self.credential, address: self.address }
    }
}

/// The columns of a membership beside its organization, all NULL for a user without one.
pub(crate) type MembershipColumns = (uuid::Uuid, String, String, String, String, bool);

pub(crate) fn membership(
    (organization, slug, display_name, trust_tier, role, is_primary): MembershipColumns,
) -> DbResult<Membership> {
    Ok(Membership {
        organization: organization.into(),
        slug: stored("organization slug", &slug)?,
        display_name,
        trust_tier: stored("trust tier", &trust_tier)?,
        role: stored("role", &role)?,
        is_primary,
    })
}

/// Constraint that refuses a second user of the same e-mail address.
pub const EMAIL_TAKEN: &str = "users_email_key";

/// # Errors
/// Constraint [`EMAIL_TAKEN`].
pub async fn create(conn: &mut Connection, new: &NewUser) -> DbResult<User> {
    let row = diesel::insert_into(users::table)
        .values((
            users::id.eq(uuid::Uuid::from(UserId::new())),
            users::email.eq(new.email.as_str()),
            users::password_hash.eq(&new.password_hash),
            users::is_superuser.eq(new.is_superuser),
        ))
        .returning((users::id, users::email, users::is_superuser, users::created_at))
        .get_result(conn)
        .await?;
    from_row(row)
}

/// # Errors
/// When the database does not answer.
pub async fn find(conn: &mut Connection, email: &Email) -> DbResult<Option<PasswordRecord>> {
    let row: Option<(Row, String)> = users::table
        .filter(users::email.eq(email.as_str()))
        .select(((users::id, users::email, users::is_superuser, users::created_at), users::password_hash))
        .first(conn)
        .await
        .optional()?;
    row.map(|(row, password_hash)| Ok(PasswordRecord { user: from_row(row)?, password_hash })).transpose()
}

/// The e-mail addresses of these users.
///
/// # Errors
/// When the database does not answer.
pub async fn emails(conn: &mut Connection, ids: impl IntoIterator<Item = UserId>) -> DbResult<HashMap<UserId, Email>> {
    let ids: BTreeSet<uuid::Uuid> = ids.into_iter().map(|id| id.0).collect();
    let rows: Vec<(uuid::Uuid, String)> =
        users::table.filter(users::id.eq_any(ids)).select((users::id, users::email)).load(conn).await?;
    rows.into_iter().map(|(id, email)| Ok((id.into(), stored("e-mail address", &email)?))).collect()
}

/// # Errors
/// [`DbError::NotFound`].
pub async fn get(conn: &mut Connection, id: UserId) -> DbResult<PasswordRecord> {
    let (row, password_hash): (Row, String) = users::table
        .find(id.0)
        .select(((users::id, users::email, users::is_superuser, users::created_at), users::password_hash))
        .first(conn)
        .await?;
    Ok(PasswordRecord { user: from_row(row)?, password_hash })
}

/// Gives the user another password (a PHC string), in place of `replaced` if that is given, and ends all logins made with
/// the one before. API keys stay. Call in a transaction.
///
/// # Errors
/// [`DbError::NotFound`]; [`DbError::Stale`] when the password is no longer `replaced`.
pub async fn set_password(
    conn: &mut Connection,
    user: UserId,
    replaced: Option<&str>,
    password_hash: &str,
) -> DbResult<()> {
    let current: String =
        users::table.find(user.0).select(users::password_hash).for_no_key_update().first(conn).await?;
    if replaced.is_some_and(|replaced| replaced != current) {
        return Err(DbError::Stale);
    }
    diesel::update(users::table.find(user.0)).set(users::password_hash.eq(password_hash)).execute(conn).await?;
    sessions::end_all(conn, user).await
}

/// The platform's people, by e-mail address behind `after`.
///
/// # Errors
/// When the database does not answer.
pub async fn superusers(conn: &mut Connection, after: Option<&Email>, size: usize) -> DbResult<Page<User, Email>> {
    let rows: Vec<Row> = users::table
        .filter(users::is_superuser)
        .filter(users::email.gt(after.map_or("", Email::as_str)))
        .order(users::email)
        .limit(one_more(size))
        .select((users::id, users::email, users::is_superuser, users::created_at))
        .load(conn)
        .await?;
    let found = rows.into_iter().map(from_row).collect::<DbResult<Vec<_>>>()?;
    Ok(Page::from_rows(found, size, |last| last.email.clone()))
}

/// Makes a user one of the platform's people. Call in a transaction.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn add_superuser(conn: &mut Connection, user: UserId) -> DbResult<()> {
    let raised = diesel::update(users::table.find(user.0)).set(users::is_superuser.eq(true)).execute(conn).await?;
    if raised == 0 { Err(DbError::NotFound) } else { Ok(()) }
}

/// What became of the wish that somebody is none of the platform's people any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    Removed,
    NoSuperuser,
    /// Nobody could make another one.
    LastOne,
}

/// Makes a superuser a user like others. Call in a transaction: of two who remove one another one comes too late.
///
/// # Errors
/// When the database refuses.
pub async fn remove_superuser(conn: &mut Connection, user: UserId) -> DbResult<Removal> {
    let people: Vec<uuid::Uuid> = users::table
        .filter(users::is_superuser)
        .order(users::email)
        .select(users::id)
        .for_no_key_update()
        .load(conn)
        .await?;
    if !people.contains(&user.0) {
        return Ok(Removal::NoSuperuser);
    }
    if people.len() == 1 {
        return Ok(Removal::LastOne);
    }
    diesel::update(users::table.find(user.0)).set(users::is_superuser.eq(false)).execute(conn).await?;
    Ok(Removal::Removed)
}

type Row = (uuid::Uuid, String, bool, DateTime<Utc>);

fn from_row((id, email, is_superuser, created_at): Row) -> DbResult<User> {
    Ok(User { id: id.into(), email: stored("e-mail address", &email)?, is_superuser, created_at })
}
