//! `pull`: an active version into an OCI layout folder.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
};
use oci_client::secrets::RegistryAuth;
use registry_types::digest::Digest;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::cli::Global;
use crate::client::Client;
use crate::commands::packages::split_package;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, text};

const ACCEPTED: &[&str] =
    &[OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE];

#[derive(Debug, Args)]
pub struct PullArgs {
    /// `publisher/name[@version]`; the newest active version where none is named.
    pub package: String,
    /// Folder to make: an OCI image layout.
    pub folder: PathBuf,
}

/// # Errors
/// What the store refuses, or a digest that does not match.
pub async fn run(global: &Global, output: Output, args: PullArgs) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    let (name, version) = split_package(&args.package)?;
    let version = match version {
        Some(version) => version,
        None => text(&client.get(&format!("/v1/packages/{name}")).await?, "/latest_version").to_owned(),
    };
    let shown = client.get(&format!("/v1/packages/{name}/versions/{version}")).await?;
    let digest: Digest = text(&shown, "/digest")
        .parse()
        .map_err(|e| CommandError::Answer(format!("{name}@{version} has no image digest: {e}")))?;
    let mut pull = Pull::new(&client, &name, &args.folder)?;
    let spinner = output.spinner(&format!("pulling {name}@{version}"));
    pull.manifest(digest.clone(), &version).await?;
    spinner.finish_and_clear();
    let answer = json!({ "package": name, "version": version, "digest": digest, "blobs": pull.done.len(),
        "folder": args.folder });
    output.show(&answer, |_| outln!("Pulled {name}@{version} ({digest}) into {}.", args.folder.display()))?;
    Ok(Exit::Success)
}

/// One pull under way.
struct Pull {
    registry: oci_client::Client,
    auth: RegistryAuth,
    /// `host:port/publisher/name`.
    repository: String,
    folder: PathBuf,
    done: HashSet<Digest>,
}

impl Pull {
    fn new(client: &Client, name: &str, folder: &Path) -> Result<Self, CommandError> {
        let server = client.server();
        let protocol = if server.scheme() == "http" { ClientProtocol::Http } else { ClientProtocol::Https };
        let config = ClientConfig { protocol, ..ClientConfig::default() };
        let registry = oci_client::Client::try_from(config).map_err(anyhow::Error::from)?;
        let host = server.host_str().unwrap_or_default();
        let authority = server.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        std::fs::create_dir_all(folder.join("blobs/sha256")).map_err(CommandError::file("create", folder))?;
        Ok(Self {
            registry,
            auth: client.registry_auth(),
            repository: format!("{authority}/{name}"),
            folder: folder.to_owned(),
            done: HashSet::new(),
        })
    }

    /// Pulls the top manifest and everything below it, then writes the layout's own files.
    async fn manifest(&mut self, digest: Digest, version: &str) -> Result<(), CommandError> {
        let mut waiting = vec![digest.clone()];
        let mut top = None;
        while let Some(digest) = waiting.pop() {
            if !self.done.insert(digest.clone()) {
                continue;
            }
            let bytes = self.fetch_manifest(&digest).await?;
            let document: Value = serde_json::from_slice(&bytes).map_err(|e| CommandError::Answer(e.to_string()))?;
            top.get_or_insert_with(|| (text(&document, "/mediaType").to_owned(), bytes.len()));
            waiting.extend(digests(&document, "/manifests")?);
            let mut blobs = digests(&document, "/layers")?;
            if let Some(config) = document.pointer("/config/digest").and_then(Value::as_str) {
                blobs.push(config.parse().map_err(|_| CommandError::Answer("a config without digest".to_owned()))?);
            }
            for blob in blobs {
                self.blob(blob).await?;
            }
        }
        let (media_type, size) = top.unwrap_or_default();
        let index = json!({ "schemaVersion": 2, "manifests": [{ "mediaType": media_type, "digest": digest,
            "size": size, "annotations": { "org.opencontainers.image.ref.name": version } }] });
        self.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        self.write("index.json", index.to_string().as_bytes())
    }

    async fn fetch_manifest(&self, digest: &Digest) -> Result<Vec<u8>, CommandError> {
        let reference = self.reference(digest)?;
        let (bytes, _) =
            self.registry.pull_manifest_raw(&reference, &self.auth, ACCEPTED).await.map_err(anyhow::Error::from)?;
        if !digest.matches(&bytes) {
            return Err(CommandError::Answer(format!("manifest {digest} has other bytes")));
        }
        self.write(&blob_path(digest), &bytes)?;
        Ok(bytes.to_vec())
    }

    /// The client checks the digest at the end of the stream; the file gets its name only then.
    async fn blob(&mut self, digest: Digest) -> Result<(), CommandError> {
        if !self.done.insert(digest.clone()) {
            return Ok(());
        }
        let path = self.folder.join(blob_path(&digest));
        let unfinished = path.with_extension("unfinished");
        let mut file = tokio::fs::File::create(&unfinished).await.map_err(CommandError::file("create", &unfinished))?;
        let reference = self.reference(&digest)?;
        let wanted = digest.to_string();
        self.registry.pull_blob(&reference, wanted.as_str(), &mut file).await.map_err(anyhow::Error::from)?;
        file.flush().await.map_err(CommandError::file("write", &unfinished))?;
        std::fs::rename(&unfinished, &path).map_err(CommandError::file("rename", &path))
    }

    fn reference(&self, digest: &Digest) -> Result<oci_client::Reference, CommandError> {
        format!("{}@{digest}", self.repository)
            .parse()
            .map_err(|e: oci_client::ParseError| CommandError::Answer(e.to_string()))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), CommandError> {
        let path = self.folder.join(name);
        std::fs::write(&path, bytes).map_err(CommandError::file("write", &path))
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

fn digests(document: &Value, pointer: &str) -> Result<Vec<Digest>, CommandError> {
    let descriptors = document.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    descriptors
        .map(|descriptor| {
            text(descriptor, "/digest")
                .parse()
                .map_err(|_| CommandError::Answer("a descriptor without digest".to_owned()))
        })
        .collect()
}
