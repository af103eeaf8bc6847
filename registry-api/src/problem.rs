//! Errors as clients see them: `application/problem+json` with a stable code.

use actix_web::http::StatusCode;
use registry_types::pointer::PointerError;
use registry_types::text_enum;

text_enum! {
    /// Stable codes of refused requests; those of decided intakes are `RejectionCode`s. Never renamed, never reused.
    pub enum ProblemCode {
        BadRequest = "BAD_REQUEST",
        Unauthenticated = "UNAUTHENTICATED",
        Forbidden = "FORBIDDEN",
        NotFound = "NOT_FOUND",
        Conflict = "CONFLICT",
        PayloadTooLarge = "PAYLOAD_TOO_LARGE",
        RegistryUnauthorized = "REGISTRY_UNAUTHORIZED",
        RegistryPatternInvalid = "REGISTRY_PATTERN_INVALID",
        RegistryPatternTaken = "REGISTRY_PATTERN_TAKEN",
        ManifestInvalid = "MANIFEST_INVALID",
        TemplateInvalid = "TEMPLATE_INVALID",
        VersionExists = "VERSION_EXISTS",
        IntakeInProgress = "INTAKE_IN_PROGRESS",
        IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED",
        QuotaExceeded = "QUOTA_EXCEEDED",
        SourcePublishUnsupported = "SOURCE_PUBLISH_UNSUPPORTED",
        Unavailable = "UNAVAILABLE",
        Internal = "INTERNAL",
    }
}

impl ProblemCode {
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::RegistryUnauthorized | Self::SourcePublishUnsupported => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict | Self::RegistryPatternTaken | Self::VersionExists | Self::IntakeInProgress => {
                StatusCode::CONFLICT
            }
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RegistryPatternInvalid
            | Self::ManifestInvalid
            | Self::TemplateInvalid
            | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            // 403, not 429: the HLA-Compass client retries a 429 and then hides the text.
            Self::QuotaExceeded => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A refused request. `?` on a database or object-store error becomes one, with the cause kept for the log only.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    pub code: ProblemCode,
    /// For people; lower case, no full stop.
    pub detail: String,
    /// Errors inside a submitted document.
    pub errors: Vec<PointerError>,
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Problem {
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), cause: None }
    }

    #[must_use]
    pub fn with_errors(mut self, errors: Vec<PointerError>) -> Self {
        self.errors = errors;
        self
    }
}
