//! Step 4: the layers of each platform put together, and the bills of materials.

use blob_store::ObjectKey;
use bytes::Bytes;
use image_scan::catalog::LayerCatalog;
use image_scan::merge::{Distribution, MergedImage, merge as merge_layers};
use image_scan::sbom::{self, ImageIdentity, OperatingSystem, SbomInput};
use registry_db::evidence::SbomFormat;
use registry_db::intakes::Document;
use registry_types::digest::Digest;
use serde_json::Value;

use super::context::{Case, Run};
use super::step_error::StepError;
use super::transfer::Layers;
use crate::job_error::JobError;
use crate::source::image::{ImageTree, ManifestRole};

/// The image of one platform, merged.
pub(super) struct PlatformImage {
    /// `os/architecture[/variant]`.
    pub(super) platform: String,
    pub(super) merged: MergedImage,
    pub(super) secret_search: image_scan::catalog::SecretCoverage,
}

pub(super) async fn merge(
    run: &Run<'_>,
    case: &mut Case,
    image: &ImageTree,
    layers: Layers,
) -> Result<Vec<PlatformImage>, StepError> {
    let parts = parts(image, layers)?;
    let merged = tokio::task::spawn_blocking(move || parts.into_iter().map(merge_part).collect::<Vec<_>>());
    let platforms = merged.await.map_err(|e| JobError::internal("merge")(Box::new(e)))?;
    case.components = platforms.iter().flat_map(|platform| platform.merged.components.iter().cloned()).collect();
    case.components.sort_unstable();
    case.components.dedup();
    case.incomplete = platforms.iter().flat_map(|platform| platform.merged.incomplete.iter().cloned()).collect();
    case.incomplete.sort_unstable();
    case.incomplete.dedup();
    case.documents = documents(run, case, image.digest(), &platforms).await?;
    run.at("merge", "stored").await;
    Ok(platforms)
}

/// A platform and its layers, the lowest first.
struct Part {
    platform: String,
    layers: Vec<(Digest, LayerCatalog)>,
}

fn parts(image: &ImageTree, layers: Layers) -> Result<Vec<Part>, JobError> {
    let mut parts = Vec::new();
    for node in image.nodes() {
        let listed = match &node.role {
            ManifestRole::Image { layers, .. } => layers,
            ManifestRole::Index { .. } | ManifestRole::Artifact { .. } => continue,
        };
        let found: Option<Vec<_>> = listed
            .iter()
            .map(|layer| Some((layer.digest.clone(), layers.catalogs.get(&layer.digest)?.clone())))
            .collect();
        let found = found.ok_or_else(|| JobError::internal("layer catalogs")("a layer has no catalog".into()))?;
        let platform = layers.platform(&node.raw.digest).unwrap_or("unknown").to_owned();
        parts.push(Part { platform, layers: found });
    }
    Ok(parts)
}

fn merge_part(part: Part) -> PlatformImage {
    let mut secret_search = image_scan::catalog::SecretCoverage::default();
    for (_, catalog) in &part.layers {
        secret_search.text_files += catalog.secret_search.text_files;
        secret_search.binary_files += catalog.secret_search.binary_files;
        secret_search.is_cut |= catalog.secret_search.is_cut;
    }
    PlatformImage { platform: part.platform, merged: merge_layers(&part.layers), secret_search }
}

/// The bills of materials, stored as objects.
async fn documents(
    run: &Run<'_>,
    case: &Case,
    digest: &Digest,
    platforms: &[PlatformImage],
) -> Result<Vec<Document>, StepError> {
    let Some(reference) = &run.work.image else { return Ok(Vec::new()) };
    let name = run.work.package_name.to_string();
    let version = run.work.version_number.to_string();
    let repository = format!("{}/{}", reference.host, reference.repository);
    let input = SbomInput {
        image: ImageIdentity { name: &name, version: &version, repository: &repository, digest },
        operating_system: platforms.iter().find_map(|p| p.merged.distribution.as_ref()).map(operating_system),
        components: &case.components,
        is_fully_read: case.incomplete.is_empty(),
        created: run.started_at,
    };
    let (cyclonedx, spdx) = tokio::try_join!(
        store(run, SbomFormat::CycloneDx, sbom::CYCLONEDX_MEDIA_TYPE, sbom::cyclonedx(&input)),
        store(run, SbomFormat::Spdx, sbom::SPDX_MEDIA_TYPE, sbom::spdx(&input)),
    )?;
    Ok(vec![cyclonedx, spdx])
}

fn operating_system(distribution: &Distribution) -> OperatingSystem<'_> {
    OperatingSystem {
        id: &distribution.id,
        version_id: distribution.version_id.as_deref(),
        pretty_name: distribution.name.as_deref(),
    }
}

async fn store(run: &Run<'_>, kind: SbomFormat, media_type: &str, document: Value) -> Result<Document, StepError> {
    let bytes = Bytes::from(document.to_string());
    let digest = Digest::sha256_of(&bytes);
    let size = bytes.len() as u64;
    run.pipeline.blobs.put(&ObjectKey::Document(digest.clone()), bytes).await?;
    Ok(Document { kind, digest, media_type: media_type.to_owned(), size })
}
