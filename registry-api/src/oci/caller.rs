//! Who pulls.

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::LocalBoxFuture;
use registry_db::packages::Viewer;

use super::error::OciError;
use crate::rights::MaybeAuthenticated;

/// Basic, not a token service: the password is already a token that can be revoked.
pub(super) const CHALLENGE: (header::HeaderName, header::HeaderValue) =
    (header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"company-store\""));

/// Anybody, by Basic or Bearer credential; one that is sent must be valid.
pub(super) struct Puller {
    pub(super) viewer: Viewer,
}

impl Puller {
    pub(super) fn is_anonymous(&self) -> bool {
        self.viewer == Viewer::Anonymous
    }
}

impl FromRequest for Puller {
    type Error = OciError;
    type Future = LocalBoxFuture<'static, Result<Self, OciError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if is_empty_basic(request) {
            return Box::pin(async { Ok(Self { viewer: Viewer::Anonymous }) });
        }
        let caller = MaybeAuthenticated::from_request(request, payload);
        Box::pin(async move {
            let MaybeAuthenticated(identity) = caller.await?;
            Ok(Self { viewer: Viewer::of(identity.as_ref()) })
        })
    }
}

/// skopeo and podman answer any Basic challenge, with empty user name and password when they hold none.
fn is_empty_basic(request: &HttpRequest) -> bool {
    let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let encoded =
        value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    encoded.is_some_and(|(_, encoded)| STANDARD.decode(encoded.trim()).is_ok_and(|plain| plain == b":"))
}
