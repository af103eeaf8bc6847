//! Reading what the store has signed (DSSE 1.0 with ECDSA P-256).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use serde_json::Value;

use crate::output::text;

/// The payload of the envelope, if it is of the type and one of the keys (PEM) signed exactly its bytes.
///
/// # Errors
/// What is wrong with the envelope, to be put behind what it is.
pub(crate) fn verified_payload(envelope: &Value, payload_type: &str, keys: &[String]) -> Result<Value, &'static str> {
    if text(envelope, "/payloadType") != payload_type {
        return Err("is of another type");
    }
    let payload = STANDARD.decode(text(envelope, "/payload")).map_err(|_| "has no payload")?;
    let signature = STANDARD.decode(text(envelope, "/signatures/0/sig")).map_err(|_| "has no signature")?;
    let signature = Signature::from_der(&signature).map_err(|_| "has a malformed signature")?;
    let mut signed = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    signed.extend_from_slice(&payload);
    let signed_by =
        |pem: &String| VerifyingKey::from_public_key_pem(pem).is_ok_and(|key| key.verify(&signed, &signature).is_ok());
    if !keys.iter().any(signed_by) {
        return Err("is not signed by the key");
    }
    serde_json::from_slice(&payload).map_err(|_| "has a payload that is not JSON")
}
