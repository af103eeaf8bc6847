//! `key`: the keys that an organization's authors sign package manifests with.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text};
use crate::private_file;
use crate::signing_key::SigningKey;

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key to sign with, in a new file that only you may read.
    New(NewArgs),
    /// Enrol a public key: manifests that it signs count as the organization's.
    Enrol(EnrolArgs),
    /// List the organization's keys.
    List,
    /// Show one key.
    Show(IdArgs),
    /// Revoke a key from now or from an earlier moment on.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub struct NewArgs {
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct EnrolArgs {
    /// File with the public key: PEM, or the base64 that `hla-compass keys show` prints. With a private key, its public one.
    pub file: PathBuf,
    /// Whose key it is.
    #[arg(long)]
    pub label: String,
}

#[derive(Debug, Args)]
pub struct IdArgs {
    pub id: String,
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    pub id: String,
    #[arg(long)]
    pub reason: String,
    /// What was submitted from then on does not count, e.g. `2026-03-01T00:00:00Z`; now, if not given.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, command: KeyCommand) -> Result<Exit, CommandError> {
    if let KeyCommand::New(args) = command {
        return new(output, &args.file);
    }
    let mut client = Client::new(global)?;
    let organization = client.organization().await?;
    let base = format!("/v1/orgs/{organization}/keys");
    let answer = match command {
        KeyCommand::New(_) => return Ok(Exit::Success),
        KeyCommand::List => return list(&mut client, output, &base).await,
        KeyCommand::Show(args) => client.get(&format!("{base}/{}", args.id)).await?,
        KeyCommand::Enrol(args) => {
            let body = json!({ "public_key": public_key(&args.file)?, "label": args.label });
            client.post(&base, &body).await?
        }
        KeyCommand::Revoke(args) => {
            let body = json!({ "reason": args.reason, "from": args.from });
            client.post(&format!("{base}/{}/revoke", args.id), &body).await?
        }
    };
    output.show(&answer, print_one)?;
    Ok(Exit::Success)
}

fn new(output: Output, file: &Path) -> Result<Exit, CommandError> {
    if file.exists() {
        return Err(CommandError::Usage(format!("{} exists; a key is never overwritten", file.display())));
    }
    let key = SigningKey::generate().map_err(anyhow::Error::from)?;
    let pem = key.to_pem().map_err(anyhow::Error::from)?;
    private_file::write(file, pem.expose_secret().as_bytes()).map_err(CommandError::file("write", file))?;
    let fingerprint = key.public_key().map_err(anyhow::Error::from)?.fingerprint();
    output.show(&json!({ "file": file, "fingerprint": fingerprint }), |_| {
        outln!("{fingerprint}");
        outln!("Enrol it with `company-store key enrol {} --label …`.", file.display());
    })?;
    Ok(Exit::Success)
}

/// The file's public key as text; the store parses it.
fn public_key(file: &Path) -> Result<String, CommandError> {
    use base64::Engine as _;
    let text = SecretString::from(std::fs::read_to_string(file).map_err(CommandError::file("read", file))?);
    if !text.expose_secret().contains("PRIVATE KEY") {
        return Ok(text.expose_secret().to_owned());
    }
    let key = SigningKey::from_pem(&text).and_then(|key| key.public_key());
    let key = key.map_err(|e| CommandError::Usage(format!("{}: {e}", file.display())))?;
    Ok(base64::engine::general_purpose::STANDARD.encode(key.as_der()))
}

async fn list(client: &mut Client, output: Output, base: &str) -> Result<Exit, CommandError> {
    let keys = client.get(&format!("{base}?limit=200")).await?;
    output.show(&keys, |keys| {
        let row = |key: &Value| {
            let fields = ["/id", "/label", "/fingerprint", "/enrolled_by", "/revocation/from"];
            fields.iter().map(|field| text(key, field).to_owned()).collect()
        };
        let rows: Vec<_> = keys["items"].as_array().into_iter().flatten().map(row).collect();
        table(&["ID", "LABEL", "FINGERPRINT", "ENROLLED BY", "REVOKED FROM"], &rows);
    })?;
    Ok(Exit::Success)
}

fn print_one(key: &Value) {
    outln!("{}  {}", text(key, "/fingerprint"), text(key, "/label"));
    outln!("  id        {}", text(key, "/id"));
    outln!("  enrolled  {} by {}", text(key, "/enrolled_at"), text(key, "/enrolled_by"));
    outln!("  versions  {}", key["signed_versions"]);
    if key["revocation"].is_object() {
        outln!("  revoked   from {} by {}", text(key, "/revocation/from"), text(key, "/revocation/by"));
        outln!("            {}", text(key, "/revocation/reason"));
        outln!("            {} versions were submitted from then on", key["revocation"]["signed_versions"]);
    }
}
