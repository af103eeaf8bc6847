//! Errors as clients see them: `application/problem+json` (RFC 9457) with a stable code.
//!
//! A handler returns a [`Problem`]; the outermost middleware ([`crate::request`]) gives it the request's id, logs its
//! cause chain once, and renders it. No cause ever reaches a client.

use std::collections::BTreeMap;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use blob_store::BlobError;
use registry_db::DbError;
use registry_types::pointer::PointerError;
use registry_types::text_enum;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};

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
        RegistryProofLost = "REGISTRY_PROOF_LOST",
        RegistryProofRequired = "REGISTRY_PROOF_REQUIRED",
        RegistryPatternInvalid = "REGISTRY_PATTERN_INVALID",
        RegistryPatternTaken = "REGISTRY_PATTERN_TAKEN",
        SignaturePolicyInvalid = "SIGNATURE_POLICY_INVALID",
        ManifestInvalid = "MANIFEST_INVALID",
        ManifestUnsigned = "MANIFEST_UNSIGNED",
        ManifestSignatureInvalid = "MANIFEST_SIGNATURE_INVALID",
        ManifestKeyNotEnrolled = "MANIFEST_KEY_NOT_ENROLLED",
        ManifestKeyRevoked = "MANIFEST_KEY_REVOKED",
        ManifestKeyInvalid = "MANIFEST_KEY_INVALID",
        TemplateInvalid = "TEMPLATE_INVALID",
        VersionExists = "VERSION_EXISTS",
        IntakeInProgress = "INTAKE_IN_PROGRESS",
        IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED",
        AnotherPersonRequired = "ANOTHER_PERSON_REQUIRED",
        ReviewOutdated = "REVIEW_OUTDATED",
        ReviewNotOpen = "REVIEW_NOT_OPEN",
        ReviewNotDecidable = "REVIEW_NOT_DECIDABLE",
        WaiverInvalid = "WAIVER_INVALID",
        WaiverNotOpen = "WAIVER_NOT_OPEN",
        VexInvalid = "VEX_INVALID",
        VexAuthorUnknown = "VEX_AUTHOR_UNKNOWN",
        WebhookInvalid = "WEBHOOK_INVALID",
        IdentityTokenRefused = "IDENTITY_TOKEN_REFUSED",
        TrustedPublisherInvalid = "TRUSTED_PUBLISHER_INVALID",
        QuotaExceeded = "QUOTA_EXCEEDED",
        RateLimited = "RATE_LIMITED",
        PolicyInvalid = "POLICY_INVALID",
        PreconditionRequired = "PRECONDITION_REQUIRED",
        PreconditionFailed = "PRECONDITION_FAILED",
        SourcePublishUnsupported = "SOURCE_PUBLISH_UNSUPPORTED",
        ModuleRunsUnsupported = "MODULE_RUNS_UNSUPPORTED",
        Unavailable = "UNAVAILABLE",
        Internal = "INTERNAL",
    }
}

impl ProblemCode {
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::IdentityTokenRefused => StatusCode::UNAUTHORIZED,
            Self::Forbidden
            | Self::RegistryUnauthorized
            | Self::RegistryProofLost
            | Self::RegistryProofRequired
            | Self::AnotherPersonRequired
            | Self::ManifestKeyNotEnrolled
            | Self::ManifestKeyRevoked
            | Self::VexAuthorUnknown
            | Self::SourcePublishUnsupported
            | Self::ModuleRunsUnsupported => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict
            | Self::RegistryPatternTaken
            | Self::ReviewOutdated
            | Self::ReviewNotOpen
            | Self::ReviewNotDecidable
            | Self::WaiverNotOpen
            | Self::VersionExists
            | Self::IntakeInProgress
            | Self::IdempotencyKeyReused => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RegistryPatternInvalid
            | Self::SignaturePolicyInvalid
            | Self::WaiverInvalid
            | Self::VexInvalid
            | Self::WebhookInvalid
            | Self::PolicyInvalid
            | Self::ManifestInvalid
            | Self::ManifestUnsigned
            | Self::ManifestSignatureInvalid
            | Self::ManifestKeyInvalid
            | Self::TrustedPublisherInvalid
            | Self::TemplateInvalid => StatusCode::UNPROCESSABLE_ENTITY,
            // 403, not 429: the HLA-Compass client retries a 429 and then hides the text.
            Self::QuotaExceeded => StatusCode::FORBIDDEN,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
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
    /// After how many seconds it is worth trying again.
    pub retry_after: Option<u64>,
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Problem {
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after: None, cause: None }
    }

    #[must_use]
    pub fn with_errors(mut self, errors: Vec<PointerError>) -> Self {
        self.errors = errors;
        self
    }

    /// Kept for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What is not there, or not for this caller: both look the same.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemCode::NotFound, format!("{what} not found"))
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::BadRequest, detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::Forbidden, detail)
    }

    /// Too much of something; try again after so many seconds, at least one.
    #[must_use]
    pub(crate) fn rate_limited(what: &str, seconds: u64) -> Self {
        let seconds = seconds.max(1);
        let detail = format!("{what}; try again in {seconds} seconds");
        Self { retry_after: Some(seconds), ..Self::new(ProblemCode::RateLimited, detail) }
    }

    #[must_use]
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::Unauthenticated, detail)
    }

    /// Our fault: the client learns nothing but the request's id.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ProblemCode::Internal, "the store failed to answer this request").caused_by(cause)
    }

    pub(crate) fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let problem = Self::new(ProblemCode::Unavailable, "the store cannot answer for the moment, try again");
        problem.caused_by(cause)
    }

    /// An integer: the HLA-Compass client reads nothing else.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        let default = (self.code.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(2);
        self.retry_after.or(default)
    }

    pub(crate) fn render(&self, request_id: &str, form: ProblemForm) -> HttpResponse {
        let status = self.code.status();
        let mut response = HttpResponse::build(status);
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        let body = ProblemBody {
            r#type: format!("urn:company-store:problem:{}", self.code),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.as_str().to_owned(),
            request_id: request_id.to_owned(),
            errors: self.errors.iter().map(ErrorAt::from).collect(),
        };
        match form {
            ProblemForm::Problem => response.content_type("application/problem+json").json(body),
            ProblemForm::Envelope => {
                let message = format!("{}: {}", self.code, self.detail);
                response.json(Envelope { error: EnvelopeError { code: body.code.clone(), message }, problem: body })
            }
        }
    }
}

