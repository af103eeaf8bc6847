//! Advisory data: loading it into the database.

mod download;
mod load;
mod records;
mod source;
mod starter;

pub use load::sync;
pub use source::AdvisorySource;
pub use starter::ensure_starter;

use image_scan::advisories::OsvError;
use registry_db::advisories::{self, SnapshotInfo};
use registry_db::{DbError, DbResult, Pool, rejudgement};
use registry_types::component::Ecosystem;

/// How far a load is; for people who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Bytes of one ecosystem's archive that have arrived so far.
    Downloading { ecosystem: Ecosystem, bytes: u64 },
    /// Rows stored so far: one per package that a record affects.
    Storing { rows: u64 },
}

/// Why advisory data could not be loaded. What was in use before stays in use.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error("cannot read {path}")]
    Input {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is neither a folder nor a zip file")]
    NotAnInput { path: String },
    #[error("{archive} is not a readable zip file")]
    Archive {
        archive: String,
        #[source]
        source: zip::result::ZipError,
    },
    /// Skipping it could lose an advisory.
    #[error("{name} is not a readable advisory")]
    Record {
        name: String,
        #[source]
        source: OsvError,
    },
    #[error("{name} exceeds the limit of {limit}")]
    Limit { name: String, limit: String },
    /// Most likely the wrong folder; an empty snapshot would call everything unknown.
    #[error("no advisories about the wanted ecosystems were found in {source_name}")]
    Empty { source_name: String },
    #[error("{url} is not an http or https address")]
    Address { url: String },
    #[error("cannot download {url}")]
    Download {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{url} answered with status {status}")]
    Status { url: String, status: u16 },
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the reader of advisory data ended unexpectedly")]
    Reader(#[source] tokio::task::JoinError),
}

/// Which advisories are used, and which are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The snapshot that intakes are judged by; `None` before the first load.
    pub in_use: Option<SnapshotInfo>,
    /// Stored versions that are still to be judged by it.
    pub owed: i64,
    /// Every complete snapshot, the newest first.
    pub snapshots: Vec<SnapshotInfo>,
}

/// # Errors
/// When the database does not answer.
pub async fn status(pool: &Pool) -> DbResult<Status> {
    let mut conn = pool.get().await?;
    let in_use = advisories::latest_usable(&mut conn).await?;
    let owed = match &in_use {
        Some(snapshot) => rejudgement::owed_count(&mut conn, snapshot.number).await?,
        None => 0,
    };
    let snapshots = advisories::snapshots(&mut conn).await?;
    Ok(Status { in_use, owed, snapshots })
}
