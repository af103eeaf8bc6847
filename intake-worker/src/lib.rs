//! The intake worker: it takes packages in, judges them, and keeps the store in order.
//!
//! It speaks to source registries, the object store and the database, and has no web framework; the API knows it only
//! through the database.

pub mod advisories;
mod audit;
mod backoff;
mod housekeeping;
mod identity_keys;
mod job_error;
mod jobs;
mod namespace;
mod namespace_proof;
mod pipeline;
mod registry_test;
mod rejudgement;
mod runtime;
mod settings;
pub mod signatures;
pub mod source;
mod telemetry;
pub mod verdict;
mod vulnerabilities;
mod webhooks;
mod worker;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use registry_db::jobs::ClaimLimits;
use registry_db::key_ring::{KeyRing, KeyRingError};
use registry_db::{DbError, Pool, store_settings};
use registry_types::image_reference::{ReferenceError, RegistryHost};
use registry_types::job::JobKind;
use tokio::sync::Semaphore;

use registry_types::settings::SettingsError;
pub use settings::{Patience, QueueSettings, SourceRegistries, StepLimits, WorkerSettings};
pub use telemetry::start_log;
pub use webhooks::WebhookSettings;

use jobs::Jobs;
use pipeline::Pipeline;
use signatures::TrustRoots;
use source::{SourceClient, SourceError, SourceSettings};
use telemetry::Metrics;
use verdict::{VerdictKey, VerdictKeyError};
use webhooks::{Sender, Webhooks};
use worker::{Lane, Worker};

