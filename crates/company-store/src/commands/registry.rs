//! `registry`: onboard and manage registry namespaces.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text};

/// How long a command waits for the worker.
const WAIT: Duration = Duration::from_secs(90);
const GLANCE: Duration = Duration::from_millis(300);

#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Allow a namespace: `ghcr.io/my-org/*` or one repository.
    Add(AddArgs),
    /// List the organization's namespaces.
    List,
    /// Show one namespace.
    Show(IdArgs),
    /// Change credential, signature policy or confirmed token hosts.
    Set(SetArgs),
    /// Let the worker try the namespace, and print what it found.
    Test(IdArgs),
    /// Ask for a challenge to prove the namespace with; an earlier one no longer counts.
    Challenge(IdArgs),
    /// Let the worker look for the pushed challenge, and say what it found.
    Prove(ProveArgs),
    /// Say who held the namespace, since when and by what.
    History(IdArgs),
    /// Superuser: accept a pending namespace.
    Approve(IdArgs),
    /// Superuser: stop publishing from a namespace.
    Suspend(IdArgs),
    /// Superuser: refuse the claim of a pending namespace.
    Refuse(RefuseArgs),
    /// Ask anew for a namespace whose claim was refused.
    Reopen(IdArgs),
    /// Remove a namespace; what was published stays.
    Remove(IdArgs),
}

#[derive(Debug, Args)]
pub struct AddArgs {
    pub pattern: String,
    /// `ghcr`, `dockerhub`, `ecr` or `generic`.
    #[arg(long, default_value = "generic")]
    pub provider: String,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Debug, Args)]
pub struct SetArgs {
    pub id: String,
    /// Forget the stored credential.
    #[arg(long, conflicts_with = "username")]
    pub clear_credential: bool,
    /// Allow the credential to be shown to this token host, as a test reported it.
    #[arg(long, value_name = "HOST")]
    pub confirm_token_host: Vec<String>,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// User name of the read credential.
    #[arg(long, requires = "token_file")]
    pub username: Option<String>,
    /// File that holds the token of the read credential.
    #[arg(long, requires = "username", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// JSON file with the signature policy.
    #[arg(long, value_name = "FILE")]
    pub signature_policy: Option<PathBuf>,
    /// Require a signature by this public key (PEM file); may be given several times.
    #[arg(long, value_name = "FILE", conflicts_with = "signature_policy")]
    pub require_key: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct IdArgs {
    pub id: String,
}

#[derive(Debug, Args)]
pub struct ProveArgs {
    pub id: String,
    /// Do not stay until the worker has looked.
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, Args)]
pub struct RefuseArgs {
    pub id: String,
    /// What the organization is told.
    #[arg(long)]
    pub reason: String,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, command: RegistryCommand) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    let organization = client.organization().await?;
    let base = format!("/v1/orgs/{organization}/registries");
    match command {
        RegistryCommand::Add(args) => add(&mut client, output, &base, args).await?,
        RegistryCommand::List => list(&mut client, output, &base).await?,
        RegistryCommand::Show(args) => {
            let namespace = client.get(&format!("{base}/{}", args.id)).await?;
            output.show(&namespace, print_one)?;
        }
        RegistryCommand::Set(args) => set(&mut client, output, &base, args).await?,
        RegistryCommand::Test(args) => return test(&mut client, output, &base, &args.id).await,
        RegistryCommand::Challenge(args) => {
            let challenge = client.post(&format!("{base}/{}/challenge", args.id), &json!({})).await?;
            output.show(&challenge, print_challenge)?;
        }
        RegistryCommand::Prove(args) => return prove(&mut client, output, &base, &args).await,
        RegistryCommand::History(args) => history(&mut client, output, &base, &args.id).await?,
        RegistryCommand::Approve(args) => {
            let namespace = client.post(&format!("{base}/{}/approve", args.id), &json!({})).await?;
            output.show(&namespace, print_one)?;
        }
        RegistryCommand::Suspend(args) => {
            let namespace = client.post(&format!("{base}/{}/suspend", args.id), &json!({})).await?;
            output.show(&namespace, print_one)?;
        }
        RegistryCommand::Refuse(args) => {
            let refusal = json!({ "reason": args.reason });
            let namespace = client.post(&format!("{base}/{}/refuse", args.id), &refusal).await?;
            output.show(&namespace, print_one)?;
        }
        RegistryCommand::Reopen(args) => {
            let namespace = client.post(&format!("{base}/{}/reopen", args.id), &json!({})).await?;
            output.show(&namespace, print_one)?;
        }
        RegistryCommand::Remove(args) => {
            client.call(Method::DELETE, &format!("{base}/{}", args.id), None).await?;
            output.show(&json!({ "removed": args.id }), |_| outln!("Removed {}.", args.id))?;
        }
    }
    Ok(Exit::Success)
}

