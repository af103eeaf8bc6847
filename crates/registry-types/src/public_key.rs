//! Public keys that signatures are verified with.

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use p256::pkcs8::der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use p256::pkcs8::der::pem::decode_vec;
use p256::pkcs8::der::{Decode as _, Reader, SliceReader};
use p256::pkcs8::spki::SubjectPublicKeyInfo;
use p256::pkcs8::spki::der::asn1::BitStringRef;
use serde::{Deserialize, Serialize};

const MAX_PEM_BYTES: usize = 8192;

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ML_DSA_44: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17");
const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
const ML_DSA_87: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19");

/// A public key as a PEM `SubjectPublicKeyInfo` block, of an algorithm that signatures are verified with: ECDSA on P-256 or
/// P-384, Ed25519, RSA of 2048 to 8192 bits, ML-DSA.
///
/// Of a P-256 key it is known that it is a point of the curve; of the others, that they have their algorithm's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKeyPem(String);

/// Why a text is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    #[error("a key must be a PEM block `PUBLIC KEY` of at most 8 KiB")]
    Pem,
    #[error("the key is no SubjectPublicKeyInfo in DER")]
    Structure,
    #[error("the key's algorithm is none of ECDSA (P-256, P-384), Ed25519, RSA and ML-DSA")]
    Algorithm,
    #[error("the key's value is not one of its algorithm")]
    Value,
}

impl PublicKeyPem {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PublicKeyPem {
    /// Whether the key is one of ECDSA on P-256, the only kind that [`PublicKeyPem::verifies`].
    #[must_use]
    pub fn is_p256(&self) -> bool {
        VerifyingKey::from_public_key_pem(&self.0).is_ok()
    }

    /// Whether `signature` (ECDSA on P-256 with SHA-256, DER, as `cosign sign-blob` and `openssl dgst -sha256 -sign` make it) is
    /// the key's over exactly these bytes.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let (Ok(key), Ok(signature)) = (VerifyingKey::from_public_key_pem(&self.0), Signature::from_der(signature))
        else {
            return false;
        };
        key.verify(message, &signature).is_ok()
    }
}

impl TryFrom<String> for PublicKeyPem {
    type Error = PublicKeyError;

    fn try_from(value: String) -> Result<Self, Self::Error> {
        if value.len() > MAX_PEM_BYTES {
            return Err(PublicKeyError::Pem);
        }
        let pem = format!("{}\n", value.trim());
        match decode_vec(pem.as_bytes()) {
            Ok(("PUBLIC KEY", der)) => check(&der)?,
            Ok(_) | Err(_) => return Err(PublicKeyError::Pem),
        }
        Ok(Self(pem))
    }
}

impl From<PublicKeyPem> for String {
    fn from(value: PublicKeyPem) -> Self {
        value.0
    }
}

/// Checks DER that must be an RSA key.
pub(crate) fn check_rsa(der: &[u8]) -> Result<(), PublicKeyError> {
    if der.len() > MAX_PEM_BYTES {
        return Err(PublicKeyError::Value);
    }
    let key = structure(der)?;
    if key.algorithm.oid == RSA { check(der) } else { Err(PublicKeyError::Algorithm) }
}

fn structure(der: &[u8]) -> Result<SubjectPublicKeyInfo<AnyRef<'_>, BitStringRef<'_>>, PublicKeyError> {
    SubjectPublicKeyInfo::from_der(der).map_err(|_| PublicKeyError::Structure)
}

fn check(der: &[u8]) -> Result<(), PublicKeyError> {
    let key = structure(der)?;
    let value = key.subject_public_key.as_bytes().ok_or(PublicKeyError::Structure)?;
    let is_bare = key.algorithm.parameters.is_none();
    let curve = key.algorithm.parameters_oid().ok();
    let is_valid = match key.algorithm.oid {
        EC if curve == Some(P256) => is_uncompressed(value, 32) && p256::PublicKey::from_sec1_bytes(value).is_ok(),
        EC if curve == Some(P384) => is_uncompressed(value, 48),
        RSA => is_rsa_key(value).unwrap_or(false),
        ED25519 => is_bare && value.len() == 32,
        ML_DSA_44 => is_bare && value.len() == 1312,
        ML_DSA_65 => is_bare && value.len() == 1952,
        ML_DSA_87 => is_bare && value.len() == 2592,
        _ => return Err(PublicKeyError::Algorithm),
    };
    if is_valid { Ok(()) } else { Err(PublicKeyError::Value) }
}

/// SEC 1, 2.3.3: the only form in which keys are exchanged.
fn is_uncompressed(point: &[u8], coordinate: usize) -> bool {
    point.len() == 2 * coordinate + 1 && point[0] == 4
}

