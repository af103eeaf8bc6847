//! `review`: what waits for a person.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::query;
use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text};

#[derive(Debug, Subcommand)]
pub enum ReviewCommand {
    /// List what waits, the oldest first.
    List(ListArgs),
    /// Show one review: why a person is asked, and what changed since the last active version.
    Show(IdArgs),
    /// Take a review on, which keeps others from deciding it for a day.
    Claim(IdArgs),
    /// Let the version become active.
    Approve(DecideArgs),
    /// Reject the version, with a reason that its publisher reads.
    Reject(DecideArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// `open`, `claimed`, `approved`, `rejected` or `superseded`; otherwise what waits.
    #[arg(long)]
    pub state: Option<String>,
    /// `community`, `verified` or `internal`.
    #[arg(long)]
    pub tier: Option<String>,
    /// `publisher/name`.
    #[arg(long)]
    pub package: Option<String>,
    /// Only those that you have claimed.
    #[arg(long)]
    pub mine: bool,
}

#[derive(Debug, Args)]
pub struct IdArgs {
    pub id: String,
}

#[derive(Debug, Args)]
pub struct DecideArgs {
    pub id: String,
    /// Verdict that you have read, as `review show` prints it; the store refuses when another one stands by now.
    #[arg(long, value_name = "ID")]
    pub verdict: String,
    /// Why; demanded of a rejection.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, command: ReviewCommand) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    match command {
        ReviewCommand::List(args) => {
            let mine = args.mine.then(|| "true".to_owned());
            let filters = [
                ("state", &args.state),
                ("tier", &args.tier),
                ("package", &args.package),
                ("org", &global.org),
                ("mine", &mine),
            ];
            output.show(&client.get(&format!("/v1/reviews?{}", query(&filters))).await?, print_all)?;
        }
        ReviewCommand::Show(args) => {
            output.show(&client.get(&format!("/v1/reviews/{}", args.id)).await?, print_one)?;
        }
        ReviewCommand::Claim(args) => {
            let claimed = client.post(&format!("/v1/reviews/{}/claim", args.id), &json!({})).await?;
            output.show(&claimed, print_one)?;
        }
        ReviewCommand::Approve(args) => decide(&mut client, output, "approve", &args).await?,
        ReviewCommand::Reject(args) => decide(&mut client, output, "reject", &args).await?,
    }
    Ok(Exit::Success)
}

/// The digest belongs to the verdict that was read: where another verdict stands, the store refuses.
async fn decide(client: &mut Client, output: Output, choice: &str, args: &DecideArgs) -> Result<(), CommandError> {
    let path = format!("/v1/reviews/{}", args.id);
    let digest = client.get(&path).await?["digest"].clone();
    let body = json!({ "verdict": args.verdict, "digest": digest, "reason": args.reason });
    output.show(&client.post(&format!("{path}/{choice}"), &body).await?, print_one)
}

fn print_all(reviews: &Value) {
    let row = |review: &Value| {
        let fields = ["/id", "/package", "/version", "/tier", "/state", "/created_at"];
        let mut row: Vec<String> = fields.iter().map(|field| text(review, field).to_owned()).collect();
        let changes = review["changes"].as_array().into_iter().flatten();
        row.push(changes.filter(|change| change["grows"] == true).count().to_string());
        row
    };
    let rows: Vec<Vec<String>> = reviews["items"].as_array().into_iter().flatten().map(row).collect();
    table(&["ID", "PACKAGE", "VERSION", "TIER", "STATE", "SINCE", "GROWS"], &rows);
}

fn print_one(review: &Value) {
    outln!("{} {}  {}", text(review, "/package"), text(review, "/version"), text(review, "/state"));
    for (label, field) in [
        ("id", "/id"),
        ("verdict", "/verdict"),
        ("digest", "/digest"),
        ("image", "/image"),
        ("tier", "/tier"),
        ("compared", "/compared_with"),
        ("claimed by", "/claimed_by/email"),
        ("decided by", "/decided_by/email"),
        ("reason", "/reason"),
    ] {
        outln!("  {label:<11} {}", text(review, field));
    }
    print_list(review, "reasons", "asked because", |reason| text(reason, "/message").to_owned());
    print_list(review, "changes", "changed", |change| {
        let sign = if change["grows"] == true { "+" } else { "-" };
        let (kind, what) = (text(change, "/kind"), text(change, "/what"));
        format!("{sign} {kind} {what}: {} → {}", text(change, "/before"), text(change, "/after"))
    });
    print_list(review, "warnings", "warnings", |reason| text(reason, "/message").to_owned());
}

fn print_list(review: &Value, member: &str, label: &str, line: impl Fn(&Value) -> String) {
    let items = review[member].as_array().map_or(&[][..], Vec::as_slice);
    if !items.is_empty() {
        outln!("  {label}");
    }
    for item in items {
        outln!("    {}", line(item));
    }
}
