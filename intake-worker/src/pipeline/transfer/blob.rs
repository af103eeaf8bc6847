//! One blob: one GET, whose stream feeds the digest, the object store and, for a layer, the catalogers.

use blob_store::ObjectKey;
use image_scan::archive::{ArchiveError, LayerCompression, LayerLimits, LayerPass};
use image_scan::catalog::{ANALYZER_VERSION, LayerCatalog};
use registry_db::content::{self, NewCatalog};
use registry_db::jobs;
use registry_db::{transaction, transfers};
use registry_types::digest::{Digest, Hasher};
use registry_types::intake::{CheckName, Reason};
use registry_types::limits;
use registry_types::rejection_code::RejectionCode;

use super::super::context::Run;
use super::super::resolve::SourceAccess;
use super::super::step_error::StepError;
use super::config::ImageConfig;
use super::consumer::{Chunks, Consumer};
use super::progress::Progress;
use super::staged::Staged;
use super::turn::{self, Turn};
use super::{BlobKind, Planned, RULE};
use crate::job_error::JobError;
use crate::source::SourceError;
use crate::source::manifest::Descriptor;

/// What became of one blob.
pub(super) struct MovedBlob {
    pub(super) digest: Digest,
    pub(super) learned: Learned,
    /// Bytes read from the source.
    pub(super) read_bytes: u64,
    /// Bytes that were held already.
    pub(super) reused_bytes: u64,
}

pub(super) enum Learned {
    Layer(Box<LayerCatalog>),
    Config(ImageConfig),
    Nothing,
}

pub(super) async fn move_one(
    run: &Run<'_>,
    access: &SourceAccess,
    planned: Planned,
    is_held: bool,
    catalog: Option<LayerCatalog>,
    progress: &Progress,
) -> Result<MovedBlob, StepError> {
    let Planned { descriptor, kind } = planned;
    let (learned, is_read) = match (kind, catalog) {
        (BlobKind::Layer(_), Some(catalog)) => {
            prove_access(access, &descriptor).await?;
            (Learned::Layer(Box::new(catalog)), false)
        }
        (BlobKind::Layer(compression), None) => match turn::take(run, &descriptor.digest).await? {
            Turn::Ours => {
                let catalog = read_layer(run, access, &descriptor, compression, is_held, progress).await?;
                (Learned::Layer(Box::new(catalog)), true)
            }
            Turn::Done(catalog) => {
                prove_access(access, &descriptor).await?;
                (Learned::Layer(catalog), false)
            }
        },
        // As small as the answer to a HEAD, and proof of access as well.
        (BlobKind::Config, _) => (Learned::Config(read_config(run, access, &descriptor, is_held).await?), true),
        (BlobKind::Opaque, _) if is_held => {
            prove_access(access, &descriptor).await?;
            (Learned::Nothing, false)
        }
        (BlobKind::Opaque, _) => {
            copy(run, access, &descriptor, progress).await?;
            (Learned::Nothing, true)
        }
    };
    if matches!(learned, Learned::Layer(_)) {
        run.pipeline.metrics.layer_moved(is_read);
    }
    let (read_bytes, reused_bytes) = if is_read { (descriptor.size, 0) } else { (0, descriptor.size) };
    if !is_read || kind == BlobKind::Config {
        progress.add(descriptor.size);
    }
    Ok(MovedBlob { digest: descriptor.digest, learned, read_bytes, reused_bytes })
}

/// What is held was read with somebody else's right: the author must have it too.
async fn prove_access(access: &SourceAccess, descriptor: &Descriptor) -> Result<(), StepError> {
    access.registry.head_blob(&descriptor.digest).await.map(|_| ()).map_err(of_source)
}

async fn read_config(
    run: &Run<'_>,
    access: &SourceAccess,
    descriptor: &Descriptor,
    is_held: bool,
) -> Result<ImageConfig, StepError> {
    let bytes = access
        .registry
        .blob_bytes(&descriptor.digest, descriptor.size, limits::MAX_MANIFEST_BYTES)
        .await
        .map_err(of_source)?;
    let config = ImageConfig::parse(&descriptor.digest, &bytes)?;
    if !is_held {
        run.pipeline.blobs.put(&ObjectKey::Blob(descriptor.digest.clone()), bytes).await?;
        record_blob(run, descriptor).await?;
    }
    Ok(config)
}

/// The single pass over a layer. `is_held`: its bytes are stored, but this analyzer has not seen them.
async fn read_layer(
    run: &Run<'_>,
    access: &SourceAccess,
    descriptor: &Descriptor,
    compression: LayerCompression,
    is_held: bool,
    progress: &Progress,
) -> Result<LayerCatalog, StepError> {
    let slots = &run.pipeline.layer_slots;
    let _slot = slots.acquire().await.map_err(|e| JobError::internal("layer slots")(Box::new(e)))?;
    if !is_held {
        // What cannot be kept need not be read.
        run.pipeline.blobs.head(&key(descriptor)).await?;
    }
    let pass = Consumer::start(move |chunks| catalog_layer(compression, chunks));
    let upload =
        if is_held { Staged::nothing() } else { Staged::new(run.pipeline.blobs.upload(&key(descriptor)).await?) };
    let (stored, pass) = stream(access, descriptor, upload, Some(pass), progress).await?;
    let cataloged = match pass {
        Some(pass) => pass.finish().await?,
        None => return Err(JobError::internal("layer pass")("no catalog was made".into()).into()),
    };
    let catalog = cataloged.map_err(|error| StepError::of_archive(&descriptor.digest, &error))?;
    run.at("layer", "read").await;
    stored.complete().await?;
    run.at("layer", "stored").await;
    record(run, descriptor, &catalog).await?;
    run.at("layer", "committed").await;
    Ok(catalog)
}

