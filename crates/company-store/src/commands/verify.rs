//! `verify`: the store's signed verdict on a version, judged here.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Client;
use crate::commands::packages::split_package;
use crate::dsse::verified_payload;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, text};

const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/verification_summary/v1";

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// `publisher/name@version`.
    pub package: String,
    /// Public key (PEM) that you trust. Without it the store is asked for its own, which proves only that the verdict is
    /// whole, not whose it is.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// # Errors
/// When the verdict is missing, not signed by the key, or about another image.
pub async fn run(global: &Global, output: Output, args: VerifyArgs) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    let (name, version) = split_package(&args.package)?;
    let version = version.ok_or_else(|| CommandError::Usage("name a version: publisher/name@version".to_owned()))?;
    let path = format!("/v1/packages/{name}/versions/{version}");
    let shown = client.get(&path).await?;
    let envelope = client.get(&format!("{path}/verdict")).await?;
    let keys = match &args.key {
        Some(file) => vec![std::fs::read_to_string(file).map_err(CommandError::file("read", file))?],
        None => keys_of_store(&mut client).await?,
    };
    let statement = verified_statement(&envelope, &keys)?;
    let result = text(&statement, "/predicate/verificationResult").to_owned();
    judge(&statement, text(&shown, "/digest"), &result)?;
    let answer = json!({ "package": name, "version": version, "result": result, "statement": statement,
        "key_pinned": args.key.is_some() });
    output.show(&answer, |_| {
        outln!("{name}@{version}: {result}");
        outln!("  digest     {}", text(&shown, "/digest"));
        outln!("  verified   {}", text(&statement, "/predicate/timeVerified"));
        outln!("  verifier   {}", text(&statement, "/predicate/verifier/id"));
        if args.key.is_none() {
            outln!("  The key came from the store itself; give the one you trust with --key.");
        }
    })?;
    Ok(if result == "PASSED" { Exit::Success } else { Exit::Rejected })
}

/// The keys that the store says it signs with.
pub(super) async fn keys_of_store(client: &mut Client) -> Result<Vec<String>, CommandError> {
    let keys = client.get("/v1/verdict-keys").await?;
    let pems = keys["items"].as_array().into_iter().flatten();
    Ok(pems.map(|key| text(key, "/public_key").to_owned()).collect())
}

fn verified_statement(envelope: &Value, keys: &[String]) -> Result<Value, CommandError> {
    verified_payload(envelope, STATEMENT_TYPE, keys)
        .map_err(|wrong| CommandError::Answer(format!("the verdict {wrong}")))
}

fn judge(statement: &Value, digest: &str, result: &str) -> Result<(), CommandError> {
    let wrong = |what: &str| CommandError::Answer(format!("the verdict {what}"));
    if text(statement, "/_type") != STATEMENT || text(statement, "/predicateType") != PREDICATE {
        return Err(wrong("is not a SLSA verification summary"));
    }
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    let subjects = statement["subject"].as_array().cloned().unwrap_or_default();
    if !subjects.iter().any(|subject| text(subject, "/digest/sha256") == hex) {
        return Err(wrong("is about another digest"));
    }
    match result {
        "PASSED" | "FAILED" => Ok(()),
        _ => Err(wrong("has no result")),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use p256::ecdsa::signature::Signer as _;
    use p256::ecdsa::{Signature, SigningKey};
    use p256::pkcs8::{EncodePublicKey as _, LineEnding};

    use super::*;

    fn signed(key: &SigningKey, statement: &Value) -> Value {
        let payload = statement.to_string().into_bytes();
        let mut bytes = format!("DSSEv1 28 {STATEMENT_TYPE} {} ", payload.len()).into_bytes();
        bytes.extend_from_slice(&payload);
        let signature: Signature = key.sign(&bytes);
        json!({ "payloadType": STATEMENT_TYPE, "payload": STANDARD.encode(payload),
            "signatures": [{ "sig": STANDARD.encode(signature.to_der()) }] })
    }

    fn pem(key: &SigningKey) -> String {
        key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()
    }

    #[test]
    fn only_the_keys_own_untouched_statement_verifies() {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let other = SigningKey::from_slice(&[8; 32]).unwrap();
        let statement = json!({ "_type": STATEMENT, "predicateType": PREDICATE,
            "subject": [{ "digest": { "sha256": "ab" } }] });
        let envelope = signed(&key, &statement);
        assert_eq!(verified_statement(&envelope, &[pem(&key)]).unwrap(), statement);
        assert!(verified_statement(&envelope, &[pem(&other)]).is_err());
        assert!(verified_statement(&envelope, &[]).is_err());
        let mut touched = envelope;
        touched["payload"] = json!(STANDARD.encode(b"{}"));
        assert!(verified_statement(&touched, &[pem(&key)]).is_err());
        assert!(judge(&statement, "sha256:ab", "PASSED").is_ok());
        assert!(judge(&statement, "sha256:cd", "PASSED").is_err());
        assert!(judge(&statement, "sha256:ab", "-").is_err());
    }
}
