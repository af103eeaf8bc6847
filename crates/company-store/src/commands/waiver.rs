//! `waiver`: findings that are accepted for a while.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::query;
use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text};

#[derive(Debug, Subcommand)]
pub enum WaiverCommand {
    /// Ask for a waiver; another person approves it.
    Ask(AskArgs),
    /// List the organization's waivers, the newest first.
    List(ListArgs),
    /// Show one waiver.
    Show(IdArgs),
    /// Put a waiver in force that another person asked for.
    Approve(DecideArgs),
    /// Refuse a waiver.
    Refuse(DecideArgs),
    /// Take a waiver back; versions that rest on it are judged anew.
    Withdraw(IdArgs),
    /// Print the waivers in force as an OpenVEX document.
    Export,
    /// Ask for waivers by a signed OpenVEX document of somebody whom the store's policy names.
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The document.
    pub file: PathBuf,
    /// The signature over the file: what `cosign sign-blob` or `openssl dgst -sha256 -sign` wrote.
    #[arg(long, value_name = "FILE")]
    pub signature: PathBuf,
    /// One package of the organization, by its name; otherwise all.
    #[arg(long, value_name = "NAME")]
    pub package: Option<String>,
    /// A range of the package's versions, such as `^1.2`; otherwise all.
    #[arg(long, value_name = "RANGE")]
    pub versions: Option<String>,
    /// How long the waivers last from now on, 1 to 30 days.
    #[arg(long, default_value_t = 30)]
    pub days: i32,
}

#[derive(Debug, Args)]
// The program's own `--version`, which every command has, is the component's here.
#[command(disable_version_flag = true)]
pub struct AskArgs {
    /// Id of the advisory, or one of its aliases: `CVE-2024-22195`.
    pub advisory: String,
    /// Package URL of the component, without a version: `pkg:pypi/jinja2`.
    pub component: String,
    /// Exactly this version of the component.
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["from", "before"])]
    pub version: Option<String>,
    /// This version of the component and later ones.
    #[arg(long, value_name = "VERSION")]
    pub from: Option<String>,
    /// Earlier versions of the component than this one.
    #[arg(long, value_name = "VERSION")]
    pub before: Option<String>,
    /// One package of the organization, by its name; otherwise all.
    #[arg(long, value_name = "NAME")]
    pub package: Option<String>,
    /// A range of the package's versions, such as `^1.2`; otherwise all.
    #[arg(long, value_name = "RANGE")]
    pub versions: Option<String>,
    /// Why: one of OpenVEX's justifications, `fix_planned` or `risk_accepted`.
    #[arg(long)]
    pub reason: String,
    /// Why, in words, for those who decide and for everybody who reads a verdict.
    #[arg(long, value_name = "TEXT")]
    pub statement: String,
    /// How long it lasts from now on, 1 to 30 days.
    #[arg(long, default_value_t = 30)]
    pub days: i32,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// `asked`, `approved`, `refused`, `withdrawn` or `expired`.
    #[arg(long)]
    pub state: Option<String>,
    /// One package, by its name.
    #[arg(long)]
    pub package: Option<String>,
    /// One advisory, by the id that the waiver names.
    #[arg(long)]
    pub advisory: Option<String>,
}

#[derive(Debug, Args)]
pub struct IdArgs {
    pub id: String,
}

