//! What time does to waivers: a warning, then the end.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::job::JobPayload;
use registry_types::waiver::{WAIVER_WARNING_DAYS, WaiverState};

use super::ask::note;
use super::read::{Row, Waiver, parsed, versions_using};
use crate::audit::Actor;
use crate::clock::store_now;
use crate::jobs::{self, Enqueue, Lease};
use crate::schema::waivers;
use crate::{Connection, DbResult, durable, rejudgement};

const KEY: &str = "waivers";
/// Not days, which are shorter and longer ones where clocks are changed.
const WARNING_HOURS: i32 = WAIVER_WARNING_DAYS * 24;

/// What came due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    pub expired: Vec<Waiver>,
    pub warned: Vec<Waiver>,
}

/// Ends the waivers whose time is over, asks for a judgement of the versions that rest on them, warns of those that end
/// soon, ends the job and plans the next. Call in a transaction.
///
/// # Errors
/// [`crate::DbError::Stale`] when the lease is lost.
pub async fn settle_due(conn: &mut Connection, lease: Lease) -> DbResult<Due> {
    durable(conn).await?;
    // First: whoever plans the job meanwhile waits, and then makes a new one.
    jobs::finish(conn, lease).await?;
    let expired = expire(conn).await?;
    for waiver in &expired {
        note(conn, waiver, Actor::Worker, AuditAction::WaiverExpired).await?;
        let concerned = versions_using(conn, waiver.id).await?;
        rejudgement::request(conn, &concerned).await?;
    }
    let warned = warn(conn).await?;
    for waiver in &warned {
        note(conn, waiver, Actor::Worker, AuditAction::WaiverExpiring).await?;
    }
    plan(conn).await?;
    Ok(Due { expired, warned })
}

async fn expire(conn: &mut Connection) -> DbResult<Vec<Waiver>> {
    let open = [WaiverState::Asked.as_str(), WaiverState::Approved.as_str()];
    let over = waivers::table.filter(waivers::state.eq_any(open)).filter(waivers::expires_at.le(store_now()));
    let rows: Vec<Row> = diesel::update(over)
        .set(waivers::state.eq(WaiverState::Expired.as_str()))
        .returning(Row::as_returning())
        .get_results(conn)
        .await?;
    parsed(rows)
}

async fn warn(conn: &mut Connection) -> DbResult<Vec<Waiver>> {
    let soon = diesel::dsl::sql::<Bool>("expires_at <= store_now() + make_interval(hours => ")
        .bind::<Integer, _>(WARNING_HOURS)
        .sql(")");
    let ending = waivers::table
        .filter(waivers::state.eq(WaiverState::Approved.as_str()))
        .filter(waivers::warned_at.is_null())
        .filter(soon);
    let rows: Vec<Row> = diesel::update(ending)
        .set(waivers::warned_at.eq(store_now().nullable()))
        .returning(Row::as_returning())
        .get_results(conn)
        .await?;
    parsed(rows)
}

/// The queue goes by the database's own time: what is due in the store's time is as far away in both. No row when nothing
/// is: of an aggregate's NULL `greatest` would make "at once".
const NEXT: &str = "\
    SELECT now() + greatest(interval '0', due - store_now()) AS run_after FROM ( \
        SELECT expires_at AS due FROM waivers WHERE state IN ('asked', 'approved') \
        UNION ALL \
        SELECT expires_at - make_interval(hours => $1) FROM waivers WHERE state = 'approved' AND warned_at IS NULL \
    ) dues ORDER BY due LIMIT 1";

/// Bringing forward leaves a job alone that is being carried out: its end plans anew.
const BRING_FORWARD: &str = "\
    UPDATE jobs SET run_after = $2 WHERE dedup_key = $1 AND run_after > $2 AND (locked_until IS NULL OR locked_until < now())";

/// Plans the job for the next moment at which something is due; sooner than it was planned, if need be.
///
/// # Errors
/// When the database refuses.
pub async fn plan(conn: &mut Connection) -> DbResult<()> {
    #[derive(QueryableByName)]
    struct Next {
        #[diesel(sql_type = Timestamptz)]
        run_after: DateTime<Utc>,
    }
    let next: Option<Next> =
        diesel::sql_query(NEXT).bind::<Integer, _>(WARNING_HOURS).get_result(conn).await.optional()?;
    let Some(Next { run_after }) = next else { return Ok(()) };
    let how = Enqueue { run_after: Some(run_after), dedup_key: Some(KEY.to_owned()), ..Enqueue::default() };
    jobs::enqueue(conn, &JobPayload::Waivers {}, how).await?;
    diesel::sql_query(BRING_FORWARD).bind::<Text, _>(KEY).bind::<Timestamptz, _>(run_after).execute(conn).await?;
    Ok(())
}