/// PKCS #1: modulus and exponent.
fn is_rsa_key(der: &[u8]) -> Result<bool, p256::pkcs8::der::Error> {
    let mut reader = SliceReader::new(der)?;
    let (modulus, exponent) = reader.sequence(|sequence| {
        Ok::<_, p256::pkcs8::der::Error>((UintRef::decode(sequence)?, UintRef::decode(sequence)?))
    })?;
    reader.finish()?;
    let bytes = modulus.as_bytes().len();
    Ok((256..=1024).contains(&bytes) && exponent.as_bytes().last().is_some_and(|last| last % 2 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made once with `openssl genpkey` and `openssl pkey -pubout`.
    const EC_P256: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMb4KYOiVC9NsRrifgV1tG3975ZqK\n\
        +m4Cdbjauf+IkjDqO2BDGdHHhFbYP7+jIX7IYRZshNnhA5/Ju8GMHOUAvA==\n\
        -----END PUBLIC KEY-----";
    const EC_P384: &str = "-----BEGIN PUBLIC KEY-----\n\
        MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEMO6FRWbGH0RWRJmDlhlodwuzFpjpdGcG\n\
        wYBIAiwGvfhx9GI98V6dmcH1dIpajn76t7AFo+GgWu89ATTvgLGh1Gsx48BcssBT\n\
        Ih0Umcl4vx5PortDo2z/SIljeT5yUSib\n\
        -----END PUBLIC KEY-----";
    const EDWARDS: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAC1ei3TbnMl028WwscDRwbVRYGUV9gt0SQrxT4HmHn6o=\n\
        -----END PUBLIC KEY-----";
    const RSA_2048: &str = "-----BEGIN PUBLIC KEY-----\n\
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAyUipVDitJshXrElOKtcw\n\
        LILEzXjdL/68W2g+njTHiFg22GPj3VnKCbRLIfpLRGEfIxkM6IvePVWVOOUU2Ggc\n\
        G5U5UonYnSAoaEaPBW2rfSfDonsZ+cB72g3OHMkKemqXfLxCwvQIEYgQ9Y4BLwuo\n\
        Lz+L4etnDF69lUBaaP0OAmKc6fLMHqMioLEJ4wrS7qLsir8WB5tCI6XGhuwPWGFc\n\
        JF3mxAesvriHwA9sE0nSTZwhvJRtyO8YWD+oMm0r5pqJbTRcGxXYy1R8kPOI2cjT\n\
        wpZsxT3bHdGGDXG+GzcNbDjy2W8lAjMFhkdvWDtygEzPdn40Cn21eGrkzlX1VTRq\n\
        ZQIDAQAB\n\
        -----END PUBLIC KEY-----";
    const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----\n\
        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDbfSvovXE7KHJ+lD4tZ6ogC0c2\n\
        yQHAe8ofRgwEA2XBJobu5SW40Ww07rr0aEBK1N47sGNpg33VIgVWu+WVJi2JlRK8\n\
        s5wTwf1QBGyq+sCvbgbyA4nnoGzucoAIMPmo2VZQ3Uskb/HWoK4xFNEsVym5U8BT\n\
        6/mHVhGlhMoV+3nKIQIDAQAB\n\
        -----END PUBLIC KEY-----";
    const EC_SECP256K1: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEtNqyn5yIiNbzfP1DTOQuCdKwHeHJbu27\n\
        WGmyEBc9gyXkAhTFED/+2dQ9h8MFFeIz/RxKuWQVqGNpjhQInkzFkA==\n\
        -----END PUBLIC KEY-----";
    const X25519: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VuAyEAXLEWRdTFCl1PPfoP3mPM8Q92J9Bw+Fz2gsMysKDvwFs=\n\
        -----END PUBLIC KEY-----";

    fn parse(pem: &str) -> Result<PublicKeyPem, PublicKeyError> {
        PublicKeyPem::try_from(pem.to_owned())
    }

    #[test]
    fn keys_of_the_known_algorithms_are_taken() {
        for pem in [EC_P256, EC_P384, EDWARDS, RSA_2048] {
            assert_eq!(parse(&format!("\n{pem}\n\n")).unwrap().as_str(), format!("{pem}\n"));
        }
    }

    #[test]
    fn whatever_is_no_such_key_says_what_it_lacks() {
        let framed = |body: &str| format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
        let private = EC_P256.replace("PUBLIC", "PRIVATE");
        for (pem, error) in [
            ("", PublicKeyError::Pem),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", PublicKeyError::Pem),
            (&framed("garbage!"), PublicKeyError::Pem),
            (&private, PublicKeyError::Pem),
            (&format!("{EC_P256}\n{EC_P256}"), PublicKeyError::Pem),
            (&"A".repeat(MAX_PEM_BYTES + 1), PublicKeyError::Pem),
            (&framed("Z2FyYmFnZQ=="), PublicKeyError::Structure),
            (EC_SECP256K1, PublicKeyError::Algorithm),
            (X25519, PublicKeyError::Algorithm),
            (RSA_1024, PublicKeyError::Value),
            // The last coordinate changed: no point of the curve any more.
            (&EC_P256.replace("OUAvA==", "OUAvQ=="), PublicKeyError::Value),
        ] {
            assert_eq!(parse(pem), Err(error), "{pem}");
        }
    }
}
