//! `audit`: the audit log, and the proof that it is whole.

mod chain;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use self::chain::{AuditChain, NotedHead};
use super::verify::keys_of_store;
use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text, write};

/// Longest line of an export: an entry's details are small documents.
const MAX_LINE: usize = 4 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Entries, the newest first.
    List(ListArgs),
    /// All entries in the order of their chain, as JSON lines.
    Export(ExportArgs),
    /// Read the whole log, compute its chain anew, and find any altered or removed entry (superuser).
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Id or slug; all organizations' (superuser) if not given.
    #[arg(long)]
    pub org: Option<String>,
    #[arg(long)]
    pub actor: Option<String>,
    #[arg(long)]
    pub action: Option<String>,
    #[arg(long)]
    pub subject: Option<String>,
    /// From this time on (RFC 3339).
    #[arg(long)]
    pub since: Option<String>,
    /// Before this time (RFC 3339).
    #[arg(long)]
    pub until: Option<String>,
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// `next_cursor` of the page before.
    #[arg(long)]
    pub cursor: Option<String>,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Id or slug; all organizations' (superuser) if not given.
    #[arg(long)]
    pub org: Option<String>,
    /// Only what stands behind this place of the chain.
    #[arg(long, value_name = "SEQUENCE")]
    pub after: Option<i64>,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Public key (PEM) that you trust. Without it the store is asked for its own: whoever could alter the log and has the
    /// store's key would not be noticed.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// An end of the chain that was noted earlier, as this command prints it: the log must still hold it.
    #[arg(long, value_name = "SEQUENCE:HASH")]
    pub head: Option<NotedHead>,
}

/// # Errors
/// What the store refuses, or how the log is broken.
pub async fn run(global: &Global, output: Output, command: AuditCommand) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    match command {
        AuditCommand::List(args) => list(&mut client, output, args).await,
        AuditCommand::Export(args) => export(&mut client, args).await,
        AuditCommand::Verify(args) => verify(&mut client, output, args).await,
    }
}

async fn list(client: &mut Client, output: Output, args: ListArgs) -> Result<Exit, CommandError> {
    let mut query = Serializer::new(String::new());
    query.append_pair("limit", &args.limit.to_string());
    for (name, value) in [
        ("org", args.org),
        ("actor", args.actor),
        ("action", args.action),
        ("subject", args.subject),
        ("since", args.since),
        ("until", args.until),
        ("cursor", args.cursor),
    ] {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    let page = client.get(&format!("/v1/audit?{}", query.finish())).await?;
    output.show(&page, |page| {
        let entries = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let row = |entry: &Value| {
            ["/at", "/actor", "/address", "/action", "/subject"].map(|field| text(entry, field).to_owned()).to_vec()
        };
        table(&["AT", "ACTOR", "ADDRESS", "ACTION", "SUBJECT"], &entries.iter().map(row).collect::<Vec<_>>());
        if let Some(cursor) = page["next_cursor"].as_str() {
            outln!("more with --cursor {cursor}");
        }
    })?;
    Ok(Exit::Success)
}

async fn export(client: &mut Client, args: ExportArgs) -> Result<Exit, CommandError> {
    let mut lines = Lines::open(client, args.org.as_deref(), args.after.unwrap_or(0)).await?;
    while let Some(line) = lines.next().await? {
        let line = String::from_utf8_lossy(&line);
        write(format_args!("{line}\n"));
    }
    Ok(Exit::Success)
}

async fn verify(client: &mut Client, output: Output, args: VerifyArgs) -> Result<Exit, CommandError> {
    let keys = match &args.key {
        Some(file) => vec![std::fs::read_to_string(file).map_err(CommandError::file("read", file))?],
        None => keys_of_store(client).await?,
    };
    // Before the entries, so that every checkpoint's entry must be among them.
    let checkpoints = checkpoints(client).await?;
    let mut chain = AuditChain::new(&checkpoints, &keys, args.head).map_err(CommandError::Answer)?;
    let mut lines = Lines::open(client, None, 0).await?;
    while let Some(line) = lines.next().await? {
        chain.extend(&line).map_err(CommandError::Answer)?;
    }
    let head = chain.finish().map_err(CommandError::Answer)?;
    let answer = json!({ "entries": head.sequence, "head": head.to_string(), "checkpoints": checkpoints.len(),
        "key_pinned": args.key.is_some() });
    output.show(&answer, |_| {
        outln!("{} entries and {} signed checkpoints: the audit log is whole.", head.sequence, checkpoints.len());
        outln!("Its end is {head}");
        outln!("  Note it elsewhere; with --head a later run proves that nothing up to here was removed.");
        if args.key.is_none() {
            outln!("  The key came from the store itself; give the one you trust with --key.");
        }
    })?;
    Ok(Exit::Success)
}

async fn checkpoints(client: &mut Client) -> Result<Vec<Value>, CommandError> {
    let mut all = Vec::new();
    let mut path = "/v1/audit/checkpoints?limit=200".to_owned();
    loop {
        let mut page = client.get(&path).await?;
        if let Some(items) = page["items"].as_array_mut() {
            all.append(items);
        }
        let Some(cursor) = page["next_cursor"].as_str() else { return Ok(all) };
        path = format!("/v1/audit/checkpoints?limit=200&cursor={cursor}");
    }
}

/// The lines of an export, read as they come.
struct Lines {
    body: reqwest::Response,
    read: Vec<u8>,
}

impl Lines {
    async fn open(client: &mut Client, org: Option<&str>, after: i64) -> Result<Self, CommandError> {
        let mut query = Serializer::new(String::new());
        query.append_pair("after", &after.to_string());
        if let Some(org) = org {
            query.append_pair("org", org);
        }
        let path = format!("/v1/audit/export?{}", query.finish());
        Ok(Self { body: client.send(Method::GET, &path, None::<&Value>, &[]).await?, read: Vec::new() })
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, CommandError> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.read.drain(..=end).collect();
                line.pop();
                return Ok(Some(line));
            }
            if self.read.len() > MAX_LINE {
                return Err(CommandError::Answer("an entry of the export is too long".to_owned()));
            }
            match self.body.chunk().await.map_err(anyhow::Error::from)? {
                Some(chunk) => self.read.extend_from_slice(&chunk),
                None if self.read.is_empty() => return Ok(None),
                None => return Err(CommandError::Answer("the export ended in the middle of an entry".to_owned())),
            }
        }
    }
}
