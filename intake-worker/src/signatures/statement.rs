//! The in-toto statement inside a bundle: is it an image signature, and of which image?

use package_formats::json::parse_strict_up_to;
use registry_types::digest::Digest;
use registry_types::limits;
use serde_json::Value;

const IN_TOTO: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPES: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
/// The predicate by which cosign signs an image; any other makes a statement *about* the image.
const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// What a statement is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StatementKind {
    ImageSignature,
    Attestation { predicate_type: String },
}

/// Reads a DSSE payload that must be about `subject`.
pub(super) fn read(payload_type: &str, payload: &[u8], subject: &Digest) -> Result<StatementKind, String> {
    if payload_type != IN_TOTO {
        return Err("the signed envelope does not hold an in-toto statement".to_owned());
    }
    let statement = parse(payload)?;
    let text = |key: &str| statement.get(key).and_then(Value::as_str).unwrap_or_default();
    if !STATEMENT_TYPES.contains(&text("_type")) {
        return Err("the signed statement is of an unknown type".to_owned());
    }
    let named = |entry: &Value| {
        let digest = entry.get("digest").and_then(|digests| digests.get(subject.algorithm().as_str()));
        digest.and_then(Value::as_str) == Some(subject.hex())
    };
    let subjects = statement.get("subject").and_then(Value::as_array);
    if !subjects.is_some_and(|subjects| subjects.iter().any(named)) {
        return Err("the signed statement names another image".to_owned());
    }
    match text("predicateType") {
        "" => Err("the signed statement has no predicate type".to_owned()),
        SIGN_PREDICATE => Ok(StatementKind::ImageSignature),
        other => Ok(StatementKind::Attestation { predicate_type: other.chars().take(200).collect() }),
    }
}

/// Strict JSON, so that what is judged is what every other reader of the statement sees.
pub(super) fn parse(document: &[u8]) -> Result<Value, String> {
    let limit = usize::try_from(limits::MAX_SIGNATURE_BYTES).unwrap_or(usize::MAX);
    parse_strict_up_to(document, limit).map_err(|errors| {
        let first = errors.first();
        first.map_or_else(String::new, |e| format!("it is not strict JSON: {} at {:?}", e.code, e.pointer))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn statement(predicate: &str, digest: &Digest) -> Value {
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "", "digest": {digest.algorithm().as_str(): digest.hex()}}],
            "predicateType": predicate,
            "predicate": {},
        })
    }

    fn read_value(value: &Value, subject: &Digest) -> Result<StatementKind, String> {
        read(IN_TOTO, value.to_string().as_bytes(), subject)
    }

    #[test]
    fn only_the_sign_predicate_over_our_digest_is_a_signature() {
        let (ours, other) = (Digest::sha256_of(b"ours"), Digest::sha256_of(b"other"));
        assert_eq!(read_value(&statement(SIGN_PREDICATE, &ours), &ours), Ok(StatementKind::ImageSignature));
        let provenance = "https://slsa.dev/provenance/v1";
        assert_eq!(
            read_value(&statement(provenance, &ours), &ours),
            Ok(StatementKind::Attestation { predicate_type: provenance.to_owned() })
        );
        assert!(read_value(&statement(SIGN_PREDICATE, &other), &ours).is_err());
        let mut untyped = statement(SIGN_PREDICATE, &ours);
        untyped["_type"] = json!("https://example.test/v1");
        assert!(read_value(&untyped, &ours).is_err());
        assert!(read("text/plain", b"{}", &ours).is_err());
    }

    #[test]
    fn a_digest_of_another_algorithm_is_not_ours() {
        let ours = Digest::sha256_of(b"ours");
        let mut value = statement(SIGN_PREDICATE, &ours);
        value["subject"][0]["digest"] = json!({"sha512": ours.hex()});
        assert!(read_value(&value, &ours).is_err());
    }

    #[test]
    fn a_subject_written_twice_is_refused() {
        let ours = Digest::sha256_of(b"ours");
        let twice = statement(SIGN_PREDICATE, &ours).to_string().replacen('{', r#"{"subject":[],"#, 1);
        assert!(read(IN_TOTO, twice.as_bytes(), &ours).is_err());
    }
}
