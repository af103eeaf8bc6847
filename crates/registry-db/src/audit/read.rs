//! Reading the audit log.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::audit::ChainedEntry;
use registry_types::digest::Digest;
use registry_types::ids::OrganizationId;
use serde_json::Value;

use super::Head;
use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::audit_entries;
use crate::{Connection, DbError, DbResult};

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    pub id: i64,
    pub at: DateTime<Utc>,
    /// `None` for what concerns the platform.
    pub organization: Option<OrganizationId>,
    pub actor: String,
    pub credential: Option<String>,
    pub address: Option<String>,
    pub action: String,
    pub subject: String,
    pub details: Value,
    /// Its place in the chain and its hash; `None` in the first moment.
    pub place: Option<Head>,
}

impl AuditEntry {
    /// What is hashed of it at a place of the chain.
    #[must_use]
    pub fn at_place(&self, sequence: i64) -> ChainedEntry<'_> {
        ChainedEntry {
            sequence,
            id: self.id,
            at_micros: self.at.timestamp_micros(),
            organization: self.organization.map(uuid::Uuid::from),
            actor: &self.actor,
            credential: self.credential.as_deref(),
            address: self.address.as_deref(),
            action: &self.action,
            subject: &self.subject,
            details: &self.details,
        }
    }
}

/// Which entries; all that is given must fit.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub organization: Option<OrganizationId>,
    pub actor: Option<String>,
    pub action: Option<String>,
    pub subject: Option<String>,
    /// From this time on.
    pub since: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
}

pub(super) type Row = (
    (i64, DateTime<Utc>, Option<uuid::Uuid>, String, String, String, Value),
    (Option<String>, Option<String>, Option<i64>, Option<String>),
);

type Columns = (
    (
        audit_entries::id,
        audit_entries::at,
        audit_entries::organization_id,
        audit_entries::actor,
        audit_entries::action,
        audit_entries::subject,
        audit_entries::details,
    ),
    (audit_entries::credential, audit_entries::address, audit_entries::sequence, audit_entries::hash),
);

pub(super) const COLUMNS: Columns = (
    (
        audit_entries::id,
        audit_entries::at,
        audit_entries::organization_id,
        audit_entries::actor,
        audit_entries::action,
        audit_entries::subject,
        audit_entries::details,
    ),
    (audit_entries::credential, audit_entries::address, audit_entries::sequence, audit_entries::hash),
);

impl TryFrom<Row> for AuditEntry {
    type Error = DbError;

    fn try_from(row: Row) -> DbResult<Self> {
        let ((id, at, organization, actor, action, subject, details), (credential, address, sequence, hash)) = row;
        let hash: Option<Digest> = hash.map(|hash| stored("audit hash", &hash)).transpose()?;
        Ok(Self {
            id,
            at,
            organization: organization.map(OrganizationId::from),
            actor,
            credential,
            address,
            action,
            subject,
            details,
            place: sequence.zip(hash).map(|(sequence, hash)| Head { sequence, hash }),
        })
    }
}

/// Entries that fit the filter, the newest first, before the one with the id `before`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    filter: &Filter,
    before: Option<i64>,
    size: usize,
) -> DbResult<Page<AuditEntry, i64>> {
    let mut query = audit_entries::table
        .filter(audit_entries::id.lt(before.unwrap_or(i64::MAX)))
        .order(audit_entries::id.desc())
        .limit(one_more(size))
        .select(COLUMNS)
        .into_boxed();
    if let Some(organization) = filter.organization {
        query = query.filter(audit_entries::organization_id.eq(uuid::Uuid::from(organization)));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(audit_entries::actor.eq(actor));
    }
    if let Some(action) = &filter.action {
        query = query.filter(audit_entries::action.eq(action));
    }
    if let Some(subject) = &filter.subject {
        query = query.filter(audit_entries::subject.eq(subject));
    }
    if let Some(since) = filter.since {
        query = query.filter(audit_entries::at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit_entries::at.lt(until));
    }
    let rows: Vec<Row> = query.load(conn).await?;
    let entries = rows.into_iter().map(AuditEntry::try_from).collect::<DbResult<Vec<_>>>()?;
    Ok(Page::from_rows(entries, size, |last| last.id))
}

/// Up to `size` entries of the chain behind the place `after`, in its order; of one organization or of all.
///
/// # Errors
/// When the database does not answer.
pub async fn chained(
    conn: &mut Connection,
    organization: Option<OrganizationId>,
    after: i64,
    size: i64,
) -> DbResult<Vec<AuditEntry>> {
    let mut query = audit_entries::table
        .filter(audit_entries::sequence.gt(after))
        .order(audit_entries::sequence)
        .limit(size)
        .select(COLUMNS)
        .into_boxed();
    if let Some(organization) = organization {
        query = query.filter(audit_entries::organization_id.eq(uuid::Uuid::from(organization)));
    }
    let rows: Vec<Row> = query.load(conn).await?;
    rows.into_iter().map(AuditEntry::try_from).collect()
}
