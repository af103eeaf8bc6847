//! Keys that authors sign package manifests with.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::pkcs8::der::pem::decode_vec;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::public_key::{PublicKeyError, check_rsa};
use crate::text_enum;

/// Longest text of a key that is looked at.
const MAX_TEXT_BYTES: usize = 8192;

/// An RSA public key of 2048 to 8192 bits, as the DER of its `SubjectPublicKeyInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestKey(Vec<u8>);

impl ManifestKey {
    /// # Errors
    /// When the bytes are no such key.
    pub fn from_der(der: Vec<u8>) -> Result<Self, PublicKeyError> {
        check_rsa(&der)?;
        Ok(Self(der))
    }

    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }

    #[must_use]
    pub fn fingerprint(&self) -> KeyFingerprint {
        KeyFingerprint(Sha256::digest(&self.0).into())
    }
}

impl FromStr for ManifestKey {
    type Err = PublicKeyError;

    /// A PEM block, or the base64 of its DER as the HLA-Compass client prints it: possibly on several lines.
    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(PublicKeyError::Pem);
        }
        if text.trim_start().starts_with("-----") {
            return match decode_vec(format!("{}\n", text.trim()).as_bytes()) {
                Ok(("PUBLIC KEY", der)) => Self::from_der(der),
                Ok(_) | Err(_) => Err(PublicKeyError::Pem),
            };
        }
        let text: String = text.split_ascii_whitespace().collect();
        Self::from_der(STANDARD.decode(text).map_err(|_| PublicKeyError::Structure)?)
    }
}

/// What a key is recognised by: the SHA-256 of its DER, written in base64 as the HLA-Compass client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyFingerprint(pub [u8; 32]);

text_enum! {
    /// What a package manifest's verified signature is worth.
    pub enum SignatureStanding {
        /// By a key that the publisher has enrolled.
        Enrolled = "enrolled",
        /// By a key of which nothing is known.
        NotEnrolled = "not_enrolled",
        /// By an enrolled key that was revoked from before the manifest was submitted on.
        Revoked = "revoked",
        Unsigned = "unsigned",
    }
}

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is the base64 of 32 bytes")]
pub struct FingerprintError;

impl FromStr for KeyFingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let bytes = STANDARD.decode(text).map_err(|_| FingerprintError)?;
        bytes.try_into().map(Self).map_err(|_| FingerprintError)
    }
}

impl TryFrom<String> for KeyFingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

impl From<KeyFingerprint> for String {
    fn from(fingerprint: KeyFingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made once with `openssl genpkey -algorithm RSA`, `openssl pkey -pubout`, and
    // `openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64`.
    const BODY: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAyUipVDitJshXrElOKtcw\n\
        LILEzXjdL/68W2g+njTHiFg22GPj3VnKCbRLIfpLRGEfIxkM6IvePVWVOOUU2Ggc\n\
        G5U5UonYnSAoaEaPBW2rfSfDonsZ+cB72g3OHMkKemqXfLxCwvQIEYgQ9Y4BLwuo\n\
        Lz+L4etnDF69lUBaaP0OAmKc6fLMHqMioLEJ4wrS7qLsir8WB5tCI6XGhuwPWGFc\n\
        JF3mxAesvriHwA9sE0nSTZwhvJRtyO8YWD+oMm0r5pqJbTRcGxXYy1R8kPOI2cjT\n\
        wpZsxT3bHdGGDXG+GzcNbDjy2W8lAjMFhkdvWDtygEzPdn40Cn21eGrkzlX1VTRq\n\
        ZQIDAQAB";
    const FINGERPRINT: &str = "A1ZGw+I6Wd/rJqtGoz3k471sqrWAlv8DBEdBWRaNweE=";
    const EDWARDS: &str = "MCowBQYDK2VwAyEAC1ei3TbnMl028WwscDRwbVRYGUV9gt0SQrxT4HmHn6o=";

    #[test]
    fn a_key_is_read_in_both_forms_and_has_the_fingerprint_that_its_author_sees() {
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{BODY}\n-----END PUBLIC KEY-----\n");
        for text in [&pem, BODY, &BODY.replace('\n', "")] {
            let key: ManifestKey = text.parse().unwrap();
            assert_eq!(key.fingerprint().to_string(), FINGERPRINT);
            assert_eq!(FINGERPRINT.parse(), Ok(key.fingerprint()));
        }
    }

    #[test]
    fn what_is_no_rsa_key_says_why() {
        let refused = |text: &str| text.parse::<ManifestKey>().unwrap_err();
        assert_eq!(refused(EDWARDS), PublicKeyError::Algorithm);
        assert_eq!(refused("bm8ga2V5"), PublicKeyError::Structure);
        assert_eq!(refused("no key"), PublicKeyError::Structure);
        assert_eq!(refused("-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----"), PublicKeyError::Pem);
        assert_eq!(refused(&"A".repeat(MAX_TEXT_BYTES + 1)), PublicKeyError::Pem);
        assert_eq!("AAAA".parse::<KeyFingerprint>(), Err(FingerprintError));
    }
}
