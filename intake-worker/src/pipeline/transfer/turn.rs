//! Of several intakes of an organization that need the same layer at the same time, one reads it.

use std::time::Duration;

use image_scan::catalog::LayerCatalog;
use registry_db::{content, transfers};
use registry_types::digest::Digest;

use super::super::context::Run;
use super::super::step_error::StepError;
use super::held_catalogs;

/// How often it is looked whether the other one is through. It is let go by its lease when it dies.
const POLL: Duration = Duration::from_millis(50);

/// Whose turn it is.
pub(super) enum Turn {
    /// This intake reads the layer; the turn ends with the record of the layer, or with the lease.
    Ours,
    /// Another one has read it meanwhile.
    Done(Box<LayerCatalog>),
}

pub(super) async fn take(run: &Run<'_>, digest: &Digest) -> Result<Turn, StepError> {
    let mut conn = run.pipeline.pool.get().await?;
    while !transfers::begin(&mut conn, run.work.organization, digest, run.job.lease).await? {
        drop(conn);
        tokio::time::sleep(POLL).await;
        conn = run.pipeline.pool.get().await?;
    }
    let is_shown = content::reusable_blobs(&mut conn, run.work.organization, std::slice::from_ref(digest)).await?;
    drop(conn);
    if is_shown.is_empty() {
        return Ok(Turn::Ours);
    }
    let Some(catalog) = held_catalogs(run, std::slice::from_ref(digest)).await?.remove(digest) else {
        return Ok(Turn::Ours);
    };
    let mut conn = run.pipeline.pool.get().await?;
    transfers::end(&mut conn, run.work.organization, digest, run.job.lease).await?;
    Ok(Turn::Done(Box::new(catalog)))
}
