//! `template`: publish, import and export company templates.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Client;
use crate::commands::intake;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, text, write};
use crate::private_file;

#[derive(Debug, Subcommand)]
pub enum TemplateCommand {
    /// Publish a company template (JSON).
    Publish(PublishArgs),
    /// Turn a template into a company.
    Import(ImportArgs),
    /// Print a company as a template.
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub struct PublishArgs {
    pub file: PathBuf,
    /// Who may see it: `org` or `public`.
    #[arg(long, default_value = "org")]
    pub scope: String,
    /// Stay until the verdict.
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// `publisher/name[@version]`, or a JSON file.
    pub template: String,
    /// Name of the company; otherwise the template's.
    #[arg(long)]
    pub name: Option<String>,
    /// Show what would be made, and make nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Id of the company.
    pub company: String,
    /// File to write; otherwise standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, command: TemplateCommand) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    match command {
        TemplateCommand::Publish(args) => publish(&mut client, output, args).await,
        TemplateCommand::Import(args) => import(&mut client, output, args).await,
        TemplateCommand::Export(args) => export(&mut client, args).await,
    }
}

async fn publish(client: &mut Client, output: Output, args: PublishArgs) -> Result<Exit, CommandError> {
    let template = read_json(&args.file)?;
    let organization = client.organization().await?;
    let body = json!({ "organization": organization, "template": template, "scope": args.scope });
    let accepted = client.post("/v1/templates/publish", &body).await?;
    let id = text(&accepted, "/publishId").to_owned();
    if args.watch {
        return intake::watch(client, output, &id).await;
    }
    output.show(&accepted, |_| outln!("Accepted as intake {id}."))?;
    Ok(Exit::Success)
}

async fn import(client: &mut Client, output: Output, args: ImportArgs) -> Result<Exit, CommandError> {
    let organization = client.organization().await?;
    let mut body = json!({ "organization": organization, "dryRun": args.dry_run });
    let file = Path::new(&args.template);
    if file.is_file() {
        body["template"] = read_json(file)?;
    } else {
        body["package"] = json!(args.template);
    }
    if let Some(name) = &args.name {
        body["name"] = json!(name);
    }
    let imported = client.post("/api/templates/import", &body).await?;
    output.show(&imported, |imported| {
        if args.dry_run {
            outln!("Nothing was made. The plan:");
            for (name, value) in imported["plan"].as_object().into_iter().flatten() {
                let count = value.as_array().map_or_else(|| value.to_string(), |items| items.len().to_string());
                outln!("  {name:<10} {count}");
            }
        } else {
            outln!("Company {} is {}.", text(imported, "/name"), text(imported, "/company"));
        }
    })?;
    Ok(Exit::Success)
}

async fn export(client: &mut Client, args: ExportArgs) -> Result<Exit, CommandError> {
    let company: uuid::Uuid = args
        .company
        .parse()
        .map_err(|_| CommandError::Usage(format!("{:?} is not the id of a company", args.company)))?;
    let template = client.get(&format!("/api/templates/export?company={company}")).await?;
    let json = serde_json::to_string_pretty(&template).map_err(anyhow::Error::from)? + "\n";
    match &args.output {
        Some(file) => private_file::write(file, json.as_bytes()).map_err(CommandError::file("write", file))?,
        None => write(format_args!("{json}")),
    }
    Ok(Exit::Success)
}

fn read_json(file: &Path) -> Result<Value, CommandError> {
    let text = std::fs::read_to_string(file).map_err(CommandError::file("read", file))?;
    serde_json::from_str(&text).map_err(|e| CommandError::Usage(format!("{} is not JSON: {e}", file.display())))
}