/// Which form the client of a path understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemForm {
    Problem,
    /// The problem's fields and, beside them, the envelope that the HLA-Compass client prints: it shows only
    /// `error.message`, so the code stands at its start.
    Envelope,
}

impl ProblemForm {
    pub(crate) fn of_path(path: &str) -> Self {
        let enveloped = ["/v1/auth/", "/v1/api/", "/v1/modules/", "/v1/module-runs"];
        if path == "/v1/modules" || enveloped.iter().any(|prefix| path.starts_with(prefix)) {
            Self::Envelope
        } else {
            Self::Problem
        }
    }
}

/// The body of every error answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A URN that names the code.
    r#type: String,
    title: String,
    status: u16,
    /// What is wrong, for people.
    detail: String,
    /// Stable, upper case.
    #[schema(example = "NOT_FOUND")]
    code: String,
    request_id: String,
    /// Errors inside a submitted document, all at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<ErrorAt>,
}

/// One error at one place of a submitted document.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorAt {
    /// RFC 6901 JSON pointer; empty for the whole document.
    pub pointer: String,
    /// Stable word, e.g. `missing`.
    pub code: String,
    pub message: String,
}

impl From<&PointerError> for ErrorAt {
    fn from(error: &PointerError) -> Self {
        Self { pointer: error.pointer.clone(), code: error.code.clone(), message: error.message.clone() }
    }
}

/// The error answers that every operation can give, for its `responses(…)`; those with a meaning of their own stand
/// beside it with their status.
pub struct Problems;

impl utoipa::IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let response = |description: &str| {
            let content = Content::new(Some(Ref::from_schema_name("Problem")));
            RefOr::T(
                ResponseBuilder::new().description(description).content("application/problem+json", content).build(),
            )
        };
        BTreeMap::from([
            ("4XX".to_owned(), response("The request is refused; `code` says why")),
            ("5XX".to_owned(), response("The store failed to answer")),
        ])
    }
}

#[derive(Serialize)]
struct Envelope {
    error: EnvelopeError,
    #[serde(flatten)]
    problem: ProblemBody,
}

#[derive(Serialize)]
struct EnvelopeError {
    code: String,
    message: String,
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.render("", ProblemForm::Problem)
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::NotFound => Self::not_found("resource"),
            DbError::Stale => {
                Self::new(ProblemCode::Conflict, "it was changed by somebody else in the meantime").caused_by(error)
            }
            DbError::Unavailable(_) => Self::unavailable(error),
            // A handler that expects a constraint matches it before; any other one is our fault.
            DbError::Constraint { .. } | DbError::Corrupt { .. } | DbError::Query(_) => Self::internal(error),
        }
    }
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound => Self::not_found("object"),
            BlobError::Range => Self::bad_request("range lies outside the object"),
            BlobError::Unavailable(_) => Self::unavailable(error),
            BlobError::Refused(_) => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_an_error_status_and_never_one_that_hides_the_text() {
        for code in ProblemCode::ALL {
            let status = code.status();
            assert!(status.is_client_error() || status.is_server_error(), "{code}");
            // The HLA-Compass client retries a 429 and hides its text.
            assert_eq!(status == StatusCode::TOO_MANY_REQUESTS, *code == ProblemCode::RateLimited, "{code}");
        }
    }

    #[test]
    fn a_cause_is_not_shown() {
        let problem = Problem::from(DbError::Unavailable("connection to 10.0.0.7 refused".into()));
        let body = serde_json::to_string(&problem.detail).unwrap();
        assert!(!body.contains("10.0.0.7"));
        assert_eq!(problem.status_code(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn only_the_paths_of_the_hla_compass_client_get_its_envelope() {
        for path in ["/v1/modules", "/v1/modules/publish", "/v1/auth/login", "/v1/api/modules", "/v1/module-runs"] {
            assert_eq!(ProblemForm::of_path(path), ProblemForm::Envelope, "{path}");
        }
        for path in ["/v1/orgs", "/v1/packages", "/v1/intakes/x", "/v1/modulesx"] {
            assert_eq!(ProblemForm::of_path(path), ProblemForm::Problem, "{path}");
        }
    }
}
