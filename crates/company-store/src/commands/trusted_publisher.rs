//! `trusted-publisher`: jobs of continuous integration that may publish without a stored secret.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text};

#[derive(Debug, Subcommand)]
pub enum TrustedPublisherCommand {
    /// Let a job publish a package.
    Add(AddArgs),
    /// List the organization's trusted publishers.
    List,
    /// Take the right from a job; its live tokens end.
    Remove(IdArgs),
    /// List the tokens that its jobs were given.
    Tokens(IdArgs),
    /// End one of these tokens.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// Name of the package, which need not exist yet.
    pub package: String,
    /// `github` or `gitlab`.
    #[arg(long)]
    pub provider: String,
    /// `owner/name`, shown and never compared.
    #[arg(long, value_name = "NAME")]
    pub repository: String,
    /// The repository's number: `gh api repos/OWNER/NAME --jq .id`; GitLab: the project's id.
    #[arg(long, value_name = "NUMBER")]
    pub repository_id: i64,
    /// Its owner's number: `gh api repos/OWNER/NAME --jq .owner.id`; GitLab: the id of the project's group.
    #[arg(long, value_name = "NUMBER")]
    pub owner_id: i64,
    /// `.github/workflows/release.yml`, `.gitlab-ci.yml`.
    #[arg(long, value_name = "PATH")]
    pub workflow: String,
    /// The environment that the job must run in.
    #[arg(long)]
    pub environment: Option<String>,
    /// The ref that it must run for: `refs/heads/main`, `refs/tags/v*`.
    #[arg(long, value_name = "REF")]
    pub r#ref: Option<String>,
    /// Who signs the job's tokens, where the store trusts several of that provider.
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
}

#[derive(Debug, Args)]
pub struct IdArgs {
    pub id: String,
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The trusted publisher.
    pub id: String,
    /// The token's id, as `tokens` shows it.
    pub token: String,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, command: TrustedPublisherCommand) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    let organization = client.organization().await?;
    let base = format!("/v1/orgs/{organization}/trusted-publishers");
    match command {
        TrustedPublisherCommand::Add(args) => {
            let added = client.post(&base, &args.body()).await?;
            output.show(&added, print_one)?;
        }
        TrustedPublisherCommand::List => list(&mut client, output, &base).await?,
        TrustedPublisherCommand::Remove(args) => {
            client.call(Method::DELETE, &format!("{base}/{}", args.id), None).await?;
            output.show(&json!({ "removed": args.id }), |_| outln!("Removed {}.", args.id))?;
        }
        TrustedPublisherCommand::Tokens(args) => tokens(&mut client, output, &base, &args.id).await?,
        TrustedPublisherCommand::Revoke(RevokeArgs { id, token }) => {
            client.call(Method::DELETE, &format!("{base}/{id}/tokens/{token}"), None).await?;
            output.show(&json!({ "revoked": token }), |_| outln!("Revoked {token}."))?;
        }
    }
    Ok(Exit::Success)
}

impl AddArgs {
    fn body(&self) -> Value {
        json!({
            "package": self.package,
            "provider": self.provider,
            "issuer": self.issuer,
            "repository": self.repository,
            "repository_id": self.repository_id,
            "owner_id": self.owner_id,
            "workflow": self.workflow,
            "environment": self.environment,
            "ref": self.r#ref,
        })
    }
}

async fn list(client: &mut Client, output: Output, base: &str) -> Result<(), CommandError> {
    let publishers = client.get(&format!("{base}?limit=200")).await?;
    output.show(&publishers, |publishers| {
        let row = |publisher: &Value| {
            let fields = ["/id", "/package", "/provider", "/repository", "/workflow", "/environment", "/ref"];
            fields.iter().map(|field| text(publisher, field).to_owned()).collect()
        };
        let rows: Vec<_> = publishers["items"].as_array().into_iter().flatten().map(row).collect();
        table(&["ID", "PACKAGE", "PROVIDER", "REPOSITORY", "WORKFLOW", "ENVIRONMENT", "REF"], &rows);
    })
}

async fn tokens(client: &mut Client, output: Output, base: &str, id: &str) -> Result<(), CommandError> {
    let tokens = client.get(&format!("{base}/{id}/tokens?limit=200")).await?;
    output.show(&tokens, |tokens| {
        let row = |token: &Value| {
            let fields = ["/id", "/issued_at", "/expires_at", "/revoked_at", "/claims/sub"];
            fields.iter().map(|field| text(token, field).to_owned()).collect()
        };
        let rows: Vec<_> = tokens["items"].as_array().into_iter().flatten().map(row).collect();
        table(&["ID", "ISSUED", "EXPIRES", "REVOKED", "JOB"], &rows);
    })
}

fn print_one(publisher: &Value) {
    outln!("{}  {}", text(publisher, "/package"), text(publisher, "/repository"));
    outln!("  id           {}", text(publisher, "/id"));
    outln!("  issuer       {}", text(publisher, "/issuer"));
    outln!("  repository   {} of owner {}", publisher["repository_id"], publisher["owner_id"]);
    outln!("  workflow     {}", text(publisher, "/workflow"));
    outln!("  environment  {}", text(publisher, "/environment"));
    outln!("  ref          {}", text(publisher, "/ref"));
}
