//! The program's log and its metrics.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
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
use registry_db::jobs::{self as queue, QueueState};
use registry_db::{DbResult, Pool};
use registry_types::intake::IntakeStep;
use registry_types::job::JobKind;
use registry_types::package::VersionState;
use registry_types::profile::Profile;
use registry_types::webhook::DeliveryError;
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
struct StepLabels {
    step: &'static str,
    /// `done`, `refused`, `outage`, `internal`, `lease_lost`.
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LayerLabels {
    /// `read`, `reused`.
    from: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    decision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    /// `delivered`, or a delivery error's code.
    outcome: &'static str,
}

/// The worker's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    jobs: Family<JobLabels, Counter>,
    running: Gauge,
    durations: Histogram,
    steps: Family<StepLabels, Histogram, fn() -> Histogram>,
    waiting: Family<KindLabels, Gauge>,
    oldest: Family<KindLabels, Gauge<f64, AtomicU64>>,
    layers: Family<LayerLabels, Counter>,
    decisions: Family<DecisionLabels, Counter>,
    rejudgements: Family<DecisionLabels, Counter>,
    webhooks: Family<AttemptLabels, Counter>,
    source_bytes: Counter,
    reused_bytes: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("intake_worker");
        let jobs = Family::default();
        let running = Gauge::default();
        let durations = durations_histogram();
        let steps: Family<_, _, fn() -> Histogram> = Family::new_with_constructor(durations_histogram);
        let (waiting, oldest, layers) = (Family::default(), Family::default(), Family::default());
        let decisions = Family::default();
        let (rejudgements, webhooks) = (Family::default(), Family::default());
        let (source_bytes, reused_bytes) = (Counter::default(), Counter::default());
        registry.register("jobs", "Jobs by how they ended", jobs.clone());
        registry.register("running_jobs", "Jobs under way", running.clone());
        registry.register_with_unit("job_duration", "Time from claim to end", Unit::Seconds, durations.clone());
        registry.register_with_unit("step_duration", "Time of an intake's steps", Unit::Seconds, steps.clone());
        registry.register("waiting_jobs", "Jobs that are due and wait for a worker", waiting.clone());
        registry.register_with_unit(
            "oldest_job",
            "How long the oldest waiting job is due",
            Unit::Seconds,
            oldest.clone(),
        );
        registry.register("layers", "Layers by where their catalog came from", layers.clone());
        registry.register("decisions", "Decided intakes", decisions.clone());
        registry.register("rejudgements", "Versions decided anew by their state", rejudgements.clone());
        registry.register("webhook_attempts", "Attempts to deliver events by what came of them", webhooks.clone());
        registry.register_with_unit(
            "source_read",
            "Blob bytes read from source registries",
            Unit::Bytes,
            source_bytes.clone(),
        );
        registry.register_with_unit("source_reused", "Blob bytes already held", Unit::Bytes, reused_bytes.clone());
        Self {
            registry,
            jobs,
            running,
            durations,
            steps,
            waiting,
            oldest,
            layers,
            decisions,
            rejudgements,
            webhooks,
            source_bytes,
            reused_bytes,
        }
    }
}

/// Jobs and steps take from milliseconds to an hour.
fn durations_histogram() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(0.02, 3.0, 12))
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

    pub(crate) fn step_ended(&self, step: IntakeStep, outcome: &'static str, took: Duration) {
        self.steps.get_or_create(&StepLabels { step: step.as_str(), outcome }).observe(took.as_secs_f64());
    }

    pub(crate) fn layer_moved(&self, is_read: bool) {
        self.layers.get_or_create(&LayerLabels { from: if is_read { "read" } else { "reused" } }).inc();
    }

    /// Sets depth and age of the queue; kinds that are not there wait for nothing.
    fn set_queue(&self, queue: &[QueueState]) {
        for &kind in JobKind::ALL {
            let state = queue.iter().find(|state| state.kind == kind);
            let labels = KindLabels { kind: kind.as_str() };
            let waiting = state.map_or(0, |state| i64::try_from(state.waiting).unwrap_or(i64::MAX));
            self.waiting.get_or_create(&labels).set(waiting);
            let oldest = state.and_then(|state| state.oldest).unwrap_or_default();
            self.oldest.get_or_create(&labels).set(oldest.as_secs_f64());
        }
    }

    pub(crate) fn decided(&self, decision: &'static str) {
        self.decisions.get_or_create(&DecisionLabels { decision }).inc();
    }

    pub(crate) fn rejudged(&self, state: VersionState) {
        self.rejudgements.get_or_create(&DecisionLabels { decision: state.as_str() }).inc();
    }

    pub(crate) fn webhook_attempted(&self, error: Option<DeliveryError>) {
        let outcome = error.map_or("delivered", DeliveryError::as_str);
        self.webhooks.get_or_create(&AttemptLabels { outcome }).inc();
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
pub(crate) async fn serve_metrics(address: SocketAddr, pool: Pool, metrics: Arc<Metrics>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        let (pool, metrics) = (pool.clone(), Arc::clone(&metrics));
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (pool, metrics) = (pool.clone(), Arc::clone(&metrics));
                async move { Ok::<_, Infallible>(answer(&request, &pool, &metrics).await) }
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

async fn answer(request: &Request<Incoming>, pool: &Pool, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, body) = match request.uri().path() {
        "/livez" => (StatusCode::OK, "ok\n".to_owned()),
        "/metrics" => {
            // Without the database the other figures are worth the more.
            match queue_state(pool).await {
                Ok(queue) => metrics.set_queue(&queue),
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the queue cannot be measured"),
            }
            match metrics.text() {
                Ok(text) => (StatusCode::OK, text),
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
            }
        }
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}

async fn queue_state(pool: &Pool) -> DbResult<Vec<QueueState>> {
    queue::queue_state(&mut *pool.get().await?).await
}
