//! Logins: access tokens and rotating refresh tokens, stored as hashes.
//!
//! A refresh writes a new row of the same family and marks the old one as rotated. A rotated refresh token that is
//! presented again was copied by somebody, so the whole family ends.
//!
//! Whatever begins, goes on with or ends a login of a user first locks that user: a family that ends has no row that a
//! refresh at the same time is about to add.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{SessionId, UserId};

use crate::error::stored;
use crate::schema::{memberships, organizations, sessions, users};
use crate::users::{Credential, Identity, MembershipColumns, SecretHash, membership};
use crate::{Connection, DbError, DbResult};

/// The two tokens of one login, as they are stored.
#[derive(Debug, Clone)]
pub struct NewTokens {
    pub access: SecretHash,
    pub refresh: SecretHash,
    pub access_expires_at: DateTime<Utc>,
    pub refresh_expires_at: DateTime<Utc>,
}

/// Begins a family, for somebody whose password was verified against `password_hash`. Call in a transaction.
///
/// # Errors
/// [`DbError::Stale`] when the user has another password by now.
pub async fn start(
    conn: &mut Connection,
    user: UserId,
    password_hash: &str,
    tokens: &NewTokens,
) -> DbResult<SessionId> {
    if lock_user(conn, user.0).await?.as_deref() != Some(password_hash) {
        return Err(DbError::Stale);
    }
    insert(conn, user, uuid::Uuid::new_v4(), tokens).await
}

/// Keeps others waiting that change this user's logins; gives the stored password hash.
async fn lock_user(conn: &mut Connection, user: uuid::Uuid) -> DbResult<Option<String>> {
    let hash = users::table.find(user).select(users::password_hash).for_no_key_update();
    Ok(hash.first(conn).await.optional()?)
}

async fn insert(conn: &mut Connection, user: UserId, family: uuid::Uuid, tokens: &NewTokens) -> DbResult<SessionId> {
    let id = SessionId::new();
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(id.0),
            sessions::user_id.eq(user.0),
            sessions::family.eq(family),
            sessions::access_token_hash.eq(tokens.access.0.to_vec()),
            sessions::refresh_token_hash.eq(tokens.refresh.0.to_vec()),
            sessions::access_expires_at.eq(tokens.access_expires_at),
            sessions::refresh_expires_at.eq(tokens.refresh_expires_at),
        ))
        .execute(conn)
        .await?;
    Ok(id)
}

/// What became of a presented refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// New tokens are stored.
    Rotated { user: UserId },
    /// It was used before: the family is ended. Commit, then refuse.
    Reused { user: UserId },
    /// Unknown, expired or revoked.
    Refused,
}

/// Exchanges a refresh token. Call in a transaction and commit whatever the answer.
///
/// # Errors
/// When the database refuses.
pub async fn rotate(conn: &mut Connection, refresh: SecretHash, tokens: &NewTokens) -> DbResult<Rotation> {
    type Found = (uuid::Uuid, DateTime<Utc>, Option<DateTime<Utc>>, Option<DateTime<Utc>>);
    let Some((user, family)) = family_of(conn, refresh).await? else { return Ok(Rotation::Refused) };
    lock_user(conn, user).await?;
    // Read anew: what held the lock may have changed it.
    let (id, expires_at, rotated_at, revoked_at): Found = sessions::table
        .filter(sessions::refresh_token_hash.eq(refresh.0.to_vec()))
        .select((sessions::id, sessions::refresh_expires_at, sessions::rotated_at, sessions::revoked_at))
        .first(conn)
        .await?;
    if rotated_at.is_some() {
        end_family(conn, family).await?;
        return Ok(Rotation::Reused { user: user.into() });
    }
    if revoked_at.is_some() || expires_at <= Utc::now() {
        return Ok(Rotation::Refused);
    }
    diesel::update(sessions::table.find(id)).set(sessions::rotated_at.eq(diesel::dsl::now)).execute(conn).await?;
    insert(conn, user.into(), family, tokens).await?;
    Ok(Rotation::Rotated { user: user.into() })
}

/// User and family of a refresh token.
async fn family_of(conn: &mut Connection, refresh: SecretHash) -> DbResult<Option<(uuid::Uuid, uuid::Uuid)>> {
    Ok(sessions::table
        .filter(sessions::refresh_token_hash.eq(refresh.0.to_vec()))
        .select((sessions::user_id, sessions::family))
        .first(conn)
        .await
        .optional()?)
}

/// Ends the login that `session` belongs to, with all its tokens. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn end(conn: &mut Connection, session: SessionId) -> DbResult<()> {
    let found: Option<(uuid::Uuid, uuid::Uuid)> =
        sessions::table.find(session.0).select((sessions::user_id, sessions::family)).first(conn).await.optional()?;
    let Some((user, family)) = found else { return Ok(()) };
    lock_user(conn, user).await?;
    end_family(conn, family).await
}

/// Ends the login that a refresh token belongs to, if there is one. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn end_by_refresh_token(conn: &mut Connection, refresh: SecretHash) -> DbResult<()> {
    let Some((user, family)) = family_of(conn, refresh).await? else { return Ok(()) };
    lock_user(conn, user).await?;
    end_family(conn, family).await
}

/// Ends all logins of a user. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn end_all(conn: &mut Connection, user: UserId) -> DbResult<()> {
    lock_user(conn, user.0).await?;
    diesel::update(sessions::table.filter(sessions::user_id.eq(user.0)).filter(sessions::revoked_at.is_null()))
        .set(sessions::revoked_at.eq(diesel::dsl::now))
        .execute(conn)
        .await?;
    Ok(())
}

async fn end_family(conn: &mut Connection, family: uuid::Uuid) -> DbResult<()> {
    diesel::update(sessions::table.filter(sessions::family.eq(family)).filter(sessions::revoked_at.is_null()))
        .set(sessions::revoked_at.eq(diesel::dsl::now))
        .execute(conn)
        .await?;
    Ok(())
}

/// Who holds this access token, with all memberships, in one query.
///
/// # Errors
/// When the database does not answer.
pub async fn identity(conn: &mut Connection, access: SecretHash) -> DbResult<Option<Identity>> {
    type Found = (uuid::Uuid, uuid::Uuid, String, bool, Option<MembershipColumns>);
    let rows: Vec<Found> = sessions::table
        .inner_join(users::table.on(users::id.eq(sessions::user_id)))
        .left_join(
            memberships::table
                .inner_join(organizations::table.on(organizations::id.eq(memberships::organization_id)))
                .on(memberships::user_id.eq(users::id)),
        )
        .filter(sessions::access_token_hash.eq(access.0.to_vec()))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::access_expires_at.gt(diesel::dsl::now))
        .order(organizations::slug)
        .select((
            sessions::id,
            users::id,
            users::email,
            users::is_superuser,
            (
                organizations::id,
                organizations::slug,
                organizations::display_name,
                organizations::trust_tier,
                memberships::role,
                memberships::is_primary,
            )
                .nullable(),
        ))
        .load(conn)
        .await?;
    let Some((session, user, email, is_superuser, _)) = rows.as_slice().first() else { return Ok(None) };
    Ok(Some(Identity {
        user: (*user).into(),
        email: stored("e-mail address", email)?,
        is_superuser: *is_superuser,
        credential: Credential::Session((*session).into()),
        address: None,
        only_package: None,
        memberships: rows.iter().filter_map(|row| row.4.clone()).map(membership).collect::<DbResult<_>>()?,
    }))
}
