//! From a reference to the whole tree of manifests, all platforms, pinned by digest.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _};
use registry_types::digest::Digest;
use registry_types::image_reference::ImageReference;
use registry_types::limits;

use super::error::SourceError;
use super::manifest::{
    DOCKER_LIST, DOCKER_MANIFEST, Descriptor, ImageManifest, Index, Manifest, ManifestError, OCI_INDEX, OCI_MANIFEST,
    Platform, RawManifest,
};
use super::session::RegistrySession;

/// Manifests of one index that are fetched at the same time.
const PARALLEL: usize = 4;

/// All manifests of an image.
#[derive(Debug, Clone)]
pub struct ImageTree {
    /// Each manifest once, children before parents; the last one is the root.
    nodes: Vec<ManifestNode>,
}

/// One manifest of the tree.
#[derive(Debug, Clone)]
pub struct ManifestNode {
    pub raw: RawManifest,
    pub role: ManifestRole,
}

/// What a manifest is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestRole {
    Index {
        children: Vec<Digest>,
    },
    /// Something that can be run: its layers are file systems.
    Image {
        platform: Option<Platform>,
        config: Descriptor,
        layers: Vec<Descriptor>,
    },
    /// Something that nobody can run, such as BuildKit's attestations inside an index: mirrored, not scanned.
    Artifact {
        config: Descriptor,
        layers: Vec<Descriptor>,
    },
}

impl ManifestNode {
    /// The config and layers; none for an index.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, layers): (_, &[Descriptor]) = match &self.role {
            ManifestRole::Index { .. } => (None, &[]),
            ManifestRole::Image { config, layers, .. } | ManifestRole::Artifact { config, layers } => {
                (Some(config), layers)
            }
        };
        config.into_iter().chain(layers)
    }
}

impl ImageTree {
    /// The manifest that the reference named.
    ///
    /// # Panics
    /// Never: a tree has a root.
    #[must_use]
    pub fn root(&self) -> &ManifestNode {
        &self.nodes[self.nodes.len() - 1]
    }

    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.root().raw.digest
    }

    /// Children before parents.
    #[must_use]
    pub fn nodes(&self) -> &[ManifestNode] {
        &self.nodes
    }

    /// The manifests of all platforms.
    pub fn images(&self) -> impl Iterator<Item = &ManifestNode> {
        self.nodes.iter().filter(|node| matches!(node.role, ManifestRole::Image { .. }))
    }

    /// Every blob once.
    #[must_use]
    pub fn blobs(&self) -> Vec<&Descriptor> {
        let unique: BTreeMap<&Digest, &Descriptor> =
            self.nodes.iter().flat_map(ManifestNode::blobs).map(|blob| (&blob.digest, blob)).collect();
        unique.into_values().collect()
    }

    /// Size of all blobs and manifests together in bytes, each counted once.
    #[must_use]
    pub fn total_size(&self) -> u64 {
        let manifests: u64 = self.nodes.iter().map(|node| node.raw.bytes.len() as u64).sum();
        self.blobs().iter().fold(manifests, |sum, blob| sum.saturating_add(blob.size))
    }
}

/// Fetches the manifest that `reference` names and everything below it, within the limits on depth
/// ([`limits::MAX_INDEX_DEPTH`]), manifests ([`limits::MAX_PLATFORMS`]) and layers ([`limits::MAX_LAYERS`]).
///
/// # Errors
/// What the registry answers; [`SourceError::ManifestInvalid`], [`SourceError::ForeignLayer`] and
/// [`SourceError::LimitExceeded`] for what must not be mirrored.
pub async fn resolve(session: &RegistrySession, reference: &ImageReference) -> Result<ImageTree, SourceError> {
    let root = session.manifest(&reference.target()).await?;
    let mut tree = Collected::default();
    let mut level = tree.add(root, None)?;
    let mut depth = 1;
    while !level.is_empty() {
        if depth > limits::MAX_INDEX_DEPTH {
            return Err(over("the nesting of indexes", limits::MAX_INDEX_DEPTH));
        }
        let fetched: Vec<_> = futures_util::stream::iter(level.into_iter().map(|entry| fetch(session, entry)))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        level = Vec::new();
        for (entry, manifest) in fetched {
            level.extend(tree.add(manifest, Some(entry))?);
        }
        depth += 1;
    }
    tree.finish()
}

