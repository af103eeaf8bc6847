//! Running a private Postgres on one data folder.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::{Child, Command};

use super::{Binaries, PostgresError};

const SUPERUSER: &str = "company_store";
const DATABASE: &str = "company_store";
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A postmaster that was killed leaves backends that notice within a moment; until then its shared memory is taken.
const START_ATTEMPTS: u32 = 5;

/// How to run the server.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Holds everything of this server: `data/`, `password`, `log`.
    pub folder: PathBuf,
    /// `false` skips every fsync: only for tests.
    pub durable: bool,
    pub max_connections: u32,
    /// Loopback port; `None` takes a free one.
    pub port: Option<u16>,
}

/// A running server. Stop it with [`PrivatePostgres::stop`]; if this process dies, a watchdog stops it.
pub struct PrivatePostgres {
    binaries: Binaries,
    settings: ServerSettings,
    user: Option<ServerUser>,
    port: u16,
    password: SecretString,
    server: Child,
    watchdog: Child,
}

/// The user that the server runs as when this process is root.
#[derive(Debug, Clone, Copy)]
struct ServerUser {
    uid: u32,
    gid: u32,
}

impl PrivatePostgres {
    /// Prepares the folder if it is new, starts the server on its loopback port and waits until it answers.
    ///
    /// # Errors
    /// When the folder cannot be prepared or the server does not come up; the text names the log.
    pub async fn start(binaries: Binaries, settings: ServerSettings) -> Result<Self, PostgresError> {
        let user = server_user()?;
        let password = prepare_folder(&settings, user)?;
        if !settings.folder.join("data/PG_VERSION").is_file() {
            init_data(&binaries, &settings, user).await?;
        }
        let (server, port) = start_server(&binaries, &settings, user).await?;
        let watchdog = start_watchdog(&server)?;
        let running = Self { binaries, settings, user, port, password, server, watchdog };
        running.create_database().await?;
        Ok(running)
    }

    /// URL of the store's database on this server.
    #[must_use]
    pub fn url(&self) -> SecretString {
        self.url_of(DATABASE)
    }

    /// URL of any database on this server.
    #[must_use]
    pub fn url_of(&self, database: &str) -> SecretString {
        let password = self.password.expose_secret();
        SecretString::from(format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{}/{database}", self.port))
    }

    /// Waits until the server ends by itself, which it never should.
    pub async fn ended(&mut self) -> Option<i32> {
        self.server.wait().await.ok().and_then(|status| status.code())
    }

    /// Stops the server in order: open transactions are rolled back, everything committed is on disk.
    ///
    /// # Errors
    /// When the server does not stop.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        let data = self.settings.folder.join("data");
        let mut stop = self.command("pg_ctl");
        stop.arg("stop").arg("-D").arg(&data).args(["-m", "fast", "-w", "-t", "60"]);
        run("pg_ctl", stop).await?;
        // Only now: until the server has ended, the watchdog must stand by.
        let ended = self.server.wait().await;
        let _ = self.watchdog.kill().await;
        ended.map(|_| ()).map_err(PostgresError::io("wait for the server of", &self.settings.folder))
    }

    async fn create_database(&self) -> Result<(), PostgresError> {
        let exists = format!("SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'");
        if self.psql(&exists).await?.trim() != "1" {
            self.psql(&format!("CREATE DATABASE {DATABASE}")).await?;
        }
        Ok(())
    }

