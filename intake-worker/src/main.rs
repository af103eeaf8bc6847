//! The intake worker as a program of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use intake_worker::{WorkerSettings, run_in_background, start_log};
use tokio::signal::unix::{SignalKind, signal};

/// The Company Store's intake worker.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Settings file (TOML); the environment (INTAKE_WORKER_…) overrides it.
    #[arg(long, env = "INTAKE_WORKER_CONFIG")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let settings = match WorkerSettings::load(Arguments::parse().config.as_deref()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    start_log(settings.profile);
    match run_in_background(settings, stop_signal()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the intake worker ended");
            ExitCode::FAILURE
        }
    }
}

/// SIGTERM or SIGINT.
async fn stop_signal() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
