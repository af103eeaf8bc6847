//! A whole store for one test: API and worker in this process, on a database and an object directory of their own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use blob_store::{BlobStore, ObjectStoreSettings};
use intake_worker::WorkerSettings;
use intake_worker::verdict::VerdictKey;
use registry_api::{ApiSettings, BootstrapSettings, Server, TokenLifetimes};
use registry_db::Pool;
use registry_db::key_ring::{KeyRing, KeyRingSettings};
use registry_db::store_settings;
use registry_types::policy::{LimitPolicy, ManifestSignatureDemand, ManifestSignaturePolicy, Policy, RequestLimits};
use registry_types::profile::Profile;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::client::{Answer, StoreClient};
use crate::postgres::Database;
use crate::process::{self, ChildProcess};
use crate::registry::RegistryAddress;
use crate::wait;

/// Of every user of the tests.
pub const PASSWORD: &str = "a password of the tests";
const SUPERUSER: &str = "root@example.org";

/// What a store is made of, where it is not the usual.
#[derive(Default)]
pub struct Parts {
    /// Migrated and empty.
    pub database: Option<Database>,
    pub objects: Option<ObjectStoreSettings>,
    /// The API as a program of its own, which can be killed.
    pub api: Option<Interruptible>,
    /// Proxies whose word counts about where a request comes from.
    pub trusted_proxies: Vec<String>,
}

/// The services as a program with fail points (`tests/programs/interruptible.rs`).
#[derive(Debug, Clone)]
pub struct Interruptible {
    pub program: PathBuf,
    /// Where it announces its fail points.
    pub fail_points: PathBuf,
}

impl Interruptible {
    fn start(&self, service: &str, environment: Vec<(String, String)>, log: &Path) -> ChildProcess {
        ChildProcess::start(&self.program, &[service, self.fail_points.to_str().unwrap()], environment, log)
    }
}

enum Api {
    /// In this process.
    Inside(#[expect(dead_code, reason = "stops when it is dropped")] Service),
    Program {
        program: Interruptible,
        environment: Vec<(String, String)>,
        port: u16,
        process: Option<ChildProcess>,
    },
}

impl Api {
    async fn start_inside(settings: ApiSettings) -> (Self, Url) {
        let server = Server::bind(settings).await.unwrap();
        let url = server.public_url().clone();
        let service = Service::start(move |stop| async move { server.serve(stop.cancelled_owned()).await.unwrap() });
        (Self::Inside(service), url)
    }

    async fn start_program(program: Interruptible, settings: ApiSettings, folder: &Path) -> (Self, Url) {
        let log = folder.join("api.log");
        let environment = |port: u16| {
            api_environment(&ApiSettings { listen: SocketAddr::from(([127, 0, 0, 1], port)), ..settings.clone() })
        };
        let (process, port) =
            process::start_listening(&log, |port| program.start("api", environment(port), &log)).await;
        let environment = environment(port);
        let url = format!("http://127.0.0.1:{port}").parse().unwrap();
        (Self::Program { program, environment, port, process: Some(process) }, url)
    }
}

/// A running store. Dropping it stops the worker, then the API, in order.
pub struct Store {
    // Fields are dropped in this order.
    workers: Vec<Service>,
    api: Api,
    /// The superuser.
    pub root: StoreClient,
    pub database: Database,
    url: Url,
    worker_settings: WorkerSettings,
    /// What processes log.
    process_log: &'static str,
    folder: TempDir,
}

impl Store {
    /// API and one worker.
    ///
    /// # Panics
    /// When the store does not start.
    pub async fn start() -> Self {
        let mut store = Self::start_without_worker().await;
        store.start_worker();
        store
    }

    /// API and one worker, with another object store than a directory.
    ///
    /// # Panics
    /// When the store does not start.
    pub async fn start_on(objects: ObjectStoreSettings) -> Self {
        let mut store = Self::start_with(Parts { objects: Some(objects), ..Parts::default() }).await;
        store.start_worker();
        store
    }

    /// API and one worker, which judges keyless signatures by this `trusted_root.json`.
    ///
    /// # Panics
    /// When the store does not start.
    pub async fn start_trusting(trusted_root: &Path) -> Self {
        let mut store = Self::start_with(Parts::default()).await;
        store.worker_settings.trusted_root_file = Some(trusted_root.to_owned());
        store.start_worker();
        store
    }

