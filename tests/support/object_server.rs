//! S3 servers for one test each.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aws_sdk_s3::config::{BehaviorVersion, Region};
use blob_store::{ObjectStoreSettings, S3Settings};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;

use crate::process::{self, ChildProcess};

const ACCESS_KEY_ID: &str = "test-access-key";
const SECRET_ACCESS_KEY: &str = "test-secret-key";
const BUCKET: &str = "objects";

/// How the server in this process fails to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Everything is answered with 503.
    Unavailable,
    /// Connections are closed without an answer.
    HangsUp,
}

/// A running S3 server with one empty bucket.
pub struct S3Server {
    endpoint: url::Url,
    folder: TempDir,
    outage: Arc<Mutex<Option<Outage>>>,
    _process: Option<ChildProcess>,
}

impl S3Server {
    /// s3s-fs, in this process; it lives as long as the test's runtime.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn in_process() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let service = service.build();
        let outage = Arc::new(Mutex::new(None));
        let switch = Arc::clone(&outage);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, switch) = (service.clone(), Arc::clone(&switch));
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let outage = *switch.lock().unwrap();
                        answer(service.clone(), outage, request)
                    });
                    let connection = auto::Builder::new(TokioExecutor::new());
                    // A client that hangs up is no failure of the server.
                    let _ = connection.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { endpoint: loopback(port), folder, outage, _process: None }
    }

    /// The gateway of Versity as a child process; `None`, said on standard error, where it is not installed.
    ///
    /// # Panics
    /// When it is installed and does not start.
    pub async fn versitygw() -> Option<Self> {
        let program = interop_tool("versitygw")?;
        let folder = tempfile::tempdir().unwrap();
        let objects = folder.path().join("objects");
        std::fs::create_dir(&objects).unwrap();
        let log = folder.path().join("log");
        let (process, port) = process::start_listening(&log, |port| {
            let address = format!("127.0.0.1:{port}");
            let arguments = ["--port", &address, "posix", objects.to_str().unwrap()];
            let keys = [("ROOT_ACCESS_KEY", ACCESS_KEY_ID), ("ROOT_SECRET_KEY", SECRET_ACCESS_KEY)];
            ChildProcess::start(&program, &arguments, keys, &log)
        })
        .await;
        let server = Self { endpoint: loopback(port), folder, outage: Arc::default(), _process: Some(process) };
        server.create_bucket().await;
        Some(server)
    }

    /// Settings of a store in the bucket, with links for clients.
    #[must_use]
    pub fn settings(&self) -> S3Settings {
        S3Settings {
            endpoint: Some(self.endpoint.clone()),
            region: "us-east-1".into(),
            bucket: BUCKET.into(),
            access_key_id: ACCESS_KEY_ID.into(),
            secret_access_key: SECRET_ACCESS_KEY.into(),
            public_endpoint: Some(self.endpoint.clone()),
            path_style: true,
        }
    }

    /// The same as [`S3Server::settings`], as a store's settings.
    #[must_use]
    pub fn store_settings(&self) -> ObjectStoreSettings {
        ObjectStoreSettings::S3(Box::new(self.settings()))
    }

    /// Where the server keeps its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// From now on the server in this process fails so; `None` ends it.
    ///
    /// # Panics
    /// Never, unless the server has panicked.
    pub fn fail(&self, outage: Option<Outage>) {
        *self.outage.lock().unwrap() = outage;
    }

    async fn create_bucket(&self) {
        let credentials =
            aws_credential_types::Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "settings");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials)
            .force_path_style(true)
            .endpoint_url(self.endpoint.as_str())
            .build();
        aws_sdk_s3::Client::from_conf(config).create_bucket().bucket(BUCKET).send().await.unwrap();
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn answer(
    service: S3Service,
    outage: Option<Outage>,
    request: Request<Incoming>,
) -> Result<Response<s3s::Body>, Failure> {
    match outage {
        None => Ok(service.call(request.map(s3s::Body::from)).await?),
        Some(Outage::Unavailable) => {
            let body = "<Error><Code>ServiceUnavailable</Code><Message>try again</Message></Error>".to_owned();
            Ok(Response::builder().status(503).body(s3s::Body::from(body))?)
        }
        Some(Outage::HangsUp) => Err("hangs up".into()),
    }
}

fn loopback(port: u16) -> url::Url {
    format!("http://127.0.0.1:{port}").parse().unwrap()
}

/// A tool that `tests/interop/install-tools.sh` installs; `None`, said aloud, where it is missing.
#[must_use]
pub fn interop_tool(name: &str) -> Option<PathBuf> {
    let tool = tools_folder()?.join("bin").join(name);
    if tool.is_file() {
        return Some(tool);
    }
    // Written past the test harness, which would keep it to itself.
    use std::io::Write as _;
    let hint = format!("tests/interop/install-tools.sh {name}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: the interop tests with {name}: not installed (run {hint})");
    None
}

#[expect(clippy::disallowed_methods, reason = "tests have no settings struct")]
fn tools_folder() -> Option<PathBuf> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("COMPANY_STORE_TOOLS").or_else(|| {
        let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
        Some(cache.join("company-store/tools"))
    })
}
