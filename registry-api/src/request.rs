//! The frame around every request: its id, its errors in the client's form, the headers of every answer, log and metrics.

use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};

use crate::limits::tell_standing;
use crate::pages;
use crate::problem::{Problem, ProblemCode, ProblemForm};
use crate::state::AppState;

const REQUEST_ID: header::HeaderName = header::HeaderName::from_static("x-request-id");

/// The id under which a request stands in the log. The client's own `X-Request-Id`, if it is harmless.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    fn of(request: &ServiceRequest) -> Self {
        let harmless = |id: &&str| {
            (1..=64).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        let own = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(harmless);
        Self(own.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned))
    }
}

pub(crate) async fn frame<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let method = request.method().to_string();
    let path = request.path().to_owned();
    let state = request.app_data::<web::Data<AppState>>().cloned();
    if !may_be_compressed(&path) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }

    let answer = next.call(request).await?.map_into_boxed_body();
    let mut answer = render_problem(answer, &id, &path);
    add_headers(&mut answer, &id, &path, state.as_deref().map(AsRef::as_ref));
    tell_standing(&mut answer);

    let status = answer.status().as_u16();
    let took = started.elapsed();
    tracing::info!(request_id = %id.0, method, path, status, micros = took.as_micros(), "answered");
    if let Some(state) = state {
        state.metrics.answered(&method, answer.request().match_pattern(), status, took);
    }
    Ok(answer)
}

/// Blobs are compressed already and hashed by their clients; events must not wait in a compressor's buffer.
fn may_be_compressed(path: &str) -> bool {
    !path.starts_with("/v2/") && !path.ends_with("/events")
}

/// Gives a [`Problem`] its request id and form, and logs its cause. What the framework refused by itself (a body too
/// large, a path that does not parse) becomes a problem as well.
fn render_problem(answer: ServiceResponse, id: &RequestId, path: &str) -> ServiceResponse {
    let form = ProblemForm::of_path(path);
    let rendered = match answer.response().error() {
        None => return answer,
        Some(error) => match error.as_error::<Problem>() {
            Some(problem) => {
                log(problem, id);
                rendered(answer.request(), problem, id, form)
            }
            None if is_plain_text(&answer) => {
                rendered(answer.request(), &of_framework(answer.status(), &error.to_string()), id, form)
            }
            None => return answer,
        },
    };
    let (request, _) = answer.into_parts();
    ServiceResponse::new(request, rendered)
}

/// A page for a browser on its way to a page, else the problem as JSON.
fn rendered(request: &HttpRequest, problem: &Problem, id: &RequestId, form: ProblemForm) -> HttpResponse {
    pages::error::answer(request, problem, &id.0).unwrap_or_else(|| problem.render(&id.0, form))
}

fn is_plain_text(answer: &ServiceResponse) -> bool {
    answer.headers().get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/plain"))
}

fn of_framework(status: StatusCode, text: &str) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ProblemCode::PayloadTooLarge, "the body is too large"),
        StatusCode::NOT_FOUND => Problem::not_found("resource"),
        status if status.is_client_error() => Problem::bad_request(text),
        _ => Problem::internal(text),
    }
}

fn log(problem: &Problem, id: &RequestId) {
    let mut chain = String::new();
    let mut cause = problem.cause.as_deref().map(|cause| cause as &dyn std::error::Error);
    while let Some(error) = cause {
        chain.push_str(if chain.is_empty() { "" } else { ": " });
        chain.push_str(&error.to_string());
        cause = error.source();
    }
    if problem.code.status().is_server_error() {
        tracing::error!(request_id = %id.0, code = %problem.code, cause = chain, "{}", problem.detail);
    } else {
        tracing::info!(request_id = %id.0, code = %problem.code, cause = chain, "{}", problem.detail);
    }
}

fn add_headers(answer: &mut ServiceResponse, id: &RequestId, path: &str, state: Option<&AppState>) {
    let is_https = state.is_some_and(|state| state.public_url.scheme() == "https");
    let headers = answer.headers_mut();
    let mut unless_set = |name: header::HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, header::HeaderValue::from_static(value));
        }
    };
    unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    unless_set(header::X_FRAME_OPTIONS, "DENY");
    unless_set(header::REFERRER_POLICY, "same-origin");
    unless_set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    if path.starts_with("/v1/") {
        unless_set(header::CACHE_CONTROL, "no-store");
    }
    if is_https {
        unless_set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if let Ok(value) = header::HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, value);
    }
}