    /// The API alone: what is submitted stays queued until [`Store::start_worker`].
    ///
    /// # Panics
    /// When the store does not start.
    pub async fn start_without_worker() -> Self {
        Self::start_with(Parts::default()).await
    }

    /// The API alone, which believes proxies at these addresses where a request comes from.
    ///
    /// # Panics
    /// When the store does not start.
    pub async fn start_behind_proxies(proxies: &[&str]) -> Self {
        let trusted_proxies = proxies.iter().map(|proxy| (*proxy).to_owned()).collect();
        Self::start_with(Parts { trusted_proxies, ..Parts::default() }).await
    }

    /// The API alone, of other parts than the usual ones.
    ///
    /// # Panics
    /// When the store does not start.
    pub async fn start_with(parts: Parts) -> Self {
        start_log();
        let database = match parts.database {
            Some(database) => database,
            None => Database::create().await,
        };
        let folder = tempfile::tempdir().unwrap();
        let directory = ObjectStoreSettings::Directory { path: folder.path().join("objects"), durable: false };
        let worker_settings = worker_settings(&database, parts.objects.unwrap_or(directory));
        prepare(database.url()).await;
        let settings = ApiSettings { trusted_proxies: parts.trusted_proxies, ..api_settings(&worker_settings) };
        let (api, url) = match parts.api {
            None => Api::start_inside(settings).await,
            Some(program) => Api::start_program(program, settings, folder.path()).await,
        };
        let root = StoreClient::anonymous(url.clone()).login(SUPERUSER, PASSWORD).await;
        Self { root, database, url, workers: Vec::new(), api, worker_settings, process_log: "info", folder }
    }

    /// Kills an API that is a program, as `kill -9` does.
    ///
    /// # Panics
    /// When it is none.
    pub fn kill_api(&mut self) {
        let Api::Program { process, .. } = &mut self.api else { panic!("this store's API is no program") };
        *process = None;
    }

    /// Starts an API that was killed again, where it was.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_api_again(&mut self) {
        let Api::Program { program, environment, port, process } = &mut self.api else {
            panic!("this store's API is no program");
        };
        let mut started = program.start("api", environment.clone(), &self.folder.path().join("api.log"));
        assert!(process::accepts(&mut started, *port).await, "{}", started.output());
        *process = Some(started);
    }

