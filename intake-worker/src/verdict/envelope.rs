//! DSSE 1.0: what is signed and how it is written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A signed payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub(super) payload_type: &'static str,
    pub(super) payload: Vec<u8>,
    /// DER, as cosign expects it.
    pub(super) signature: Vec<u8>,
}

impl Envelope {
    /// The envelope in JSON.
    ///
    /// It names no key: the field is a hint only, and verifiers that compute a hint of their own pass over a signature
    /// with another one.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "payloadType": self.payload_type,
            "payload": STANDARD.encode(&self.payload),
            "signatures": [{ "sig": STANDARD.encode(&self.signature) }],
        })
    }

    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_json().to_string().into_bytes()
    }
}

/// `PAE` of the DSSE protocol: type and payload with their lengths, so that neither can run into the other.
pub(super) fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification() {
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
