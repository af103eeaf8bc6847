//! Publish tokens: what one is good for, and which there are.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{OrganizationId, PublishTokenId, TrustedPublisherId};
use registry_types::people::Role;
use serde_json::Value;

use crate::clock::store_now;
use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::{organizations, publish_tokens as tokens, trusted_publishers as publishers, users};
use crate::users::{Credential, Identity, SecretHash, membership};
use crate::{Connection, DbResult};

#[derive(Debug, Clone, PartialEq)]
pub struct PublishToken {
    pub id: PublishTokenId,
    /// What the job said it is.
    pub claims: Value,
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Whose token this is, while it lives and its publisher stands: the administrator who bound the job, as a developer of that
/// one organization, for one package.
///
/// # Errors
/// When the database does not answer.
pub async fn identity(conn: &mut Connection, hash: SecretHash) -> DbResult<Option<Identity>> {
    type Found = (uuid::Uuid, String, (uuid::Uuid, String), (uuid::Uuid, String, String, String));
    let found: Option<Found> = tokens::table
        .inner_join(publishers::table.on(publishers::id.eq(tokens::trusted_publisher_id)))
        .inner_join(users::table.on(users::id.eq(publishers::created_by)))
        .inner_join(organizations::table.on(organizations::id.eq(publishers::organization_id)))
        .filter(tokens::token_hash.eq(hash.0.to_vec()))
        .filter(tokens::revoked_at.is_null())
        .filter(tokens::expires_at.gt(store_now()))
        .filter(publishers::removed_at.is_null())
        .select((
            tokens::id,
            publishers::package_name,
            (users::id, users::email),
            (organizations::id, organizations::slug, organizations::display_name, organizations::trust_tier),
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((token, package, (user, email), (id, slug, display_name, trust_tier))) = found else { return Ok(None) };
    let own = membership((id, slug, display_name, trust_tier, Role::Developer.as_str().to_owned(), true))?;
    Ok(Some(Identity {
        user: user.into(),
        email: stored("e-mail address", &email)?,
        is_superuser: false,
        credential: Credential::PublishToken(token.into()),
        address: None,
        memberships: vec![own],
        only_package: Some(stored("package name", &package)?),
    }))
}

/// The tokens of a publisher, the newest first, before the one `after`.
///
/// # Errors
/// When the database does not answer.
pub async fn list_tokens(
    conn: &mut Connection,
    publisher: TrustedPublisherId,
    after: Option<PublishTokenId>,
    size: usize,
) -> DbResult<Page<PublishToken, PublishTokenId>> {
    type Row = (uuid::Uuid, Value, DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>);
    let rows: Vec<Row> = tokens::table
        .filter(tokens::trusted_publisher_id.eq(publisher.0))
        .filter(tokens::id.lt(after.map_or(uuid::Uuid::max(), uuid::Uuid::from)))
        .order(tokens::id.desc())
        .limit(one_more(size))
        .select((tokens::id, tokens::claims, tokens::issued_at, tokens::expires_at, tokens::revoked_at))
        .load(conn)
        .await?;
    let token = |(id, claims, issued_at, expires_at, revoked_at): Row| PublishToken {
        id: id.into(),
        claims,
        issued_at,
        expires_at,
        revoked_at,
    };
    Ok(Page::from_rows(rows.into_iter().map(token).collect(), size, |last| last.id))
}

/// Revokes a token. Revoking again changes nothing.
///
/// # Errors
/// [`crate::DbError::NotFound`] when the organization's publisher has no such token.
pub async fn revoke_token(
    conn: &mut Connection,
    organization: OrganizationId,
    publisher: TrustedPublisherId,
    token: PublishTokenId,
) -> DbResult<()> {
    let own = publishers::table
        .filter(publishers::organization_id.eq(organization.0))
        .filter(publishers::id.eq(publisher.0))
        .select(publishers::id);
    let found = tokens::table.filter(tokens::id.eq(token.0)).filter(tokens::trusted_publisher_id.eq_any(own));
    let revoked_at: Option<DateTime<Utc>> = found.select(tokens::revoked_at).for_update().first(conn).await?;
    if revoked_at.is_none() {
        diesel::update(tokens::table.find(token.0))
            .set(tokens::revoked_at.eq(store_now().nullable()))
            .execute(conn)
            .await?;
    }
    Ok(())
}