    /// What the worker programs have printed so far.
    #[must_use]
    pub fn worker_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("worker.log")).unwrap_or_default()
    }

    /// Starts a worker whose fail points are announced.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_worker_program(&self, program: &Interruptible) -> ChildProcess {
        program.start("worker", worker_environment(&self.worker_settings), &self.folder.path().join("worker.log"))
    }

    /// Starts one more worker in this process.
    pub fn start_worker(&mut self) {
        self.start_worker_with(|_| {});
    }

    /// Starts one more worker in this process, with other settings.
    pub fn start_worker_with(&mut self, change: impl FnOnce(&mut WorkerSettings)) {
        let mut settings = self.worker_settings.clone();
        change(&mut settings);
        let worker = |stop: CancellationToken| async move {
            intake_worker::run(settings, stop.cancelled_owned()).await.unwrap();
        };
        self.workers.push(Service::start(worker));
    }

    /// Stops the workers in order: what they have not finished goes back to the queue.
    pub fn stop_workers(&mut self) {
        self.workers.clear();
    }

    /// Starts a worker as a process of its own: `program` is the worker's `main`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_worker_process(&self, program: &Path) -> ChildProcess {
        let log = self.folder.path().join("worker.log");
        let environment = worker_environment(&self.worker_settings).into_iter().chain(self.log_environment());
        ChildProcess::start(program, &[], environment, &log)
    }

    /// Starts an API as a process of its own, on the same database and objects: `program` is the API's `main`. From then
    /// on the superuser speaks to it, and so do the people of organizations that are made.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn move_to_api_process(&mut self, program: &Path) -> ChildProcess {
        let log = self.folder.path().join("api.log");
        let mut settings = api_settings(&self.worker_settings);
        let (process, port) = process::start_listening(&log, |port| {
            settings.listen.set_port(port);
            let environment = api_environment(&settings).into_iter().chain(self.log_environment());
            ChildProcess::start(program, &[], environment, &log)
        })
        .await;
        self.url.set_port(Some(port)).unwrap();
        self.root = StoreClient::anonymous(self.url.clone()).login(SUPERUSER, PASSWORD).await;
        process
    }

    /// One more API on the same database and objects, bound and not yet serving.
    ///
    /// # Panics
    /// When it cannot be bound.
    pub async fn another_api(&self) -> Server {
        Server::bind(api_settings(&self.worker_settings)).await.unwrap()
    }

    /// Processes that are started from now on log all that they can.
    pub fn trace_processes(&mut self) {
        self.process_log = "trace";
    }

    fn log_environment(&self) -> [(String, String); 2] {
        [("RUST_LOG", self.process_log), ("NO_COLOR", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()))
    }

    /// How the workers that are started from now on are set up.
    pub fn worker_settings_mut(&mut self) -> &mut WorkerSettings {
        &mut self.worker_settings
    }

    /// Where objects, staging and the logs of processes lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The store's objects, for a test that puts there what no interface takes.
    ///
    /// # Panics
    /// When they cannot be opened.
    #[must_use]
    pub fn objects(&self) -> Arc<dyn BlobStore> {
        blob_store::open(self.worker_settings.objects.clone()).unwrap()
    }

    /// Objects that are being written, or were given up and left behind.
    ///
    /// # Panics
    /// When the store does not keep its objects in a directory.
    #[must_use]
    pub fn unfinished_uploads(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("objects/staging")).unwrap().count()
    }

    /// The keys that seal this store's registry credentials.
    #[must_use]
    pub fn key_ring(&self) -> &KeyRingSettings {
        &self.worker_settings.key_ring
    }

    /// Where the store answers.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Puts another policy in force.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn set_policy(&self, policy: &Policy) {
        let pool = Pool::new(self.database.url().clone(), 1).unwrap();
        store_settings::set_policy(&mut pool.get().await.unwrap(), policy).await.unwrap();
    }

    /// Makes an organization of the tier `internal`, whose versions need no person, with an administrator and a developer.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn organization(&self, slug: &str) -> Organization {
        self.organization_of_tier(slug, "internal").await
    }

    /// Makes an organization of this tier with an administrator and a developer.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn organization_of_tier(&self, slug: &str, tier: &str) -> Organization {
        let body = json!({"slug": slug, "display_name": slug, "trust_tier": tier});
        let made = self.root.post("/v1/orgs", body).await.expect(201);
        let admin = self.user(slug, "admin").await;
        let developer = self.user(slug, "developer").await;
        Organization { id: text(&made["id"]), slug: slug.to_owned(), admin, developer }
    }

    /// Makes a user of the organization with this role, and logs in.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn user(&self, organization: &str, role: &str) -> StoreClient {
        let email = format!("{role}@{organization}.example.org");
        let body = json!({"email": email, "password": PASSWORD, "role": role});
        self.root.post(&format!("/v1/orgs/{organization}/users"), body).await.expect(201);
        self.root.login(&email, PASSWORD).await
    }

    /// Onboards `<registry>/<path>/*` for the organization as the superuser, so that it is verified at once; with the
    /// registry's login if it has one.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn allow(&self, organization: &Organization, registry: &RegistryAddress, path: &str) -> Value {
        self.allow_signed(organization, registry, path, json!({"mode": "none"})).await
    }

    /// [`Store::allow`], with a signature policy.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn allow_signed(
        &self,
        organization: &Organization,
        registry: &RegistryAddress,
        path: &str,
        signature_policy: Value,
    ) -> Value {
        let mut body = json!({
            "provider": "generic",
            "pattern": format!("{}/{path}/*", registry.host),
            "signature_policy": signature_policy,
        });
        if let Some(login) = &registry.login {
            body["credential"] = json!({"username": login.username, "token": login.password});
        }
        let made = self.root.post(&format!("/v1/orgs/{}/registries", organization.slug), body).await.expect(201);
        assert_eq!(made["state"], "verified", "{made}");
        made
    }
}

/// An organization and two of its people.
#[derive(Debug, Clone)]
pub struct Organization {
    pub id: String,
    pub slug: String,
    pub admin: StoreClient,
    pub developer: StoreClient,
}

impl Organization {
    /// Asks to publish an image as the developer.
    pub async fn publish(&self, manifest: &Value, image_reference: &str) -> Answer {
        let body = json!({"imageRef": image_reference, "manifest": manifest, "scope": "public", "orgId": self.id});
        self.developer.post("/v1/modules/publish", body).await
    }

