//! `config show`: each setting of `up` and where it came from.

use clap::Subcommand;
use serde_json::json;

use crate::cli::Global;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, table};
use crate::up::{UpArgs, shown_settings};

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting, its value and its source; secrets are masked.
    Show,
}

/// # Errors
/// When the settings file cannot be read.
pub fn run(global: &Global, output: Output, command: ConfigCommand) -> Result<Exit, CommandError> {
    match command {
        ConfigCommand::Show => {}
    }
    let settings = shown_settings(global, &UpArgs::default())?;
    output.show(&json!(settings), |_| {
        let plain = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let rows: Vec<_> = settings.iter().map(|s| vec![s.name.clone(), plain(&s.value), s.source.clone()]).collect();
        table(&["SETTING", "VALUE", "SOURCE"], &rows);
    })?;
    Ok(Exit::Success)
}
