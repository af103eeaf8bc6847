//! How a command ends: the exit status that scripts can use, and the error that says what to do.

use registry_types::pointer::PointerError;

/// Exit statuses. Documented in `docs/cli.md`; never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Success = 0,
    /// The store refused, or something here failed.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The store cannot be reached or is out of order.
    Unreachable = 3,
    /// Not logged in, or not allowed.
    Forbidden = 4,
    /// The intake was decided, and the version was not accepted.
    Rejected = 5,
    /// The intake waits for a person.
    InReview = 6,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What stops a command.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{0}")]
    Usage(String),
    #[error("not logged in to {server}; run `company-store login --server {server}`")]
    NotLoggedIn { server: String },
    #[error("cannot reach the store at {server}; is it running, and is the address right?")]
    Unreachable {
        server: String,
        #[source]
        source: reqwest::Error,
    },
    /// The store's own refusal.
    #[error("{code}: {detail}")]
    Refused { status: u16, code: String, detail: String, errors: Vec<PointerError>, request_id: Option<String> },
    #[error("the store answered with something that this program does not understand: {0}")]
    Answer(String),
    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl CommandError {
    pub(crate) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { action, path: path.display().to_string(), source }
    }

    /// The exit status.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::NotLoggedIn { .. } => Exit::Forbidden,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Refused { status, .. } => match *status {
                401 => Exit::Forbidden,
                403 => Exit::Forbidden,
                500..=599 => Exit::Unreachable,
                _ => Exit::Failure,
            },
            Self::Answer(_) | Self::File { .. } | Self::Failed(_) => Exit::Failure,
        }
    }

    /// Prints the error with its causes and places to standard error.
    pub fn report(&self, json: bool) {
        if json {
            eprintln!("{}", serde_json::json!({ "error": self.to_string(), "exit": self.exit() as u8 }));
            return;
        }
        eprintln!("error: {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            eprintln!("  because: {error}");
            cause = error.source();
        }
        if let Self::Refused { errors, request_id, .. } = self {
            for error in errors {
                let place = if error.pointer.is_empty() { "(document)" } else { &error.pointer };
                eprintln!("  {place}: {}", error.message);
            }
            if let Some(id) = request_id {
                eprintln!("  request id: {id}");
            }
        }
    }
}
