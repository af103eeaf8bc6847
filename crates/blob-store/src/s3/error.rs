//! The one place that tells what an S3 error means for us.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::BlobError;

/// The SDK has already retried what a retry can help.
pub(super) fn sdk_error<E>(error: SdkError<E, HttpResponse>) -> BlobError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    match (error.code(), status) {
        // The answer to HEAD has no body, so no code but what the SDK makes of the status.
        (Some("NoSuchKey" | "NotFound"), _) => BlobError::NotFound,
        (Some("InvalidRange"), _) | (_, Some(416)) => BlobError::Range,
        (Some("SlowDown" | "RequestTimeout" | "ServiceUnavailable" | "InternalError"), _)
        | (_, None | Some(408 | 429 | 500 | 502..)) => BlobError::Unavailable(Box::new(error)),
        // Also 501: what a server cannot do, no waiting will make it do.
        (_, Some(_)) => BlobError::Refused(Box::new(error)),
    }
}

/// An answer that breaks the protocol.
pub(super) fn outside(what: &'static str) -> BlobError {
    BlobError::Unavailable(what.into())
}