    /// Publishes and waits for the intake's end.
    ///
    /// # Panics
    /// When the request is refused.
    pub async fn intake(&self, manifest: &Value, image_reference: &str) -> Value {
        let accepted = self.publish(manifest, image_reference).await.expect(202);
        self.intake_end(&text(&accepted["publishId"])).await
    }

    /// Waits until the intake is decided or has failed, and gives it.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn intake_end(&self, intake: &str) -> Value {
        let path = format!("/v1/intakes/{intake}");
        wait::until("the intake to end", async || {
            let intake = self.developer.get(&path).await.expect(200);
            matches!(intake["state"].as_str(), Some("decided" | "failed")).then_some(intake)
        })
        .await
    }
}

/// A manifest of the format `hla-compass.module`, in the publishing handbook's form.
#[must_use]
pub fn module_manifest(name: &str, version: &str) -> Value {
    json!({
        "schemaVersion": "1.0",
        "name": name,
        "version": version,
        "type": "no-ui",
        "description": "A module of the tests",
        "execution": {"entrypoint": "backend.main:Module", "supports": ["interactive"]},
        "permissions": {"network": false},
    })
}

/// A JSON string's text.
///
/// # Panics
/// When the value is no string.
#[must_use]
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}

/// A service on a thread and runtime of its own, so that it can be stopped when the test's runtime no longer turns.
struct Service {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    fn start<F: Future<Output = ()>>(service: impl FnOnce(CancellationToken) -> F + Send + 'static) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(service(stopped));
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().map(JoinHandle::join);
        if matches!(ended, Some(Err(_))) && !std::thread::panicking() {
            panic!("a service of the store panicked");
        }
    }
}

fn worker_settings(database: &Database, objects: ObjectStoreSettings) -> WorkerSettings {
    let key_ring = KeyRingSettings::Keys { current: "test".into(), keys: KeyRing::generate_entry("test").unwrap() };
    let verdict_key = VerdictKey::generate_pem().unwrap();
    let url = database.url().clone();
    let mut settings = WorkerSettings::new(Profile::Development, url, objects, key_ring, verdict_key);
    settings.queue.lease_ms = 2_000;
    settings.queue.poll_ms = 200;
    settings.queue.retry_base_ms = 100;
    settings.queue.retry_cap_ms = 500;
    settings.shutdown_grace_seconds = 1;
    settings.upload_grace_seconds = 0;
    settings
}

/// The settings as the worker reads them from its environment.
fn worker_environment(settings: &WorkerSettings) -> Vec<(String, String)> {
    let queue = settings.queue;
    let patience = settings.sources.patience;
    let values = [
        ("VERDICT_KEY", settings.verdict_key.expose_secret().to_owned()),
        ("CONCURRENCY", settings.concurrency.to_string()),
        ("QUEUE__LEASE_MS", queue.lease_ms.to_string()),
        ("QUEUE__POLL_MS", queue.poll_ms.to_string()),
        ("QUEUE__RETRY_BASE_MS", queue.retry_base_ms.to_string()),
        ("QUEUE__RETRY_CAP_MS", queue.retry_cap_ms.to_string()),
        ("QUEUE__PER_ORGANIZATION", queue.per_organization.to_string()),
        ("SOURCES__PATIENCE__CONNECT_MS", patience.connect_ms.to_string()),
        ("SOURCES__PATIENCE__IDLE_MS", patience.idle_ms.to_string()),
        ("SOURCES__PATIENCE__EXCHANGE_MS", patience.exchange_ms.to_string()),
        ("SOURCES__PATIENCE__BLOB_MS", patience.blob_ms.to_string()),
        ("SOURCES__PATIENCE__TRIES", patience.tries.to_string()),
        ("SOURCES__PATIENCE__RETRY_BASE_MS", patience.retry_base_ms.to_string()),
        ("SOURCES__PATIENCE__RETRY_CAP_MS", patience.retry_cap_ms.to_string()),
        ("SHUTDOWN_GRACE_SECONDS", settings.shutdown_grace_seconds.to_string()),
        ("UPLOAD_GRACE_SECONDS", settings.upload_grace_seconds.to_string()),
    ];
    let shared = shared_environment(settings.profile, &settings.database_url, &settings.objects, &settings.key_ring);
    named("INTAKE_WORKER", values.into_iter().chain(shared))
}

