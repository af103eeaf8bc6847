//! `up`: the whole store in one process tree and one data folder.

pub mod data_folder;
pub mod secrets;
pub mod services;
pub mod settings;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;

pub use data_folder::{RunningStore, running_store};
pub use secrets::KEY_RING_FILE;
pub use settings::{Shown, UpSettings, shown as shown_settings};

use crate::cli::Global;
use crate::exit::{CommandError, Exit};
use crate::postgres::{Binaries, PrivatePostgres, ServerSettings};
use data_folder::DataFolder;
use secrets::Secrets;
use services::Services;

const DATABASE_CONNECTIONS: u32 = 60;

#[derive(Debug, Default, Args)]
pub struct UpArgs {
    /// Address to listen on; 127.0.0.1:8480 if not given.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where clients reach the store, if not at the address it listens on.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<url::Url>,
}

/// Starts database, API and worker, says how to log in, and runs until SIGINT or SIGTERM; then stops them in order: the
/// API drains, the worker gives its leases back, Postgres last.
///
/// # Errors
/// When a part does not start, or ends by itself.
pub async fn run(global: &Global, args: UpArgs) -> Result<Exit, CommandError> {
    let settings = UpSettings::load(global, &args)?;
    let folder = DataFolder::lock(&settings.data)?;
    let secrets = Secrets::load_or_make(&folder)?;
    let mut database = Database::start(&settings, &folder).await?;
    let outcome = run_services(&settings, &folder, &secrets, &mut database).await;
    folder.withdraw();
    database.stop().await?;
    outcome.map(|()| Exit::Success)
}

async fn run_services(
    settings: &UpSettings,
    folder: &DataFolder,
    secrets: &Secrets,
    database: &mut Database,
) -> Result<(), CommandError> {
    let url = database.url();
    registry_db::migrate(&url).await.map_err(anyhow::Error::from)?;
    let pool = registry_db::Pool::new(url.clone(), 4).map_err(anyhow::Error::from)?;
    let first_start = bootstrap(&pool, settings, secrets).await?;
    intake_worker::advisories::ensure_starter(&pool).await.map_err(anyhow::Error::from)?;

    let services = Services { settings, folder, secrets, database_url: url.clone() };
    let api = registry_api::Server::bind(services.api()).await.map_err(anyhow::Error::from)?;
    let address = api.public_url().clone();
    let worker = services.worker(&address);
    folder.announce(&RunningStore {
        pid: std::process::id(),
        address: address.clone(),
        database_url: url.expose_secret().to_owned(),
    })?;
    greet(settings, folder, &address, first_start);

    let stop_api = CancellationToken::new();
    let stop_worker = CancellationToken::new();
    let mut api = tokio::spawn(api.serve(stop_api.clone().cancelled_owned()));
    let stop = stop_worker.clone().cancelled_owned();
    let mut worker = tokio::task::spawn_blocking(move || intake_worker::run_in_background(worker, stop));
    let ended = tokio::select! {
        signal = stop_signal() => signal,
        _ = &mut api => Err(anyhow::anyhow!("the API ended by itself; its log says why").into()),
        _ = &mut worker => Err(anyhow::anyhow!("the worker ended by itself; its log says why").into()),
        () = database.ended() => Err(anyhow::anyhow!("Postgres ended by itself; see {}", folder.join("postgres/log").display()).into()),
    };
    eprintln!("Stopping: the API drains, then the worker gives its work back.");
    stop_api.cancel();
    let _ = tokio::time::timeout(Duration::from_secs(30), &mut api).await;
    stop_worker.cancel();
    let _ = tokio::time::timeout(Duration::from_secs(60), &mut worker).await;
    ended
}

/// The first start makes the superuser and the first organization; later ones change nothing.
async fn bootstrap(pool: &registry_db::Pool, settings: &UpSettings, secrets: &Secrets) -> Result<bool, CommandError> {
    let first = registry_api::BootstrapSettings {
        superuser_email: settings.superuser_email.clone(),
        password: secrets.superuser_password.clone(),
        organization_slug: settings.organization.clone(),
        organization_name: settings.organization_name.clone(),
    };
    let made = registry_api::bootstrap(pool, first).await.map_err(anyhow::Error::from)?;
    Ok(made.created_user)
}

/// Whether anybody reads it is all the same to the store.
fn greet(settings: &UpSettings, folder: &DataFolder, address: &url::Url, first_start: bool) {
    let password_file = folder.join("secrets/superuser-password");
    let (email, password_file) = (&settings.superuser_email, password_file.display());
    let first = format!("This is its first start. Log in as {email}\n  with the password in {password_file}\n");
    let _ = write!(
        std::io::stdout().lock(),
        "The store runs at {address} (profile development).\n{}  \
         company-store login --server {address} --email {email} --password-file {password_file}\nStop it with Ctrl-C.\n",
        if first_start { &first } else { "" },
    );
}

async fn stop_signal() -> Result<(), CommandError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(anyhow::Error::from)?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => Ok(result.map_err(anyhow::Error::from)?),
        _ = terminate.recv() => Ok(()),
    }
}

/// The database: a given one, or a private server.
enum Database {
    Given(SecretString),
    Private(Box<PrivatePostgres>),
}

impl Database {
    async fn start(settings: &UpSettings, folder: &DataFolder) -> Result<Self, CommandError> {
        if let Some(url) = &settings.database_url {
            return Ok(Self::Given(url.clone()));
        }
        let failed = |e: crate::postgres::PostgresError| CommandError::Failed(e.into());
        let binaries = Binaries::find(&folder.join("postgres-programs")).await.map_err(failed)?;
        let server = ServerSettings {
            folder: folder.join("postgres"),
            durable: true,
            max_connections: DATABASE_CONNECTIONS,
            port: None,
        };
        Ok(Self::Private(Box::new(PrivatePostgres::start(binaries, server).await.map_err(failed)?)))
    }

    fn url(&self) -> SecretString {
        match self {
            Self::Given(url) => url.clone(),
            Self::Private(server) => server.url(),
        }
    }

    async fn ended(&mut self) {
        match self {
            Self::Given(_) => std::future::pending().await,
            Self::Private(server) => {
                server.ended().await;
            }
        }
    }

    async fn stop(self) -> Result<(), CommandError> {
        match self {
            Self::Given(_) => Ok(()),
            Self::Private(server) => server.stop().await.map_err(|e| CommandError::Failed(e.into())),
        }
    }
}