async fn copy(
    run: &Run<'_>,
    access: &SourceAccess,
    descriptor: &Descriptor,
    progress: &Progress,
) -> Result<(), StepError> {
    let upload = Staged::new(run.pipeline.blobs.upload(&key(descriptor)).await?);
    let (stored, _) = stream(access, descriptor, upload, None, progress).await?;
    stored.complete().await?;
    record_blob(run, descriptor).await
}

type Pass = Consumer<Result<LayerCatalog, ArchiveError>>;

/// Reads the blob to its end and checks the digest. A layer that turns out bad is read to the end all the same, without
/// being stored: whether its bytes are what the manifest promised decides whose fault it is.
async fn stream(
    access: &SourceAccess,
    descriptor: &Descriptor,
    mut upload: Staged,
    pass: Option<Pass>,
    progress: &Progress,
) -> Result<(Staged, Option<Pass>), StepError> {
    let algorithm = descriptor.digest.algorithm();
    let hash = Consumer::start(move |chunks| {
        let mut hasher = Hasher::new(algorithm);
        chunks.for_each(|chunk| hasher.update(&chunk));
        hasher.finish()
    });
    let mut blob = access.registry.blob(&descriptor.digest, descriptor.size).await.map_err(of_source)?;
    while let Some(chunk) = blob.next_chunk().await.map_err(of_source)? {
        progress.add(chunk.len() as u64);
        hash.feed(chunk.clone()).await;
        let is_wanted = match &pass {
            Some(pass) => pass.feed(chunk.clone()).await,
            None => true,
        };
        if !is_wanted {
            upload.give_up();
        }
        upload.write(chunk).await?;
    }
    let actual = hash.finish().await?;
    if actual != descriptor.digest {
        let message = format!("the registry's bytes have the digest {actual}");
        let reason = Reason::new(RejectionCode::DigestMismatch, RULE, message).in_layer(&descriptor.digest);
        return Err(StepError::refused(CheckName::Archive, reason.fixed_by("push the image again")));
    }
    Ok((upload, pass))
}

fn catalog_layer(compression: LayerCompression, chunks: Chunks) -> Result<LayerCatalog, ArchiveError> {
    let mut pass = LayerPass::new(compression, LayerLimits::default());
    for chunk in chunks {
        pass.write(&chunk)?;
    }
    pass.finish()
}

/// The organization has shown the blob's bytes, which now lie in the object store.
async fn record_blob(run: &Run<'_>, descriptor: &Descriptor) -> Result<(), StepError> {
    let mut conn = run.pipeline.pool.get().await?;
    transaction(&mut conn, async |conn| {
        content::insert_blobs(conn, &[row(descriptor)]).await?;
        content::record_shown(conn, run.work.organization, std::slice::from_ref(&descriptor.digest)).await
    })
    .await?;
    Ok(())
}

/// Blob and catalog together: what is held and not cataloged would be read again. Whoever waits for the layer may go on.
async fn record(run: &Run<'_>, descriptor: &Descriptor, catalog: &LayerCatalog) -> Result<(), StepError> {
    let new = NewCatalog {
        digest: descriptor.digest.clone(),
        analyzer_version: ANALYZER_VERSION,
        diff_id: catalog.diff_id.clone(),
        unpacked_bytes: catalog.unpacked_bytes,
        entries: catalog.entries,
        catalog: serde_json::to_value(catalog).map_err(|e| JobError::internal("layer catalog")(Box::new(e)))?,
    };
    let mut conn = run.pipeline.pool.get().await?;
    transaction(&mut conn, async |conn| {
        content::insert_blobs(conn, &[row(descriptor)]).await?;
        content::insert_catalog(conn, &new).await?;
        content::record_shown(conn, run.work.organization, std::slice::from_ref(&descriptor.digest)).await?;
        transfers::end(conn, run.work.organization, &descriptor.digest, run.job.lease).await?;
        run.at("layer", "commit").await;
        Ok::<_, registry_db::DbError>(())
    })
    .await?;
    jobs::progressed(&mut conn, run.job.lease).await?;
    Ok(())
}

fn row(descriptor: &Descriptor) -> (Digest, u64) {
    (descriptor.digest.clone(), descriptor.size)
}

fn key(descriptor: &Descriptor) -> ObjectKey {
    ObjectKey::Blob(descriptor.digest.clone())
}

fn of_source(error: SourceError) -> StepError {
    StepError::of_source(CheckName::Archive, RULE, error)
}
