//! `event`: what has happened in an organization.

use clap::{Args, Subcommand};
use serde_json::Value;
use url::form_urlencoded::Serializer;

use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text};

#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// Events behind a cursor, the oldest first; the same that webhooks get.
    List(ListArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// `next_cursor` of the last answer; from the oldest on that is kept, if not given.
    #[arg(long)]
    pub cursor: Option<String>,
    /// At most 200.
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, command: EventCommand) -> Result<Exit, CommandError> {
    let EventCommand::List(args) = command;
    let mut client = Client::new(global)?;
    let mut query = Serializer::new(String::new());
    query.append_pair("limit", &args.limit.to_string());
    if let Some(cursor) = &args.cursor {
        query.append_pair("cursor", cursor);
    }
    let path = format!("/v1/orgs/{}/events?{}", client.organization().await?, query.finish());
    output.show(&client.get(&path).await?, print)?;
    Ok(Exit::Success)
}

fn print(answer: &Value) {
    let events = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
    if events.is_empty() {
        outln!("Nothing new has happened.");
    } else {
        let row = |event: &Value| {
            let fields = ["/time", "/type", "/subject"].map(|field| text(event, field).to_owned());
            [&fields[..], &[event["data"].to_string()]].concat()
        };
        table(&["TIME", "TYPE", "SUBJECT", "DATA"], &events.iter().map(row).collect::<Vec<_>>());
    }
    if let Some(cursor) = answer["next_cursor"].as_str() {
        let word = if answer["has_more"] == true { "There is more" } else { "Later go on" };
        outln!("{word}: --cursor {cursor}");
    }
}
