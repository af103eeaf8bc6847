//! Errors in the form of the OCI distribution specification: `{"errors":[{"code","message"}]}`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use blob_store::BlobError;
use registry_db::DbError;

use super::caller::CHALLENGE;
use crate::problem::{Problem, ProblemCode};

/// Why a pull is refused. What is not active and what the caller may not see is unknown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OciError {
    #[error("repository name not known to this store")]
    NameUnknown,
    #[error("manifest unknown: there is no such active version")]
    ManifestUnknown,
    #[error("blob unknown: it belongs to no active version of this repository")]
    BlobUnknown,
    #[error("the digest is not valid")]
    DigestInvalid,
    #[error("the requested range lies outside the blob")]
    RangeInvalid { size: u64 },
    #[error("the query is not valid")]
    QueryInvalid,
    #[error("this needs a login: any user name, and an access token or API key as password")]
    Unauthorized,
    #[error("only the publisher's organization may pull this package")]
    Denied,
    #[error("this registry is read only; packages are published through the store's API")]
    Unsupported,
    #[error("the store cannot answer for the moment, try again")]
    Unavailable,
    #[error("the store failed to answer this request")]
    Internal,
}

impl OciError {
    /// A code of the specification, or one of the two that the distribution registry uses beside them.
    const fn code(&self) -> &'static str {
        match self {
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::RangeInvalid { .. } => "SIZE_INVALID",
            Self::QueryInvalid => "PAGINATION_NUMBER_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "UNKNOWN",
        }
    }

    /// What a lookup ended with; `missing` is what this lookup's absence is called.
    pub(super) fn of_db(missing: Self) -> impl FnOnce(DbError) -> Self {
        move |error| match error {
            DbError::NotFound => missing,
            DbError::Unavailable(_) => Self::logged(Self::Unavailable, &error),
            DbError::Stale | DbError::Constraint { .. } | DbError::Corrupt { .. } | DbError::Query(_) => {
                Self::logged(Self::Internal, &error)
            }
        }
    }

    fn logged(self, cause: &dyn std::error::Error) -> Self {
        let mut chain = cause.to_string();
        let mut next = cause.source();
        while let Some(error) = next {
            chain.push_str(": ");
            chain.push_str(&error.to_string());
            next = error.source();
        }
        tracing::error!(cause = chain, "{self}");
        self
    }
}

impl From<Problem> for OciError {
    fn from(problem: Problem) -> Self {
        // Forbidden is a credential that is good for other things than to pull.
        if matches!(problem.code, ProblemCode::Unauthenticated | ProblemCode::Forbidden) {
            Self::Unauthorized
        } else if problem.code == ProblemCode::Unavailable {
            Self::logged(Self::Unavailable, &problem)
        } else {
            Self::logged(Self::Internal, &problem)
        }
    }
}

impl From<BlobError> for OciError {
    /// The database knows the blob, so that even its absence is our fault.
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Unavailable(_) => Self::logged(Self::Unavailable, &error),
            BlobError::NotFound | BlobError::Range | BlobError::Refused(_) => Self::logged(Self::Internal, &error),
        }
    }
}

impl ResponseError for OciError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NameUnknown | Self::ManifestUnknown | Self::BlobUnknown => StatusCode::NOT_FOUND,
            Self::DigestInvalid | Self::QueryInvalid => StatusCode::BAD_REQUEST,
            Self::RangeInvalid { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::Unauthorized => {
                response.insert_header(CHALLENGE);
            }
            Self::Unsupported => {
                response.insert_header((header::ALLOW, "GET, HEAD"));
            }
            Self::Unavailable => {
                response.insert_header((header::RETRY_AFTER, "2"));
            }
            Self::RangeInvalid { size } => {
                response.insert_header((header::CONTENT_RANGE, format!("bytes */{size}")));
            }
            Self::NameUnknown
            | Self::ManifestUnknown
            | Self::BlobUnknown
            | Self::DigestInvalid
            | Self::QueryInvalid
            | Self::Denied
            | Self::Internal => {}
        }
        let error = serde_json::json!({"code": self.code(), "message": self.to_string(), "detail": null});
        response.json(serde_json::json!({"errors": [error]}))
    }
}

impl Responder for OciError {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}
