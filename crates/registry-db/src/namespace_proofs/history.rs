//! Who held which namespace, since when and by what. It stays when the namespace goes.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{OrganizationId, RegistryNamespaceId};
use registry_types::namespace_pattern::{NamespaceState, OwnershipBasis};

use crate::audit::Actor;
use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::registries::RegistryNamespace;
use crate::schema::namespace_history as history;
use crate::{Connection, DbResult};

/// One line of a namespace's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub id: i64,
    pub pattern: String,
    pub at: DateTime<Utc>,
    pub state: NamespaceState,
    pub how: OwnershipBasis,
    pub actor: String,
    /// What proved it.
    pub evidence: Option<String>,
    /// Why a person refused it, or what was found instead of the proof.
    pub reason: Option<String>,
}

/// What a new line says.
pub(super) struct NewHolding<'a> {
    pub(super) state: NamespaceState,
    pub(super) how: OwnershipBasis,
    pub(super) actor: Actor,
    pub(super) evidence: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
}

pub(super) async fn record(conn: &mut Connection, namespace: &RegistryNamespace, new: &NewHolding<'_>) -> DbResult<()> {
    diesel::insert_into(history::table)
        .values((
            history::namespace_id.eq(namespace.id.0),
            history::organization_id.eq(namespace.organization.0),
            history::pattern.eq(namespace.pattern.to_string()),
            history::state.eq(new.state.as_str()),
            history::how.eq(new.how.as_str()),
            history::actor.eq(new.actor.to_string()),
            history::evidence.eq(new.evidence),
            history::reason.eq(new.reason),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// What the namespace's state rests on now.
pub(super) async fn basis(conn: &mut Connection, namespace: &RegistryNamespace) -> DbResult<Option<OwnershipBasis>> {
    let how: Option<String> = history::table
        .filter(history::organization_id.eq(namespace.organization.0))
        .filter(history::namespace_id.eq(namespace.id.0))
        .order(history::id.desc())
        .select(history::how)
        .first(conn)
        .await
        .optional()?;
    how.map(|how| stored("ownership basis", &how)).transpose()
}

/// The history of a namespace, the newest first, before the one `after`; also of one that is gone.
///
/// # Errors
/// When the database does not answer.
pub async fn holdings(
    conn: &mut Connection,
    organization: OrganizationId,
    id: RegistryNamespaceId,
    after: Option<i64>,
    size: usize,
) -> DbResult<Page<Holding, i64>> {
    type Row = (i64, String, DateTime<Utc>, String, String, String, Option<String>, Option<String>);
    let rows: Vec<Row> = history::table
        .filter(history::organization_id.eq(organization.0))
        .filter(history::namespace_id.eq(id.0))
        .filter(history::id.lt(after.unwrap_or(i64::MAX)))
        .order(history::id.desc())
        .limit(one_more(size))
        .select((
            history::id,
            history::pattern,
            history::at,
            history::state,
            history::how,
            history::actor,
            history::evidence,
            history::reason,
        ))
        .load(conn)
        .await?;
    let holding = |(id, pattern, at, state, how, actor, evidence, reason): Row| {
        let (state, how) = (stored("namespace state", &state)?, stored("ownership basis", &how)?);
        Ok(Holding { id, pattern, at, state, how, actor, evidence, reason })
    };
    let holdings = rows.into_iter().map(holding).collect::<DbResult<Vec<_>>>()?;
    Ok(Page::from_rows(holdings, size, |last| last.id))
}
