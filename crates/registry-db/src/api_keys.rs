//! API keys: a member's long-lived credential for one organization, shown once and stored as a hash.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::ids::{ApiKeyId, OrganizationId, UserId};
use registry_types::names::Email;

use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::{api_keys, memberships, organizations, users};
use crate::users::{Credential, Identity, Membership, MembershipColumns, SecretHash, membership};
use crate::{Connection, DbError, DbResult};

#[derive(Debug, Clone)]
pub struct NewApiKey {
    pub user: UserId,
    pub organization: OrganizationId,
    pub label: String,
    pub hash: SecretHash,
    /// The first characters, to recognise the key by.
    pub prefix: String,
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub user: UserId,
    pub email: Email,
    pub label: String,
    pub prefix: String,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// # Errors
/// When the user is not a member, or the database refuses.
pub async fn create(conn: &mut Connection, new: &NewApiKey) -> DbResult<(ApiKeyId, DateTime<Utc>)> {
    let (id, created_at): (uuid::Uuid, DateTime<Utc>) = diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(uuid::Uuid::from(ApiKeyId::new())),
            api_keys::user_id.eq(new.user.0),
            api_keys::organization_id.eq(new.organization.0),
            api_keys::label.eq(&new.label),
            api_keys::key_hash.eq(new.hash.0.to_vec()),
            api_keys::prefix.eq(&new.prefix),
            api_keys::expires_at.eq(new.expires_at),
        ))
        .returning((api_keys::id, api_keys::created_at))
        .get_result(conn)
        .await?;
    Ok((id.into(), created_at))
}

/// The organization's keys, the oldest first, after the one `after`; `owner` limits them to that user's own.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    organization: OrganizationId,
    owner: Option<UserId>,
    after: Option<ApiKeyId>,
    size: usize,
) -> DbResult<Page<ApiKey, ApiKeyId>> {
    type Row =
        (uuid::Uuid, uuid::Uuid, String, String, String, Option<DateTime<Utc>>, Option<DateTime<Utc>>, DateTime<Utc>);
    // Ids are time-ordered, so they are the order of creation.
    let mut keys = api_keys::table
        .inner_join(users::table.on(users::id.eq(api_keys::user_id)))
        .filter(api_keys::organization_id.eq(organization.0))
        .filter(api_keys::id.gt(after.map_or(uuid::Uuid::nil(), uuid::Uuid::from)))
        .order(api_keys::id)
        .limit(one_more(size))
        .select((
            api_keys::id,
            users::id,
            users::email,
            api_keys::label,
            api_keys::prefix,
            api_keys::expires_at,
            api_keys::revoked_at,
            api_keys::created_at,
        ))
        .into_boxed();
    if let Some(owner) = owner {
        keys = keys.filter(api_keys::user_id.eq(owner.0));
    }
    let rows: Vec<Row> = keys.load(conn).await?;
    let keys = rows
        .into_iter()
        .map(|(id, user, email, label, prefix, expires_at, revoked_at, created_at)| {
            Ok(ApiKey {
                id: id.into(),
                user: user.into(),
                email: stored("e-mail address", &email)?,
                label,
                prefix,
                expires_at,
                revoked_at,
                created_at,
            })
        })
        .collect::<DbResult<_>>()?;
    Ok(Page::from_rows(keys, size, |last| last.id))
}

/// Revokes a key of `organization`; `owner` limits it to that user's own keys. Revoking again changes nothing.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn revoke(
    conn: &mut Connection,
    organization: OrganizationId,
    owner: Option<UserId>,
    key: ApiKeyId,
) -> DbResult<()> {
    let revoked = diesel::sql_query(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) \
         WHERE id = $1 AND organization_id = $2 AND ($3 IS NULL OR user_id = $3)",
    )
    .bind::<sql_types::Uuid, _>(key.0)
    .bind::<sql_types::Uuid, _>(organization.0)
    .bind::<sql_types::Nullable<sql_types::Uuid>, _>(owner.map(uuid::Uuid::from))
    .execute(conn)
    .await?;
    if revoked == 0 { Err(DbError::NotFound) } else { Ok(()) }
}

/// Whose key this is: the user, limited to the key's organization and never as superuser.
///
/// # Errors
/// When the database does not answer.
pub async fn identity(conn: &mut Connection, hash: SecretHash) -> DbResult<Option<Identity>> {
    type Found = (uuid::Uuid, uuid::Uuid, String, MembershipColumns);
    let row: Option<Found> =
        api_keys::table
            .inner_join(users::table.on(users::id.eq(api_keys::user_id)))
            .inner_join(
                memberships::table.on(memberships::user_id
                    .eq(api_keys::user_id)
                    .and(memberships::organization_id.eq(api_keys::organization_id))),
            )
            .inner_join(organizations::table.on(organizations::id.eq(api_keys::organization_id)))
            .filter(api_keys::key_hash.eq(hash.0.to_vec()))
            .filter(api_keys::revoked_at.is_null())
            .filter(api_keys::expires_at.is_null().or(
                api_keys::expires_at.gt(diesel::dsl::now.into_sql::<sql_types::Nullable<sql_types::Timestamptz>>()),
            ))
            .select((
                api_keys::id,
                users::id,
                users::email,
                (
                    organizations::id,
                    organizations::slug,
                    organizations::display_name,
                    organizations::trust_tier,
                    memberships::role,
                    memberships::is_primary,
                ),
            ))
            .first(conn)
            .await
            .optional()?;
    let Some((key, user, email, columns)) = row else { return Ok(None) };
    Ok(Some(Identity {
        user: user.into(),
        email: stored("e-mail address", &email)?,
        is_superuser: false,
        credential: Credential::ApiKey(key.into()),
        address: None,
        only_package: None,
        memberships: vec![Membership { is_primary: true, ..membership(columns)? }],
    }))
}
