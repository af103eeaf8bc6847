//! What people decide about a waiver that was asked for.

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::ids::{OrganizationId, UserId, VersionId, WaiverId};
use registry_types::names::PackageSlug;
use registry_types::waiver::WaiverState;

use super::ask::note;
use super::due;
use super::read::{Row, Waiver, versions_using};
use crate::audit::Actor;
use crate::clock::{self, store_now};
use crate::schema::waivers;
use crate::{Connection, DbError, DbResult, durable, rejudgement};

/// Who decides.
#[derive(Debug, Clone)]
pub struct Decided {
    pub by: UserId,
    pub actor: Actor,
    /// For people.
    pub note: Option<String>,
}

/// The waiver is no longer one about which this can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOpen {
    pub state: WaiverState,
}

/// Puts a waiver in force, and asks for a judgement of the versions that have such a finding. Call in a transaction.
///
/// # Errors
/// Constraint [`super::ANOTHER_PERSON`] when it is the one who asked, [`DbError::NotFound`].
pub async fn approve(
    conn: &mut Connection,
    organization: OrganizationId,
    id: WaiverId,
    decided: &Decided,
) -> DbResult<Result<Waiver, NotOpen>> {
    match decide(conn, organization, id, decided, WaiverState::Approved).await? {
        Ok(waiver) => {
            note(conn, &waiver, decided.actor, AuditAction::WaiverApproved).await?;
            let concerned = with_finding(conn, &waiver).await?;
            rejudgement::request(conn, &concerned).await?;
            due::plan(conn).await?;
            Ok(Ok(waiver))
        }
        Err(not_open) => Ok(Err(not_open)),
    }
}

/// Call in a transaction.
///
/// # Errors
/// Constraint [`super::ANOTHER_PERSON`] when it is the one who asked, who withdraws it instead; [`DbError::NotFound`].
pub async fn refuse(
    conn: &mut Connection,
    organization: OrganizationId,
    id: WaiverId,
    decided: &Decided,
) -> DbResult<Result<Waiver, NotOpen>> {
    let refused = decide(conn, organization, id, decided, WaiverState::Refused).await?;
    if let Ok(waiver) = &refused {
        note(conn, waiver, decided.actor, AuditAction::WaiverRefused).await?;
    }
    Ok(refused)
}

/// Only what waits, and whose time is not over, can be decided about.
async fn decide(
    conn: &mut Connection,
    organization: OrganizationId,
    id: WaiverId,
    decided: &Decided,
    state: WaiverState,
) -> DbResult<Result<Waiver, NotOpen>> {
    durable(conn).await?;
    let current = locked(conn, organization, id).await?;
    let is_over = current.expires_at <= clock::now(conn).await?;
    match current.state {
        WaiverState::Asked if is_over => return Ok(Err(NotOpen { state: WaiverState::Expired })),
        WaiverState::Asked => {}
        WaiverState::Approved | WaiverState::Refused | WaiverState::Withdrawn | WaiverState::Expired => {
            return Ok(Err(NotOpen { state: current.state }));
        }
    }
    let row: Row = diesel::update(waivers::table.find(id.0))
        .set((
            waivers::state.eq(state.as_str()),
            waivers::decided_by.eq(decided.by.0),
            waivers::decided_at.eq(store_now().nullable()),
            waivers::decision_note.eq(&decided.note),
        ))
        .returning(Row::as_returning())
        .get_result(conn)
        .await?;
    Ok(Ok(row.try_into()?))
}

/// Takes a waiver back, whether it waits or is in force; versions that rest on it are judged anew. Call in a transaction.
///
/// # Errors
/// [`DbError::NotFound`].
pub async fn withdraw(
    conn: &mut Connection,
    organization: OrganizationId,
    id: WaiverId,
    by: UserId,
    actor: Actor,
) -> DbResult<Result<Waiver, NotOpen>> {
    durable(conn).await?;
    let current = locked(conn, organization, id).await?;
    match current.state {
        WaiverState::Asked | WaiverState::Approved => {}
        WaiverState::Refused | WaiverState::Withdrawn | WaiverState::Expired => {
            return Ok(Err(NotOpen { state: current.state }));
        }
    }
    let row: Row = diesel::update(waivers::table.find(id.0))
        .set((
            waivers::state.eq(WaiverState::Withdrawn.as_str()),
            waivers::withdrawn_by.eq(by.0),
            waivers::withdrawn_at.eq(store_now().nullable()),
        ))
        .returning(Row::as_returning())
        .get_result(conn)
        .await?;
    let waiver: Waiver = row.try_into()?;
    note(conn, &waiver, actor, AuditAction::WaiverWithdrawn).await?;
    let concerned = versions_using(conn, id).await?;
    rejudgement::request(conn, &concerned).await?;
    Ok(Ok(waiver))
}

/// Waits for a verdict that is being written and rests on the waiver: its version is then among those that use it.
async fn locked(conn: &mut Connection, organization: OrganizationId, id: WaiverId) -> DbResult<Waiver> {
    let row: Row = waivers::table
        .filter(waivers::id.eq(id.0))
        .filter(waivers::organization_id.eq(organization.0))
        .select(Row::as_select())
        .for_update()
        .first(conn)
        .await?;
    row.try_into()
}

/// Versions in the waiver's scope that have a finding of its advisory and that a judgement can change. Whether the component
/// lies in its range is judged then.
const WITH_FINDING: &str = "\
    SELECT v.id FROM packages p JOIN versions v ON v.package_id = p.id \
    WHERE p.organization_id = $1 AND ($2 IS NULL OR p.name = $2) AND v.state IN ('active', 'in_review', 'quarantined') \
      AND EXISTS (SELECT FROM findings f WHERE f.version_id = v.id AND (lower(f.advisory) = lower($3) \
        OR EXISTS (SELECT FROM jsonb_array_elements_text(f.finding->'aliases') alias WHERE lower(alias) = lower($3)))) \
    ORDER BY v.id";

async fn with_finding(conn: &mut Connection, waiver: &Waiver) -> DbResult<Vec<VersionId>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Uuid)]
        id: uuid::Uuid,
    }
    let rows: Vec<Found> = diesel::sql_query(WITH_FINDING)
        .bind::<Uuid, _>(waiver.organization.0)
        .bind::<Nullable<Text>, _>(waiver.package.as_ref().map(PackageSlug::as_str))
        .bind::<Text, _>(waiver.advisory.as_str())
        .load(conn)
        .await
        .map_err(DbError::from)?;
    Ok(rows.into_iter().map(|row| row.id.into()).collect())
}
