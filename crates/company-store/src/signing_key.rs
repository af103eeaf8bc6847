//! An author's key, and the signing of package manifests with it, as the HLA-Compass client does: its keys and this
//! program's are the same.

use std::collections::BTreeMap;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256, RsaKeyPair, RsaPssSaltLength, RsaSignatureEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::pkcs8::LineEnding;
use p256::pkcs8::der::pem;
use package_formats::manifest_signature::CanonicalManifest;
use registry_types::manifest_key::ManifestKey;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::{RawValue, to_raw_value};

static RSA_PSS: RsaSignatureEncoding = RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);

const PEM_LABEL: &str = "PRIVATE KEY";

/// An RSA key pair of 2048 to 8192 bits.
pub struct SigningKey(RsaKeyPair);

/// Why a key cannot be used, or a manifest not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("the key must be a PEM block `PRIVATE KEY` of an RSA key of 2048 to 8192 bits, without a password")]
    Key,
    #[error("the manifest is no JSON object")]
    Manifest(#[source] serde_json::Error),
    #[error("the key could not sign")]
    Sign,
}

impl SigningKey {
    /// A new key of 4096 bits.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn generate() -> Result<Self, SigningError> {
        RsaKeyPair::generate(KeySize::Rsa4096).map(Self).map_err(|_| SigningError::Sign)
    }

    /// # Errors
    /// When the text is no such key.
    pub fn from_pem(text: &SecretString) -> Result<Self, SigningError> {
        let text = format!("{}\n", text.expose_secret().trim());
        let Ok((PEM_LABEL, der)) = pem::decode_vec(text.as_bytes()) else { return Err(SigningError::Key) };
        RsaKeyPair::from_pkcs8(&der).map(Self).map_err(|_| SigningError::Key)
    }

    /// PKCS #8, without a password.
    ///
    /// # Errors
    /// When the key cannot be written, which does not happen to one that could be read.
    pub fn to_pem(&self) -> Result<SecretString, SigningError> {
        let der: Pkcs8V1Der<'_> = self.0.as_der().map_err(|_| SigningError::Key)?;
        let text = pem::encode_string(PEM_LABEL, LineEnding::LF, der.as_ref()).map_err(|_| SigningError::Key)?;
        Ok(SecretString::from(text))
    }

    /// # Errors
    /// When the key is not one that the store takes.
    pub fn public_key(&self) -> Result<ManifestKey, SigningError> {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().map_err(|_| SigningError::Key)?;
        ManifestKey::from_der(der.as_ref().to_vec()).map_err(|_| SigningError::Key)
    }

    /// The manifest with its signature; one that it has is replaced. Everything else stays as it is written.
    ///
    /// # Errors
    /// When the manifest is no object.
    pub fn sign(&self, manifest: &RawValue) -> Result<Box<RawValue>, SigningError> {
        let canonical = CanonicalManifest::of(manifest).map_err(SigningError::Manifest)?;
        let mut signature = vec![0; self.0.public_modulus_len()];
        let signed = self.0.sign(&RSA_PSS, &SystemRandom::new(), canonical.as_bytes(), &mut signature);
        signed.map_err(|_| SigningError::Sign)?;
        let key = self.public_key()?;
        let added = [
            ("signature", STANDARD.encode(signature)),
            ("publicKey", STANDARD.encode(key.as_der())),
            ("keyFingerprint", key.fingerprint().to_string()),
            ("signatureAlgorithm", "RSA-PSS".to_owned()),
            ("hashAlgorithm", "SHA-256".to_owned()),
        ];
        let mut members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(manifest.get()).map_err(SigningError::Manifest)?;
        for (name, value) in added {
            members.insert(name.to_owned(), to_raw_value(&value).map_err(SigningError::Manifest)?);
        }
        to_raw_value(&members).map_err(SigningError::Manifest)
    }
}

#[cfg(test)]
mod tests {
    use package_formats::json::parse_strict;
    use package_formats::manifest_signature::ManifestSignature;

    use super::*;

    #[test]
    fn what_is_signed_here_verifies_with_every_number_as_it_was_written() {
        let key = SigningKey(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        let again = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
        let manifest = RawValue::from_string(r#"{"n": 1.0e+5, "signature": "old", "a": "\u00e9"}"#.to_owned()).unwrap();
        let signed = again.sign(&manifest).unwrap();
        assert!(signed.get().contains(r#""n":1.0e+5"#), "{signed}");
        let signature = ManifestSignature::read(&parse_strict(signed.get().as_bytes()).unwrap()).unwrap().unwrap();
        assert_eq!(signature.key, Some(key.public_key().unwrap()));
        let canonical = CanonicalManifest::of(&signed).unwrap();
        assert!(signature.is_by(&key.public_key().unwrap(), canonical.as_bytes()));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "secret"] {
            assert!(matches!(SigningKey::from_pem(&SecretString::from(text)), Err(SigningError::Key)), "{text}");
        }
    }
}
