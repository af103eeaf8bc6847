//! What carrying out a job can end with, other than its end.

use std::time::Duration;

use registry_db::DbError;

use crate::source::SourceError;

/// Why a job was not carried through. What is the package's fault is no error: it ends as a decision.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// Another worker has the job now: whatever this one learned is void.
    #[error("the lease is lost")]
    LeaseLost,
    /// Something outside fails for the moment.
    #[error("{message}")]
    Outage {
        /// For the author; never holds a secret.
        message: String,
        retry_after: Option<Duration>,
    },
    /// A part of the store itself is away for the moment: no fault of the work, whose attempts it does not use up.
    #[error("{what} is away")]
    Away {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Ours: a refusing database or object store, a defect.
    #[error("{what}")]
    Internal {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl JobError {
    pub(crate) fn internal(what: &'static str) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Self {
        move |source| Self::Internal { what, source }
    }

    /// An outage of a source registry.
    pub(crate) fn outage(error: &SourceError) -> Self {
        Self::Outage { message: error.to_string(), retry_after: error.retry_after() }
    }

    /// What the author is told when no attempt is left.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Outage { message, .. } => message.clone(),
            Self::LeaseLost | Self::Away { .. } | Self::Internal { .. } => {
                "the store could not finish the work".to_owned()
            }
        }
    }

    /// The whole chain, for the log and the audit entry.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(error) = next {
            text.push_str(": ");
            text.push_str(&error.to_string());
            next = error.source();
        }
        text
    }

    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Outage { retry_after, .. } => *retry_after,
            Self::LeaseLost | Self::Away { .. } | Self::Internal { .. } => None,
        }
    }
}

impl From<DbError> for JobError {
    fn from(error: DbError) -> Self {
        match error {
            // Every write of a job is a compare-and-set under its lease.
            DbError::Stale => Self::LeaseLost,
            DbError::Unavailable(_) => Self::Away { what: "database", source: Box::new(error) },
            DbError::NotFound | DbError::Constraint { .. } | DbError::Corrupt { .. } | DbError::Query(_) => {
                Self::Internal { what: "database", source: Box::new(error) }
            }
        }
    }
}

impl From<blob_store::BlobError> for JobError {
    fn from(error: blob_store::BlobError) -> Self {
        let what = "object store";
        match error {
            blob_store::BlobError::Unavailable(_) => Self::Away { what, source: Box::new(error) },
            blob_store::BlobError::NotFound | blob_store::BlobError::Range | blob_store::BlobError::Refused(_) => {
                Self::Internal { what, source: Box::new(error) }
            }
        }
    }
}
