//! The page of a refused request. Programs get the problem as JSON; browsers, which ask for HTML, get this.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::frame::{Frame, Section, render};
use crate::problem::{Problem, ProblemCode};
use crate::rights::SESSION_COOKIE;
use crate::state::AppState;

/// Below these, and only these, programs are at home whatever they accept.
const PROGRAM_PATHS: [&str; 9] =
    ["/v1/", "/v2/", "/api/", "/index", "/openapi.json", "/livez", "/readyz", "/metrics", "/assets/"];

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    title: &'static str,
    detail: String,
    code: &'static str,
    request_id: String,
    asks_for_login: bool,
}

/// The page, if it was a browser on its way to a page that asked.
pub(crate) fn answer(request: &HttpRequest, problem: &Problem, request_id: &str) -> Option<HttpResponse> {
    let state = request.app_data::<web::Data<AppState>>()?;
    if !is_for_people(request) {
        return None;
    }
    let status = problem.code.status();
    let page = ErrorPage {
        frame: Frame { profile: state.profile, account: account(request), section: Section::Elsewhere },
        title: title(problem.code),
        detail: sentence(&problem.detail),
        code: problem.code.as_str(),
        request_id: request_id.to_owned(),
        asks_for_login: problem.code == ProblemCode::Unauthenticated,
    };
    let mut answer = render(status, &page);
    if let Some(seconds) = problem.retry_after_seconds() {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Some(answer)
}

fn is_for_people(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("text/html") && !PROGRAM_PATHS.iter().any(|path| request.path().starts_with(path))
}

/// Whose cookie it is was perhaps never asked, or the database did not answer: then it is somebody without a name.
fn account(request: &HttpRequest) -> Option<String> {
    request.cookie(SESSION_COOKIE).map(|_| String::new())
}

const fn title(code: ProblemCode) -> &'static str {
    match code {
        ProblemCode::NotFound => "There is nothing here",
        ProblemCode::Unauthenticated | ProblemCode::IdentityTokenRefused => "Please log in",
        ProblemCode::Forbidden
        | ProblemCode::RegistryUnauthorized
        | ProblemCode::RegistryProofLost
        | ProblemCode::RegistryProofRequired
        | ProblemCode::AnotherPersonRequired
        | ProblemCode::ManifestKeyNotEnrolled
        | ProblemCode::ManifestKeyRevoked
        | ProblemCode::VexAuthorUnknown
        | ProblemCode::SourcePublishUnsupported => "This is not open to you",
        ProblemCode::Unavailable => "The store is not available for the moment",
        ProblemCode::Internal => "The store made a mistake",
        ProblemCode::BadRequest
        | ProblemCode::Conflict
        | ProblemCode::PayloadTooLarge
        | ProblemCode::RegistryPatternInvalid
        | ProblemCode::RegistryPatternTaken
        | ProblemCode::SignaturePolicyInvalid
        | ProblemCode::ManifestInvalid
        | ProblemCode::ManifestUnsigned
        | ProblemCode::ManifestSignatureInvalid
        | ProblemCode::ManifestKeyInvalid
        | ProblemCode::TemplateInvalid
        | ProblemCode::TrustedPublisherInvalid
        | ProblemCode::VersionExists
        | ProblemCode::ModuleRunsUnsupported
        | ProblemCode::IntakeInProgress
        | ProblemCode::IdempotencyKeyReused
        | ProblemCode::ReviewOutdated
        | ProblemCode::ReviewNotOpen
        | ProblemCode::ReviewNotDecidable
        | ProblemCode::WaiverInvalid
        | ProblemCode::VexInvalid
        | ProblemCode::WebhookInvalid
        | ProblemCode::WaiverNotOpen
        | ProblemCode::QuotaExceeded
        | ProblemCode::RateLimited
        | ProblemCode::PolicyInvalid
        | ProblemCode::PreconditionRequired
        | ProblemCode::PreconditionFailed => "That did not work",
    }
}

/// Details are written lower case and without a full stop; on a page they stand as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str().trim_end_matches('.')),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn browsers_get_a_page_and_programs_do_not() {
        let asks = |path: &str, accept: &'static str| {
            is_for_people(&TestRequest::with_uri(path).insert_header((header::ACCEPT, accept)).to_http_request())
        };
        let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
        assert!(asks("/packages/a/b", browser) && asks("/nowhere", browser));
        assert!(!asks("/packages/a/b", "*/*") && !asks("/v1/packages", browser) && !asks("/index.json", browser));
    }

    #[test]
    fn a_detail_becomes_a_sentence() {
        assert_eq!(sentence("resource not found"), "Resource not found.");
        assert_eq!(sentence(""), "");
    }
}
