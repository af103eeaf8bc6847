//! The bundled starter set as a snapshot.

use image_scan::advisories::starter;
use registry_db::advisories::{self, AdvisoryRow, SnapshotInfo};
use registry_db::{Connection, DbError, DbResult, Pool};
use registry_types::advisory::AdvisoryOrigin;

use super::load::rows;

/// Loads the starter set unless this very one is there already; returns its snapshot.
///
/// Synced advisories are used before it whenever there are any.
///
/// # Errors
/// When the database refuses.
pub async fn ensure_starter(pool: &Pool) -> DbResult<SnapshotInfo> {
    let mut conn = pool.get().await?;
    let held = advisories::latest_of(&mut conn, AdvisoryOrigin::Starter).await?;
    match held.filter(|held| held.digest == starter::digest()) {
        Some(held) => Ok(held),
        None => registry_db::transaction(&mut conn, async |conn| load(conn).await).await,
    }
}

async fn load(conn: &mut Connection) -> DbResult<SnapshotInfo> {
    let rows: Vec<AdvisoryRow> =
        starter_rows().map_err(|error| DbError::Corrupt { what: "starter set", source: Some(Box::new(error)) })?;
    let as_of = starter::records().iter().filter_map(|record| record.modified).max();
    let number = advisories::begin_snapshot(conn, AdvisoryOrigin::Starter, "bundled with the store").await?;
    advisories::insert_batch(conn, number, &rows).await?;
    let snapshot = advisories::complete_snapshot(conn, number, &starter::digest(), as_of).await?;
    advisories::remove_outdated(conn).await?;
    Ok(snapshot)
}

fn starter_rows() -> Result<Vec<AdvisoryRow>, serde_json::Error> {
    let rows: Result<Vec<_>, _> = starter::records().iter().cloned().map(rows).collect();
    Ok(rows?.into_iter().flatten().collect())
}
