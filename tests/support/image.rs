//! Images made without docker: layers from file lists, pushed to a registry over plain HTTP.

use std::io::Write as _;

use bytes::Bytes;
use registry_types::digest::Digest;
use serde_json::{Value, json};

use crate::random::Random;
use crate::registry::RegistryAddress;

const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// An image under construction. Files go into the last layer; [`Image::layer`] begins the next.
#[derive(Clone)]
pub struct Image {
    architecture: &'static str,
    layers: Vec<LayerPlan>,
}

#[derive(Clone, Default)]
struct LayerPlan {
    zstd: bool,
    /// The layer's archive where it was made elsewhere; then there are no entries.
    archive: Option<Bytes>,
    entries: Vec<Entry>,
    /// Instead of the entries.
    raw: Option<Blob>,
}

#[derive(Clone)]
enum Entry {
    File { path: String, bytes: Bytes, mode: u32 },
    Symlink { path: String, target: String },
}

/// A Debian package as dpkg's status file knows it.
#[derive(Debug, Clone, Copy)]
pub struct DebianPackage {
    pub name: &'static str,
    pub version: &'static str,
    /// The source package, where its name or version differs: `openssl` or `openssl (3.0.9-1)`.
    pub source: Option<&'static str>,
}

impl Default for Image {
    fn default() -> Self {
        Self::new()
    }
}

impl Image {
    /// An image for amd64 with one empty layer.
    #[must_use]
    pub fn new() -> Self {
        Self { architecture: "amd64", layers: vec![LayerPlan::default()] }
    }

    /// The smallest image that is a good `hla-compass.module`: Debian 12 by its os-release, one harmless package, and the
    /// module that `manifest` describes.
    #[must_use]
    pub fn of_module(manifest: &Value) -> Self {
        Self::new().debian_12().layer().hla_module(manifest)
    }

    #[must_use]
    pub fn for_architecture(mut self, architecture: &'static str) -> Self {
        self.architecture = architecture;
        self
    }

    /// Begins the next layer, compressed with gzip.
    #[must_use]
    pub fn layer(mut self) -> Self {
        self.layers.push(LayerPlan::default());
        self
    }

    /// Begins the next layer, compressed with zstd.
    #[must_use]
    pub fn zstd_layer(mut self) -> Self {
        self.layers.push(LayerPlan { zstd: true, ..LayerPlan::default() });
        self
    }

    /// Adds a whole layer, a tar archive, compressed with gzip.
    #[must_use]
    pub fn archive_layer(mut self, archive: Bytes) -> Self {
        self.layers.push(LayerPlan { archive: Some(archive), ..LayerPlan::default() });
        self
    }

    /// Adds a layer of exactly these bytes, whatever they are, and begins the next.
    #[must_use]
    pub fn raw_layer(mut self, media_type: &'static str, bytes: Vec<u8>) -> Self {
        self.layers.push(LayerPlan { raw: Some(Blob::new(media_type, bytes.into())), ..LayerPlan::default() });
        self.layer()
    }

