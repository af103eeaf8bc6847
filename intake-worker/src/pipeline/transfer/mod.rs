//! Step 3: every blob is read from the source once, and what the image's layers hold is learned on the way.
//!
//! A finished layer is recorded at once, so that another attempt does not read it again. A layer that the store holds and
//! has cataloged is not read at all: one HEAD proves that the author may read it. That holds for what the organization has
//! shown before and for what is public; a layer that others keep private is read as if nobody had it.

mod blob;
mod config;
mod consumer;
mod progress;
mod staged;
mod turn;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::Utc;
use futures_util::{StreamExt as _, TryStreamExt as _};
use image_scan::archive::LayerCompression;
use image_scan::catalog::{ANALYZER_VERSION, LayerCatalog};
use registry_db::content::{self, LinkedManifest, ManifestRole as LinkRole};
use registry_types::digest::Digest;
use registry_types::intake::{CheckName, CheckResult, IntakeStep, Reason};
use registry_types::rejection_code::RejectionCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::context::{Case, Run};
use super::mirror::platform_text;
use super::resolve::SourceAccess;
use super::step_error::StepError;
use crate::job_error::JobError;
use crate::source::image::{ImageTree, ManifestRole};
use crate::source::manifest::Descriptor;
use config::ImageConfig;
use progress::Progress;

/// Requests to the source registry at the same time.
const PARALLEL: usize = 8;
const RULE: &str = "archive.complete";

/// The layers of an image, each with its catalog.
pub(super) struct Layers {
    pub(super) catalogs: HashMap<Digest, LayerCatalog>,
    summary: Summary,
}

/// What another attempt needs to know of this step.
#[derive(Serialize, Deserialize)]
struct Summary {
    /// Platform of each image manifest, as its config names it.
    platforms: BTreeMap<Digest, String>,
    check: CheckResult,
}

impl Layers {
    pub(super) fn platform(&self, manifest: &Digest) -> Option<&str> {
        self.summary.platforms.get(manifest).map(String::as_str)
    }
}

pub(super) async fn transfer(run: &Run<'_>, access: &SourceAccess, image: &ImageTree) -> Result<Layers, StepError> {
    if let Some(summary) = run.learned(IntakeStep::Transfer) {
        let catalogs = held_catalogs(run, &layer_digests(image)).await?;
        return Ok(Layers { catalogs, summary });
    }
    run.at("transfer", "begin").await;
    let started = Utc::now();
    let plan = plan(image)?;
    let held = Held::load(run, &plan).await?;
    let progress = Progress::new(plan.iter().map(|planned| planned.descriptor.size).sum());
    let moved = progress.told(run, move_all(run, access, plan, held, &progress)).await?;
    let configs = config::check(image, &moved)?;
    let summary = Summary {
        platforms: configs.into_iter().map(|(digest, config)| (digest, config.platform())).collect(),
        check: CheckResult::pass(CheckName::Archive, evidence(image, &moved)),
    };
    run.pipeline.metrics.transferred(moved.read_bytes, moved.reused_bytes);
    tracing::Span::current().record("bytes", moved.read_bytes);
    let checks = std::slice::from_ref(&summary.check);
    run.record((IntakeStep::Transfer, started), &summary, checks, &[IntakeStep::Merge], None).await?;
    Ok(Layers { catalogs: moved.catalogs, summary })
}

/// Puts the step's result into the case: all that `/v2` would serve.
pub(super) fn keep(case: &mut Case, image: &ImageTree, layers: &Layers) {
    for node in image.nodes() {
        let platform = match &node.role {
            ManifestRole::Image { platform, .. } => {
                platform.as_ref().map(platform_text).or_else(|| layers.platform(&node.raw.digest).map(str::to_owned))
            }
            ManifestRole::Index { .. } | ManifestRole::Artifact { .. } => None,
        };
        let digest = node.raw.digest.clone();
        case.manifests.push(LinkedManifest { digest, role: LinkRole::Image, platform, subject: None });
    }
    case.blobs.extend(image.blobs().into_iter().map(|blob| blob.digest.clone()));
    case.recorded.push(CheckName::Archive);
    case.checks.push(layers.summary.check.clone());
}

