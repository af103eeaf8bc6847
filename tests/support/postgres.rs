//! A database per test, copied from a template that was migrated once.
//!
//! The server is private to the test process and dies with it; `TEST_DATABASE_URL` names a running one instead, whose user
//! must be allowed to create databases.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use company_store::postgres::{Binaries, PrivatePostgres, ServerSettings};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::NoTls;

/// Every database of the tests begins so, followed by the process's id.
const NAME_PREFIX: &str = "company_store_test_";

/// A database of one test, migrated and empty; dropped with this value.
pub struct Database {
    /// On the server that all share.
    shared_name: Option<String>,
    url: SecretString,
}

impl Database {
    /// # Panics
    /// When there is no server or it refuses.
    pub async fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let cluster = cluster().await;
        let name = format!("{}{}_{}", NAME_PREFIX, std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        cluster.execute(&format!("CREATE DATABASE {name} TEMPLATE {}", cluster.template)).await;
        Self { url: cluster.url_of(&name), shared_name: Some(name) }
    }

    #[must_use]
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// A connection past the store's own code, for a test that must see or change what no interface shows.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn connect(&self) -> tokio_postgres::Client {
        connect(&self.url).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (Some(cluster), Some(name)) = (CLUSTER.get(), &self.shared_name) else { return };
        let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        // The test's runtime may be shutting down: a thread of its own.
        let dropped = std::thread::spawn(move || block_on(cluster.execute(&statement))).join();
        if dropped.is_err() && !std::thread::panicking() {
            panic!("cannot drop the database {name}");
        }
    }
}

/// The server that all tests of this process share.
struct Cluster {
    admin_url: SecretString,
    template: String,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

async fn cluster() -> &'static Cluster {
    tokio::task::spawn_blocking(|| CLUSTER.get_or_init(|| std::thread::spawn(start).join().unwrap())).await.unwrap()
}

fn start() -> Cluster {
    let admin_url = existing_server().unwrap_or_else(start_private_server);
    let template = format!("{NAME_PREFIX}{}_template", std::process::id());
    let cluster = Cluster { admin_url, template };
    block_on(async {
        cluster.drop_leftovers().await;
        cluster.execute(&format!("CREATE DATABASE {}", cluster.template)).await;
        registry_db::migrate(&cluster.url_of(&cluster.template)).await.unwrap();
    });
    cluster
}

#[expect(clippy::disallowed_methods, reason = "tests have no settings struct")]
fn existing_server() -> Option<SecretString> {
    std::env::var("TEST_DATABASE_URL").ok().filter(|url| !url.is_empty()).map(SecretString::from)
}

impl Cluster {
    fn url_of(&self, database: &str) -> SecretString {
        let mut url = url::Url::parse(self.admin_url.expose_secret()).unwrap();
        url.set_path(database);
        SecretString::from(String::from(url))
    }

    async fn execute(&self, statement: &str) {
        connect(&self.admin_url).await.batch_execute(statement).await.unwrap();
    }

    /// Databases of test processes that were killed before they could drop them.
    async fn drop_leftovers(&self) {
        let client = connect(&self.admin_url).await;
        let pattern = format!("{}%", NAME_PREFIX.replace('_', "\\_"));
        let names = client.query("SELECT datname FROM pg_database WHERE datname LIKE $1", &[&pattern]).await.unwrap();
        for name in names.iter().map(|row| row.get::<_, String>(0)) {
            let process = name.strip_prefix(NAME_PREFIX).and_then(|rest| rest.split('_').next()).unwrap_or_default();
            let is_alive = PathBuf::from("/proc").join(process).exists();
            if !is_alive || process == std::process::id().to_string() {
                client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
            }
        }
    }
}

async fn connect(url: &SecretString) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Starts a server on a runtime that lasts as long as the process, because the first test's does not.
fn start_private_server() -> SecretString {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        block_on(async {
            let folder = tempfile::Builder::new().prefix("company-store-postgres-").tempdir().unwrap().keep();
            let binaries = Binaries::find(&folder.join("programs")).await.unwrap();
            let settings = ServerSettings { folder: folder.clone(), durable: false, max_connections: 400, port: None };
            let server = PrivatePostgres::start(binaries, settings).await.unwrap();
            let reaper = start_reaper(&folder);
            send.send(server.url_of("postgres")).unwrap();
            std::future::pending::<()>().await;
            drop((server, reaper));
        });
    });
    receive.recv().unwrap()
}

/// A server of one test's own, to be killed and started again on its port.
pub struct OwnServer {
    binaries: Binaries,
    settings: ServerSettings,
    running: Option<PrivatePostgres>,
    _reaper: Child,
}

impl OwnServer {
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("company-store-postgres-").tempdir().unwrap().keep();
        let reaper = start_reaper(&folder);
        let binaries = Binaries::find(&folder.join("programs")).await.unwrap();
        let port = Some(crate::process::free_port());
        let settings = ServerSettings { folder, durable: false, max_connections: 200, port };
        let mut server = Self { binaries, settings, running: None, _reaper: reaper };
        server.start_again().await;
        server
    }

    /// The server's database, migrated.
    ///
    /// # Panics
    /// When the server is not running or refuses.
    pub async fn database(&self) -> Database {
        let url = self.running.as_ref().unwrap().url();
        registry_db::migrate(&url).await.unwrap();
        Database { shared_name: None, url }
    }

    /// Kills the server and every process of it with SIGKILL: what was not written is lost.
    ///
    /// # Panics
    /// When it is not running.
    pub async fn kill(&mut self) {
        let pid_file = std::fs::read_to_string(self.settings.folder.join("data/postmaster.pid")).unwrap();
        let postmaster = pid_file.lines().next().unwrap().to_owned();
        let backends = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap();
        let all = std::iter::once(postmaster.as_str()).chain(backends.split_whitespace());
        // Some backend may have ended by itself meanwhile.
        let _ = Command::new("/bin/kill").arg("-KILL").args(all).stderr(Stdio::null()).status().unwrap();
        self.running.take().unwrap().ended().await;
    }

    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        let started = PrivatePostgres::start(self.binaries.clone(), self.settings.clone()).await;
        self.running = Some(started.unwrap());
    }
}

/// Removes the server's folder when this process is gone and the server, which its own watchdog then stops, has ended.
fn start_reaper(folder: &std::path::Path) -> Child {
    const REAP: &str = r#"
cat >/dev/null
tries=0
while [ -e "$1/data/postmaster.pid" ] && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
rm -rf "$1"
"#;
    let mut reaper = Command::new("/bin/sh");
    reaper.args(["-c", REAP, "reaper"]).arg(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut reaper, 0);
    reaper.spawn().unwrap()
}