async fn fetch(session: &RegistrySession, entry: Descriptor) -> Result<(Descriptor, RawManifest), SourceError> {
    if entry.size > limits::MAX_MANIFEST_BYTES {
        let what = format!("the size of manifest {} in bytes", entry.digest);
        return Err(SourceError::LimitExceeded { what, limit: limits::MAX_MANIFEST_BYTES });
    }
    let manifest = session.manifest(&entry.digest.to_string()).await?;
    Ok((entry, manifest))
}

/// The tree under construction, parents first.
#[derive(Default)]
struct Collected {
    nodes: Vec<ManifestNode>,
    /// Every entry of an index that was met, so that one digest is fetched once.
    entries: BTreeMap<Digest, Descriptor>,
    blob_sizes: BTreeMap<Digest, u64>,
}

impl Collected {
    /// Adds a manifest and gives the entries that are still to be fetched. `entry` is how the index above names it.
    fn add(&mut self, raw: RawManifest, entry: Option<Descriptor>) -> Result<Vec<Descriptor>, SourceError> {
        let invalid = |source| SourceError::ManifestInvalid { what: format!("manifest {}", raw.digest), source };
        if let Some(entry) = &entry {
            check_entry(entry, &raw).map_err(invalid)?;
        }
        let (role, below) = match &raw.content {
            Manifest::Index(index) => {
                let children = index.manifests.iter().map(|child| child.digest.clone()).collect();
                (ManifestRole::Index { children }, self.new_entries(index, &raw.digest)?)
            }
            Manifest::Image(image) => {
                (image_role(image, entry.and_then(|entry| entry.platform), &raw.digest)?, Vec::new())
            }
        };
        let node = ManifestNode { raw, role };
        self.note_blobs(&node)?;
        self.nodes.push(node);
        Ok(below)
    }

    fn new_entries(&mut self, index: &Index, digest: &Digest) -> Result<Vec<Descriptor>, SourceError> {
        let mut new = Vec::new();
        for child in &index.manifests {
            let invalid = |source| SourceError::ManifestInvalid { what: format!("manifest {digest}"), source };
            if !matches!(child.media_type.as_str(), OCI_MANIFEST | DOCKER_MANIFEST | OCI_INDEX | DOCKER_LIST) {
                return Err(invalid(ManifestError::MediaType(child.media_type.chars().take(128).collect())));
            }
            if !child.urls.is_empty() {
                return Err(SourceError::ForeignLayer { digest: child.digest.clone() });
            }
            match self.entries.get(&child.digest) {
                Some(known) if known.size == child.size && known.media_type == child.media_type => {}
                Some(_) => return Err(invalid(ManifestError::Entry("two different things about one manifest"))),
                None => {
                    self.entries.insert(child.digest.clone(), child.clone());
                    new.push(child.clone());
                }
            }
        }
        if self.entries.len() > limits::MAX_PLATFORMS {
            return Err(over("the number of manifests", limits::MAX_PLATFORMS));
        }
        Ok(new)
    }

