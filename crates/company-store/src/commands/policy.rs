//! `policy`: the policy document in force.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Print the policy document in force, with the name that `set` needs.
    Show,
    /// Put another policy document in force: what `show` printed, changed. Refused when the one in force is no longer the one
    /// that was printed.
    Set(SetArgs),
}

#[derive(Debug, Args)]
pub struct SetArgs {
    pub file: PathBuf,
}

/// The document and what names it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    /// Of the document in force; it is what `policy` replaces.
    etag: String,
    policy: Value,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, command: PolicyCommand) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    match command {
        PolicyCommand::Show => {
            let shown = call(&mut client, Method::GET, None, &[]).await?;
            let shown = serde_json::to_string_pretty(&shown).map_err(anyhow::Error::from)?;
            outln!("{shown}");
        }
        PolicyCommand::Set(args) => {
            let text = std::fs::read_to_string(&args.file).map_err(CommandError::file("read", &args.file))?;
            let unusable =
                |e| CommandError::Usage(format!("{} is not what `policy show` prints: {e}", args.file.display()));
            let wanted: Shown = serde_json::from_str(&text).map_err(unusable)?;
            let headers = [("If-Match", wanted.etag.as_str())];
            let set = call(&mut client, Method::PUT, Some(&wanted.policy), &headers).await?;
            let answer = serde_json::to_value(&set).map_err(anyhow::Error::from)?;
            output.show(&answer, |_| outln!("In force: {}", set.etag))?;
        }
    }
    Ok(Exit::Success)
}

async fn call(
    client: &mut Client,
    method: Method,
    body: Option<&Value>,
    headers: &[(&str, &str)],
) -> Result<Shown, CommandError> {
    let response = client.send(method, "/v1/policy", body, headers).await?;
    let etag = response.headers().get("etag").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let etag = etag.ok_or_else(|| CommandError::Answer("no ETag".to_owned()))?;
    Ok(Shown { etag, policy: response.json().await.map_err(anyhow::Error::from)? })
}
