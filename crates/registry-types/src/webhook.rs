//! Webhooks: where events are sent to, and what can come of it.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::text_enum;

/// Longest URL of a webhook, in bytes.
pub const MAX_WEBHOOK_URL_BYTES: usize = 2048;

/// The address that a webhook's events are posted to: http or https, with a host, without a login or a fragment. Its path and
/// query may hold what the receiver knows the sender by, so neither is logged.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

/// Why a text is no [`WebhookUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    #[error("a webhook's URL has at most {MAX_WEBHOOK_URL_BYTES} bytes")]
    TooLong,
    #[error("a webhook's URL is an absolute https address")]
    Malformed,
    #[error("a webhook's URL holds no login; the deliveries are signed")]
    Login,
    #[error("a webhook's URL has no fragment")]
    Fragment,
}

impl WebhookUrl {
    #[must_use]
    pub const fn as_url(&self) -> &Url {
        &self.0
    }

    /// `host[:port]`: what may be told of it.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_WEBHOOK_URL_BYTES {
            return Err(WebhookUrlError::TooLong);
        }
        let url = Url::parse(text).map_err(|_| WebhookUrlError::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(WebhookUrlError::Malformed);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookUrlError::Login);
        }
        if url.fragment().is_some() {
            return Err(WebhookUrlError::Fragment);
        }
        // The parser may have made it longer.
        if url.as_str().len() > MAX_WEBHOOK_URL_BYTES {
            return Err(WebhookUrlError::TooLong);
        }
        Ok(Self(url))
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({}://{}/…)", self.0.scheme(), self.authority())
    }
}

text_enum! {
    pub enum DeliveryState {
        /// It waits for its first or next attempt.
        Pending = "pending",
        Delivered = "delivered",
        /// No attempt follows, unless somebody replays it.
        Failed = "failed",
    }
}

text_enum! {
    /// Why a webhook gets nothing.
    pub enum DisabledReason {
        /// Somebody switched it off.
        Person = "person",
        /// It answered 410.
        Gone = "gone",
        /// For days no delivery succeeded.
        Failing = "failing",
    }
}

text_enum! {
    /// Why an attempt did not deliver. Stable.
    pub enum DeliveryError {
        /// It answered, but not with 2xx.
        Status = "STATUS",
        /// It answered 410: the webhook is disabled.
        Gone = "GONE",
        /// It answered with a redirect, which is not followed.
        Redirect = "REDIRECT",
        Timeout = "TIMEOUT",
        /// No connection, or one that broke: refused, unknown name, bad certificate.
        Unreachable = "UNREACHABLE",
        /// Its name or address leads to a place that the store does not connect to, or it is not https.
        AddressForbidden = "ADDRESS_FORBIDDEN",
        /// None of its secrets opens under the store's keys.
        SecretUnreadable = "SECRET_UNREADABLE",
        /// The webhook is disabled.
        Disabled = "DISABLED",
        /// The store's own workers ended in the middle of it, again and again.
        GivenUp = "GIVEN_UP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_s_url_is_absolute_and_holds_no_login() {
        for good in ["https://hooks.example.org/x?token=1", "http://127.0.0.1:8080/", "https://[::1]/x"] {
            assert!(good.parse::<WebhookUrl>().is_ok(), "{good}");
        }
        let refused = |text: &str| text.parse::<WebhookUrl>().unwrap_err();
        for bad in ["", "/x", "ftp://example.org/", "file:///etc/passwd", "https://", "javascript:alert(1)"] {
            assert_eq!(refused(bad), WebhookUrlError::Malformed, "{bad}");
        }
        assert_eq!(refused("https://user:secret@example.org/"), WebhookUrlError::Login);
        assert_eq!(refused("https://example.org/#x"), WebhookUrlError::Fragment);
        assert_eq!(refused(&format!("https://example.org/{}", "x".repeat(2048))), WebhookUrlError::TooLong);
        // Each of them is three bytes in the end.
        assert_eq!(refused(&format!("https://example.org/{}", " x".repeat(800))), WebhookUrlError::TooLong);
    }

    #[test]
    fn what_a_url_holds_is_not_shown() {
        let url: WebhookUrl = "https://hooks.example.org:8443/services/s3cret?t=s3cret".parse().unwrap();
        assert!(!format!("{url:?}").contains("s3cret"), "{url:?}");
        assert_eq!(url.authority(), "hooks.example.org:8443");
    }
}
