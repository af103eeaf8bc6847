//! Signatures that the HLA-Compass client makes of a package manifest: RSASSA-PSS with SHA-256 and a salt of maximum length
//! over the manifest's canonical form. Signature and public key stand in the manifest's own root.
//!
//! A signature proves that the manifest is as the holder of the key wrote it; who that is, enrolled keys say.

mod canonical;

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPssSaltLength, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry_types::document::{Errors, Node, Object};
use registry_types::manifest_key::{KeyFingerprint, ManifestKey};
use registry_types::package::PackageFormat;
use registry_types::pointer::PointerError;
use serde_json::Value;

pub use canonical::CanonicalManifest;

/// The salt is as long as the key has room for; one of another length is not this client's signature.
const RSA_PSS: RsaParameters = RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);

/// Base64 of the longest signature that an accepted key can make.
const MAX_SIGNATURE_CHARS: usize = 1368;

/// Whether this format's clients sign its manifests.
#[must_use]
pub const fn may_be_signed(format: PackageFormat) -> bool {
    match format {
        PackageFormat::HlaCompassModule => true,
        PackageFormat::PaperclipModule
        | PackageFormat::PaperclipPlugin
        | PackageFormat::MozaiksModule
        | PackageFormat::MozaiksPack
        | PackageFormat::MozaiksPackV1
        | PackageFormat::MicrocoreosTool
        | PackageFormat::MicrocoreosDomain
        | PackageFormat::MicrocoreosDriver
        | PackageFormat::CompanyTemplate
        | PackageFormat::Agentcompanies => false,
    }
}

/// A signature as it stands in a manifest, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestSignature {
    signature: Vec<u8>,
    /// The key that the signature claims to be by. The client's versions before 1.6.20 did not send it.
    pub key: Option<ManifestKey>,
}

impl ManifestSignature {
    /// Takes the signature from a manifest; `None` when it has none.
    ///
    /// # Errors
    /// Whatever is wrong with its members, each with its pointer. Codes: `type`, `signature`, `algorithm`, `public_key`,
    /// `fingerprint`.
    pub fn read(manifest: &Value) -> Result<Option<Self>, Vec<PointerError>> {
        let mut errors = Errors::default();
        let read = Node::root(manifest).object(&mut errors).map(|root| {
            let signature = signature(&root, &mut errors);
            let key = key(&root, &mut errors);
            algorithms(&root, &mut errors);
            signature.map(|signature| Self { signature, key })
        });
        errors.finish(read)
    }

    /// Whether the holder of `key` made this signature of these bytes: a [`CanonicalManifest`]'s.
    #[must_use]
    pub fn is_by(&self, key: &ManifestKey, canonical: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PSS, key.as_der()).verify(canonical, &self.signature).is_ok()
    }
}

fn signature(root: &Object<'_>, errors: &mut Errors) -> Option<Vec<u8>> {
    let node = root.optional("signature")?;
    let text = node.text(0..=MAX_SIGNATURE_CHARS, errors)?;
    let signature = STANDARD.decode(text).ok().filter(|signature| !signature.is_empty());
    if signature.is_none() {
        errors.push(&node.pointer, "signature", "must be base64");
    }
    signature
}

fn key(root: &Object<'_>, errors: &mut Errors) -> Option<ManifestKey> {
    let node = root.optional("publicKey")?;
    let text = node.text(0..=8192, errors)?;
    let key = STANDARD.decode(text).map_err(|_| "must be base64 of DER".to_owned());
    let key = key.and_then(|der| ManifestKey::from_der(der).map_err(|e| e.to_string()));
    let key = key.map_err(|why| errors.push(&node.pointer, "public_key", why)).ok()?;
    if let Some(node) = root.optional("keyFingerprint")
        && let Some(text) = node.text(0..=100, errors)
        && text.parse() != Ok::<KeyFingerprint, _>(key.fingerprint())
    {
        errors.push(&node.pointer, "fingerprint", "must be the base64 of the SHA-256 of publicKey");
    }
    Some(key)
}

fn algorithms(root: &Object<'_>, errors: &mut Errors) {
    for (member, algorithm) in [("signatureAlgorithm", "RSA-PSS"), ("hashAlgorithm", "SHA-256")] {
        if let Some(node) = root.optional(member)
            && node.value != algorithm
        {
            errors.push(&node.pointer, "algorithm", format!("must be {algorithm}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn codes(manifest: &Value) -> Vec<(String, String)> {
        ManifestSignature::read(manifest).unwrap_err().into_iter().map(|e| (e.pointer, e.code)).collect()
    }

    #[test]
    fn an_unsigned_manifest_has_no_signature() {
        assert_eq!(ManifestSignature::read(&json!({"name": "ranker"})), Ok(None));
        // A key alone signs nothing.
        assert_eq!(ManifestSignature::read(&json!({"signatureAlgorithm": "RSA-PSS"})), Ok(None));
    }

    #[test]
    fn all_that_is_wrong_with_a_signature_is_said() {
        let wrong = json!({
            "signature": "not base64!", "publicKey": "AAAA", "signatureAlgorithm": "RSA-PKCS1", "hashAlgorithm": "SHA-1",
        });
        let pair = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
        assert_eq!(
            codes(&wrong),
            [
                pair("/signature", "signature"),
                pair("/publicKey", "public_key"),
                pair("/signatureAlgorithm", "algorithm"),
                pair("/hashAlgorithm", "algorithm"),
            ]
        );
        assert_eq!(codes(&json!({"signature": ""})), [pair("/signature", "signature")]);
        assert_eq!(codes(&json!({"signature": null}))[0].0, "/signature");
        assert_eq!(codes(&json!({"signature": "A".repeat(MAX_SIGNATURE_CHARS + 1)}))[0].0, "/signature");
    }
}
