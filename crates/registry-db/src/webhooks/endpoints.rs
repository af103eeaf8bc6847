//! Webhooks themselves.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::event::EventType;
use registry_types::ids::{OrganizationId, UserId, WebhookId};
use registry_types::webhook::{DisabledReason, WebhookUrl};

use super::Owner;
use super::secrets::{NewSecret, insert_secret};
use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::webhooks;
use crate::{Connection, DbError, DbResult};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: WebhookId,
    pub owner: Owner,
    pub url: WebhookUrl,
    pub description: String,
    /// Empty: all.
    pub event_types: Vec<EventType>,
    pub disabled: Option<(DateTime<Utc>, DisabledReason)>,
    /// Since its last success; `None`: the last attempt was one, or there was none.
    pub failing_since: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub id: WebhookId,
    pub owner: Owner,
    pub url: WebhookUrl,
    pub description: String,
    pub event_types: Vec<EventType>,
    pub secret: NewSecret,
    pub created_by: UserId,
}

/// What to change; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    pub url: Option<WebhookUrl>,
    pub description: Option<String>,
    pub event_types: Option<Vec<EventType>>,
    /// Enabling it forgets what failed before.
    pub is_enabled: Option<bool>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = webhooks)]
struct Row {
    id: uuid::Uuid,
    organization_id: Option<uuid::Uuid>,
    url: String,
    description: String,
    event_types: Vec<String>,
    disabled_at: Option<DateTime<Utc>>,
    disabled_reason: Option<String>,
    failing_since: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Webhook {
    type Error = DbError;

    fn try_from(row: Row) -> DbResult<Self> {
        let reason = row.disabled_reason.map(|word| stored("reason", &word)).transpose()?;
        Ok(Self {
            id: row.id.into(),
            owner: Owner::of(row.organization_id),
            url: stored("webhook URL", &row.url)?,
            description: row.description,
            event_types: row.event_types.iter().map(|word| stored("event type", word)).collect::<DbResult<_>>()?,
            disabled: row.disabled_at.zip(reason),
            failing_since: row.failing_since,
            created_at: row.created_at,
        })
    }
}

fn owned_by(owner: Owner) -> webhooks::BoxedQuery<'static, Pg> {
    let all = webhooks::table.into_boxed();
    match owner {
        Owner::Organization(id) => all.filter(webhooks::organization_id.eq(Some(id.0))),
        Owner::Store => all.filter(webhooks::organization_id.is_null()),
    }
}

fn words(types: &[EventType]) -> Vec<&'static str> {
    types.iter().map(|kind| kind.as_str()).collect()
}

/// Adds a webhook with its first secret. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn create(conn: &mut Connection, new: &NewWebhook) -> DbResult<Webhook> {
    let row: Row = diesel::insert_into(webhooks::table)
        .values((
            webhooks::id.eq(new.id.0),
            webhooks::organization_id.eq(new.owner.organization().map(uuid::Uuid::from)),
            webhooks::url.eq(new.url.as_url().as_str()),
            webhooks::description.eq(&new.description),
            webhooks::event_types.eq(words(&new.event_types)),
            webhooks::created_by.eq(new.created_by.0),
        ))
        .returning(Row::as_returning())
        .get_result(conn)
        .await?;
    insert_secret(conn, new.id, &new.secret).await?;
    row.try_into()
}

/// How many the owner has. Others who ask the same in their transactions wait until the end of this one.
///
/// # Errors
/// When the database does not answer.
pub async fn count(conn: &mut Connection, owner: Owner) -> DbResult<i64> {
    let lock = owner.organization().map_or_else(|| "store".to_owned(), |id| id.to_string());
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('webhooks ' || $1, 0))")
        .bind::<diesel::sql_types::Text, _>(lock)
        .execute(conn)
        .await?;
    Ok(owned_by(owner).count().get_result(conn).await?)
}

