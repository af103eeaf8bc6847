//! The audit log: who did what to which thing. Append-only, written in the transaction of what it tells of.

use std::fmt;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{ApiKeyId, OrganizationId, UserId};

use crate::schema::audit_entries;
use crate::{Connection, DbResult};

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    User(UserId),
    ApiKey(ApiKeyId),
    Worker,
    /// The store itself: first start, housekeeping.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::ApiKey(id) => write!(f, "api_key:{id}"),
            Self::Worker => f.write_str("worker"),
            Self::System => f.write_str("system"),
        }
    }
}

/// One entry. `details` never holds a secret.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `None` for what concerns the platform.
    pub organization: Option<OrganizationId>,
    pub actor: Actor,
    /// `thing.verb`, e.g. `registry.approved`.
    pub action: &'static str,
    /// `thing:<id>`.
    pub subject: String,
    pub details: serde_json::Value,
}

/// # Errors
/// When the database refuses.
pub async fn append(conn: &mut Connection, entry: Entry) -> DbResult<()> {
    diesel::insert_into(audit_entries::table)
        .values((
            audit_entries::organization_id.eq(entry.organization.map(uuid::Uuid::from)),
            audit_entries::actor.eq(entry.actor.to_string()),
            audit_entries::action.eq(entry.action),
            audit_entries::subject.eq(entry.subject),
            audit_entries::details.eq(entry.details),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