    fn note_blobs(&mut self, node: &ManifestNode) -> Result<(), SourceError> {
        for blob in node.blobs() {
            let size = *self.blob_sizes.entry(blob.digest.clone()).or_insert(blob.size);
            if size != blob.size {
                return Err(SourceError::ManifestInvalid {
                    what: format!("manifest {}", node.raw.digest),
                    source: ManifestError::BlobSizes(blob.digest.clone()),
                });
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<ImageTree, SourceError> {
        // Leaves first, then the deepest indexes: an index below another was added after it.
        self.nodes.reverse();
        self.nodes.sort_by_key(|node| matches!(node.role, ManifestRole::Index { .. }));
        let tree = ImageTree { nodes: self.nodes };
        if tree.images().next().is_none() {
            let what = format!("manifest {}", tree.digest());
            return Err(SourceError::ManifestInvalid { what, source: ManifestError::NoImage });
        }
        Ok(tree)
    }
}

fn check_entry(entry: &Descriptor, raw: &RawManifest) -> Result<(), ManifestError> {
    if entry.size != raw.bytes.len() as u64 {
        return Err(ManifestError::Entry("another size"));
    }
    if entry.media_type != raw.media_type {
        return Err(ManifestError::Entry("another media type"));
    }
    Ok(())
}

fn image_role(image: &ImageManifest, platform: Option<Platform>, digest: &Digest) -> Result<ManifestRole, SourceError> {
    if image.layers.len() > limits::MAX_LAYERS {
        return Err(over("the number of layers", limits::MAX_LAYERS));
    }
    if image.config.size > limits::MAX_MANIFEST_BYTES {
        let what = "the size of the image config in bytes".to_owned();
        return Err(SourceError::LimitExceeded { what, limit: limits::MAX_MANIFEST_BYTES });
    }
    for blob in image.layers.iter().chain([&image.config]) {
        check_blob(blob)?;
    }
    let invalid = |source| Err(SourceError::ManifestInvalid { what: format!("manifest {digest}"), source });
    let config = image.config.clone();
    let layers = image.layers.clone();
    // Decided by the layers alone: what a manifest says of itself must not keep file systems from being scanned.
    let unpackable = layers.iter().filter(|layer| is_file_system(&layer.media_type)).count();
    let artifact = unpackable == 0 && (!layers.is_empty() || !is_image_config(&config.media_type));
    if artifact && nobody_runs(platform.as_ref(), &config) {
        return Ok(ManifestRole::Artifact { config, layers });
    }
    if let Some(other) = layers.iter().find(|layer| !is_supported_layer(&layer.media_type)) {
        return invalid(ManifestError::LayerType(other.media_type.chars().take(128).collect()));
    }
    if !is_image_config(&config.media_type) {
        return invalid(ManifestError::ConfigType(config.media_type.chars().take(128).collect()));
    }
    Ok(ManifestRole::Image { platform, config, layers })
}

/// Whether no client would choose an artifact when it looks for a platform to run. Some unpack layers of any media type, so
/// that what could be chosen must be an image whose layers are understood.
fn nobody_runs(platform: Option<&Platform>, config: &Descriptor) -> bool {
    match platform {
        // BuildKit marks attestations so.
        Some(platform) => platform.architecture == "unknown" && platform.os == "unknown",
        // Without a platform clients look into an image config.
        None => !is_image_config(&config.media_type),
    }
}

fn check_blob(blob: &Descriptor) -> Result<(), SourceError> {
    let foreign = blob.media_type.contains("nondistributable") || blob.media_type.contains(".foreign.");
    if foreign || !blob.urls.is_empty() {
        return Err(SourceError::ForeignLayer { digest: blob.digest.clone() });
    }
    if blob.size > limits::MAX_BLOB_BYTES {
        let what = format!("the size of blob {} in bytes", blob.digest);
        return Err(SourceError::LimitExceeded { what, limit: limits::MAX_BLOB_BYTES });
    }
    Ok(())
}

/// Whether some client would unpack it.
fn is_file_system(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    media_type.starts_with("application/vnd.oci.image.layer.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.")
}

fn is_supported_layer(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd"
    )
}

fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json")
}

fn over(what: &str, limit: usize) -> SourceError {
    SourceError::LimitExceeded { what: what.to_owned(), limit: limit as u64 }
}