    #[must_use]
    pub fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.entry(Entry::File { path: path.into(), bytes: Bytes::copy_from_slice(bytes.as_ref()), mode: 0o644 })
    }

    #[must_use]
    pub fn executable(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.entry(Entry::File { path: path.into(), bytes: Bytes::copy_from_slice(bytes.as_ref()), mode: 0o755 })
    }

    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(Entry::Symlink { path: path.into(), target: target.into() })
    }

    /// Removes what an earlier layer has at `path`.
    #[must_use]
    pub fn whiteout(self, path: &str) -> Self {
        let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
        let separator = if folder.is_empty() { "" } else { "/" };
        self.file(&format!("{folder}{separator}.wh.{name}"), b"")
    }

    /// Hides all that earlier layers have in the folder `path`.
    #[must_use]
    pub fn opaque(self, path: &str) -> Self {
        self.file(&format!("{path}/.wh..wh..opq"), b"")
    }

    /// A file of `length` bytes that do not compress; the same `seed` gives the same bytes.
    #[must_use]
    pub fn ballast(self, path: &str, seed: u64, length: usize) -> Self {
        self.file(path, incompressible(seed, length))
    }

    /// Debian 12's os-release and a dpkg status with `base-files`.
    #[must_use]
    pub fn debian_12(self) -> Self {
        let release = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
                       VERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        let base_files = DebianPackage { name: "base-files", version: "12.4+deb12u12", source: None };
        self.file("etc/os-release", release).dpkg(&[base_files])
    }

    /// A dpkg status of exactly these packages, all installed.
    #[must_use]
    pub fn dpkg(self, packages: &[DebianPackage]) -> Self {
        self.file("var/lib/dpkg/status", packages.iter().map(DebianPackage::stanza).collect::<String>())
    }

    /// An installed Python distribution.
    #[must_use]
    pub fn wheel(self, name: &str, version: &str) -> Self {
        let folder = format!("usr/local/lib/python3.11/site-packages/{}-{version}.dist-info", name.replace('-', "_"));
        self.file(&format!("{folder}/METADATA"), format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"))
            .file(&format!("{folder}/RECORD"), "")
            .file(&format!("{folder}/INSTALLER"), "pip\n")
    }

    /// An installed npm package of the application in `/app`.
    #[must_use]
    pub fn npm(self, name: &str, version: &str) -> Self {
        let manifest = json!({"name": name, "version": version});
        self.file(&format!("app/node_modules/{name}/package.json"), manifest.to_string())
    }

    /// An HLA-Compass module: its manifest as `app/manifest.json` and the file that its entrypoint names, in `/app`.
    ///
    /// # Panics
    /// When the manifest names no entrypoint `module:Class`.
    #[must_use]
    pub fn hla_module(self, manifest: &Value) -> Self {
        let entrypoint = manifest["execution"]["entrypoint"].as_str().unwrap();
        let (module, class) = entrypoint.split_once(':').unwrap();
        let code = format!("class {class}:\n    def run(self, inputs):\n        return inputs\n");
        self.file("app/manifest.json", manifest.to_string()).file(&format!("app/{}.py", module.replace('.', "/")), code)
    }

    fn entry(mut self, entry: Entry) -> Self {
        if let Some(layer) = self.layers.last_mut() {
            layer.entries.push(entry);
        }
        self
    }

    /// Packs the layers and writes config and manifest.
    #[must_use]
    pub fn build(&self) -> BuiltImage {
        let (layers, diff_ids): (Vec<_>, Vec<_>) = self.layers.iter().map(LayerPlan::pack).unzip();
        let named = layers.iter().map(Blob::descriptor).collect();
        BuiltImage::new(self.architecture, layers, Rootfs { named, diff_ids })
    }

    /// Builds the image and pushes it under `tag`.
    ///
    /// # Panics
    /// When the registry refuses.
    pub async fn push(&self, registry: &RegistryAddress, repository: &str, tag: &str) -> PushedImage {
        self.build().push(registry, repository, tag).await
    }
}

impl DebianPackage {
    fn stanza(&self) -> String {
        let Self { name, version, source } = self;
        let source = source.map(|source| format!("Source: {source}\n")).unwrap_or_default();
        format!(
            "Package: {name}\nStatus: install ok installed\nPriority: optional\nSection: libs\nMaintainer: Test \
             <test@example.org>\nArchitecture: amd64\n{source}Version: {version}\nDescription: {name}\n\n"
        )
    }
}

/// Bytes with the digest and media type under which a manifest names them.
#[derive(Clone)]
pub struct Blob {
    pub digest: Digest,
    pub media_type: &'static str,
    pub bytes: Bytes,
}

impl Blob {
    #[must_use]
    pub fn new(media_type: &'static str, bytes: Bytes) -> Self {
        Self { digest: Digest::sha256_of(&bytes), media_type, bytes }
    }

    /// The OCI descriptor.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// An image's parts, ready to be pushed.
#[derive(Clone)]
pub struct BuiltImage {
    pub architecture: &'static str,
    pub config: Blob,
    pub layers: Vec<Blob>,
    pub manifest: Blob,
    rootfs: Rootfs,
}

/// What config and manifest say of the layers.
#[derive(Clone)]
struct Rootfs {
    named: Vec<Value>,
    diff_ids: Vec<Digest>,
}

impl BuiltImage {
    fn new(architecture: &'static str, layers: Vec<Blob>, rootfs: Rootfs) -> Self {
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"WorkingDir": "/app"},
            "rootfs": {"type": "layers", "diff_ids": rootfs.diff_ids},
        });
        let config = Blob::new(IMAGE_CONFIG, config.to_string().into());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "config": config.descriptor(),
            "layers": rootfs.named,
        });
        let manifest = Blob::new(IMAGE_MANIFEST, manifest.to_string().into());
        Self { architecture, config, layers, manifest, rootfs }
    }

    /// This image with one more layer, that of another image, which is named and not pushed.
    #[must_use]
    pub fn naming_layer_of(mut self, other: &Self, layer: usize) -> Self {
        self.rootfs.named.push(other.rootfs.named[layer].clone());
        self.rootfs.diff_ids.push(other.rootfs.diff_ids[layer].clone());
        Self::new(self.architecture, self.layers, self.rootfs)
    }
}