/// Why the worker does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("key ring")]
    KeyRing(#[from] KeyRingError),
    #[error(transparent)]
    VerdictKey(#[from] VerdictKeyError),
    #[error("{what} cannot be used")]
    File {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("source client")]
    Source(#[from] SourceError),
    #[error("object store")]
    Objects(#[from] blob_store::BlobError),
    #[error("database")]
    Database(#[from] DbError),
    #[error("metrics")]
    Metrics(#[source] std::io::Error),
    #[error("the worker's threads cannot be started")]
    Threads(#[source] std::io::Error),
}

/// Like [`run`], on threads of its own that yield to all others of the machine. Blocks until the worker has stopped.
///
/// # Errors
/// As [`run`], and when there are no threads.
pub fn run_in_background(settings: WorkerSettings, shutdown: impl Future<Output = ()>) -> Result<(), WorkerError> {
    runtime::background().map_err(WorkerError::Threads)?.block_on(run(settings, shutdown))
}

/// Runs the worker until `shutdown` completes; then it stops in order and gives unfinished work back.
///
/// # Errors
/// When it cannot start. Once it works, failures end attempts, not the worker.
pub async fn run(settings: WorkerSettings, shutdown: impl Future<Output = ()>) -> Result<(), WorkerError> {
    settings.check()?;
    let metrics = Arc::new(Metrics::default());
    // Lost progress is made again; decisions wait for the disk.
    let pool = Pool::with_lazy_commits(settings.database_url.clone(), connections(&settings))?;
    let pipeline = pipeline(&settings, pool.clone(), Arc::clone(&metrics)).await?;
    housekeeping::plan(&mut *pool.get().await?, true).await?;
    let pipeline = Arc::new(pipeline);
    let worker = Worker {
        pool: pool.clone(),
        jobs: Arc::new(Jobs {
            pipeline: Arc::clone(&pipeline),
            upload_grace: Duration::from_secs(settings.upload_grace_seconds),
            webhooks: webhooks(&settings, &pipeline)?,
        }),
        name: format!("{}/{}", host_name(), std::process::id()),
        lanes: lanes(&settings),
        queue: settings.queue,
        grace: Duration::from_secs(settings.shutdown_grace_seconds),
        metrics: Arc::clone(&metrics),
    };
    tracing::info!(name = worker.name, concurrency = settings.concurrency, profile = %settings.profile, "the worker runs");
    let metrics_served = async {
        match settings.metrics_listen {
            Some(address) => {
                telemetry::serve_metrics(address, pool.clone(), metrics).await.map_err(WorkerError::Metrics)
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = worker.run(shutdown) => Ok(()),
        served = metrics_served => served,
        () = audit::keep_chained(&pool, &pipeline.verdict_key, &pipeline.store) => Ok(()),
    }
}

/// A few per job: several blobs are recorded at the same time, and leases must be renewed meanwhile.
const fn connections(settings: &WorkerSettings) -> usize {
    4 + 4 * settings.concurrency + settings.webhooks.concurrency / 2
}

async fn pipeline(settings: &WorkerSettings, pool: Pool, metrics: Arc<Metrics>) -> Result<Pipeline, WorkerError> {
    let verdict_key = VerdictKey::from_pem(&settings.verdict_key)?;
    let store = {
        let mut conn = pool.get().await?;
        store_settings::add_verdict_key(&mut conn, verdict_key.key_id(), verdict_key.public_key_pem()).await?;
        match &settings.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("urn:uuid:{}", store_settings::store_id(&mut conn).await?),
        }
    };
    let cores = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
    Ok(Pipeline {
        pool,
        blobs: blob_store::open(settings.objects.clone())?,
        source: SourceClient::new(source_settings(settings)?)?,
        key_ring: Arc::new(KeyRing::load(&settings.key_ring)?),
        trust_roots: trust_roots(settings)?,
        verdict_key,
        profile: settings.profile,
        store,
        step_limits: settings.steps,
        layer_slots: Arc::new(Semaphore::new(cores)),
        metrics,
    })
}

fn source_settings(settings: &WorkerSettings) -> Result<SourceSettings, WorkerError> {
    let mut source = SourceSettings::new(settings.profile);
    source.allow_private = settings.sources.allow_private_networks;
    source.timeouts = settings.sources.patience.timeouts();
    source.retry = settings.sources.patience.retry();
    let hosts: Result<Vec<RegistryHost>, _> =
        settings.sources.plain_http_hosts.iter().map(|host| host.parse()).collect();
    source.plain_http_hosts = hosts.map_err(unusable("sources.plain_http_hosts"))?;
    if let Some(file) = &settings.sources.extra_roots_file {
        source.extra_roots_pem = Some(std::fs::read_to_string(file).map_err(unusable("sources.extra_roots_file"))?);
    }
    Ok(source)
}

/// Receivers of events that are slow to answer keep no intake waiting; and a publish that waits for an issuer's keys waits for
/// no intake.
fn lanes(settings: &WorkerSettings) -> [Lane; 2] {
    let is_brief = |kind: JobKind| match kind {
        JobKind::Event | JobKind::WebhookDelivery | JobKind::IdentityKeys | JobKind::NamespaceProof => true,
        JobKind::Intake
        | JobKind::RegistryTest
        | JobKind::Housekeeping
        | JobKind::Rejudgement
        | JobKind::Waivers
        | JobKind::Review => false,
    };
    let (brief, others) = JobKind::ALL.iter().copied().partition(|kind| is_brief(*kind));
    let limits = settings.queue.limits();
    let webhook_limits = ClaimLimits { per_source_host: settings.webhooks.per_host, ..limits };
    [
        Lane { kinds: others, concurrency: settings.concurrency, limits },
        Lane { kinds: brief, concurrency: settings.webhooks.concurrency, limits: webhook_limits },
    ]
}

fn webhooks(settings: &WorkerSettings, pipeline: &Pipeline) -> Result<Webhooks, WorkerError> {
    let roots = match &settings.sources.extra_roots_file {
        Some(file) => std::fs::read(file).map_err(unusable("sources.extra_roots_file"))?,
        None => Vec::new(),
    };
    let roots = reqwest::Certificate::from_pem_bundle(&roots).map_err(unusable("sources.extra_roots_file"))?;
    let hosts = settings.webhooks.plain_http_hosts.iter().map(|host| host.parse()).collect::<Result<_, _>>();
    let hosts = hosts.map_err(unusable::<ReferenceError>("webhooks.plain_http_hosts"))?;
    let sender = Sender::new(settings.profile, &settings.webhooks, hosts, roots).map_err(unusable("webhook client"))?;
    Ok(Webhooks {
        pool: pipeline.pool.clone(),
        key_ring: Arc::clone(&pipeline.key_ring),
        sender,
        settings: settings.webhooks.clone(),
        store: pipeline.store.clone(),
        metrics: Arc::clone(&pipeline.metrics),
    })
}

fn trust_roots(settings: &WorkerSettings) -> Result<TrustRoots, WorkerError> {
    match &settings.trusted_root_file {
        Some(file) => TrustRoots::from_file(file).map_err(unusable("trusted_root_file")),
        None => Ok(TrustRoots::none()),
    }
}

fn unusable<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> WorkerError {
    move |error| WorkerError::File { what, source: Box::new(error) }
}

/// For people who look at the queue; a container's name is its host name.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "worker".to_owned(), |name| name.trim().to_owned())
}
