//! `webhook`: where an organization's events are sent to.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::query;
use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text};

#[derive(Debug, Args)]
pub struct WebhookArgs {
    /// The webhooks of the store itself, which hear of every organization (superuser).
    #[arg(long, global = true)]
    pub of_store: bool,
    #[command(subcommand)]
    pub command: WebhookCommand,
}

#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Send events to an address; prints the secret that deliveries are signed with, once.
    Add(AddArgs),
    /// List the webhooks.
    List,
    /// Show one webhook.
    Show(IdArgs),
    /// Enable a webhook that is disabled.
    Enable(IdArgs),
    /// Send nothing more to a webhook, and keep it.
    Disable(IdArgs),
    /// Remove a webhook and its delivery log.
    Remove(IdArgs),
    /// Give a webhook a new secret; prints it once.
    RotateSecret(RotateArgs),
    /// Send a webhook an event that tells of nothing.
    Test(IdArgs),
    /// List a webhook's deliveries, the newest first.
    Deliveries(DeliveriesArgs),
    /// Deliver events once more.
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub struct AddArgs {
    pub url: String,
    /// Only events of this type, such as `version.active`; may be given several times.
    #[arg(long = "event", value_name = "TYPE")]
    pub events: Vec<String>,
    #[arg(long, default_value = "")]
    pub description: String,
}

#[derive(Debug, Args)]
pub struct IdArgs {
    pub id: String,
}

#[derive(Debug, Args)]
pub struct RotateArgs {
    pub id: String,
    /// How long deliveries are signed with the old secret, too: 0 to 168.
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    pub overlap: u32,
}

#[derive(Debug, Args)]
pub struct DeliveriesArgs {
    pub id: String,
    /// `pending`, `delivered` or `failed`.
    #[arg(long)]
    pub state: Option<String>,
    /// Planned at this time or later, e.g. `2026-03-01T00:00:00Z`.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    pub id: String,
    /// One delivery, whatever came of it.
    #[arg(required_unless_present = "failed_since", conflicts_with = "failed_since")]
    pub delivery: Option<String>,
    /// All that were planned at this time or later and have failed.
    #[arg(long, value_name = "TIME")]
    pub failed_since: Option<String>,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, args: WebhookArgs) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    let base = if args.of_store {
        "/v1/webhooks".to_owned()
    } else {
        format!("/v1/orgs/{}/webhooks", client.organization().await?)
    };
    match args.command {
        WebhookCommand::Add(args) => {
            let body = json!({ "url": args.url, "events": args.events, "description": args.description });
            let added = client.post(&base, &body).await?;
            output.show(&added, |added| {
                print_one(added);
                print_secret(added);
            })?;
        }
        WebhookCommand::List => {
            output.show(&client.get(&format!("{base}?limit=200")).await?, print_all)?;
        }
        WebhookCommand::Show(args) => output.show(&client.get(&format!("{base}/{}", args.id)).await?, print_one)?,
        WebhookCommand::Enable(args) => {
            output.show(&set_enabled(&mut client, &base, &args.id, true).await?, print_one)?;
        }
        WebhookCommand::Disable(args) => {
            output.show(&set_enabled(&mut client, &base, &args.id, false).await?, print_one)?;
        }
        WebhookCommand::Remove(args) => {
            let removed = client.call(Method::DELETE, &format!("{base}/{}", args.id), None).await?;
            output.show(&removed, |_| outln!("Removed."))?;
        }
        WebhookCommand::RotateSecret(args) => {
            let body = json!({ "overlap_hours": args.overlap });
            let rotated = client.post(&format!("{base}/{}/rotate-secret", args.id), &body).await?;
            output.show(&rotated, |rotated| {
                print_secret(rotated);
                outln!("The old secret counts until {}.", text(rotated, "/old_secret_until"));
            })?;
        }
        WebhookCommand::Test(args) => {
            let planned = client.post(&format!("{base}/{}/test", args.id), &json!({})).await?;
            output.show(&planned, |planned| outln!("Planned as delivery {}.", text(planned, "/delivery")))?;
        }
        WebhookCommand::Deliveries(args) => {
            let filters = query(&[("state", &args.state), ("since", &args.since)]);
            let deliveries = client.get(&format!("{base}/{}/deliveries?{filters}", args.id)).await?;
            output.show(&deliveries, print_deliveries)?;
        }
        WebhookCommand::Replay(args) => replay(&mut client, output, &base, args).await?,
    }
    Ok(Exit::Success)
}

async fn set_enabled(client: &mut Client, base: &str, id: &str, enabled: bool) -> Result<Value, CommandError> {
    client.call(Method::PATCH, &format!("{base}/{id}"), Some(&json!({ "enabled": enabled }))).await
}

async fn replay(client: &mut Client, output: Output, base: &str, args: ReplayArgs) -> Result<(), CommandError> {
    let id = args.id;
    match (args.delivery, args.failed_since) {
        (Some(delivery), _) => {
            let path = format!("{base}/{id}/deliveries/{delivery}/replay");
            let planned = client.post(&path, &json!({})).await?;
            output.show(&planned, |planned| outln!("{} {}", text(planned, "/id"), text(planned, "/state")))
        }
        (None, since) => {
            let planned = client.post(&format!("{base}/{id}/replay"), &json!({ "since": since })).await?;
            output.show(&planned, |planned| {
                outln!("{} deliveries are planned once more.", planned["replayed"]);
                if planned["has_more"] == true {
                    outln!("There may be more: ask again.");
                }
            })
        }
    }
}

fn print_secret(answer: &Value) {
    outln!("  secret      {}", text(answer, "/secret"));
    outln!("It is not shown again.");
}

fn print_all(webhooks: &Value) {
    let row = |webhook: &Value| {
        vec![text(webhook, "/id").to_owned(), state(webhook), text(webhook, "/url").to_owned(), events(webhook)]
    };
    let rows: Vec<Vec<String>> = webhooks["items"].as_array().into_iter().flatten().map(row).collect();
    table(&["ID", "STATE", "URL", "EVENTS"], &rows);
}

fn print_one(webhook: &Value) {
    outln!("{}  {}", text(webhook, "/url"), state(webhook));
    outln!("  id          {}", text(webhook, "/id"));
    outln!("  events      {}", events(webhook));
    outln!("  failing     {}", text(webhook, "/failing_since"));
    outln!("  description {}", text(webhook, "/description"));
}

fn state(webhook: &Value) -> String {
    if webhook["enabled"] == true {
        "enabled".to_owned()
    } else {
        format!("disabled ({})", text(webhook, "/disabled_reason"))
    }
}

fn events(webhook: &Value) -> String {
    let events: Vec<&str> = webhook["events"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if events.is_empty() { "all".to_owned() } else { events.join(", ") }
}

fn print_deliveries(deliveries: &Value) {
    let row = |delivery: &Value| {
        let attempts = delivery["attempts"].as_array().map_or(0, Vec::len);
        let last = attempts.checked_sub(1).map_or(&Value::Null, |last| &delivery["attempts"][last]);
        let fields = ["/id", "/event_type", "/state"].map(|field| text(delivery, field).to_owned());
        let outcome =
            last["status"].as_i64().map_or_else(|| text(last, "/error").to_owned(), |status| status.to_string());
        [&fields[..], &[attempts.to_string(), outcome, text(delivery, "/created_at").to_owned()]].concat()
    };
    let rows: Vec<Vec<String>> = deliveries["items"].as_array().into_iter().flatten().map(row).collect();
    table(&["ID", "EVENT", "STATE", "ATTEMPTS", "LAST", "PLANNED"], &rows);
}