/// The oldest first, behind the one `after`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    owner: Owner,
    after: Option<WebhookId>,
    size: usize,
) -> DbResult<Page<Webhook, WebhookId>> {
    let rows: Vec<Row> = owned_by(owner)
        .filter(webhooks::id.gt(after.map_or(uuid::Uuid::nil(), uuid::Uuid::from)))
        .order(webhooks::id)
        .limit(one_more(size))
        .select(Row::as_select())
        .load(conn)
        .await?;
    let found = rows.into_iter().map(Webhook::try_from).collect::<DbResult<Vec<_>>>()?;
    Ok(Page::from_rows(found, size, |last| last.id))
}

/// # Errors
/// [`DbError::NotFound`], also for another owner's.
pub async fn get(conn: &mut Connection, owner: Owner, id: WebhookId) -> DbResult<Webhook> {
    let row: Row = owned_by(owner).filter(webhooks::id.eq(id.0)).select(Row::as_select()).first(conn).await?;
    row.try_into()
}

/// Call in a transaction.
///
/// # Errors
/// [`DbError::NotFound`], also for another owner's.
pub async fn change(conn: &mut Connection, owner: Owner, id: WebhookId, change: &WebhookChange) -> DbResult<Webhook> {
    let now = get(conn, owner, id).await?;
    let url = change.url.as_ref().unwrap_or(&now.url);
    let description = change.description.as_ref().unwrap_or(&now.description);
    let event_types = change.event_types.as_ref().unwrap_or(&now.event_types);
    diesel::update(webhooks::table.find(id.0))
        .set((
            webhooks::url.eq(url.as_url().as_str()),
            webhooks::description.eq(description),
            webhooks::event_types.eq(words(event_types)),
        ))
        .execute(conn)
        .await?;
    match (change.is_enabled, now.disabled) {
        (Some(true), Some(_)) => enable(conn, id).await?,
        (Some(false), None) => {
            disable(conn, id, DisabledReason::Person).await?;
        }
        (Some(true), None) | (Some(false), Some(_)) | (None, _) => {}
    }
    get(conn, owner, id).await
}

async fn enable(conn: &mut Connection, id: WebhookId) -> DbResult<()> {
    diesel::update(webhooks::table.find(id.0))
        .set((
            webhooks::disabled_at.eq(None::<DateTime<Utc>>),
            webhooks::disabled_reason.eq(None::<String>),
            webhooks::failing_since.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// `false` when it was disabled before.
pub(super) async fn disable(conn: &mut Connection, id: WebhookId, reason: DisabledReason) -> DbResult<bool> {
    let now = crate::clock::now(conn).await?;
    let disabled = diesel::update(webhooks::table.find(id.0))
        .filter(webhooks::disabled_at.is_null())
        .set((webhooks::disabled_at.eq(Some(now)), webhooks::disabled_reason.eq(Some(reason.as_str()))))
        .execute(conn)
        .await?;
    Ok(disabled > 0)
}

/// Removes it with its deliveries and their log; what is on its way just now may still arrive.
///
/// # Errors
/// [`DbError::NotFound`], also for another owner's.
pub async fn remove(conn: &mut Connection, owner: Owner, id: WebhookId) -> DbResult<Webhook> {
    let removed = get(conn, owner, id).await?;
    diesel::delete(webhooks::table.find(id.0)).execute(conn).await?;
    Ok(removed)
}

/// The webhooks that get an event of this type of this organization.
pub(crate) async fn interested(
    conn: &mut Connection,
    organization: Option<OrganizationId>,
    kind: EventType,
) -> DbResult<Vec<Webhook>> {
    let mut found = Vec::new();
    for owner in organization.map(Owner::Organization).into_iter().chain([Owner::Store]) {
        let rows: Vec<Row> = owned_by(owner)
            .filter(webhooks::disabled_at.is_null())
            .filter(
                webhooks::event_types.eq(Vec::<String>::new()).or(webhooks::event_types.contains(vec![kind.as_str()])),
            )
            .select(Row::as_select())
            .load(conn)
            .await?;
        for row in rows {
            found.push(row.try_into()?);
        }
    }
    Ok(found)
}
