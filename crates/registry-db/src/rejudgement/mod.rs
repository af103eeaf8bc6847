//! Judging stored versions anew when the advisories or its waivers change, without touching a registry.
//!
//! Each version knows the advisory snapshot that its findings rest on (`version_scans`). A version is *owed* a judgement
//! while that is not the snapshot in use, or while somebody asks for one ([`request`]). Whatever makes a version owed plans the one job in the same transaction, and the
//! job ends only when nothing is owed, so that none is forgotten whichever of an intake and a load of advisories comes
//! first.

mod affected;
mod settle;
mod work;

pub use affected::{changed_components, holding, of_scopes, plans};
pub use settle::{NewReferrer, Rejudgement, mark_judged, settle};
pub(crate) use settle::{StateChange, change_state};
pub(crate) use work::checks_of;
pub use work::{JudgedVersion, load};

use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::ids::VersionId;
use registry_types::job::JobPayload;
use registry_types::package::VersionState;

use crate::error::stored;
use crate::jobs::{self, Enqueue, Lease};
use crate::{Connection, DbError, DbResult, advisories, durable, transaction};

const KEY: &str = "rejudgement";

/// A version whose verdict may no longer be what it would be now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    pub version: VersionId,
    pub state: VersionState,
    /// What they rest on; `None` when that is not known.
    pub base: Option<i64>,
    /// Somebody asks for a judgement, whatever the advisories say.
    pub request: Option<Request>,
}

/// A request for a judgement; one that comes later is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request(uuid::Uuid);

/// Versions with an image and a verdict that are served, wait for a person, or were quarantined by a judgement like this.
const OWED: &str = "\
    FROM versions v LEFT JOIN version_scans s ON s.version_id = v.id \
    LEFT JOIN rejudgement_requests r ON r.version_id = v.id \
    WHERE v.state IN ('active', 'in_review', 'quarantined') AND v.digest IS NOT NULL \
      AND (s.advisory_snapshot IS DISTINCT FROM $1 OR r.token IS NOT NULL) \
      AND EXISTS (SELECT FROM verdicts d WHERE d.version_id = v.id \
                  AND (v.state <> 'quarantined' OR d.advisory_snapshot IS NOT NULL))";

/// The versions that are to be judged by `snapshot`, in the order of their ids.
///
/// # Errors
/// When the database does not answer.
pub async fn owed(conn: &mut Connection, snapshot: i64) -> DbResult<Vec<Owed>> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Uuid)]
        id: uuid::Uuid,
        #[diesel(sql_type = Text)]
        state: String,
        #[diesel(sql_type = Nullable<BigInt>)]
        base: Option<i64>,
        #[diesel(sql_type = Nullable<Uuid>)]
        token: Option<uuid::Uuid>,
    }
    let sql = format!("SELECT v.id, v.state, s.advisory_snapshot AS base, r.token {OWED} ORDER BY v.id");
    let rows: Vec<Row> = diesel::sql_query(sql).bind::<BigInt, _>(snapshot).load(conn).await?;
    let owed = |row: Row| {
        Ok(Owed {
            version: row.id.into(),
            state: stored("version state", &row.state)?,
            base: row.base,
            request: row.token.map(Request),
        })
    };
    rows.into_iter().map(owed).collect()
}

/// How many versions are to be judged by `snapshot`.
///
/// # Errors
/// When the database does not answer.
pub async fn owed_count(conn: &mut Connection, snapshot: i64) -> DbResult<i64> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let sql = format!("SELECT count(*) AS count {OWED}");
    let row: Row = diesel::sql_query(sql).bind::<BigInt, _>(snapshot).get_result(conn).await?;
    Ok(row.count)
}

async fn is_any_owed(conn: &mut Connection, snapshot: i64, only: Option<VersionId>) -> DbResult<bool> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        is_owed: bool,
    }
    let sql = format!("SELECT EXISTS (SELECT {OWED} AND ($2 IS NULL OR v.id = $2)) AS is_owed");
    let asked = diesel::sql_query(sql).bind::<BigInt, _>(snapshot).bind::<Nullable<Uuid>, _>(only.map(|id| id.0));
    let row: Row = asked.get_result(conn).await?;
    Ok(row.is_owed)
}

