//! Counts each request before anything of it is looked at, and bounds its body.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, web};
use futures_util::StreamExt as _;

use super::client_address;
use super::requests::{RequestLimiter, Standing};
use crate::problem::{Problem, ProblemCode};
use crate::rights::credential_hash;
use crate::state::AppState;

/// Refuses who asks too often or sends too much.
pub(crate) async fn guard<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    match admit(&request) {
        Ok(unannounced) => {
            if let Some(most) = unannounced {
                let payload = bounded(request.take_payload(), most);
                request.set_payload(payload);
            }
            next.call(request).await.map(ServiceResponse::map_into_left_body)
        }
        Err(problem) => Ok(request.error_response(problem).map_into_right_body()),
    }
}

/// Says in the answer how much is left of what was counted.
pub(crate) fn tell_standing(answer: &mut ServiceResponse) {
    let standing = answer.request().extensions().get::<Standing>().copied();
    if let Some(standing) = standing {
        standing.tell(answer.headers_mut());
    }
}

/// How large a body may be that did not say how large it is.
fn admit(request: &ServiceRequest) -> Result<Option<usize>, Problem> {
    let Some(state) = request.app_data::<web::Data<AppState>>() else { return Ok(None) };
    let in_force = state.limits.in_force();
    if is_counted(request.path()) {
        count(request, state, &in_force.requests)?;
    }
    let most = in_force.policy.max_body_bytes;
    let announced = request.headers().get(header::CONTENT_LENGTH);
    match announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok()) {
        Some(bytes) if bytes > most as u64 => Err(Problem::new(ProblemCode::PayloadTooLarge, "the body is too large")),
        Some(_) => Ok(None),
        None => Ok(Some(most)),
    }
}

fn count(request: &ServiceRequest, state: &AppState, limiter: &RequestLimiter) -> Result<(), Problem> {
    let address = client_address(request.request(), &state.trusted_proxies);
    let known = credential_hash(request.request()).filter(|hash| state.limits.known.holds(*hash));
    let (standing, problem) = match limiter.count(known, address) {
        Ok(standing) => (standing, None),
        Err((standing, used_up)) => {
            (Some(standing), Some(Problem::rate_limited("too many requests", used_up.seconds())))
        }
    };
    if let Some(standing) = standing {
        request.extensions_mut().insert(standing);
    }
    problem.map_or(Ok(()), Err)
}

/// Ends with an error behind so many bytes.
fn bounded(payload: Payload, most: usize) -> Payload {
    let mut read = 0;
    let payload = payload.map(move |chunk| {
        let chunk = chunk?;
        read += chunk.len();
        if read > most { Err(PayloadError::Overflow) } else { Ok(chunk) }
    });
    Payload::Stream { payload: Box::pin(payload) }
}

/// What is served from memory to whole fleets, and what operators' probes ask, does not count.
fn is_counted(path: &str) -> bool {
    let is_free = ["/livez", "/readyz", "/metrics", "/index.json"].contains(&path) || path.starts_with("/index/");
    !is_free
}
