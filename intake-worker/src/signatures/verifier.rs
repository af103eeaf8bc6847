//! The only module that names the Sigstore verifier: its interface changes between minor releases.

use std::path::Path;
use std::sync::Arc;

use registry_types::digest::{Algorithm, Digest};
use registry_types::public_key::PublicKeyPem;
use serde::Serialize;
use sigstore_verify::crypto::{FulcioCiClaims, VerificationKey};
use sigstore_verify::trust_root::{SigstoreInstance, TrustedRoot};
use sigstore_verify::types::bundle::VerificationMaterialContent;
use sigstore_verify::types::{
    Artifact, ArtifactDigest, Bundle, DerPublicKey, HashAlgorithm, SignatureBytes, SignatureContent, Statement,
};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult, Verifier};

/// The certificate authorities, logs and timestamp authorities that count. Cheap to clone.
#[derive(Clone)]
pub struct TrustRoots {
    roots: Arc<[TrustRoot]>,
}

struct TrustRoot {
    verifier: Verifier,
    digest: Digest,
}

/// Why a trusted root does not load.
#[derive(Debug, thiserror::Error)]
pub enum TrustRootError {
    #[error("trusted root cannot be read")]
    Read(#[from] std::io::Error),
    #[error("trusted root is not usable: {0}")]
    Content(String),
}

impl TrustRoots {
    /// No keyless signature can be verified with this.
    #[must_use]
    pub fn none() -> Self {
        Self { roots: Arc::new([]) }
    }

    /// From `trusted_root.json` documents; a signature counts when one of them proves it.
    ///
    /// # Errors
    /// When a document is not a usable trusted root.
    pub fn from_documents(documents: &[&str]) -> Result<Self, TrustRootError> {
        let roots: Result<Vec<_>, _> = documents.iter().map(|document| TrustRoot::load(document)).collect();
        Ok(Self { roots: roots?.into() })
    }

    /// From one file. Blocks: for start-up.
    ///
    /// # Errors
    /// When the file cannot be read or is not a usable trusted root.
    pub fn from_file(path: &Path) -> Result<Self, TrustRootError> {
        Self::from_documents(&[&std::fs::read_to_string(path)?])
    }

    /// The root of Sigstore's public-good instance as it was when the verifier was released. It does not learn of new keys:
    /// a current file is better.
    ///
    /// # Errors
    /// When the built-in document is not usable.
    pub fn public_good() -> Result<Self, TrustRootError> {
        Self::from_documents(&[SigstoreInstance::PublicGood.embedded_trusted_root_json()])
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The sha256 digests of the documents, for the evidence.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.roots.iter().map(|root| &root.digest)
    }

    /// Verifies a signature made with a short-lived certificate: certificate chain at the signing time, its log of
    /// certificates, the transparency log entry, and the signature over `signed`. Says who signed; whether that is the right
    /// one is for the caller to judge.
    ///
    /// # Errors
    /// When no trusted root proves all of it.
    pub fn keyless(&self, bundle: &SignedBundle, signed: Signed<'_>) -> Result<Signer, VerifyError> {
        let policy = VerificationPolicy::any_identity();
        self.first_proof(|root| {
            let result = root.verifier.verify(signed.artifact()?, &bundle.0, &policy).map_err(rejected)?;
            keyless_signer(&result, bundle, root)
        })
    }

    /// Verifies a signature made with `key`. A log entry or timestamp that the bundle carries must hold too, as far as there
    /// is a trusted root to judge it by; the key alone is what the policy demands.
    ///
    /// # Errors
    /// When the signature is not by that key over `signed`, or what the bundle says of logs does not hold.
    pub fn with_key(
        &self,
        bundle: &SignedBundle,
        signed: Signed<'_>,
        key: &PublicKeyPem,
    ) -> Result<Signer, VerifyError> {
        let public = public_key(key)?;
        let material = &bundle.0.verification_material;
        if !matches!(material.content, VerificationMaterialContent::PublicKey(_)) {
            return Err(VerifyError::Rejected("the bundle was made with a certificate, not with a key".to_owned()));
        }
        let logged = !material.tlog_entries.is_empty();
        let stamped = !material.timestamp_verification_data.rfc3161_timestamps.is_empty();
        if self.is_empty() || (!logged && !stamped) {
            bundle.verify_directly(&public, signed)?;
            return Ok(Signer::of_key(&public));
        }
        let mut policy = PublicKeyVerificationPolicy::new(public.clone());
        if !logged {
            policy = policy.skip_tlog_unsafe();
        }
        self.first_proof(|root| {
            let result = root.verifier.verify(signed.artifact()?, &bundle.0, &policy).map_err(rejected)?;
            Ok(Signer {
                log_index: if result.tlog_verified() { bundle.log_index() } else { None },
                signed_at: signing_time(&result),
                trusted_root: Some(root.digest.clone()),
                ..Signer::of_key(&public)
            })
        })
    }

