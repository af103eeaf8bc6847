//! Assembles the application, binds it, serves it, and stops it in order.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpRequest, HttpServer, web};
use registry_db::Pool;
use registry_db::key_ring::KeyRing;
use registry_types::limits::MAX_BODY_BYTES;
use tokio_util::sync::CancellationToken;
use url::Url;
use utoipa_actix_web::AppExt as _;

use crate::auth::passwords::Passwords;
use crate::index::IndexCache;
use crate::intakes::hub::EventHub;
use crate::limits::{Limits, TrustedProxies, guard};
use crate::openapi::{Document, openapi};
use crate::problem::{Problem, ProblemCode};
use crate::request;
use crate::rights::{authorise, check_routes};
use crate::settings::ApiSettings;
use crate::state::AppState;
use crate::telemetry::Metrics;
use registry_types::settings::{SettingsError, SettingsFault};

/// How long a new connection may be silent. Client libraries open some in advance; one that is answered 408 before it asked anything
/// takes that for the answer to its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(30);
/// Logins that are computed at the same time.
const PARALLEL_LOGINS: usize = 4;

/// Why the API does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot listen on {address}")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("database")]
    Database(#[from] registry_db::DbError),
    #[error("object store")]
    Objects(#[from] blob_store::BlobError),
    #[error("start failed: {0}")]
    Start(String),
    #[error("server failed")]
    Serve(#[source] std::io::Error),
}

/// A bound, not yet serving API.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    state: Arc<AppState>,
    settings: ApiSettings,
}

impl Server {
    /// Checks the settings and takes the address. The database is not contacted yet.
    ///
    /// # Errors
    /// When the settings are not usable or the address cannot be had.
    pub async fn bind(settings: ApiSettings) -> Result<Self, ApiError> {
        settings.check()?;
        check_routes().map_err(|e| ApiError::Start(e.to_string()))?;
        let (listener, addr) = listen(settings.listen)?;
        let state = Arc::new(state(&settings, addr).await?);
        Ok(Self { listener, addr, state, settings })
    }

    /// The address that was taken.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where clients reach the store.
    #[must_use]
    pub fn public_url(&self) -> &Url {
        &self.state.public_url
    }

    /// Serves until `shutdown` completes; then takes no new connection, ends endless answers, and waits for the others.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ApiError> {
        let state = web::Data::from(Arc::clone(&self.state));
        let document = Document::new(&openapi()).map_err(|e| ApiError::Start(e.to_string()))?;
        let document = web::Data::new(document);
        let threads =
            self.settings.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
        let server = HttpServer::new(move || {
            let app = App::new()
                .app_data(state.clone())
                .app_data(document.clone())
                .app_data(json_config())
                .app_data(path_config())
                .app_data(query_config())
                .app_data(form_config())
                .app_data(web::PayloadConfig::new(MAX_BODY_BYTES));
            app.into_utoipa_app()
                .configure(crate::routes)
                .into_app()
                .default_service(web::to(nothing_here))
                .wrap(from_fn(authorise))
                .wrap(Compress::default())
                .wrap(from_fn(guard))
                .wrap(from_fn(request::frame))
        })
        .workers(threads)
        .disable_signals()
        .client_request_timeout(FIRST_REQUEST)
        .shutdown_timeout(self.settings.shutdown_grace_seconds)
        .listen(self.listener)
        .map_err(|source| ApiError::Bind { address: self.addr, source })?
        .run();

        let stopping = self.state.stopping.clone();
        let hub = tokio::spawn(self.state.hub.clone().run(self.state.pool.clone(), stopping.clone()));
        let limits = Arc::clone(&self.state);
        let limits_stop = stopping.clone();
        tokio::spawn(async move { limits.limits.follow(&limits.pool, limits_stop).await });
        let handle = server.handle();
        let mut server = std::pin::pin!(server);
        tracing::info!(address = %self.addr, profile = %self.state.profile, "serving");
        let ended = tokio::select! {
            ended = &mut server => ended,
            () = shutdown => {
                stopping.cancel();
                let (ended, ()) = tokio::join!(server, handle.stop(true));
                ended
            }
        };
        stopping.cancel();
        // The hub ends by itself now; if it does not, the process is ending anyway.
        let _ = tokio::time::timeout(Duration::from_secs(2), hub).await;
        ended.map_err(ApiError::Serve)
    }
}

/// Binds and serves until `shutdown` completes.
///
/// # Errors
/// When the settings are not usable, the address cannot be had, or the server fails.
pub async fn run(settings: ApiSettings, shutdown: impl Future<Output = ()>) -> Result<(), ApiError> {
    Server::bind(settings).await?.serve(shutdown).await
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ApiError> {
    let failed = |source| ApiError::Bind { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

async fn state(settings: &ApiSettings, addr: SocketAddr) -> Result<AppState, ApiError> {
    let public_url = match &settings.public_url {
        Some(url) => url.clone(),
        None => Url::parse(&format!("http://{addr}/")).map_err(|e| ApiError::Start(e.to_string()))?,
    };
    let key_ring = KeyRing::load(&settings.key_ring)
        .map_err(|e| SettingsError(vec![SettingsFault { setting: "key_ring".to_owned(), message: e.to_string() }]))?;
    Ok(AppState {
        pool: Pool::new(settings.database_url.clone(), settings.database_connections)?,
        blobs: blob_store::open(settings.objects.clone())?,
        profile: settings.profile,
        public_url,
        key_ring,
        passwords: Passwords::new(PARALLEL_LOGINS).await.map_err(|e| ApiError::Start(e.to_string()))?,
        lifetimes: settings.lifetimes,
        limits: Limits::new(),
        trusted_proxies: TrustedProxies::parse(&settings.trusted_proxies).map_err(ApiError::Start)?,
        hub: EventHub::new(),
        index: IndexCache::new(),
        metrics: Metrics::new(),
        stopping: CancellationToken::new(),
    })
}

async fn nothing_here() -> Result<&'static str, Problem> {
    Err(Problem::not_found("resource"))
}

fn json_config() -> web::JsonConfig {
    use actix_web::error::JsonPayloadError as Refused;
    web::JsonConfig::default().limit(MAX_BODY_BYTES).error_handler(|error, _: &HttpRequest| {
        let problem = match &error {
            Refused::Overflow { .. }
            | Refused::OverflowKnownLength { .. }
            | Refused::Payload(PayloadError::Overflow) => {
                Problem::new(ProblemCode::PayloadTooLarge, "the body is too large")
            }
            Refused::ContentType => Problem::bad_request("the body must be application/json"),
            Refused::Deserialize(cause) => Problem::bad_request(format!("the body is not as expected: {cause}")),
            _ => Problem::bad_request("the body cannot be read"),
        };
        problem.into()
    })
}

/// A path that does not parse names nothing.
fn path_config() -> web::PathConfig {
    web::PathConfig::default().error_handler(|_, _| Problem::not_found("resource").into())
}

fn query_config() -> web::QueryConfig {
    web::QueryConfig::default()
        .error_handler(|error, _| Problem::bad_request(format!("the query is not as expected: {error}")).into())
}

fn form_config() -> web::FormConfig {
    web::FormConfig::default()
        .limit(64 * 1024)
        .error_handler(|_, _| Problem::bad_request("the form cannot be read").into())
}