/// Plans the job if any version is owed a judgement.
///
/// # Errors
/// When the database refuses.
pub async fn plan(conn: &mut Connection) -> DbResult<()> {
    plan_for(conn, None).await
}

async fn plan_for(conn: &mut Connection, only: Option<VersionId>) -> DbResult<()> {
    let Some(snapshot) = advisories::latest_usable(conn).await? else { return Ok(()) };
    if is_any_owed(conn, snapshot.number, only).await? {
        let how = Enqueue { dedup_key: Some(KEY.to_owned()), ..Enqueue::default() };
        jobs::enqueue(conn, &JobPayload::Rejudgement {}, how).await?;
    }
    Ok(())
}

/// Asks for a judgement of these versions, and plans the job. Call in the transaction of what makes it necessary.
///
/// # Errors
/// When the database refuses.
pub async fn request(conn: &mut Connection, versions: &[VersionId]) -> DbResult<()> {
    if versions.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "INSERT INTO rejudgement_requests (version_id, token) \
         SELECT id, gen_random_uuid() FROM UNNEST($1::uuid[]) AS ids (id) ORDER BY id \
         ON CONFLICT ON CONSTRAINT rejudgement_requests_pkey DO UPDATE SET token = excluded.token",
    )
    .bind::<Array<Uuid>, _>(versions.iter().map(|id| id.0).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    plan(conn).await
}

/// The requests are answered, but for those that came since they were read.
pub(crate) async fn answer(conn: &mut Connection, requests: &[Request]) -> DbResult<()> {
    if requests.is_empty() {
        return Ok(());
    }
    diesel::sql_query("DELETE FROM rejudgement_requests WHERE token = ANY ($1)")
        .bind::<Array<Uuid>, _>(requests.iter().map(|request| request.0).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

/// Any constants will do, as long as nothing else of the store uses them.
const LOCK_SHARED: &str = "SELECT pg_advisory_xact_lock_shared(7318349394477057)";
const LOCK: &str = "SELECT pg_advisory_xact_lock(7318349394477057)";

/// To be called at the end of the transaction that makes a snapshot usable. It waits for intakes that are just being
/// decided: they did not see the snapshot, but this sees them.
pub(crate) async fn snapshot_completed(conn: &mut Connection) -> DbResult<()> {
    diesel::sql_query(LOCK).execute(conn).await?;
    plan(conn).await
}

/// Notes what a decided intake's findings rest on. When newer advisories have come since its scan, they are still owed.
pub(crate) async fn note_scan(conn: &mut Connection, version: VersionId, snapshot: Option<i64>) -> DbResult<()> {
    let sql = match snapshot {
        Some(_) => {
            "INSERT INTO version_scans (version_id, advisory_snapshot) VALUES ($1, $2) \
             ON CONFLICT ON CONSTRAINT version_scans_pkey DO UPDATE SET advisory_snapshot = excluded.advisory_snapshot"
        }
        None => "DELETE FROM version_scans WHERE version_id = $1 AND $2 IS NULL",
    };
    diesel::sql_query(sql).bind::<Uuid, _>(version.0).bind::<Nullable<BigInt>, _>(snapshot).execute(conn).await?;
    diesel::sql_query(LOCK_SHARED).execute(conn).await?;
    plan_for(conn, Some(version)).await
}

/// Why the job cannot end.
enum NotDone {
    Database(DbError),
    Owed,
}

impl From<DbError> for NotDone {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

/// Ends the job, unless more than `left` versions are owed or `snapshot` is no longer the one in use: then `false`, and
/// nothing has changed. Call outside a transaction.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn finish(conn: &mut Connection, lease: Lease, snapshot: i64, left: usize) -> DbResult<bool> {
    let ended = transaction(conn, async |conn| {
        durable(conn).await?;
        // First: whoever plans the job meanwhile waits, and then makes a new one.
        jobs::finish(conn, lease).await?;
        let in_use = advisories::latest_usable(conn).await?.map(|in_use| in_use.number);
        let owed = usize::try_from(owed_count(conn, snapshot).await?).unwrap_or(usize::MAX);
        if in_use == Some(snapshot) && owed <= left { Ok(()) } else { Err(NotDone::Owed) }
    });
    match ended.await {
        Ok(()) => Ok(true),
        Err(NotDone::Owed) => Ok(false),
        Err(NotDone::Database(error)) => Err(error),
    }
}
