//! Finding what was signed about an image, and fetching it.

use std::collections::BTreeMap;

use bytes::Bytes;
use registry_types::digest::Digest;
use registry_types::limits;

use super::legacy;
use crate::source::manifest::{Descriptor, ImageManifest, Manifest};
use crate::source::{FailureClass, RawManifest, ReferrersSource, RegistrySession, SourceError};

/// Everything that was found about one image.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) candidates: Vec<Candidate>,
    pub(super) artifacts: Vec<SignatureArtifact>,
    pub(super) referrers: ReferrersSource,
    /// What was passed over, and why; for people.
    pub(super) notes: Vec<String>,
}

/// Something that may be a signature.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The image it was found for.
    pub(super) subject: Digest,
    pub(super) manifest: Digest,
    pub(super) layer: Digest,
    pub(super) content: CandidateContent,
}

#[derive(Debug)]
pub(super) enum CandidateContent {
    /// A sigstore bundle.
    Bundle(Bytes),
    /// Cosign's legacy form: the signed payload and the annotations beside it.
    Legacy { payload: Bytes, annotations: BTreeMap<String, String> },
    /// Cosign's legacy attestation.
    LegacyAttestation,
    /// Could not be had in a form that can be judged.
    Unreadable { form: LayerForm, why: String },
}

/// How a layer of a signature manifest is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LayerForm {
    Bundle,
    Legacy,
    LegacyAttestation,
}

impl LayerForm {
    /// By the layer's media type: the artifact type is not reliable across registries.
    fn of(media_type: &str) -> Option<Self> {
        if media_type.starts_with("application/vnd.dev.sigstore.bundle") {
            return Some(Self::Bundle);
        }
        match media_type {
            legacy::PAYLOAD_TYPE => Some(Self::Legacy),
            "application/vnd.dsse.envelope.v1+json" => Some(Self::LegacyAttestation),
            _ => None,
        }
    }
}

/// A signature or attestation as it lies in the source registry, whole.
#[derive(Debug, Clone)]
pub struct SignatureArtifact {
    /// The image it belongs to.
    pub subject: Digest,
    pub attachment: Attachment,
    pub manifest: RawManifest,
    /// Config and layers.
    pub blobs: Vec<SignatureBlob>,
}

/// How clients find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// By this tag (`sha256-….sig`, `sha256-….att`).
    Tag(String),
    /// By its `subject` field.
    Referrer,
}

/// One blob of a [`SignatureArtifact`]; its digest was verified.
#[derive(Debug, Clone)]
pub struct SignatureBlob {
    pub descriptor: Descriptor,
    pub bytes: Bytes,
}

/// Looks under the legacy tags and among the referrers.
///
/// Fails whenever an answer is missing: only a clean "no such tag" and an empty list mean that there is nothing.
pub(super) async fn discover(session: &RegistrySession, subject: &Digest) -> Result<Found, SourceError> {
    let mut search = Search {
        session,
        subject,
        found: Found {
            candidates: Vec::new(),
            artifacts: Vec::new(),
            referrers: ReferrersSource::Api,
            notes: Vec::new(),
        },
    };
    for suffix in ["sig", "att"] {
        search.legacy_tag(suffix).await?;
    }
    search.referrers().await?;
    Ok(search.found)
}

struct Search<'a> {
    session: &'a RegistrySession,
    subject: &'a Digest,
    found: Found,
}

