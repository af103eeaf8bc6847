//! One load: read, parse, store, make usable.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use image_scan::advisories::{AffectedPackage, OsvError, OsvRecord, parse_osv};
use registry_db::Pool;
use registry_db::advisories::{self, AdvisoryRow, SnapshotInfo};
use registry_types::advisory::AdvisoryOrigin;
use registry_types::component::{Ecosystem, EcosystemRelease};
use registry_types::digest::Digest;
use tokio::sync::mpsc;

use super::records::{self, Input};
use super::{AdvisorySource, Progress, SyncError};

const BATCH_ROWS: usize = 2000;
/// Batches that may wait for the database; bounds the memory of a load.
const WAITING_BATCHES: usize = 2;

/// Loads the records of `source` about `ecosystems` as a new snapshot, which is in use as soon as it is complete.
///
/// Data that is already there, byte for byte, is not loaded again: its snapshot is returned.
///
/// # Errors
/// When anything of it cannot be read or stored. Nothing is skipped; what was in use before stays in use.
pub async fn sync(
    pool: &Pool,
    source: &AdvisorySource,
    ecosystems: &[Ecosystem],
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<SnapshotInfo, SyncError> {
    let mut ecosystems = ecosystems.to_vec();
    ecosystems.sort_unstable();
    ecosystems.dedup();
    let inputs = Arc::new(source.inputs(&ecosystems, &progress).await?);
    let digest = digest_of(Arc::clone(&inputs), &ecosystems).await?;
    let held = advisories::latest_of(&mut *pool.get().await?, AdvisoryOrigin::Synced).await?;
    if let Some(held) = held.filter(|held| held.digest == digest) {
        return Ok(held);
    }
    let records = read_in_background(inputs, ecosystems);
    let load = Load { origin: AdvisoryOrigin::Synced, source: source.name(), digest };
    let snapshot = load.store(pool, records, &progress).await?;
    advisories::remove_outdated(&mut *pool.get().await?).await?;
    Ok(snapshot)
}

/// Which ecosystems were taken is part of what was loaded.
async fn digest_of(inputs: Arc<Vec<Input>>, ecosystems: &[Ecosystem]) -> Result<Digest, SyncError> {
    let label = ecosystems.iter().map(|e| e.as_str()).collect::<Vec<_>>().join(" ");
    tokio::task::spawn_blocking(move || records::digest(&inputs, &label)).await.map_err(SyncError::Reader)?
}

/// Rows on their way to the database, and what ends them.
pub(super) enum Piece {
    Rows { rows: Vec<AdvisoryRow>, modified: Option<DateTime<Utc>> },
    Failed(SyncError),
}

/// Reads and parses on a blocking thread. A reader that dies sends nothing more, without [`Piece::Failed`]: the handle tells.
pub(super) struct Reading {
    pieces: mpsc::Receiver<Piece>,
    reader: tokio::task::JoinHandle<()>,
}

fn read_in_background(inputs: Arc<Vec<Input>>, ecosystems: Vec<Ecosystem>) -> Reading {
    let (sender, pieces) = mpsc::channel(WAITING_BATCHES);
    let reader = tokio::task::spawn_blocking(move || {
        let mut batch = Batch { sender: &sender, rows: Vec::new(), modified: None };
        let read = records::read_all(&inputs, &mut |name, bytes| {
            let unreadable = |source| SyncError::Record { name: name.to_owned(), source };
            let record = parse_osv(bytes).map_err(unreadable)?;
            batch.add(record, &ecosystems).map_err(|error| unreadable(OsvError::Json(error)))
        });
        batch.send();
        if let Err(error) = read {
            // Nobody waits for it any more when the load has failed on the other side.
            let _ = sender.blocking_send(Piece::Failed(error));
        }
    });
    Reading { pieces, reader }
}

struct Batch<'a> {
    sender: &'a mpsc::Sender<Piece>,
    rows: Vec<AdvisoryRow>,
    modified: Option<DateTime<Utc>>,
}

impl Batch<'_> {
    fn add(&mut self, mut record: OsvRecord, ecosystems: &[Ecosystem]) -> Result<(), serde_json::Error> {
        record.affected.retain(|affected| ecosystems.contains(&affected.ecosystem));
        if !record.affected.is_empty() {
            self.modified = self.modified.max(record.modified);
        }
        self.rows.extend(rows(record)?);
        if self.rows.len() >= BATCH_ROWS {
            self.send();
        }
        Ok(())
    }

    fn send(&mut self) {
        let piece = Piece::Rows { rows: std::mem::take(&mut self.rows), modified: self.modified };
        let _ = self.sender.blocking_send(piece);
    }
}

/// One row per package that the record affects.
///
/// # Errors
/// Never, as long as a package's statement is made of texts and lists.
pub(super) fn rows(record: OsvRecord) -> Result<Vec<AdvisoryRow>, serde_json::Error> {
    record.affected.into_iter().zip(0..).map(|(affected, ordinal)| row(affected, ordinal)).collect()
}

fn row(affected: AffectedPackage, ordinal: i32) -> Result<AdvisoryRow, serde_json::Error> {
    Ok(AdvisoryRow {
        record: serde_json::to_value(&affected)?,
        scope: EcosystemRelease { ecosystem: affected.ecosystem, release: affected.release },
        package: affected.package,
        advisory_id: affected.advisory,
        ordinal,
    })
}

struct Load {
    origin: AdvisoryOrigin,
    source: String,
    digest: Digest,
}

impl Load {
    /// Stores what is read under a new snapshot; one that fails is removed again.
    async fn store(
        self,
        pool: &Pool,
        mut reading: Reading,
        progress: &(impl Fn(Progress) + Sync),
    ) -> Result<SnapshotInfo, SyncError> {
        let number = advisories::begin_snapshot(&mut *pool.get().await?, self.origin, &self.source).await?;
        let outcome = self.fill(pool, number, &mut reading, progress).await;
        if outcome.is_err() {
            reading.pieces.close();
            // The failure itself tells more than that of cleaning up, which the next load does once more.
            if let Ok(mut conn) = pool.get().await {
                let _ = advisories::abandon_snapshot(&mut conn, number).await;
            }
        }
        outcome
    }

    async fn fill(
        &self,
        pool: &Pool,
        number: i64,
        reading: &mut Reading,
        progress: &(impl Fn(Progress) + Sync),
    ) -> Result<SnapshotInfo, SyncError> {
        let mut stored = 0_u64;
        let mut newest: Option<DateTime<Utc>> = None;
        while let Some(piece) = reading.pieces.recv().await {
            match piece {
                Piece::Rows { rows, modified } => {
                    advisories::insert_batch(&mut *pool.get().await?, number, &rows).await?;
                    stored += rows.len() as u64;
                    newest = newest.max(modified);
                    progress(Progress::Storing { rows: stored });
                }
                Piece::Failed(error) => return Err(error),
            }
        }
        (&mut reading.reader).await.map_err(SyncError::Reader)?;
        if stored == 0 {
            return Err(SyncError::Empty { source_name: self.source.clone() });
        }
        // A record from the future must not keep old data fresh.
        let as_of = newest.map(|newest| newest.min(Utc::now()));
        Ok(advisories::complete_snapshot(&mut *pool.get().await?, number, &self.digest, as_of).await?)
    }
}
