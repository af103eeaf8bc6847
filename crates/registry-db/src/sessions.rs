//! Logins: access tokens and rotating refresh tokens, stored as hashes.
//!
//! A refresh writes a new row of the same family and marks the old one as rotated. A rotated refresh token that is
//! presented again was copied by somebody, so the whole family ends.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{SessionId, UserId};

use crate::error::stored;
use crate::schema::{memberships, organizations, sessions, users};
use crate::users::{Credential, Identity, MembershipColumns, SecretHash, membership};
use crate::{Connection, DbResult};

/// The two tokens of one login, as they are stored.
#[derive(Debug, Clone)]
pub struct NewTokens {
    pub access: SecretHash,
    pub refresh: SecretHash,
    pub access_expires_at: DateTime<Utc>,
    pub refresh_expires_at: DateTime<Utc>,
}

/// Begins a family.
///
/// # Errors
/// When the database refuses.
pub async fn start(conn: &mut Connection, user: UserId, tokens: &NewTokens) -> DbResult<SessionId> {
    insert(conn, user, uuid::Uuid::new_v4(), tokens).await
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
    Reused,
    /// Unknown, expired or revoked.
    Refused,
}

/// Exchanges a refresh token. Call in a transaction and commit whatever the answer.
///
/// # Errors
/// When the database refuses.
pub async fn rotate(conn: &mut Connection, refresh: SecretHash, tokens: &NewTokens) -> DbResult<Rotation> {
    type Found = (uuid::Uuid, uuid::Uuid, uuid::Uuid, DateTime<Utc>, Option<DateTime<Utc>>, Option<DateTime<Utc>>);
    let found: Option<Found> = sessions::table
        .filter(sessions::refresh_token_hash.eq(refresh.0.to_vec()))
        .select((
            sessions::id,
            sessions::user_id,
            sessions::family,
            sessions::refresh_expires_at,
            sessions::rotated_at,
            sessions::revoked_at,
        ))
        .for_update()
        .first(conn)
        .await
        .optional()?;
    let Some((id, user, family, expires_at, rotated_at, revoked_at)) = found else { return Ok(Rotation::Refused) };
    if rotated_at.is_some() {
        end_family(conn, family).await?;
        return Ok(Rotation::Reused);
    }
    if revoked_at.is_some() || expires_at <= Utc::now() {
        return Ok(Rotation::Refused);
    }
    diesel::update(sessions::table.find(id)).set(sessions::rotated_at.eq(diesel::dsl::now)).execute(conn).await?;
    insert(conn, user.into(), family, tokens).await?;
    Ok(Rotation::Rotated { user: user.into() })
}

/// Ends the login that `session` belongs to, with all its tokens.
///
/// # Errors
/// When the database refuses.
pub async fn end(conn: &mut Connection, session: SessionId) -> DbResult<()> {
    let family: Option<uuid::Uuid> =
        sessions::table.find(session.0).select(sessions::family).first(conn).await.optional()?;
    match family {
        Some(family) => end_family(conn, family).await,
        None => Ok(()),
    }
}

/// Ends the login that a refresh token belongs to; returns whether there was one.
///
/// # Errors
/// When the database refuses.
pub async fn end_by_refresh_token(conn: &mut Connection, refresh: SecretHash) -> DbResult<bool> {
    let family: Option<uuid::Uuid> = sessions::table
        .filter(sessions::refresh_token_hash.eq(refresh.0.to_vec()))
        .select(sessions::family)
        .first(conn)
        .await
        .optional()?;
    match family {
        Some(family) => end_family(conn, family).await.map(|()| true),
        None => Ok(false),
    }
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
        memberships: rows.iter().filter_map(|row| row.4.clone()).map(membership).collect::<DbResult<_>>()?,
    }))
}