impl Search<'_> {
    async fn legacy_tag(&mut self, suffix: &str) -> Result<(), SourceError> {
        let tag = format!("{}-{}.{suffix}", self.subject.algorithm().as_str(), self.subject.hex());
        // A sha512 digest with suffix is longer than a tag may be.
        if tag.len() > 128 {
            return Ok(());
        }
        let manifest = match self.session.manifest(&tag).await {
            Ok(manifest) => manifest,
            Err(SourceError::NotFound { .. }) => return Ok(()),
            Err(error) => {
                let why = faulty(error)?;
                self.found.notes.push(format!("tag {tag} is not readable: {why}"));
                return Ok(());
            }
        };
        self.artifact(manifest, Attachment::Tag(tag)).await
    }

    async fn referrers(&mut self) -> Result<(), SourceError> {
        let referrers = self.session.referrers(self.subject).await?;
        self.found.referrers = referrers.source;
        if referrers.tag_is_no_list {
            self.found.notes.push("the tag for referrers holds something else than a list of them".to_owned());
        }
        for entry in referrers.descriptors {
            let manifest = match self.session.manifest(&entry.digest.to_string()).await {
                Ok(manifest) => manifest,
                Err(error) => {
                    let why = faulty(error)?;
                    self.found.notes.push(format!("referrer {} is not readable: {why}", entry.digest));
                    continue;
                }
            };
            if manifest.content.subject().map(|subject| &subject.digest) == Some(self.subject) {
                self.artifact(manifest, Attachment::Referrer).await?;
            } else {
                self.found.notes.push(format!("{} is listed as referrer but refers to something else", entry.digest));
            }
        }
        Ok(())
    }

    async fn artifact(&mut self, manifest: RawManifest, attachment: Attachment) -> Result<(), SourceError> {
        let image = match &manifest.content {
            Manifest::Image(image) => image.clone(),
            Manifest::Index(_) => {
                self.found.notes.push(format!("{} is an index, not a signature", manifest.digest));
                return Ok(());
            }
        };
        if image.layers.iter().all(|layer| LayerForm::of(&layer.media_type).is_none()) {
            let kind = image.artifact_type.as_deref().unwrap_or(&image.config.media_type);
            self.found.notes.push(format!("{} is no signature ({})", manifest.digest, shortened(kind)));
            return Ok(());
        }
        let blobs = self.blobs(&manifest.digest, &image).await?;
        match blobs {
            Some(blobs) => self.found.artifacts.push(SignatureArtifact {
                subject: self.subject.clone(),
                attachment,
                manifest,
                blobs,
            }),
            None => self.found.notes.push(format!("{} cannot be mirrored whole", manifest.digest)),
        }
        Ok(())
    }

    /// Reads config and layers, noting a candidate for each layer of a signature's form. `None` when one is missing.
    async fn blobs(
        &mut self,
        manifest: &Digest,
        image: &ImageManifest,
    ) -> Result<Option<Vec<SignatureBlob>>, SourceError> {
        let mut blobs = Some(Vec::new());
        for descriptor in image.layers.iter().chain([&image.config]) {
            let is_layer = !std::ptr::eq(descriptor, &raw const image.config);
            let form = if is_layer { LayerForm::of(&descriptor.media_type) } else { None };
            let fetched =
                self.session.blob_bytes(&descriptor.digest, descriptor.size, limits::MAX_SIGNATURE_BYTES).await;
            let fetched = match fetched {
                Ok(bytes) => Ok(bytes),
                Err(error) => Err(faulty(error)?),
            };
            if let Some(form) = form {
                self.candidate(manifest, descriptor, form, &fetched)?;
            }
            match (fetched, &mut blobs) {
                (Ok(bytes), Some(blobs)) => blobs.push(SignatureBlob { descriptor: descriptor.clone(), bytes }),
                (Ok(_), None) => {}
                (Err(_), _) => blobs = None,
            }
        }
        Ok(blobs)
    }

    fn candidate(
        &mut self,
        manifest: &Digest,
        layer: &Descriptor,
        form: LayerForm,
        fetched: &Result<Bytes, String>,
    ) -> Result<(), SourceError> {
        if self.found.candidates.len() >= limits::MAX_SIGNATURE_CANDIDATES {
            let what = format!("the number of signatures of {}", self.subject);
            return Err(SourceError::LimitExceeded { what, limit: limits::MAX_SIGNATURE_CANDIDATES as u64 });
        }
        let content = match (fetched, form) {
            (Err(why), form) => CandidateContent::Unreadable { form, why: why.clone() },
            (Ok(bytes), LayerForm::Bundle) => CandidateContent::Bundle(bytes.clone()),
            (Ok(_), LayerForm::LegacyAttestation) => CandidateContent::LegacyAttestation,
            (Ok(bytes), LayerForm::Legacy) => {
                CandidateContent::Legacy { payload: bytes.clone(), annotations: layer.annotations.clone() }
            }
        };
        self.found.candidates.push(Candidate {
            subject: self.subject.clone(),
            manifest: manifest.clone(),
            layer: layer.digest.clone(),
            content,
        });
        Ok(())
    }
}

/// Tells a fault of one candidate, which makes it not count, from a failure that leaves the search incomplete.
fn faulty(error: SourceError) -> Result<String, SourceError> {
    match error {
        SourceError::NotFound { .. }
        | SourceError::LimitExceeded { .. }
        | SourceError::ManifestInvalid { .. }
        | SourceError::ForeignLayer { .. }
        | SourceError::DigestMismatch { .. }
        | SourceError::SizeMismatch { .. } => {
            debug_assert!(matches!(error.class(), FailureClass::Reject(_)));
            Ok(error.to_string())
        }
        SourceError::AccessDenied { .. }
        | SourceError::HostForbidden { .. }
        | SourceError::RateLimited { .. }
        | SourceError::Unavailable(_)
        | SourceError::Timeout(_)
        | SourceError::Protocol(_)
        | SourceError::Unsupported { .. }
        | SourceError::Setup(_) => Err(error),
    }
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}
