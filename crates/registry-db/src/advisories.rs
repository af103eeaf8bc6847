//! Advisory data: numbered snapshots, loaded whole and never changed once complete.
//!
//! Readers name the snapshot they judge by, so that one verdict rests on one state of knowledge.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::advisory::AdvisoryOrigin;
use registry_types::component::EcosystemRelease;
use registry_types::digest::Digest;

use crate::error::stored;
use crate::schema::advisory_snapshots;
use crate::{Connection, DbError, DbResult, rejudgement, transaction};

/// A complete snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    pub number: i64,
    pub origin: AdvisoryOrigin,
    /// Where it was loaded from; for people.
    pub source: String,
    /// Over everything that was read.
    pub digest: Digest,
    /// How many OSV records it holds.
    pub records: i64,
    /// What it can speak about, in order; components of others are "not looked at".
    pub ecosystems: Vec<EcosystemRelease>,
    /// The newest change of any of its records.
    pub data_as_of: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// What one OSV record says about one package.
#[derive(Debug, Clone, PartialEq)]
pub struct AdvisoryRow {
    /// With an empty release for a distribution: every release.
    pub scope: EcosystemRelease,
    /// As image-scan's `matched_name` gives it.
    pub package: String,
    pub advisory_id: String,
    /// Position inside the record.
    pub ordinal: i32,
    /// image-scan's `AffectedPackage`.
    pub record: serde_json::Value,
}

/// What advisories are looked up by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageKey {
    pub scope: EcosystemRelease,
    /// As image-scan's `matched_name` gives it.
    pub package: String,
}

/// Begins a snapshot, which nobody uses before [`complete_snapshot`]; returns its number.
///
/// # Errors
/// When the database refuses.
pub async fn begin_snapshot(conn: &mut Connection, origin: AdvisoryOrigin, source: &str) -> DbResult<i64> {
    let number = diesel::insert_into(advisory_snapshots::table)
        .values((
            advisory_snapshots::origin.eq(origin.as_str()),
            advisory_snapshots::source.eq(source),
            advisory_snapshots::digest.eq(""),
            advisory_snapshots::records.eq(0),
            advisory_snapshots::ecosystems.eq(Vec::<String>::new()),
        ))
        .returning(advisory_snapshots::number)
        .get_result(conn)
        .await?;
    Ok(number)
}

/// A record that affects several ecosystems comes with the data of each of them; it is kept once.
const INSERT: &str = "\
    INSERT INTO advisories (snapshot, ecosystem, ecosystem_release, package, advisory_id, ordinal, record) \
    SELECT $1, rows.* FROM UNNEST($2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::jsonb[]) AS rows \
    ON CONFLICT ON CONSTRAINT advisories_pkey DO NOTHING";

