//! A private Postgres server: found on the machine, or fetched, and run for one data folder.

mod binaries;
mod server;

pub use binaries::{Binaries, Origin};
pub use server::is_root;
pub use server::{PrivatePostgres, ServerSettings};

/// What finding, preparing or running the private Postgres can end with.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    #[error(
        "no Postgres 15 or newer was found (looked at pg_config and /usr/lib/postgresql), and fetching one failed; \
         install it with `apt-get install postgresql`, or set DATABASE_URL to a running server"
    )]
    NotFound(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("Postgres refuses to run as root and neither a user `postgres` nor `nobody` exists to run it as")]
    NoUnprivilegedUser,
    #[error("{program} failed: {output}")]
    Program { program: &'static str, output: String },
    #[error("Postgres ended while starting; the end of its log says:\n{log_tail}")]
    Ended { log_tail: String },
    #[error("Postgres did not accept connections within {seconds} seconds; its log is {log}")]
    NotReady { seconds: u64, log: String },
    #[error("the operating system gave no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("cannot {action} {path}")]
    Io {
        action: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl PostgresError {
    fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, path: path.display().to_string(), source }
    }
}
