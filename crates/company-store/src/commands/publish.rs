//! `publish`: a module by image reference.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Client;
use crate::commands::intake;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, text};

#[derive(Debug, Args)]
pub struct PublishArgs {
    /// Image in your own registry: `ghcr.io/my-org/app:1.2.0`, or with `@sha256:…`.
    pub image: String,
    /// The package manifest (`manifest.json`, `paperclip.module.json`).
    #[arg(long, default_value = "manifest.json", value_name = "FILE")]
    pub manifest: PathBuf,
    /// Who may see it: `org` or `public`.
    #[arg(long, default_value = "org")]
    pub scope: String,
    /// Makes a repetition of this call harmless; a new one for each call otherwise.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Stay until the verdict, showing each step.
    #[arg(long)]
    pub watch: bool,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, args: PublishArgs) -> Result<Exit, CommandError> {
    let text_of_manifest =
        std::fs::read_to_string(&args.manifest).map_err(CommandError::file("read", &args.manifest))?;
    let manifest: Value = serde_json::from_str(&text_of_manifest)
        .map_err(|e| CommandError::Usage(format!("{} is not JSON: {e}", args.manifest.display())))?;
    let mut client = Client::new(global)?;
    let organization = client.organization().await?;
    let body = json!({ "imageRef": args.image, "manifest": manifest, "scope": args.scope, "orgId": organization });
    let key = args.idempotency_key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let accepted = client
        .send(Method::POST, "/v1/modules/publish", Some(&body), &[("Idempotency-Key", &key)])
        .await?
        .json::<Value>()
        .await
        .map_err(|e| CommandError::Answer(e.to_string()))?;
    let id = text(&accepted, "/publishId").to_owned();
    if args.watch {
        output.note(&format!("Accepted as intake {id}."));
        return intake::watch(&mut client, output, &id).await;
    }
    output.show(&accepted, |_| {
        outln!("Accepted as intake {id}.");
        outln!("Watch it with `company-store intake watch {id}`.");
    })?;
    Ok(Exit::Success)
}
