//! The audit log: who did what to which thing. Append-only, written in the transaction of what it tells of, and a moment
//! later chained ([`seal`]), so that an altered or removed entry shows.

mod chain;
mod read;
mod subject;

use std::fmt;
use std::net::IpAddr;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::event::Event;
use registry_types::ids::{OrganizationId, TrustedPublisherId, UserId};
use serde_json::{Value, json};

pub use chain::{Checkpoint, Head, add_checkpoint, checkpoints, seal};
pub use read::{AuditEntry, Filter, chained, list};
pub use subject::Subject;

use crate::schema::audit_entries;
use crate::users::Credential;
use crate::{Connection, DbError, DbResult, events};

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Somebody who calls the API.
    Caller {
        user: UserId,
        credential: Credential,
        address: Option<IpAddr>,
    },
    /// A user who has no credential yet.
    User(UserId),
    /// A job of continuous integration that asks for a publish token; without a publisher when none is bound to it.
    Job {
        publisher: Option<TrustedPublisherId>,
        address: Option<IpAddr>,
    },
    Worker,
    /// The store itself: first start, housekeeping.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller { credential: Credential::ApiKey(id), .. } => write!(f, "api_key:{id}"),
            Self::Caller { credential: Credential::PublishToken(id), .. } => write!(f, "publish_token:{id}"),
            Self::Job { publisher: Some(id), .. } => write!(f, "trusted_publisher:{id}"),
            Self::Job { publisher: None, .. } => f.write_str("anonymous"),
            Self::Caller { user, credential: Credential::Session(_), .. } | Self::User(user) => {
                write!(f, "user:{user}")
            }
            Self::Worker => f.write_str("worker"),
            Self::System => f.write_str("system"),
        }
    }
}

impl Actor {
    fn credential(self) -> Option<String> {
        match self {
            Self::Caller { credential: Credential::Session(id), .. } => Some(format!("session:{id}")),
            Self::Caller { credential: Credential::ApiKey(id), .. } => Some(format!("api_key:{id}")),
            Self::Caller { credential: Credential::PublishToken(id), .. } => Some(format!("publish_token:{id}")),
            Self::User(_) | Self::Job { .. } | Self::Worker | Self::System => None,
        }
    }

    fn address(self) -> Option<String> {
        match self {
            Self::Caller { address, .. } | Self::Job { address, .. } => address.map(|address| address.to_string()),
            Self::User(_) | Self::Worker | Self::System => None,
        }
    }
}

/// One entry. `details` is an object and never holds a secret.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `None` for what concerns the platform.
    pub organization: Option<OrganizationId>,
    pub actor: Actor,
    pub action: AuditAction,
    pub subject: Subject,
    pub details: Value,
}

/// Writes the entry, with digests of how its subject stood and stands, and, if others are told of it, its event. Call in the
/// transaction of what it tells of, after the change.
///
/// # Errors
/// When the database refuses.
pub async fn append(conn: &mut Connection, mut entry: Entry) -> DbResult<()> {
    let subject = entry.subject.to_string();
    if let Some(event) = Event::of(entry.action, &entry.details) {
        events::record(conn, entry.organization, &subject, &event).await?;
    }
    if let Some(states) = entry.subject.states(conn).await? {
        let details = entry.details.as_object_mut().ok_or(DbError::Corrupt { what: "audit details", source: None })?;
        details.insert("state".to_owned(), json!(states));
    }
    diesel::insert_into(audit_entries::table)
        .values((
            audit_entries::organization_id.eq(entry.organization.map(uuid::Uuid::from)),
            audit_entries::actor.eq(entry.actor.to_string()),
            audit_entries::credential.eq(entry.actor.credential()),
            audit_entries::address.eq(entry.actor.address()),
            audit_entries::action.eq(entry.action.as_str()),
            audit_entries::subject.eq(subject),
            audit_entries::details.eq(entry.details),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
