//! `intake`: look at intakes, or watch one to its verdict.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use crate::cli::Global;
use crate::client::Client;
use crate::event_stream::{Event, EventStream};
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text};

#[derive(Debug, Subcommand)]
pub enum IntakeCommand {
    /// List the organization's intakes, the newest first.
    List(ListArgs),
    /// Show one intake with every check.
    Show(IdArgs),
    /// Follow one intake to its verdict.
    Watch(IdArgs),
    /// Cancel one intake that is not decided yet; its version number may be published again.
    Cancel(IdArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
}

#[derive(Debug, Args)]
pub struct IdArgs {
    pub id: String,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, command: IntakeCommand) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    match command {
        IntakeCommand::List(args) => list(&mut client, output, &args).await,
        IntakeCommand::Show(args) => {
            let intake = client.get(&format!("/v1/intakes/{}", args.id)).await?;
            output.show(&intake, print_intake)?;
            Ok(Exit::Success)
        }
        IntakeCommand::Watch(args) => watch(&mut client, output, &args.id).await,
        IntakeCommand::Cancel(args) => {
            let intake = client.call(Method::POST, &format!("/v1/intakes/{}/cancel", args.id), None).await?;
            output.show(&intake, print_intake)?;
            Ok(Exit::Success)
        }
    }
}

async fn list(client: &mut Client, output: Output, args: &ListArgs) -> Result<Exit, CommandError> {
    let organization = client.organization().await?;
    let intakes = client.get(&format!("/v1/orgs/{organization}/intakes?limit={}", args.limit)).await?;
    output.show(&intakes, |intakes| {
        let row = |i: &Value| {
            let fields = ["/id", "/package", "/version", "/state", "/outcome", "/created_at"];
            fields.iter().map(|field| text(i, field).to_owned()).collect()
        };
        let rows: Vec<Vec<String>> = intakes["items"].as_array().into_iter().flatten().map(row).collect();
        table(&["ID", "PACKAGE", "VERSION", "STATE", "OUTCOME", "CREATED"], &rows);
    })?;
    Ok(Exit::Success)
}

/// Follows the events of an intake until it is decided or has failed, then shows it. A broken stream is resumed behind
/// the last event seen.
///
/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn watch(client: &mut Client, output: Output, id: &str) -> Result<Exit, CommandError> {
    let spinner = output.spinner("waiting for a worker");
    let mut last_event: Option<String> = None;
    let path = format!("/v1/intakes/{id}");
    let intake = loop {
        let intake = client.get(&path).await?;
        if matches!(text(&intake, "/state"), "decided" | "failed") {
            break intake;
        }
        let resume = last_event.clone().unwrap_or_default();
        let headers = [("Accept", "text/event-stream"), ("Last-Event-ID", resume.as_str())];
        let headers = if last_event.is_some() { &headers[..] } else { &headers[..1] };
        let response = client.send(Method::GET, &format!("{path}/events"), None::<&Value>, headers).await?;
        let mut events = EventStream::new(response);
        let mut has_ended = false;
        while let Some(event) = events.next().await {
            has_ended |= is_last(&event);
            last_event = event.id.clone().or(last_event);
            if let Some(line) = describe(&event.kind, &event.data) {
                spinner.set_message(line.clone());
                if event.kind != "progress" {
                    spinner.suspend(|| output.note(&format!("  {line}")));
                }
            }
        }
        if !has_ended {
            // The stream broke: a store that is going down must not be hammered.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    spinner.finish_and_clear();
    output.show(&intake, print_intake)?;
    Ok(exit_of(&intake))
}

/// Whether the intake has ended with this event.
fn is_last(event: &Event) -> bool {
    event.kind == "decided" || (event.kind == "state" && text(&event.data, "/state") == "failed")
}

/// A line about an event; only those of steps and checks stay on the screen.
fn describe(kind: &str, data: &Value) -> Option<String> {
    match kind {
        "step" => Some(format!("{} …", text(data, "/step"))),
        "check" => Some(format!("{:<16} {}", text(data, "/name"), text(data, "/outcome"))),
        "progress" => {
            let megabytes = |field: &str| data[field].as_u64().unwrap_or_default() / 1_000_000;
            Some(format!("{} {} of {} MB", text(data, "/step"), megabytes("done_bytes"), megabytes("total_bytes")))
        }
        _ => None,
    }
}

fn exit_of(intake: &Value) -> Exit {
    match (text(intake, "/state"), text(intake, "/outcome")) {
        ("decided", "active") => Exit::Success,
        ("decided", "in_review") => Exit::InReview,
        ("decided", _) => Exit::Rejected,
        _ => Exit::Failure,
    }
}

/// First the verdict and its reasons, then what was checked.
fn print_intake(intake: &Value) {
    let name = format!("{} {}", text(intake, "/package"), text(intake, "/version"));
    match (text(intake, "/state"), text(intake, "/outcome")) {
        ("decided", outcome) => outln!("{name}: {outcome}"),
        (state, _) => outln!("{name}: {state}"),
    }
    if let Some(reason) = intake["failure_reason"].as_str() {
        outln!("  {reason}");
    }
    outln!("  image   {}", text(intake, "/image_reference"));
    outln!("  digest  {}", text(intake, "/digest"));
    print_timeline(intake);
    for check in intake["checks"].as_array().into_iter().flatten() {
        outln!("  {:<16} {}", text(check, "/name"), text(check, "/outcome"));
        for reason in check["reasons"].as_array().into_iter().flatten() {
            print_reason(reason);
        }
    }
}

/// When each step began, counted from the publish call, and how long it took.
fn print_timeline(intake: &Value) {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    let Some(published) = time(&intake["created_at"]) else { return };
    let line = |what: &str, from: DateTime<Utc>, to: Option<DateTime<Utc>>| {
        let seconds = |time: TimeDelta| time.as_seconds_f64();
        let took = to.map(|to| format!("{:>9.3} s", seconds(to - from))).unwrap_or_default();
        outln!("  {what:<16} at {:>9.3} s {took}", seconds(from - published));
    };
    line("queued", published, time(&intake["started_at"]));
    for step in intake["steps"].as_array().into_iter().flatten() {
        if let Some(started) = time(&step["started_at"]) {
            line(text(step, "/step"), started, time(&step["finished_at"]));
        }
    }
    if let Some(finished) = time(&intake["finished_at"]) {
        line("ended", finished, None);
    }
}

fn print_reason(reason: &Value) {
    outln!("      {}: {}", text(reason, "/code"), text(reason, "/message"));
    for field in ["rule", "package", "file", "layer", "fix"] {
        if let Some(value) = reason[field].as_str() {
            outln!("        {field:<8} {value}");
        }
    }
}
