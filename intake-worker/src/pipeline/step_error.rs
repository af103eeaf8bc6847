//! How a step ends when it does not end well: an exhaustive choice between refusing the package and trying again.

use image_scan::archive::ArchiveError;
use registry_db::DbError;
use registry_types::digest::Digest;
use registry_types::intake::{CheckName, CheckResult, Outcome, Reason};
use serde_json::json;

use crate::job_error::JobError;
use crate::source::{FailureClass, SourceError};

/// Why no further step is taken.
#[derive(Debug)]
pub(crate) enum StepError {
    /// The package's fault: the intake is decided with this check.
    Refused(Box<CheckResult>),
    Job(JobError),
}

impl StepError {
    pub(crate) fn refused(check: CheckName, reason: Reason) -> Self {
        Self::Refused(Box::new(CheckResult::with_reasons(check, Outcome::Fail, vec![reason], json!({}))))
    }

    /// A failed request to the source registry, during the step that makes `check`.
    pub(crate) fn of_source(check: CheckName, rule: &str, error: SourceError) -> Self {
        match error.class() {
            FailureClass::Reject(code) => {
                Self::refused(check, Reason::new(code, rule, error.to_string()).fixed_by(advice(&error)))
            }
            FailureClass::Retry => Self::Job(JobError::outage(&error)),
            FailureClass::OurFault => Self::Job(JobError::internal("source client")(Box::new(error))),
        }
    }

    /// A layer that must not be read.
    pub(crate) fn of_archive(layer: &Digest, error: &ArchiveError) -> Self {
        let mut reason = Reason::new(error.code(), "archive.unambiguous", error.to_string()).in_layer(layer);
        reason.file = error.entry().map(str::to_owned);
        Self::refused(CheckName::Archive, reason.fixed_by(error.fix()))
    }
}

/// What the author can do about a refused request.
const fn advice(error: &SourceError) -> &'static str {
    match error {
        SourceError::NotFound { .. } => "push the image to this reference, or correct the reference, and publish again",
        SourceError::AccessDenied { .. } => "give the registry namespace a credential that may pull the image",
        SourceError::HostForbidden { .. } => {
            "confirm the token host of the registry namespace, or have the operator allow the registry's address"
        }
        SourceError::LimitExceeded { .. } => "make the image smaller: fewer platforms and layers, smaller layers",
        SourceError::ManifestInvalid { .. } => "build and push the image again with a current tool",
        SourceError::ForeignLayer { .. } => "push the layer's bytes to the registry, as an ordinary layer",
        SourceError::DigestMismatch { .. } | SourceError::SizeMismatch { .. } => {
            "push the image again: the registry's copy is damaged"
        }
        SourceError::RateLimited { .. }
        | SourceError::Unavailable(_)
        | SourceError::Timeout(_)
        | SourceError::Protocol(_)
        | SourceError::Unsupported { .. }
        | SourceError::Setup(_) => "publish again later",
    }
}

impl From<JobError> for StepError {
    fn from(error: JobError) -> Self {
        Self::Job(error)
    }
}

impl From<DbError> for StepError {
    fn from(error: DbError) -> Self {
        Self::Job(error.into())
    }
}

impl From<blob_store::BlobError> for StepError {
    fn from(error: blob_store::BlobError) -> Self {
        Self::Job(error.into())
    }
}

#[cfg(test)]
mod tests {
    use registry_types::rejection_code::RejectionCode;

    use super::*;

    fn ends_with(error: SourceError) -> Option<RejectionCode> {
        match StepError::of_source(CheckName::Image, "image.resolves", error) {
            StepError::Refused(check) => Some(check.reasons[0].code),
            StepError::Job(_) => None,
        }
    }

    #[test]
    fn only_the_packages_own_faults_refuse_it() {
        assert_eq!(ends_with(SourceError::NotFound { what: "x".into() }), Some(RejectionCode::ImageNotFound));
        assert_eq!(ends_with(SourceError::Unavailable("down".into())), None);
        assert_eq!(ends_with(SourceError::RateLimited { retry_after: None }), None);
        assert_eq!(ends_with(SourceError::Timeout("connect")), None);
        assert_eq!(ends_with(SourceError::Setup("roots".into())), None);
    }
}