impl BuiltImage {
    /// This image with a config that names one layer's content as that of another.
    #[must_use]
    pub fn with_diff_id_of(mut self, layer: usize, other: usize) -> Self {
        self.rootfs.diff_ids[layer] = self.rootfs.diff_ids[other].clone();
        Self::new(self.architecture, self.layers, self.rootfs)
    }

    /// # Panics
    /// When the registry refuses.
    pub async fn push(&self, registry: &RegistryAddress, repository: &str, tag: &str) -> PushedImage {
        self.push_blobs(registry, repository).await;
        registry.put_manifest(repository, tag, &self.manifest).await;
        PushedImage::new(registry, repository, tag, self.manifest.clone(), self.source_bytes())
    }

    /// All bytes that a reader of the whole image takes: config and layers.
    #[must_use]
    pub fn source_bytes(&self) -> u64 {
        self.layers.iter().chain([&self.config]).map(|blob| blob.bytes.len() as u64).sum()
    }

    async fn push_blobs(&self, registry: &RegistryAddress, repository: &str) {
        for blob in self.layers.iter().chain([&self.config]) {
            registry.put_blob(repository, blob).await;
        }
    }
}

/// Pushes the images of several platforms and the index that names them.
///
/// # Panics
/// When the registry refuses.
pub async fn push_index(images: &[BuiltImage], registry: &RegistryAddress, repository: &str, tag: &str) -> PushedImage {
    let mut manifests = Vec::new();
    for image in images {
        image.push_blobs(registry, repository).await;
        registry.put_manifest(repository, &image.manifest.digest.to_string(), &image.manifest).await;
        let mut descriptor = image.manifest.descriptor();
        descriptor["platform"] = json!({"os": "linux", "architecture": image.architecture});
        manifests.push(descriptor);
    }
    let index = json!({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": manifests});
    let index = Blob::new(IMAGE_INDEX, index.to_string().into());
    registry.put_manifest(repository, tag, &index).await;
    let source_bytes = images.iter().map(BuiltImage::source_bytes).sum();
    PushedImage::new(registry, repository, tag, index, source_bytes)
}

/// An image in a registry.
#[derive(Clone)]
pub struct PushedImage {
    /// `host/repository:tag`, as an author writes it.
    pub reference: String,
    /// The top manifest.
    pub manifest: Blob,
    /// Blobs below it: configs and layers.
    pub source_bytes: u64,
}

impl PushedImage {
    fn new(registry: &RegistryAddress, repository: &str, tag: &str, manifest: Blob, source_bytes: u64) -> Self {
        Self { reference: format!("{}/{repository}:{tag}", registry.host), manifest, source_bytes }
    }
}

impl LayerPlan {
    /// The layer as it is stored, and the digest of its tar.
    fn pack(&self) -> (Blob, Digest) {
        if let Some(raw) = &self.raw {
            return (raw.clone(), raw.digest.clone());
        }
        let tar = self.tar();
        let diff_id = Digest::sha256_of(&tar);
        let blob = if self.zstd {
            let bytes = zstd::bulk::compress(&tar, 3).unwrap();
            Blob::new("application/vnd.oci.image.layer.v1.tar+zstd", bytes.into())
        } else {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&tar).unwrap();
            Blob::new("application/vnd.oci.image.layer.v1.tar+gzip", encoder.finish().unwrap().into())
        };
        (blob, diff_id)
    }

    fn tar(&self) -> Bytes {
        if let Some(archive) = &self.archive {
            return archive.clone();
        }
        let mut archive = tar::Builder::new(Vec::new());
        for entry in &self.entries {
            let mut header = tar::Header::new_gnu();
            match entry {
                Entry::File { path, bytes, mode } => {
                    header.set_mode(*mode);
                    header.set_size(bytes.len() as u64);
                    archive.append_data(&mut header, path, &bytes[..]).unwrap();
                }
                Entry::Symlink { path, target } => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    archive.append_link(&mut header, path, target).unwrap();
                }
            }
        }
        archive.into_inner().unwrap().into()
    }
}

/// Enough to defeat a compressor.
fn incompressible(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed, 0);
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}
