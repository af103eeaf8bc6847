//! The `company-store` program.

use std::process::ExitCode;

use clap::Parser as _;
use company_store::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    company_store::telemetry::init(&cli.command);
    let json = cli.global.json;
    match cli.run().await {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.report(json);
            error.exit().into()
        }
    }
}