    async fn psql(&self, statement: &str) -> Result<String, PostgresError> {
        let mut psql = self.command("psql");
        psql.env("PGPASSWORD", self.password.expose_secret())
            .args(["-h", "127.0.0.1", "-U", SUPERUSER, "-d", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1", "-p"])
            .arg(self.port.to_string())
            .args(["-c", statement]);
        run("psql", psql).await
    }

    fn command(&self, program: &str) -> Command {
        command(&self.binaries, program, self.user)
    }
}

fn command(binaries: &Binaries, program: &str, user: Option<ServerUser>) -> Command {
    let mut command = Command::new(binaries.program(program));
    // Whatever the caller's environment says about Postgres (PGHOST, PGDATA, …) is not about this server.
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).current_dir("/");
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

async fn run(program: &'static str, mut command: Command) -> Result<String, PostgresError> {
    let output = command.output().await.map_err(PostgresError::io("run", Path::new(program)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(PostgresError::Program { program, output })
}

/// Postgres refuses to run as root; then it runs as `postgres`, or `nobody` where that does not exist.
fn server_user() -> Result<Option<ServerUser>, PostgresError> {
    if !is_root() {
        return Ok(None);
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(ServerUser { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    };
    find("postgres").or_else(|| find("nobody")).map(Some).ok_or(PostgresError::NoUnprivilegedUser)
}

/// Whether this process runs as root.
#[must_use]
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // `/proc/self` belongs to the process's effective user.
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Makes the folder and the password file, and gives them to the server's user.
fn prepare_folder(settings: &ServerSettings, user: Option<ServerUser>) -> Result<SecretString, PostgresError> {
    let folder = &settings.folder;
    std::fs::create_dir_all(folder).map_err(PostgresError::io("create", folder))?;
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder, private).map_err(PostgresError::io("set the mode of", folder))?;
    let password_file = folder.join("password");
    if !password_file.is_file() {
        let mut random = [0u8; 24];
        getrandom::fill(&mut random).map_err(PostgresError::Random)?;
        crate::private_file::write(&password_file, hex::encode(random).as_bytes())
            .map_err(PostgresError::io("write", &password_file))?;
    }
    if let Some(user) = user {
        for path in [folder, &password_file] {
            chown(path, Some(user.uid), Some(user.gid)).map_err(PostgresError::io("change the owner of", path))?;
        }
    }
    let password = std::fs::read_to_string(&password_file).map_err(PostgresError::io("read", &password_file))?;
    Ok(SecretString::from(password.trim().to_owned()))
}

/// `initdb` into a folder beside, renamed at the end: a killed first start leaves nothing that looks prepared.
async fn init_data(
    binaries: &Binaries,
    settings: &ServerSettings,
    user: Option<ServerUser>,
) -> Result<(), PostgresError> {
    let unfinished = settings.folder.join("data.unfinished");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished).map_err(PostgresError::io("remove", &unfinished))?;
    }
    let mut initdb = command(binaries, "initdb", user);
    initdb
        .arg("-D")
        .arg(&unfinished)
        .args(["-U", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"])
        .arg(format!("--pwfile={}", settings.folder.join("password").display()));
    if !settings.durable {
        initdb.arg("--no-sync");
    }
    run("initdb", initdb).await?;
    let data = settings.folder.join("data");
    std::fs::rename(&unfinished, &data).map_err(PostgresError::io("rename", &data))
}

async fn start_server(
    binaries: &Binaries,
    settings: &ServerSettings,
    user: Option<ServerUser>,
) -> Result<(Child, u16), PostgresError> {
    let mut attempt = 1;
    loop {
        let port = match settings.port {
            Some(port) => port,
            None => free_port().map_err(PostgresError::io("find a free port for", &settings.folder))?,
        };
        let mut server = spawn_server(binaries, settings, user, port)?;
        match wait_until_ready(binaries, settings, &mut server, port).await {
            Ok(()) => return Ok((server, port)),
            Err(PostgresError::Ended { .. }) if attempt < START_ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn spawn_server(
    binaries: &Binaries,
    settings: &ServerSettings,
    user: Option<ServerUser>,
    port: u16,
) -> Result<Child, PostgresError> {
    let log_path = log_path(settings);
    let log = std::fs::File::create(&log_path).map_err(PostgresError::io("create", &log_path))?;
    let errors = log.try_clone().map_err(PostgresError::io("open", &log_path))?;
    let mut server = command(binaries, "postgres", user);
    server.arg("-D").arg(settings.folder.join("data")).arg("-p").arg(port.to_string());
    let max_connections = format!("max_connections={}", settings.max_connections);
    for option in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "timezone=UTC", &max_connections] {
        server.args(["-c", option]);
    }
    if !settings.durable {
        for option in ["fsync=off", "synchronous_commit=off", "full_page_writes=off"] {
            server.args(["-c", option]);
        }
    }
    // Own process group: Ctrl-C in a terminal must reach the store first, which stops the server last.
    server.process_group(0).stdout(log).stderr(errors);
    server.spawn().map_err(PostgresError::io("run", &binaries.program("postgres")))
}

fn log_path(settings: &ServerSettings) -> PathBuf {
    settings.folder.join("log")
}

async fn wait_until_ready(
    binaries: &Binaries,
    settings: &ServerSettings,
    server: &mut Child,
    port: u16,
) -> Result<(), PostgresError> {
    let started = Instant::now();
    while started.elapsed() < READY_WITHIN {
        if server.try_wait().map_err(PostgresError::io("wait for the server of", &settings.folder))?.is_some() {
            return Err(PostgresError::Ended { log_tail: log_tail(settings) });
        }
        let mut is_ready = command(binaries, "pg_isready", None);
        is_ready.args(["-q", "-h", "127.0.0.1", "-d", "postgres", "-p"]).arg(port.to_string());
        if is_ready.status().await.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = log_path(settings).display().to_string();
    Err(PostgresError::NotReady { seconds: READY_WITHIN.as_secs(), log })
}

fn log_tail(settings: &ServerSettings) -> String {
    let log = std::fs::read_to_string(log_path(settings)).unwrap_or_default();
    let lines: Vec<_> = log.lines().rev().take(8).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Stops the server when this process dies without stopping it: the pipe closes, `cat` ends, the server gets SIGINT
/// (fast shutdown).
fn start_watchdog(server: &Child) -> Result<Child, PostgresError> {
    let pid = server.id().unwrap_or_default();
    Command::new("/bin/sh")
        .args(["-c", r#"cat >/dev/null; [ "$1" -gt 1 ] && kill -INT "$1""#, "watchdog"])
        .arg(pid.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(PostgresError::io("run", Path::new("/bin/sh")))
}
