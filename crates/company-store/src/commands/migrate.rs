//! `migrate`: brings the database's schema up to date; the chart's job runs it before new pods start.

use serde_json::json;

use crate::cli::Global;
use crate::commands::operator_database;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln};

/// # Errors
/// When the database cannot be reached or a migration fails.
pub async fn run(global: &Global, output: Output) -> Result<Exit, CommandError> {
    let url = operator_database(global)?;
    registry_db::migrate(&url).await.map_err(anyhow::Error::from)?;
    output.show(&json!({ "migrated": true }), |_| outln!("The schema is up to date."))?;
    Ok(Exit::Success)
}
