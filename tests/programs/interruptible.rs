//! The services as the tests' own program: the same `run`, the same settings, and fail points that are announced to the
//! test. `interruptible api` or `interruptible worker`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use intake_worker::WorkerSettings;
use registry_api::ApiSettings;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
struct Arguments {
    service: Service,
    /// Where fail points are announced.
    fail_points: PathBuf,
}

#[derive(Clone, ValueEnum)]
enum Service {
    Api,
    Worker,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    fail_points::announce_to(arguments.fail_points);
    let mut term = signal(SignalKind::terminate()).expect("signals");
    let stop = async move {
        term.recv().await;
    };
    let ended = match arguments.service {
        Service::Api => {
            let settings = ApiSettings::load(None).expect("settings");
            registry_api::start_log(settings.profile);
            registry_api::run(settings, stop).await.map_err(|error| format!("{error:?}"))
        }
        Service::Worker => {
            let settings = WorkerSettings::load(None).expect("settings");
            intake_worker::start_log(settings.profile);
            intake_worker::run(settings, stop).await.map_err(|error| format!("{error:?}"))
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
