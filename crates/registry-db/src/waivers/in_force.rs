//! What of an organization's waivers counts at a moment, and which verdicts rest on it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{OrganizationId, VersionId, WaiverId};
use registry_types::waiver::WaiverState;

use super::read::{Row, Waiver, parsed};
use crate::clock::{self, store_now};
use crate::schema::{version_waivers, waivers};
use crate::{Connection, DbResult};

/// Waivers as they stood at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub at: DateTime<Utc>,
    pub waivers: Vec<Waiver>,
}

/// A waiver on which a verdict rests, for [`hold`] and [`note_used`].
pub type UsedWaiver = WaiverId;

/// The waivers of an organization that are in force now.
///
/// # Errors
/// When the database does not answer.
pub async fn in_force(conn: &mut Connection, organization: OrganizationId) -> DbResult<Standing> {
    of_organizations(conn, &[organization]).await
}

/// The waivers of these organizations that are in force now.
///
/// # Errors
/// When the database does not answer.
pub async fn of_organizations(conn: &mut Connection, organizations: &[OrganizationId]) -> DbResult<Standing> {
    let organizations: BTreeSet<uuid::Uuid> = organizations.iter().map(|id| id.0).collect();
    // Read before the waivers are: a moment later, one may be over that is still taken for one in force. Whoever writes a
    // verdict asks again.
    let at = clock::now(conn).await?;
    let rows: Vec<Row> = waivers::table
        .filter(waivers::organization_id.eq_any(organizations))
        .filter(waivers::state.eq(WaiverState::Approved.as_str()))
        .filter(waivers::expires_at.gt(store_now()))
        .order(waivers::id)
        .select(Row::as_select())
        .load(conn)
        .await?;
    Ok(Standing { at, waivers: parsed(rows)? })
}

/// Whether all of these are still in force; they then stay so until the caller's transaction ends, but for their time. Call
/// in the transaction that writes the verdict which rests on them.
///
/// # Errors
/// When the database does not answer.
pub async fn hold(conn: &mut Connection, used: &[UsedWaiver]) -> DbResult<bool> {
    if used.is_empty() {
        return Ok(true);
    }
    let ids: BTreeSet<uuid::Uuid> = used.iter().map(|id| id.0).collect();
    let in_force: Vec<uuid::Uuid> = waivers::table
        .filter(waivers::id.eq_any(&ids))
        .filter(waivers::state.eq(WaiverState::Approved.as_str()))
        .filter(waivers::expires_at.gt(store_now()))
        .order(waivers::id)
        .select(waivers::id)
        .for_share()
        .load(conn)
        .await?;
    Ok(in_force.len() == ids.len())
}

/// Notes which waivers the version's newest verdict rests on. Call in a transaction, after [`hold`].
///
/// # Errors
/// When the database does not answer.
pub async fn note_used(conn: &mut Connection, version: VersionId, used: &[UsedWaiver]) -> DbResult<()> {
    diesel::delete(version_waivers::table.filter(version_waivers::version_id.eq(version.0))).execute(conn).await?;
    if used.is_empty() {
        return Ok(());
    }
    let ids: BTreeSet<uuid::Uuid> = used.iter().map(|id| id.0).collect();
    let rows: Vec<_> = ids
        .into_iter()
        .map(|id| (version_waivers::version_id.eq(version.0), version_waivers::waiver_id.eq(id)))
        .collect();
    diesel::insert_into(version_waivers::table).values(rows).execute(conn).await?;
    Ok(())
}
