//! Logs: of the services for `up`, warnings of libraries for every other command.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::cli::Command;

/// Logs go to standard error, `RUST_LOG` decides how much; the answer of a command stands alone on standard output.
pub fn init(command: &Command) {
    let default = if matches!(command, Command::Up(_)) { "info" } else { "error" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
