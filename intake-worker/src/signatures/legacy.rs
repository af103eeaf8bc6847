//! Cosign's legacy layout: the layer is the signed payload, everything else stands in its annotations. Rewritten as a v0.1
//! bundle, so that one verifier judges all forms.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry_types::digest::Digest;
use serde_json::{Value, json};

use super::statement;

pub(super) const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const LOG_ENTRY: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// What the annotations carry.
#[derive(Debug)]
pub(super) enum LegacySignature {
    /// A v0.1 bundle, with certificate or with key and log entry.
    Bundle(String),
    /// A bare signature by a key that is not named.
    Bare { signature: String },
}

/// Checks that `payload` is a cosign signature of `subject`.
///
/// # Errors
/// When it is not, with the reason in words.
pub fn check_payload(payload: &[u8], subject: &Digest) -> Result<(), String> {
    let payload = statement::parse(payload)?;
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/critical/type") != "cosign container image signature" {
        return Err("the signed payload is not a container image signature".to_owned());
    }
    if text("/critical/image/docker-manifest-digest") != subject.to_string() {
        return Err("the signed payload names another image".to_owned());
    }
    Ok(())
}

/// The chain annotation is left out on purpose: intermediate certificates come from the trusted root.
pub(super) fn read(annotations: &BTreeMap<String, String>) -> Result<LegacySignature, String> {
    let signature = annotations.get(SIGNATURE).ok_or("the layer has no signature annotation")?;
    let log_entry = annotations.get(LOG_ENTRY).map(|entry| log_entry(entry)).transpose()?;
    let timestamp = annotations.get(TIMESTAMP).map(|timestamp| signed_timestamp(timestamp)).transpose()?;
    let content = match annotations.get(CERTIFICATE) {
        Some(pem) => json!({"x509CertificateChain": {"certificates": [{"rawBytes": certificate(pem)?}]}}),
        None if log_entry.is_none() => return Ok(LegacySignature::Bare { signature: signature.clone() }),
        None => json!({"publicKey": {"hint": ""}}),
    };
    let mut material = content;
    material["tlogEntries"] = log_entry.into_iter().collect();
    let timestamps: Vec<Value> = timestamp.into_iter().map(|token| json!({"signedTimestamp": token})).collect();
    material["timestampVerificationData"] = json!({"rfc3161Timestamps": timestamps});
    let bundle = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "verificationMaterial": material,
        "messageSignature": {"signature": signature},
    });
    Ok(LegacySignature::Bundle(bundle.to_string()))
}

/// Base64 of the DER of exactly one certificate. A bare key in this place must not be taken for one.
fn certificate(pem: &str) -> Result<String, String> {
    let body = pem
        .trim()
        .strip_prefix("-----BEGIN CERTIFICATE-----")
        .and_then(|rest| rest.strip_suffix("-----END CERTIFICATE-----"))
        .ok_or("the certificate annotation is not one PEM certificate")?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(&body).map_err(|_| "the certificate annotation is not one PEM certificate")?;
    Ok(body)
}

/// `{"SignedEntryTimestamp", "Payload": {"body", "integratedTime", "logIndex", "logID"}}` as a bundle's log entry.
fn log_entry(annotation: &str) -> Result<Value, String> {
    let entry = statement::parse(annotation.as_bytes())?;
    let unreadable = || "the log entry annotation is unreadable".to_owned();
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).ok_or_else(unreadable);
    let number = |pointer: &str| entry.pointer(pointer).and_then(Value::as_i64).ok_or_else(unreadable);
    let body = text("/Payload/body")?;
    let kind = statement::parse(&STANDARD.decode(body).map_err(|_| unreadable())?)?;
    let log = hex::decode(text("/Payload/logID")?).map_err(|_| unreadable())?;
    Ok(json!({
        "logIndex": number("/Payload/logIndex")?.to_string(),
        "integratedTime": number("/Payload/integratedTime")?.to_string(),
        "logId": {"keyId": STANDARD.encode(log)},
        "kindVersion": {"kind": kind.get("kind"), "version": kind.get("apiVersion")},
        "inclusionPromise": {"signedEntryTimestamp": text("/SignedEntryTimestamp")?},
        "canonicalizedBody": body,
    }))
}

fn signed_timestamp(annotation: &str) -> Result<String, String> {
    let timestamp = statement::parse(annotation.as_bytes())?;
    let token = timestamp.get("SignedRFC3161Timestamp").and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| "the timestamp annotation is unreadable".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(kind: &str, digest: &Digest) -> String {
        json!({
            "critical": {
                "identity": {"docker-reference": "r.test/a"},
                "image": {"docker-manifest-digest": digest},
                "type": kind,
            },
            "optional": null,
        })
        .to_string()
    }

    #[test]
    fn the_payload_must_be_a_signature_of_our_image() {
        let (ours, other) = (Digest::sha256_of(b"ours"), Digest::sha256_of(b"other"));
        let kind = "cosign container image signature";
        assert_eq!(check_payload(payload(kind, &ours).as_bytes(), &ours), Ok(()));
        assert!(check_payload(payload(kind, &other).as_bytes(), &ours).is_err());
        assert!(check_payload(payload("atomic container signature", &ours).as_bytes(), &ours).is_err());
        let twice = payload(kind, &ours).replacen('{', r#"{"critical":{},"#, 1);
        assert!(check_payload(twice.as_bytes(), &ours).is_err());
    }

    #[test]
    fn a_key_in_the_place_of_the_certificate_is_refused() {
        let annotations = |certificate: &str| {
            BTreeMap::from([
                (SIGNATURE.to_owned(), "AAAA".to_owned()),
                (CERTIFICATE.to_owned(), certificate.to_owned()),
            ])
        };
        let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        assert!(read(&annotations(&pem("CERTIFICATE"))).is_ok());
        assert!(read(&annotations(&pem("PUBLIC KEY"))).is_err());
        assert!(read(&annotations(&(pem("CERTIFICATE") + &pem("CERTIFICATE")))).is_err());
        assert!(read(&BTreeMap::new()).is_err());
    }
}
