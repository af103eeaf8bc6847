//! The program's log and its metrics.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use registry_types::job::JobKind;
use registry_types::profile::Profile;
use tracing_subscriber::EnvFilter;

/// Starts the log on standard error: readable in development, JSON in production. `RUST_LOG` chooses what is logged.
pub fn start_log(profile: Profile) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start (tests, `up`) keeps the first.
    let _ = match profile {
        Profile::Development => log.try_init(),
        Profile::Production => log.json().flatten_event(true).try_init(),
    };
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    kind: &'static str,
    /// `done`, `retried`, `failed`, `given_back`, `lease_lost`, `unended`.
    ending: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    decision: &'static str,
}

/// The worker's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    jobs: Family<JobLabels, Counter>,
    running: Gauge,
    durations: Histogram,
    decisions: Family<DecisionLabels, Counter>,
    source_bytes: Counter,
    reused_bytes: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("intake_worker");
        let jobs = Family::default();
        let running = Gauge::default();
        // Jobs take from milliseconds to an hour.
        let durations = Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(0.02, 3.0, 12));
        let decisions = Family::default();
        let (source_bytes, reused_bytes) = (Counter::default(), Counter::default());
        registry.register("jobs", "Jobs by how they ended", jobs.clone());
        registry.register("running_jobs", "Jobs under way", running.clone());
        registry.register_with_unit("job_duration", "Time from claim to end", Unit::Seconds, durations.clone());
        registry.register("decisions", "Decided intakes", decisions.clone());
        registry.register_with_unit(
            "source_read",
            "Blob bytes read from source registries",
            Unit::Bytes,
            source_bytes.clone(),
        );
        registry.register_with_unit("source_reused", "Blob bytes already held", Unit::Bytes, reused_bytes.clone());
        Self { registry, jobs, running, durations, decisions, source_bytes, reused_bytes }
    }
}

impl Metrics {
    pub(crate) fn job_started(&self) {
        self.running.inc();
    }

    pub(crate) fn job_ended(&self, kind: JobKind, ending: &'static str, took: Duration) {
        self.running.dec();
        self.durations.observe(took.as_secs_f64());
        self.jobs.get_or_create(&JobLabels { kind: kind.as_str(), ending }).inc();
    }

    pub(crate) fn decided(&self, decision: &'static str) {
        self.decisions.get_or_create(&DecisionLabels { decision }).inc();
    }

    pub(crate) fn transferred(&self, read: u64, reused: u64) {
        self.source_bytes.inc_by(read);
        self.reused_bytes.inc_by(reused);
    }

    /// OpenMetrics text.
    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Answers `/metrics` and `/livez` until dropped.
///
/// # Errors
/// When the address cannot be had.
pub(crate) async fn serve_metrics(address: SocketAddr, metrics: Arc<Metrics>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        let metrics = Arc::clone(&metrics);
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &metrics);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(5))
                .serve_connection(TokioIo::new(socket), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to /metrics broke");
            }
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, body) = match request.uri().path() {
        "/livez" => (StatusCode::OK, "ok\n".to_owned()),
        "/metrics" => match metrics.text() {
            Ok(text) => (StatusCode::OK, text),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        },
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}