    fn first_proof(&self, prove: impl Fn(&TrustRoot) -> Result<Signer, VerifyError>) -> Result<Signer, VerifyError> {
        let mut failure = VerifyError::NoTrustedRoot;
        for root in self.roots.iter() {
            match prove(root) {
                Ok(signer) => return Ok(signer),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl TrustRoot {
    fn load(document: &str) -> Result<Self, TrustRootError> {
        let content = |error: &dyn std::error::Error| TrustRootError::Content(error.to_string());
        let root = TrustedRoot::from_json(document).map_err(|error| content(&error))?;
        let verifier = Verifier::new(&root).map_err(|error| content(&error))?;
        Ok(Self { verifier, digest: Digest::sha256_of(document.as_bytes()) })
    }
}

/// What was signed.
#[derive(Debug, Clone, Copy)]
pub enum Signed<'a> {
    Bytes(&'a [u8]),
    /// Known only by digest; for bundles whose statement names it.
    Digest(&'a Digest),
}

impl<'a> Signed<'a> {
    fn artifact(self) -> Result<Artifact<'a>, VerifyError> {
        match self {
            Self::Bytes(bytes) => Ok(Artifact::from_blob(bytes)),
            Self::Digest(digest) => {
                let algorithm = match digest.algorithm() {
                    Algorithm::Sha256 => HashAlgorithm::Sha2256,
                    Algorithm::Sha384 => HashAlgorithm::Sha2384,
                    Algorithm::Sha512 => HashAlgorithm::Sha2512,
                };
                let bytes = hex::decode(digest.hex()).map_err(|error| VerifyError::Rejected(error.to_string()))?;
                let digest = ArtifactDigest::new(algorithm, bytes).map_err(rejected)?;
                Ok(Artifact::from_digest(digest))
            }
        }
    }
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("it is not a readable sigstore bundle: {0}")]
    Unreadable(String),
    #[error("{0}")]
    Rejected(String),
    #[error("no trusted root is configured, so that keyless signatures cannot be verified")]
    NoTrustedRoot,
}

/// Texts of the verifier name what it compared, which the bundle chose: cut to a length that a page can show.
fn rejected(error: impl std::error::Error) -> VerifyError {
    VerifyError::Rejected(shortened(&error))
}

fn shortened(error: &dyn std::error::Error) -> String {
    error.to_string().chars().filter(|c| !c.is_control()).take(300).collect()
}

/// A sigstore bundle, v0.1 to v0.3, read but not verified.
pub struct SignedBundle(Bundle);

/// What a bundle was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedWith {
    Certificate,
    Key,
}

/// What a bundle's signature is over.
#[derive(Debug, Clone, Copy)]
pub enum BundleContent<'a> {
    /// A DSSE envelope.
    Envelope { payload_type: &'a str, payload: &'a [u8] },
    /// Bytes that are not in the bundle.
    Message,
}

impl SignedBundle {
    /// # Errors
    /// When it is not a bundle of a known version, or uses log entries of an unsupported kind.
    pub fn read(json: &str) -> Result<Self, VerifyError> {
        Bundle::from_json(json).map(Self).map_err(|error| VerifyError::Unreadable(shortened(&error)))
    }

    /// # Errors
    /// When the bundle carries neither certificate nor key.
    pub fn signed_with(&self) -> Result<SignedWith, VerifyError> {
        match self.0.verification_material.content {
            VerificationMaterialContent::Certificate(_) | VerificationMaterialContent::X509CertificateChain { .. } => {
                Ok(SignedWith::Certificate)
            }
            VerificationMaterialContent::PublicKey(_) => Ok(SignedWith::Key),
            _ => Err(VerifyError::Unreadable("unknown verification material".to_owned())),
        }
    }

    /// # Errors
    /// When the bundle carries neither envelope nor message signature.
    pub fn content(&self) -> Result<BundleContent<'_>, VerifyError> {
        match &self.0.content {
            SignatureContent::DsseEnvelope(envelope) => Ok(BundleContent::Envelope {
                payload_type: &envelope.payload_type,
                payload: envelope.payload.as_bytes(),
            }),
            SignatureContent::MessageSignature(_) => Ok(BundleContent::Message),
            _ => Err(VerifyError::Unreadable("unknown signature content".to_owned())),
        }
    }

    fn log_index(&self) -> Option<u64> {
        self.0.verification_material.tlog_entries.first().map(|entry| entry.log_index.get())
    }