async fn add(client: &mut Client, output: Output, base: &str, args: AddArgs) -> Result<(), CommandError> {
    let mut body = args.change.body()?;
    body.insert("pattern".to_owned(), json!(args.pattern));
    body.insert("provider".to_owned(), json!(args.provider));
    let namespace = client.post(base, &Value::Object(body)).await?;
    output.show(&namespace, |namespace| {
        print_one(namespace);
        if text(namespace, "/state") == "pending" {
            outln!("Before anything can be published from it: prove it (`company-store registry challenge`), or have it approved.");
        }
    })
}

fn print_challenge(challenge: &Value) {
    outln!("Push an OCI artifact with this annotation, then `company-store registry prove`:");
    outln!("  reference   {}", text(challenge, "/reference"));
    outln!("  annotation  {}={}", text(challenge, "/annotation"), text(challenge, "/nonce"));
}

async fn history(client: &mut Client, output: Output, base: &str, id: &str) -> Result<(), CommandError> {
    let history = client.get(&format!("{base}/{id}/history?limit=200")).await?;
    output.show(&history, |history| {
        let fields = ["/at", "/state", "/how", "/actor", "/evidence", "/reason"];
        let row = |holding: &Value| fields.iter().map(|field| text(holding, field).to_owned()).collect();
        let rows: Vec<_> = history["items"].as_array().into_iter().flatten().map(row).collect();
        table(&["AT", "STATE", "HOW", "ACTOR", "EVIDENCE", "REASON"], &rows);
    })
}

async fn list(client: &mut Client, output: Output, base: &str) -> Result<(), CommandError> {
    let namespaces = client.get(base).await?;
    output.show(&namespaces, |namespaces| {
        let row = |n: &Value| {
            let fields = ["/id", "/pattern", "/provider", "/state", "/signature_policy/mode"];
            let credential = if n["has_credential"] == true { "yes" } else { "no" };
            let mut row: Vec<String> = fields.iter().map(|field| text(n, field).to_owned()).collect();
            row.push(credential.to_owned());
            row
        };
        let rows: Vec<_> = namespaces["items"].as_array().into_iter().flatten().map(row).collect();
        table(&["ID", "PATTERN", "PROVIDER", "STATE", "SIGNATURES", "CREDENTIAL"], &rows);
    })
}

async fn set(client: &mut Client, output: Output, base: &str, args: SetArgs) -> Result<(), CommandError> {
    let mut body = args.change.body()?;
    if args.clear_credential {
        body.insert("credential".to_owned(), Value::Null);
    }
    if !args.confirm_token_host.is_empty() {
        body.insert("confirmed_token_hosts".to_owned(), json!(args.confirm_token_host));
    }
    let namespace = client.call(Method::PATCH, &format!("{base}/{}", args.id), Some(&Value::Object(body))).await?;
    output.show(&namespace, print_one)
}

