//! `advisories`: load advisory data into the store's database, and say how old it is.

use clap::{Args, Subcommand};
use intake_worker::advisories::{self, AdvisorySource, Progress};
use registry_db::Pool;
use registry_db::advisories::SnapshotInfo;
use registry_types::component::Ecosystem;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::commands::operator_pool;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table};

#[derive(Debug, Subcommand)]
pub enum AdvisoriesCommand {
    /// Load OSV records from a folder, a zip file, or an address with `<ecosystem>/all.zip` below it.
    Sync(SyncArgs),
    /// Say which advisories are used, and how old they are.
    Status,
}

#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Folder, zip file, or `https://…`.
    pub source: String,
    /// Ecosystems to load, as OSV names them; all that the store can match if none is named.
    #[arg(long = "ecosystem", value_name = "NAME")]
    pub ecosystems: Vec<String>,
}

/// # Errors
/// When the data cannot be read or stored; the advisories in use stay.
pub async fn run(global: &Global, output: Output, command: AdvisoriesCommand) -> Result<Exit, CommandError> {
    let pool = operator_pool(global)?;
    match command {
        AdvisoriesCommand::Sync(args) => sync(&pool, output, args).await,
        AdvisoriesCommand::Status => status(&pool, output).await,
    }
}

async fn sync(pool: &Pool, output: Output, args: SyncArgs) -> Result<Exit, CommandError> {
    let ecosystems = ecosystems(&args.ecosystems)?;
    let source = AdvisorySource::locate(&args.source).map_err(anyhow::Error::from)?;
    let spinner = output.spinner("reading advisories");
    let show = |progress: Progress| {
        spinner.set_message(match progress {
            Progress::Downloading { ecosystem, bytes } => format!("{ecosystem}: {} MB", bytes / 1_000_000),
            Progress::Storing { rows } => format!("{rows} rows stored"),
        });
    };
    let earlier = advisories::status(pool).await.map_err(anyhow::Error::from)?;
    let snapshot = advisories::sync(pool, &source, &ecosystems, show).await.map_err(anyhow::Error::from)?;
    spinner.finish_and_clear();
    let status = advisories::status(pool).await.map_err(anyhow::Error::from)?;
    let lost = lost(earlier.in_use.as_ref(), &snapshot);
    let mut answer = described(&snapshot);
    answer["versions_to_judge"] = json!(status.owed);
    answer["no_longer_covered"] = json!(lost);
    output.show(&answer, |_| {
        outln!("Snapshot {} is in use: {} records from {}.", snapshot.number, snapshot.records, snapshot.source);
        if !lost.is_empty() {
            outln!(
                "It says nothing any more about {}: versions with such components are quarantined.",
                lost.join(", ")
            );
        }
        outln!("{}", to_judge(status.owed));
    })?;
    Ok(Exit::Success)
}

/// What the earlier snapshot spoke about, and this one does not.
fn lost(earlier: Option<&SnapshotInfo>, snapshot: &SnapshotInfo) -> Vec<String> {
    let earlier = earlier.map_or(&[][..], |earlier| &earlier.ecosystems);
    earlier.iter().filter(|scope| !snapshot.ecosystems.contains(scope)).map(ToString::to_string).collect()
}

fn to_judge(owed: i64) -> String {
    match owed {
        0 => "Every stored version is judged by it.".to_owned(),
        1 => "1 stored version is to be judged by it; the worker does that now.".to_owned(),
        owed => format!("{owed} stored versions are to be judged by it; the worker does that now."),
    }
}

fn ecosystems(names: &[String]) -> Result<Vec<Ecosystem>, CommandError> {
    if names.is_empty() {
        return Ok(Ecosystem::ALL.to_vec());
    }
    let parsed = names.iter().map(|name| name.to_ascii_lowercase().parse());
    parsed
        .collect::<Result<_, _>>()
        .map_err(|e: registry_types::text_enum::UnknownWord| CommandError::Usage(e.to_string()))
}

async fn status(pool: &Pool, output: Output) -> Result<Exit, CommandError> {
    let status = advisories::status(pool).await.map_err(anyhow::Error::from)?;
    let snapshots: Vec<_> = status.snapshots.iter().map(described).collect();
    let answer = json!({
        "in_use": status.in_use.as_ref().map(described),
        "versions_to_judge": status.owed,
        "snapshots": snapshots,
    });
    output.show(&answer, |_| {
        let Some(used) = &status.in_use else {
            outln!("No advisories are loaded; every scan is unknown.");
            return;
        };
        outln!("Snapshot {} is in use ({}, {} records).", used.number, used.origin, used.records);
        outln!("{}", to_judge(status.owed));
        let row = |s: &SnapshotInfo| {
            let data = s.data_as_of.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339());
            vec![s.number.to_string(), s.origin.to_string(), s.records.to_string(), data, s.source.clone()]
        };
        let rows: Vec<_> = status.snapshots.iter().map(row).collect();
        table(&["SNAPSHOT", "ORIGIN", "RECORDS", "DATA AS OF", "SOURCE"], &rows);
    })?;
    Ok(Exit::Success)
}

fn described(snapshot: &SnapshotInfo) -> Value {
    json!({
        "number": snapshot.number,
        "origin": snapshot.origin,
        "source": snapshot.source,
        "digest": snapshot.digest,
        "records": snapshot.records,
        "data_as_of": snapshot.data_as_of,
        "created_at": snapshot.created_at,
    })
}
