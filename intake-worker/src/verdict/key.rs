//! The store's signing key: ECDSA on P-256 with SHA-256, which every cosign verifies.

use std::fmt;

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use registry_types::digest::Digest;
use secrecy::{ExposeSecret as _, SecretString};

use super::envelope::{Envelope, pre_authentication_encoding};

/// Why the key cannot be used. Says nothing about the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerdictKeyError {
    #[error("the verdict key must be a PEM block `PRIVATE KEY` (PKCS #8) with an ECDSA P-256 key")]
    Pem,
    #[error("no random numbers can be had from the system")]
    Random,
}

/// The key that signs verdicts. `Debug` shows its id only.
#[derive(Clone)]
pub struct VerdictKey {
    signing: SigningKey,
    key_id: String,
    public_pem: String,
    public_digest: [u8; 32],
}

impl fmt::Debug for VerdictKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerdictKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl VerdictKey {
    /// # Errors
    /// [`VerdictKeyError::Pem`].
    pub fn from_pem(pem: &SecretString) -> Result<Self, VerdictKeyError> {
        let signing = SigningKey::from_pkcs8_pem(pem.expose_secret().trim()).map_err(|_| VerdictKeyError::Pem)?;
        let public = signing.verifying_key();
        let public_pem = public.to_public_key_pem(LineEnding::LF).map_err(|_| VerdictKeyError::Pem)?;
        let public_der = public.to_public_key_der().map_err(|_| VerdictKeyError::Pem)?;
        let digest = Digest::sha256_of(public_der.as_bytes());
        let mut public_digest = [0; 32];
        hex::decode_to_slice(digest.hex(), &mut public_digest).map_err(|_| VerdictKeyError::Pem)?;
        Ok(Self { signing, key_id: digest.to_string(), public_pem, public_digest })
    }

    /// A new random key as PEM: for the first start of a store.
    ///
    /// # Errors
    /// [`VerdictKeyError::Random`].
    pub fn generate_pem() -> Result<SecretString, VerdictKeyError> {
        let mut seed = [0; 32];
        loop {
            getrandom::fill(&mut seed).map_err(|_| VerdictKeyError::Random)?;
            // One seed in 2^32 is no scalar of the curve.
            if let Ok(signing) = SigningKey::from_slice(&seed) {
                let pem = signing.to_pkcs8_pem(LineEnding::LF).map_err(|_| VerdictKeyError::Pem)?;
                return Ok(SecretString::from(pem.as_str()));
            }
        }
    }

    /// sha256 of the public key's DER form.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// A PEM block `PUBLIC KEY`, as `cosign --key` takes it.
    #[must_use]
    pub fn public_key_pem(&self) -> &str {
        &self.public_pem
    }

    /// The bytes of [`VerdictKey::key_id`].
    pub(super) const fn public_digest(&self) -> &[u8; 32] {
        &self.public_digest
    }

    /// Signs `payload` in the form of DSSE.
    #[must_use]
    pub fn sign(&self, payload_type: &'static str, payload: Vec<u8>) -> Envelope {
        let signature: Signature = self.signing.sign(&pre_authentication_encoding(payload_type, &payload));
        Envelope { payload_type, payload, signature: signature.to_der().as_bytes().to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier as _;
    use p256::pkcs8::DecodePublicKey as _;

    use super::*;

    #[test]
    fn what_a_key_signs_its_public_half_verifies() {
        let pem = VerdictKey::generate_pem().unwrap();
        let key = VerdictKey::from_pem(&pem).unwrap();
        let envelope = key.sign("text/plain", b"hello".to_vec());
        let public = VerifyingKey::from_public_key_pem(key.public_key_pem()).unwrap();
        let signature = Signature::from_der(&envelope.signature).unwrap();
        assert!(public.verify(&pre_authentication_encoding("text/plain", b"hello"), &signature).is_ok());
        assert!(public.verify(&pre_authentication_encoding("text/plain", b"hellp"), &signature).is_err());
        assert!(public.verify(&pre_authentication_encoding("text/html", b"hello"), &signature).is_err());
    }

    #[test]
    fn keys_differ_and_stay_hidden() {
        let (one, two) = (VerdictKey::generate_pem().unwrap(), VerdictKey::generate_pem().unwrap());
        assert_ne!(one.expose_secret(), two.expose_secret());
        let key = VerdictKey::from_pem(&one).unwrap();
        assert!(!format!("{key:?}").contains("PRIVATE") && key.key_id().starts_with("sha256:"));
        assert_eq!(
            VerdictKey::from_pem(&SecretString::from("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"))
                .unwrap_err(),
            VerdictKeyError::Pem
        );
    }
}