async fn test(client: &mut Client, output: Output, base: &str, id: &str) -> Result<Exit, CommandError> {
    let path = format!("{base}/{id}");
    let before = client.get(&path).await?["last_tested_at"].clone();
    client.post(&format!("{path}/test"), &json!({})).await?;
    let waiting = "The worker is trying the namespace";
    let namespace = changed(client, output, &path, "last_tested_at", &before, waiting).await?;
    output.show(&namespace, print_one)?;
    let reachable = namespace["last_test"]["reachable"] == true;
    Ok(if reachable { Exit::Success } else { Exit::Failure })
}

async fn prove(client: &mut Client, output: Output, base: &str, args: &ProveArgs) -> Result<Exit, CommandError> {
    let (namespace, challenge) = (format!("{base}/{}", args.id), format!("{base}/{}/challenge", args.id));
    let before = client.get(&challenge).await?;
    client.post(&format!("{namespace}/prove"), &json!({})).await?;
    if args.no_wait {
        output.show(&before, |_| {
            outln!("A worker looks for it; see `company-store registry show {}`.", args.id);
        })?;
        return Ok(Exit::Success);
    }
    let waiting = "The worker is looking for the challenge";
    let after = changed(client, output, &challenge, "looked_at", &before["looked_at"], waiting).await?;
    let is_proven = after["proven_at"] != before["proven_at"];
    let namespace = client.get(&namespace).await?;
    output.show(&after, |after| {
        outln!("{}  {}", text(&namespace, "/pattern"), text(&namespace, "/state"));
        outln!("  {}: {}", if is_proven { "proven" } else { "not proven" }, text(after, "/last_result"));
    })?;
    Ok(if is_proven { Exit::Success } else { Exit::Failure })
}

/// What lies at `path` once a worker has changed this member of it.
async fn changed(
    client: &mut Client,
    output: Output,
    path: &str,
    member: &str,
    before: &Value,
    waiting: &'static str,
) -> Result<Value, CommandError> {
    let spinner = output.spinner(waiting);
    let started = Instant::now();
    while started.elapsed() < WAIT {
        let now = client.get(path).await?;
        if now[member] != *before {
            spinner.finish_and_clear();
            return Ok(now);
        }
        tokio::time::sleep(GLANCE).await;
    }
    spinner.finish_and_clear();
    Err(anyhow::anyhow!("no worker has done it within {} seconds; is one running?", WAIT.as_secs()).into())
}

impl ChangeArgs {
    fn body(&self) -> Result<Map<String, Value>, CommandError> {
        let mut body = Map::new();
        if let (Some(username), Some(file)) = (&self.username, &self.token_file) {
            let token = read(file)?;
            body.insert("credential".to_owned(), json!({ "username": username, "token": token.trim_end() }));
        }
        if let Some(file) = &self.signature_policy {
            let policy: Value = serde_json::from_str(&read(file)?)
                .map_err(|e| CommandError::Usage(format!("{} is not JSON: {e}", file.display())))?;
            body.insert("signature_policy".to_owned(), policy);
        }
        if !self.require_key.is_empty() {
            let keys = self.require_key.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
            body.insert("signature_policy".to_owned(), json!({ "mode": "required", "keys": keys }));
        }
        Ok(body)
    }
}

fn read(file: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(file).map_err(CommandError::file("read", file))
}

fn print_one(namespace: &Value) {
    outln!("{}  {}", text(namespace, "/pattern"), text(namespace, "/state"));
    if namespace["refusal"].is_string() {
        outln!("  refused     {}", text(namespace, "/refusal"));
    }
    outln!("  id          {}", text(namespace, "/id"));
    outln!("  provider    {}", text(namespace, "/provider"));
    outln!("  signatures  {}", text(namespace, "/signature_policy/mode"));
    outln!("  credential  {}", if namespace["has_credential"] == true { "stored" } else { "none" });
    if let Some(test) = namespace["last_test"].as_object() {
        outln!("  last test   {}", text(namespace, "/last_tested_at"));
        for (name, value) in test {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            outln!("    {name}: {value}");
        }
    }
}
