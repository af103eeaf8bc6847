//! `completions`: a script that teaches a shell this program's words.

use clap::{Args, CommandFactory as _};

use crate::cli::Cli;
use crate::exit::{CommandError, Exit};

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    pub shell: clap_complete::Shell,
}

/// # Errors
/// None; the signature is that of all commands.
pub fn run(args: &CompletionsArgs) -> Result<Exit, CommandError> {
    clap_complete::generate(args.shell, &mut Cli::command(), "company-store", &mut std::io::stdout());
    Ok(Exit::Success)
}