/// The settings as the API reads them from its environment.
fn api_environment(settings: &ApiSettings) -> Vec<(String, String)> {
    let values = [
        ("LISTEN", settings.listen.to_string()),
        ("DATABASE_CONNECTIONS", settings.database_connections.to_string()),
        ("SHUTDOWN_GRACE_SECONDS", settings.shutdown_grace_seconds.to_string()),
    ];
    let shared = shared_environment(settings.profile, &settings.database_url, &settings.objects, &settings.key_ring);
    named("REGISTRY_API", values.into_iter().chain(shared))
}

fn shared_environment(
    profile: Profile,
    database_url: &SecretString,
    objects: &ObjectStoreSettings,
    key_ring: &KeyRingSettings,
) -> Vec<(&'static str, String)> {
    let KeyRingSettings::Keys { current, keys } = key_ring else {
        panic!("programs get their key ring in the environment");
    };
    let secret = |secret: &SecretString| secret.expose_secret().to_owned();
    let mut values = vec![
        ("PROFILE", profile.to_string()),
        ("DATABASE_URL", secret(database_url)),
        ("KEY_RING__CURRENT", current.clone()),
        ("KEY_RING__KEYS", secret(keys)),
    ];
    match objects {
        ObjectStoreSettings::Directory { path, durable } => values.extend([
            ("OBJECTS__KIND", "directory".to_owned()),
            ("OBJECTS__PATH", path.display().to_string()),
            ("OBJECTS__DURABLE", durable.to_string()),
        ]),
        ObjectStoreSettings::S3(s3) => values.extend([
            ("OBJECTS__KIND", "s3".to_owned()),
            ("OBJECTS__ENDPOINT", s3.endpoint.as_ref().unwrap().to_string()),
            ("OBJECTS__REGION", s3.region.clone()),
            ("OBJECTS__BUCKET", s3.bucket.clone()),
            ("OBJECTS__ACCESS_KEY_ID", s3.access_key_id.clone()),
            ("OBJECTS__SECRET_ACCESS_KEY", secret(&s3.secret_access_key)),
            ("OBJECTS__PATH_STYLE", s3.path_style.to_string()),
        ]),
    }
    values
}

fn named(program: &str, values: impl Iterator<Item = (&'static str, String)>) -> Vec<(String, String)> {
    values.map(|(name, value)| (format!("{program}_{name}"), value)).collect()
}

fn api_settings(worker: &WorkerSettings) -> ApiSettings {
    ApiSettings {
        profile: worker.profile,
        database_url: worker.database_url.clone(),
        database_connections: 8,
        objects: worker.objects.clone(),
        key_ring: worker.key_ring.clone(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        public_url: None,
        threads: Some(2),
        lifetimes: TokenLifetimes::default(),
        trusted_proxies: Vec::new(),
        shutdown_grace_seconds: 1,
    }
}

/// The policy that is in force in tests: as by default, but package manifests need no signature, and everybody asks as often as
/// they like. What is demanded otherwise is tested where it is put back.
#[must_use]
pub fn unsigned_policy() -> Policy {
    let demand = ManifestSignatureDemand::Recorded;
    let manifest_signatures = ManifestSignaturePolicy { community: demand, verified: demand, internal: demand };
    let requests = RequestLimits { per_credential: None, per_address: None };
    let limits = LimitPolicy { requests, ..LimitPolicy::default() };
    Policy { manifest_signatures, limits, ..Policy::default() }
}

/// What the first start of a store puts into its database.
async fn prepare(url: &SecretString) {
    let pool = Pool::new(url.clone(), 1).unwrap();
    let first = BootstrapSettings {
        superuser_email: SUPERUSER.parse().unwrap(),
        password: SecretString::from(PASSWORD),
        organization_slug: "first".parse().unwrap(),
        organization_name: "First".into(),
    };
    registry_api::bootstrap(&pool, first).await.unwrap();
    store_settings::set_policy(&mut pool.get().await.unwrap(), &unsigned_policy()).await.unwrap();
    intake_worker::advisories::ensure_starter(&pool).await.unwrap();
}

/// `RUST_LOG=info cargo test …` shows what the store does.
fn start_log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    // A second test finds it started.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}
