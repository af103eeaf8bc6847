//! What a request to a source registry can end with, and what that means for an intake.

use std::time::Duration;

use registry_types::digest::Digest;
use registry_types::rejection_code::RejectionCode;

use super::manifest::ManifestError;

/// What a failure means for the work that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The author, or their registry's settings, must change something: trying again gives the same answer.
    Reject(RejectionCode),
    /// An outage, a rate limit or an answer that no registry should give: try again later. Never a statement about the image.
    Retry,
    /// Our configuration is wrong.
    OurFault,
}

/// A failed request. Texts never hold what a registry wrote in a body: it could echo a credential.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{what} was not found in the registry")]
    NotFound { what: String },
    /// 401 or 403, also from the token service.
    #[error("the registry refused access to {what} (HTTP {status}{})", code_suffix(.code.as_ref()))]
    AccessDenied { what: String, status: u16, code: Option<OciErrorCode> },
    /// A place that may not be talked to: a token realm nobody confirmed, a private address, plain http.
    #[error("{host} must not be contacted: {why}")]
    HostForbidden { host: String, why: &'static str },
    /// 429, or another passing failure with `Retry-After`. `retry_after` is what the registry asked for, also when it is
    /// longer than this client waits itself.
    #[error("the registry asks to come back later")]
    RateLimited { retry_after: Option<Duration> },
    #[error("the registry is unavailable: {0}")]
    Unavailable(String),
    #[error("the registry did not answer in time ({0})")]
    Timeout(&'static str),
    #[error("{what} exceeds the limit of {limit}")]
    LimitExceeded { what: String, limit: u64 },
    #[error("{what}: {source}")]
    ManifestInvalid { what: String, source: ManifestError },
    #[error("layer {digest} lies outside the registry (foreign or non-distributable layer)")]
    ForeignLayer { digest: Digest },
    #[error("{what} has digest {actual} where {expected} was expected")]
    DigestMismatch { what: String, expected: Digest, actual: Digest },
    #[error("blob {digest} has {actual} bytes where its descriptor says {expected}")]
    SizeMismatch { digest: Digest, expected: u64, actual: u64 },
    /// It answers, but not as the distribution specification says.
    #[error("the server does not answer as an OCI registry: {0}")]
    Protocol(String),
    /// The registry knows the route and says that it does not offer it.
    #[error("the registry does not support {what} (HTTP {status})")]
    Unsupported { what: String, status: u16 },
    #[error("the source client cannot be set up: {0}")]
    Setup(String),
}

impl SourceError {
    /// What to do about it.
    #[must_use]
    pub const fn class(&self) -> FailureClass {
        match self {
            Self::NotFound { .. } => FailureClass::Reject(RejectionCode::ImageNotFound),
            Self::AccessDenied { .. } => FailureClass::Reject(RejectionCode::RegistryAccessDenied),
            Self::HostForbidden { .. } => FailureClass::Reject(RejectionCode::RegistryHostForbidden),
            Self::LimitExceeded { .. } => FailureClass::Reject(RejectionCode::ImageLimitExceeded),
            Self::ManifestInvalid { .. } => FailureClass::Reject(RejectionCode::ImageManifestInvalid),
            Self::ForeignLayer { .. } => FailureClass::Reject(RejectionCode::ForeignLayer),
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => {
                FailureClass::Reject(RejectionCode::DigestMismatch)
            }
            Self::RateLimited { .. }
            | Self::Unavailable(_)
            | Self::Timeout(_)
            | Self::Protocol(_)
            | Self::Unsupported { .. } => FailureClass::Retry,
            Self::Setup(_) => FailureClass::OurFault,
        }
    }

    /// How long the registry asked to be left alone.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            Self::NotFound { .. }
            | Self::AccessDenied { .. }
            | Self::HostForbidden { .. }
            | Self::Unavailable(_)
            | Self::Timeout(_)
            | Self::LimitExceeded { .. }
            | Self::ManifestInvalid { .. }
            | Self::ForeignLayer { .. }
            | Self::DigestMismatch { .. }
            | Self::SizeMismatch { .. }
            | Self::Protocol(_)
            | Self::Unsupported { .. }
            | Self::Setup(_) => None,
        }
    }
}

fn code_suffix(code: Option<&OciErrorCode>) -> String {
    code.map(|c| format!(", {}", c.as_str())).unwrap_or_default()
}

registry_types::text_enum! {
    /// The error codes of the OCI distribution specification (section "Error Codes"). Only these are read from an error
    /// body; anything else in it is dropped.
    pub enum OciErrorCode {
        BlobUnknown = "BLOB_UNKNOWN",
        BlobUploadInvalid = "BLOB_UPLOAD_INVALID",
        BlobUploadUnknown = "BLOB_UPLOAD_UNKNOWN",
        DigestInvalid = "DIGEST_INVALID",
        ManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN",
        ManifestInvalid = "MANIFEST_INVALID",
        ManifestUnknown = "MANIFEST_UNKNOWN",
        NameInvalid = "NAME_INVALID",
        NameUnknown = "NAME_UNKNOWN",
        SizeInvalid = "SIZE_INVALID",
        Unauthorized = "UNAUTHORIZED",
        Denied = "DENIED",
        Unsupported = "UNSUPPORTED",
        TooManyRequests = "TOOMANYREQUESTS",
    }
}

impl OciErrorCode {
    /// The first known code of an error body.
    pub(super) fn in_body(body: &[u8]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Body {
            errors: Vec<Entry>,
        }
        #[derive(serde::Deserialize)]
        struct Entry {
            code: String,
        }
        let body: Body = serde_json::from_slice(body).ok()?;
        body.errors.iter().find_map(|entry| entry.code.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_codes_are_taken_from_an_error_body() {
        let known = br#"{"errors":[{"code":"secret-token"},{"code":"MANIFEST_UNKNOWN","message":"x"}]}"#;
        assert_eq!(OciErrorCode::in_body(known), Some(OciErrorCode::ManifestUnknown));
        assert_eq!(OciErrorCode::in_body(b"<html>"), None);
        assert_eq!(OciErrorCode::in_body(br#"{"errors":"x"}"#), None);
    }

    #[test]
    fn an_outage_is_never_a_statement_about_the_image() {
        let outages = [
            SourceError::RateLimited { retry_after: None },
            SourceError::Unavailable("HTTP 503".into()),
            SourceError::Timeout("idle"),
            SourceError::Protocol("text/html".into()),
        ];
        for outage in outages {
            assert_eq!(outage.class(), FailureClass::Retry, "{outage}");
        }
    }
}