/// One blob and what it is.
struct Planned {
    descriptor: Descriptor,
    kind: BlobKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlobKind {
    /// To be cataloged.
    Layer(LayerCompression),
    /// The small document that describes an image.
    Config,
    /// Of something that nobody can run.
    Opaque,
}

/// Every blob once, the largest first, so that the cores end together.
fn plan(image: &ImageTree) -> Result<Vec<Planned>, StepError> {
    let mut kinds: HashMap<&Digest, BlobKind> = HashMap::new();
    for node in image.nodes() {
        match &node.role {
            ManifestRole::Index { .. } => {}
            ManifestRole::Image { config, layers, .. } => {
                kinds.entry(&config.digest).or_insert(BlobKind::Config);
                for layer in layers {
                    let compression: LayerCompression =
                        layer.media_type.parse().map_err(|error| StepError::of_archive(&layer.digest, &error))?;
                    let kind = kinds.insert(&layer.digest, BlobKind::Layer(compression));
                    if matches!(kind, Some(BlobKind::Layer(other)) if other != compression) {
                        return Err(two_readings(&layer.digest));
                    }
                }
            }
            ManifestRole::Artifact { config, layers } => {
                for blob in layers.iter().chain([config]) {
                    kinds.entry(&blob.digest).or_insert(BlobKind::Opaque);
                }
            }
        }
    }
    let mut plan: Vec<_> = image
        .blobs()
        .into_iter()
        .map(|blob| Planned {
            kind: kinds.get(&blob.digest).copied().unwrap_or(BlobKind::Opaque),
            descriptor: blob.clone(),
        })
        .collect();
    plan.sort_by_key(|planned| std::cmp::Reverse(planned.descriptor.size));
    Ok(plan)
}

fn two_readings(layer: &Digest) -> StepError {
    let message = "the same layer is listed with two media types, so that clients would read it differently";
    let reason = Reason::new(RejectionCode::ImageManifestInvalid, RULE, message).in_layer(layer);
    StepError::refused(CheckName::Archive, reason.fixed_by("build and push the image again"))
}

/// What the store has already, and what need not be kept from this organization.
struct Held {
    blobs: HashSet<Digest>,
    catalogs: HashMap<Digest, LayerCatalog>,
}

impl Held {
    async fn load(run: &Run<'_>, plan: &[Planned]) -> Result<Self, StepError> {
        let digests: Vec<_> = plan.iter().map(|planned| planned.descriptor.digest.clone()).collect();
        let mut conn = run.pipeline.pool.get().await?;
        let blobs = content::reusable_blobs(&mut conn, run.work.organization, &digests).await?;
        drop(conn);
        let layers: Vec<_> = plan
            .iter()
            .filter(|planned| matches!(planned.kind, BlobKind::Layer(_)) && blobs.contains(&planned.descriptor.digest))
            .map(|planned| planned.descriptor.digest.clone())
            .collect();
        Ok(Self { blobs, catalogs: held_catalogs(run, &layers).await? })
    }
}

async fn held_catalogs(run: &Run<'_>, layers: &[Digest]) -> Result<HashMap<Digest, LayerCatalog>, StepError> {
    if layers.is_empty() {
        return Ok(HashMap::new());
    }
    let stored = content::held_catalogs(&mut *run.pipeline.pool.get().await?, layers, ANALYZER_VERSION).await?;
    // The catalog of a large layer is a large document.
    let parsed = tokio::task::spawn_blocking(move || {
        stored.into_iter().map(|(digest, catalog)| Ok((digest, serde_json::from_value(catalog)?))).collect()
    });
    let parsed: Result<HashMap<_, _>, serde_json::Error> =
        parsed.await.map_err(|e| JobError::internal("catalog reader")(Box::new(e)))?;
    Ok(parsed.map_err(|e| JobError::internal("stored catalog")(Box::new(e)))?)
}

fn layer_digests(image: &ImageTree) -> Vec<Digest> {
    let layers = image.nodes().iter().flat_map(|node| match &node.role {
        ManifestRole::Image { layers, .. } => layers.as_slice(),
        ManifestRole::Index { .. } | ManifestRole::Artifact { .. } => &[],
    });
    layers.map(|layer| layer.digest.clone()).collect()
}

/// What became of all blobs.
#[derive(Default)]
struct Moved {
    catalogs: HashMap<Digest, LayerCatalog>,
    configs: HashMap<Digest, ImageConfig>,
    read_bytes: u64,
    reused_bytes: u64,
}

async fn move_all(
    run: &Run<'_>,
    access: &SourceAccess,
    plan: Vec<Planned>,
    mut held: Held,
    progress: &Progress,
) -> Result<Moved, StepError> {
    let mut moved = Moved::default();
    let mut moves: Vec<_> = Vec::with_capacity(plan.len());
    for planned in plan {
        let is_held = held.blobs.contains(&planned.descriptor.digest);
        let catalog = held.catalogs.remove(&planned.descriptor.digest);
        moves.push(blob::move_one(run, access, planned, is_held, catalog, progress));
    }
    let mut results = futures_util::stream::iter(moves).buffer_unordered(PARALLEL);
    while let Some(one) = results.try_next().await? {
        moved.read_bytes += one.read_bytes;
        moved.reused_bytes += one.reused_bytes;
        match one.learned {
            blob::Learned::Layer(catalog) => {
                moved.catalogs.insert(one.digest, *catalog);
            }
            blob::Learned::Config(config) => {
                moved.configs.insert(one.digest, config);
            }
            blob::Learned::Nothing => {}
        }
    }
    Ok(moved)
}

fn evidence(image: &ImageTree, moved: &Moved) -> serde_json::Value {
    let sum = |of: fn(&LayerCatalog) -> u64| moved.catalogs.values().map(of).sum::<u64>();
    json!({
        "blobs": image.blobs().len(),
        "layers": moved.catalogs.len(),
        "entries": sum(|catalog| catalog.entries),
        "unpacked_bytes": sum(|catalog| catalog.unpacked_bytes),
        "read_bytes": moved.read_bytes,
        "reused_bytes": moved.reused_bytes,
        "analyzer_version": ANALYZER_VERSION,
    })
}