/// Adds rows to a snapshot under way, in one statement. A few thousand rows are a good size.
///
/// # Errors
/// `advisories_snapshot_fkey` when the snapshot is gone.
pub async fn insert_batch(conn: &mut Connection, snapshot: i64, rows: &[AdvisoryRow]) -> DbResult<()> {
    let column = |of: fn(&AdvisoryRow) -> &str| rows.iter().map(of).collect::<Vec<_>>();
    diesel::sql_query(INSERT)
        .bind::<sql_types::BigInt, _>(snapshot)
        .bind::<sql_types::Array<sql_types::Text>, _>(column(|row| row.scope.ecosystem.as_str()))
        .bind::<sql_types::Array<sql_types::Text>, _>(column(|row| &row.scope.release))
        .bind::<sql_types::Array<sql_types::Text>, _>(column(|row| &row.package))
        .bind::<sql_types::Array<sql_types::Text>, _>(column(|row| &row.advisory_id))
        .bind::<sql_types::Array<sql_types::Integer>, _>(rows.iter().map(|row| row.ordinal).collect::<Vec<_>>())
        .bind::<sql_types::Array<sql_types::Jsonb>, _>(rows.iter().map(|row| &row.record).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

/// Records and ecosystems are counted from what was stored, not from what was meant to be.
const COMPLETE: &str = "\
    UPDATE advisory_snapshots SET is_complete = true, digest = $2, data_as_of = $3, \
        records = (SELECT count(DISTINCT advisory_id) FROM advisories WHERE snapshot = $1), \
        ecosystems = ARRAY(SELECT DISTINCT concat_ws(':', ecosystem, nullif(ecosystem_release, '')) AS scope \
                           FROM advisories WHERE snapshot = $1 ORDER BY scope) \
    WHERE number = $1 AND NOT is_complete";

/// Makes a snapshot usable, and plans to judge by it what was judged by an earlier one. Nothing may be added afterwards.
///
/// # Errors
/// [`DbError::Stale`] when it is gone or was completed before.
pub async fn complete_snapshot(
    conn: &mut Connection,
    number: i64,
    digest: &Digest,
    data_as_of: Option<DateTime<Utc>>,
) -> DbResult<SnapshotInfo> {
    transaction(conn, async |conn| {
        let snapshot = complete(conn, number, digest, data_as_of).await?;
        rejudgement::snapshot_completed(conn).await?;
        Ok(snapshot)
    })
    .await
}

async fn complete(
    conn: &mut Connection,
    number: i64,
    digest: &Digest,
    data_as_of: Option<DateTime<Utc>>,
) -> DbResult<SnapshotInfo> {
    let changed = diesel::sql_query(COMPLETE)
        .bind::<sql_types::BigInt, _>(number)
        .bind::<sql_types::Text, _>(digest.to_string())
        .bind::<sql_types::Nullable<sql_types::Timestamptz>, _>(data_as_of)
        .execute(conn)
        .await?;
    if changed == 0 {
        return Err(DbError::Stale);
    }
    // A load changes most of the table at once; lookups should not wait for the next autovacuum to be planned well.
    diesel::sql_query("ANALYZE advisories").execute(conn).await?;
    let row: SnapshotRow = advisory_snapshots::table.find(number).select(SnapshotRow::as_select()).first(conn).await?;
    row.try_into()
}

/// Removes a snapshot whose load failed. One that is complete stays.
///
/// # Errors
/// When the database refuses.
pub async fn abandon_snapshot(conn: &mut Connection, number: i64) -> DbResult<()> {
    let unfinished = advisory_snapshots::table
        .filter(advisory_snapshots::number.eq(number))
        .filter(advisory_snapshots::is_complete.eq(false));
    diesel::delete(unfinished).execute(conn).await?;
    Ok(())
}

/// The snapshot to judge by: the newest synced one, or else the newest starter set; `None` before the first load.
///
/// # Errors
/// When the database does not answer.
pub async fn latest_usable(conn: &mut Connection) -> DbResult<Option<SnapshotInfo>> {
    for origin in [AdvisoryOrigin::Synced, AdvisoryOrigin::Starter] {
        if let Some(snapshot) = latest_of(conn, origin).await? {
            return Ok(Some(snapshot));
        }
    }
    Ok(None)
}

/// The newest complete snapshot of one origin.
///
/// # Errors
/// When the database does not answer.
pub async fn latest_of(conn: &mut Connection, origin: AdvisoryOrigin) -> DbResult<Option<SnapshotInfo>> {
    let row: Option<SnapshotRow> = advisory_snapshots::table
        .filter(advisory_snapshots::is_complete)
        .filter(advisory_snapshots::origin.eq(origin.as_str()))
        .order(advisory_snapshots::number.desc())
        .select(SnapshotRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(TryInto::try_into).transpose()
}

/// A complete snapshot by its number; `None` when it was removed.
///
/// # Errors
/// When the database does not answer.
pub async fn snapshot(conn: &mut Connection, number: i64) -> DbResult<Option<SnapshotInfo>> {
    let row: Option<SnapshotRow> = advisory_snapshots::table
        .find(number)
        .filter(advisory_snapshots::is_complete)
        .select(SnapshotRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(TryInto::try_into).transpose()
}

/// Every complete snapshot, the newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn snapshots(conn: &mut Connection) -> DbResult<Vec<SnapshotInfo>> {
    let rows: Vec<SnapshotRow> = advisory_snapshots::table
        .filter(advisory_snapshots::is_complete)
        .order(advisory_snapshots::number.desc())
        .select(SnapshotRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Loads that were begun longer ago than a day have died.
const REMOVE_OUTDATED: &str = "\
    DELETE FROM advisory_snapshots WHERE number IN ( \
        SELECT number FROM (SELECT number, is_complete, created_at, \
            row_number() OVER (PARTITION BY origin, is_complete ORDER BY number DESC) AS place FROM advisory_snapshots) ranked \
        WHERE CASE WHEN is_complete THEN place > 3 ELSE created_at < now() - interval '1 day' END)";

/// Keeps the three newest complete snapshots of each origin, and loads that may still be under way; returns how many went.
///
/// # Errors
/// When the database refuses.
pub async fn remove_outdated(conn: &mut Connection) -> DbResult<usize> {
    Ok(diesel::sql_query(REMOVE_OUTDATED).execute(conn).await?)
}

/// One row without advisory proves that the snapshot is there; no row at all, that it is not.
const FOR_PACKAGES: &str = "\
    SELECT found.ecosystem, found.ecosystem_release, found.package, found.advisory_id, found.ordinal, found.record \
    FROM advisory_snapshots snapshot LEFT JOIN ( \
        SELECT advisories.* FROM UNNEST($2::text[], $3::text[], $4::text[]) AS wanted (ecosystem, release, package) \
        JOIN advisories ON advisories.snapshot = $1 AND advisories.ecosystem = wanted.ecosystem \
            AND advisories.package = wanted.package AND advisories.ecosystem_release = ANY (ARRAY[wanted.release, '']) \
    ) found ON true \
    WHERE snapshot.number = $1 AND snapshot.is_complete";

/// What a snapshot says about the packages, in one query; each key should be given once.
///
/// # Errors
/// [`DbError::NotFound`] when the snapshot was removed or is not complete: silence would look like "no advisories".
pub async fn for_packages(conn: &mut Connection, snapshot: i64, keys: &[PackageKey]) -> DbResult<Vec<AdvisoryRow>> {
    let rows: Vec<FoundRow> = by_packages(FOR_PACKAGES, snapshot, keys).load(conn).await?;
    if rows.is_empty() {
        return Err(DbError::NotFound);
    }
    rows.into_iter().filter_map(|row| row.advisory().transpose()).collect()
}

/// How the database carries out [`for_packages`]: its plan, one line per step. For the test that holds it to the index.
///
/// # Errors
/// When the database refuses.
pub async fn plan_of_for_packages(conn: &mut Connection, snapshot: i64, keys: &[PackageKey]) -> DbResult<Vec<String>> {
    let explain = format!("EXPLAIN (COSTS OFF) {FOR_PACKAGES}");
    let lines: Vec<PlanLine> = by_packages(&explain, snapshot, keys).load(conn).await?;
    Ok(lines.into_iter().map(|line| line.text).collect())
}

type PackageQuery<'a> = diesel::query_builder::BoxedSqlQuery<'a, diesel::pg::Pg, diesel::query_builder::SqlQuery>;

fn by_packages<'a>(sql: &str, snapshot: i64, keys: &'a [PackageKey]) -> PackageQuery<'a> {
    let column = |of: fn(&'a PackageKey) -> &'a str| keys.iter().map(of).collect::<Vec<&'a str>>();
    diesel::sql_query(sql)
        .into_boxed()
        .bind::<sql_types::BigInt, _>(snapshot)
        .bind::<sql_types::Array<sql_types::Text>, _>(column(|key| key.scope.ecosystem.as_str()))
        .bind::<sql_types::Array<sql_types::Text>, _>(column(|key| &key.scope.release))
        .bind::<sql_types::Array<sql_types::Text>, _>(column(|key| &key.package))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = advisory_snapshots)]
struct SnapshotRow {
    number: i64,
    origin: String,
    source: String,
    digest: String,
    records: i64,
    ecosystems: Vec<String>,
    data_as_of: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl TryFrom<SnapshotRow> for SnapshotInfo {
    type Error = DbError;

    fn try_from(row: SnapshotRow) -> DbResult<Self> {
        let scopes = row.ecosystems.iter().map(|scope| stored("advisory ecosystem", scope));
        Ok(Self {
            number: row.number,
            origin: stored("advisory origin", &row.origin)?,
            source: row.source,
            digest: stored("advisory digest", &row.digest)?,
            records: row.records,
            ecosystems: scopes.collect::<DbResult<_>>()?,
            data_as_of: row.data_as_of,
            created_at: row.created_at,
        })
    }
}

#[derive(QueryableByName)]
struct FoundRow {
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    ecosystem: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    ecosystem_release: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    package: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    advisory_id: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Integer>)]
    ordinal: Option<i32>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Jsonb>)]
    record: Option<serde_json::Value>,
}

impl FoundRow {
    /// `None` for the row that stands for "the snapshot is there, and says nothing".
    fn advisory(self) -> DbResult<Option<AdvisoryRow>> {
        let (Some(ecosystem), Some(release), Some(package), Some(advisory_id), Some(ordinal), Some(record)) =
            (self.ecosystem, self.ecosystem_release, self.package, self.advisory_id, self.ordinal, self.record)
        else {
            return Ok(None);
        };
        let scope = EcosystemRelease { ecosystem: stored("advisory ecosystem", &ecosystem)?, release };
        Ok(Some(AdvisoryRow { scope, package, advisory_id, ordinal, record }))
    }
}

#[derive(QueryableByName)]
pub(crate) struct PlanLine {
    #[diesel(sql_type = sql_types::Text, column_name = "QUERY PLAN")]
    pub(crate) text: String,
}
