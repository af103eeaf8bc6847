//! From one state of a namespace to another, and what stands in the way.

use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::ids::{OrganizationId, RegistryNamespaceId};
use registry_types::image_reference::RegistryHost;
use registry_types::namespace_pattern::{NamespacePattern, NamespaceState};

use super::{RegistryNamespace, Row, pattern_of};
use crate::schema::{namespace_proofs as proofs, registry_namespaces as namespaces};
use crate::{Connection, DbError, DbResult};

/// Another organization's verified pattern covers some of the same repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken;

/// Only a claim that waits can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPending;

/// The organization's namespaces on a host, locked until the caller's transaction ends.
///
/// # Errors
/// When the database does not answer.
pub async fn lock_on_host(
    conn: &mut Connection,
    organization: OrganizationId,
    host: &RegistryHost,
) -> DbResult<Vec<RegistryNamespace>> {
    let rows: Vec<Row> = namespaces::table
        .filter(namespaces::organization_id.eq(organization.0))
        .filter(namespaces::host.eq(host.as_str()))
        .order(namespaces::id)
        .for_no_key_update()
        .select(Row::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Locks one namespace; `None` when it is gone.
///
/// # Errors
/// When the database does not answer.
pub async fn lock(conn: &mut Connection, id: RegistryNamespaceId) -> DbResult<Option<RegistryNamespace>> {
    let row = namespaces::table.find(id.0).for_no_key_update().select(Row::as_select()).first(conn).await;
    row.optional()?.map(Row::try_into).transpose()
}

/// Patterns of the organization on the same host that a person has suspended.
async fn suspended_by_people(conn: &mut Connection, namespace: &RegistryNamespace) -> DbResult<Vec<NamespacePattern>> {
    let lost = proofs::table.filter(proofs::namespace_id.eq(namespaces::id)).filter(proofs::is_lost);
    let rows: Vec<(String, String, bool)> = namespaces::table
        .filter(namespaces::organization_id.eq(namespace.organization.0))
        .filter(namespaces::host.eq(namespace.pattern.host().as_str()))
        .filter(namespaces::state.eq(NamespaceState::Suspended.as_str()))
        .filter(namespaces::refusal.is_null())
        .filter(diesel::dsl::not(diesel::dsl::exists(lost)))
        .select((namespaces::host, namespaces::path, namespaces::is_wildcard))
        .load(conn)
        .await?;
    rows.into_iter().map(|(host, path, is_wildcard)| pattern_of(&host, &path, is_wildcard)).collect()
}

/// # Errors
/// When the database does not answer.
pub async fn is_suspended_by_person(conn: &mut Connection, namespace: &RegistryNamespace) -> DbResult<bool> {
    Ok(suspended_by_people(conn, namespace).await?.contains(&namespace.pattern))
}

/// Whether a person has suspended a namespace of the organization that shares repositories with this one.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn is_stopped_by_person(conn: &mut Connection, namespace: &RegistryNamespace) -> DbResult<bool> {
    Ok(suspended_by_people(conn, namespace).await?.iter().any(|pattern| pattern.overlaps(&namespace.pattern)))
}

/// Whether another organization's verified pattern overlaps. Two organizations that verify at the same time wait for each
/// other: the lock on the host lasts until the caller's transaction ends.
pub(super) async fn is_taken(
    conn: &mut Connection,
    organization: OrganizationId,
    pattern: &NamespacePattern,
) -> DbResult<bool> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 2))")
        .bind::<sql_types::Text, _>(pattern.host().as_str())
        .execute(conn)
        .await?;
    let others: Vec<(String, String, bool)> = namespaces::table
        .filter(namespaces::host.eq(pattern.host().as_str()))
        .filter(namespaces::organization_id.ne(organization.0))
        .filter(namespaces::state.eq(NamespaceState::Verified.as_str()))
        .select((namespaces::host, namespaces::path, namespaces::is_wildcard))
        .load(conn)
        .await?;
    for (host, path, is_wildcard) in others {
        if pattern_of(&host, &path, is_wildcard)?.overlaps(pattern) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses a claim that waits. Call in a transaction.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn refuse(
    conn: &mut Connection,
    organization: OrganizationId,
    id: RegistryNamespaceId,
    reason: &str,
) -> DbResult<Result<RegistryNamespace, NotPending>> {
    let current = lock(conn, id).await?.filter(|found| found.organization == organization).ok_or(DbError::NotFound)?;
    if current.state != NamespaceState::Pending {
        return Ok(Err(NotPending));
    }
    let row: Row = diesel::update(namespaces::table.find(id.0))
        .set((
            namespaces::state.eq(NamespaceState::Suspended.as_str()),
            namespaces::refusal.eq(Some(reason)),
            namespaces::updated_at.eq(diesel::dsl::now),
        ))
        .returning(Row::as_returning())
        .get_result(conn)
        .await?;
    row.try_into().map(Ok)
}

/// Puts a namespace into another state than refused ([`refuse`]). Call in a transaction.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn set_state(
    conn: &mut Connection,
    organization: OrganizationId,
    id: RegistryNamespaceId,
    state: NamespaceState,
) -> DbResult<Result<RegistryNamespace, Taken>> {
    // The row before the host, in every transaction that takes both.
    let current = lock(conn, id).await?.filter(|found| found.organization == organization).ok_or(DbError::NotFound)?;
    if state == NamespaceState::Verified && is_taken(conn, organization, &current.pattern).await? {
        return Ok(Err(Taken));
    }
    let row: Row = diesel::update(namespaces::table.find(id.0))
        .set((
            namespaces::state.eq(state.as_str()),
            namespaces::refusal.eq(None::<String>),
            namespaces::updated_at.eq(diesel::dsl::now),
        ))
        .returning(Row::as_returning())
        .get_result(conn)
        .await?;
    row.try_into().map(Ok)
}