#[derive(Debug, Args)]
pub struct DecideArgs {
    pub id: String,
    /// For the one who asked.
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, command: WaiverCommand) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    let organization = client.organization().await?;
    let base = format!("/v1/orgs/{organization}/waivers");
    match command {
        WaiverCommand::Ask(args) => output.show(&client.post(&base, &args.body()).await?, print_one)?,
        WaiverCommand::List(args) => {
            let filters = [("state", &args.state), ("package", &args.package), ("advisory", &args.advisory)];
            let waivers = client.get(&format!("{base}?{}", query(&filters))).await?;
            output.show(&waivers, print_all)?;
        }
        WaiverCommand::Show(args) => output.show(&client.get(&format!("{base}/{}", args.id)).await?, print_one)?,
        WaiverCommand::Approve(args) => {
            let decided = client.post(&format!("{base}/{}/approve", args.id), &json!({ "note": args.note })).await?;
            output.show(&decided, print_one)?;
        }
        WaiverCommand::Refuse(args) => {
            let decided = client.post(&format!("{base}/{}/refuse", args.id), &json!({ "note": args.note })).await?;
            output.show(&decided, print_one)?;
        }
        WaiverCommand::Withdraw(args) => {
            let withdrawn = client.post(&format!("{base}/{}/withdraw", args.id), &json!({})).await?;
            output.show(&withdrawn, print_one)?;
        }
        WaiverCommand::Import(args) => {
            let imported = client.post(&format!("/v1/orgs/{organization}/vex"), &args.body()?).await?;
            output.show(&imported, print_imported)?;
        }
        WaiverCommand::Export => {
            let document = client.get(&format!("/v1/orgs/{organization}/vex")).await?;
            let document = serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?;
            outln!("{document}");
        }
    }
    Ok(Exit::Success)
}

impl AskArgs {
    fn body(&self) -> Value {
        json!({
            "advisory": self.advisory,
            "component": {
                "package": self.component, "version": self.version, "from": self.from, "before": self.before,
            },
            "package": self.package,
            "versions": self.versions,
            "reason": self.reason,
            "statement": self.statement,
            "days": self.days,
        })
    }
}

impl ImportArgs {
    fn body(&self) -> Result<Value, CommandError> {
        let document = std::fs::read_to_string(&self.file).map_err(CommandError::file("read", &self.file))?;
        let signature = std::fs::read(&self.signature).map_err(CommandError::file("read", &self.signature))?;
        Ok(json!({
            "document": document,
            "signature": as_base64(&signature),
            "package": self.package,
            "versions": self.versions,
            "days": self.days,
        }))
    }
}

/// cosign writes base64, openssl the bytes themselves, which begin as DER does.
fn as_base64(signature: &[u8]) -> String {
    const SEQUENCE: u8 = 0x30;
    match std::str::from_utf8(signature) {
        Ok(text) if signature.first() != Some(&SEQUENCE) => text.trim().to_owned(),
        Ok(_) | Err(_) => STANDARD.encode(signature),
    }
}

fn print_imported(imported: &Value) {
    outln!("{}  by {}", text(imported, "/document"), text(imported, "/author"));
    let asked = imported["asked"].as_array().map_or(0, Vec::len);
    outln!("  {asked} waivers asked for; another person approves them");
    outln!("  {} asked for before", imported["already_asked"]);
    for left in imported["left_out"].as_array().into_iter().flatten() {
        outln!("  left out  {}: {}", text(left, "/pointer"), text(left, "/why"));
    }
    for waiver in imported["asked"].as_array().into_iter().flatten() {
        outln!("  {}  {}  {}", text(waiver, "/id"), text(waiver, "/advisory"), text(waiver, "/component/package"));
    }
}

fn print_all(waivers: &Value) {
    let row = |waiver: &Value| {
        let fields = ["/id", "/advisory", "/component/package", "/package", "/versions", "/state", "/expires_at"];
        fields.iter().map(|field| text(waiver, field).to_owned()).collect()
    };
    let rows: Vec<Vec<String>> = waivers["items"].as_array().into_iter().flatten().map(row).collect();
    table(&["ID", "ADVISORY", "COMPONENT", "PACKAGE", "VERSIONS", "STATE", "EXPIRES"], &rows);
}

fn print_one(waiver: &Value) {
    outln!("{}  {}", text(waiver, "/advisory"), text(waiver, "/state"));
    for (label, field) in [
        ("id", "/id"),
        ("component", "/component/package"),
        ("version", "/component/version"),
        ("from", "/component/from"),
        ("before", "/component/before"),
        ("package", "/package"),
        ("versions", "/versions"),
        ("reason", "/reason"),
        ("statement", "/statement"),
        ("asked by", "/asked_by/email"),
        ("decided by", "/decided_by/email"),
        ("note", "/note"),
        ("expires", "/expires_at"),
    ] {
        outln!("  {label:<11} {}", text(waiver, field));
    }
}