    /// The signature alone, without logs and timestamps. The verifier refuses bundles that carry neither, which is what
    /// cosign makes with a key and no log.
    fn verify_directly(&self, key: &DerPublicKey, signed: Signed<'_>) -> Result<(), VerifyError> {
        let key = VerificationKey::from_spki(key).map_err(rejected)?;
        match &self.0.content {
            SignatureContent::DsseEnvelope(envelope) => {
                key.verify(envelope.pae(), &envelope.signature.sig).map_err(rejected)?;
                names(envelope.payload.as_bytes(), signed)
            }
            SignatureContent::MessageSignature(message) => match signed {
                Signed::Bytes(bytes) => key.verify(bytes, &message.signature).map_err(rejected),
                Signed::Digest(digest) => {
                    let bytes = hex::decode(digest.hex()).map_err(|error| VerifyError::Rejected(error.to_string()))?;
                    key.verify_prehashed(&bytes, &message.signature).map_err(rejected)
                }
            },
            _ => Err(VerifyError::Unreadable("unknown signature content".to_owned())),
        }
    }
}

/// Whether an in-toto statement has `signed` among its subjects.
fn names(statement: &[u8], signed: Signed<'_>) -> Result<(), VerifyError> {
    let statement: Statement = serde_json::from_slice(statement)
        .map_err(|error| VerifyError::Rejected(format!("the signed statement is unreadable: {error}")))?;
    let owned;
    let digest = match signed {
        Signed::Bytes(bytes) => {
            owned = Digest::sha256_of(bytes);
            &owned
        }
        Signed::Digest(digest) => digest,
    };
    let wanted = digest.hex();
    let named = statement.subject.iter().any(|subject| match digest.algorithm() {
        Algorithm::Sha256 => subject.digest.sha256.as_ref().is_some_and(|hash| hash.to_hex() == wanted),
        Algorithm::Sha512 => subject.digest.sha512.as_ref().is_some_and(|hash| hash.to_hex() == wanted),
        Algorithm::Sha384 => subject.digest.other.get("sha384").is_some_and(|hash| hash == wanted),
    });
    if named {
        Ok(())
    } else {
        Err(VerifyError::Rejected("the signed statement does not name the artifact".to_owned()))
    }
}

/// Verifies a bare signature (base64) by `key` over `payload`, as cosign's legacy layout holds it.
///
/// # Errors
/// When the signature is not by that key.
pub fn verify_payload(payload: &[u8], signature: &str, key: &PublicKeyPem) -> Result<Signer, VerifyError> {
    let signature = SignatureBytes::from_base64(signature).map_err(rejected)?;
    let public = public_key(key)?;
    VerificationKey::from_spki(&public).map_err(rejected)?.verify(payload, &signature).map_err(rejected)?;
    Ok(Signer::of_key(&public))
}

/// sha256 of a key's DER SubjectPublicKeyInfo; `None` when the PEM is unreadable.
#[must_use]
pub fn fingerprint(key: &PublicKeyPem) -> Option<Digest> {
    public_key(key).ok().map(|key| Digest::sha256_of(key.as_bytes()))
}

fn public_key(key: &PublicKeyPem) -> Result<DerPublicKey, VerifyError> {
    DerPublicKey::from_pem(key.as_str()).map_err(rejected)
}

/// Who made a verified signature, and what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signer {
    #[serde(flatten)]
    pub who: Who,
    /// Index of the transparency log entry, where one was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// RFC 3339; from the log or a timestamp authority, never from the signer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<String>,
    /// sha256 of the trusted root that proves it; `None` where the key alone does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_root: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "signer", rename_all = "snake_case")]
pub enum Who {
    Identity {
        subject: String,
        issuer: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        source_repository: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        source_commit: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        source_ref: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        run: Option<String>,
    },
    Key {
        /// sha256 of the DER SubjectPublicKeyInfo.
        key: Digest,
    },
}

impl Signer {
    /// Proven by the key alone.
    fn of_key(key: &DerPublicKey) -> Self {
        let who = Who::Key { key: Digest::sha256_of(key.as_bytes()) };
        Self { who, log_index: None, signed_at: None, trusted_root: None }
    }
}

fn keyless_signer(result: &VerificationResult, bundle: &SignedBundle, root: &TrustRoot) -> Result<Signer, VerifyError> {
    if !result.certificate_verified() || !result.tlog_verified() {
        return Err(VerifyError::Rejected("certificate and log entry were not both verified".to_owned()));
    }
    let (Some(subject), Some(issuer), Some(certificate)) = (result.identity(), result.issuer(), result.certificate())
    else {
        return Err(VerifyError::Rejected("the certificate names no identity and issuer".to_owned()));
    };
    let FulcioCiClaims {
        source_repository_uri,
        source_repository_digest,
        source_repository_ref,
        run_invocation_uri,
        ..
    } = certificate.ci_claims.clone();
    let who = Who::Identity {
        subject: subject.as_str().to_owned(),
        issuer: issuer.to_owned(),
        source_repository: source_repository_uri,
        source_commit: source_repository_digest,
        source_ref: source_repository_ref,
        run: run_invocation_uri,
    };
    Ok(Signer {
        who,
        log_index: bundle.log_index(),
        signed_at: signing_time(result),
        trusted_root: Some(root.digest.clone()),
    })
}

fn signing_time(result: &VerificationResult) -> Option<String> {
    result.verified_timestamps().iter().min().map(ToString::to_string)
}
