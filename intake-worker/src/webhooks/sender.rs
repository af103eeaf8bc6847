//! Posting to places that somebody outside has named: the addresses are checked as those of source registries are, redirects
//! are not followed, and nothing of the answer counts but its status.

use std::sync::Arc;
use std::time::{Duration, Instant};

use registry_db::cloud_event;
use registry_db::webhooks::Attempt;
use registry_types::image_reference::RegistryHost;
use registry_types::profile::Profile;
use registry_types::webhook::{DeliveryError, WebhookUrl};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;

use super::message::Message;
use super::settings::WebhookSettings;
use crate::source::{AddressPolicy, ForbiddenAddress, GuardedResolver, Places, SystemLookup};

pub(crate) struct Sender {
    http: reqwest::Client,
    places: Places,
}

impl Sender {
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(
        profile: Profile,
        settings: &WebhookSettings,
        plain_http: Vec<RegistryHost>,
        extra_roots: Vec<reqwest::Certificate>,
    ) -> Result<Self, reqwest::Error> {
        let policy = Arc::new(AddressPolicy::new(profile, settings.allow_private_networks, Vec::new()));
        let resolver = GuardedResolver { policy: Arc::clone(&policy), names: Arc::new(SystemLookup) };
        let http = reqwest::Client::builder()
            .user_agent(concat!("company-store/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .dns_resolver(Arc::new(resolver))
            .connect_timeout(Duration::from_millis(settings.connect_ms))
            .timeout(Duration::from_millis(settings.timeout_ms))
            // Attempts are rare; a kept connection would skip the check of the address.
            .pool_max_idle_per_host(0)
            .tls_certs_merge(extra_roots)
            .build()?;
        Ok(Self { http, places: Places::new(profile, plain_http, policy) })
    }

    /// The answer's body is not read.
    pub(super) async fn post(&self, url: &WebhookUrl, message: Message) -> Attempt {
        let (at, started) = (chrono::Utc::now(), Instant::now());
        let answered = self.answer(url, message).await;
        let (status, error) = match answered {
            Ok(status) => (Some(status.as_u16()), error_of(status)),
            Err(error) => (None, Some(error)),
        };
        Attempt { at, took: started.elapsed(), status, error }
    }

    async fn answer(&self, url: &WebhookUrl, message: Message) -> Result<StatusCode, DeliveryError> {
        if let Err(error) = self.places.check(url.as_url()) {
            tracing::debug!(error = &error as &dyn std::error::Error, "a webhook is not reached");
            return Err(DeliveryError::AddressForbidden);
        }
        let request = self
            .http
            .post(url.as_url().clone())
            .header(CONTENT_TYPE, cloud_event::CONTENT_TYPE)
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", message.signatures)
            .body(message.body);
        // The error's text holds the URL, and may hold the receiver's secrets with it.
        request.send().await.map(|answer| answer.status()).map_err(|error| failure(&error.without_url()))
    }
}

fn failure(error: &reqwest::Error) -> DeliveryError {
    tracing::debug!(error = error as &dyn std::error::Error, "a webhook did not answer");
    if ForbiddenAddress::cause_of(error).is_some() {
        DeliveryError::AddressForbidden
    } else if error.is_timeout() {
        DeliveryError::Timeout
    } else {
        DeliveryError::Unreachable
    }
}

fn error_of(status: StatusCode) -> Option<DeliveryError> {
    if status.is_success() {
        None
    } else if status == StatusCode::GONE {
        Some(DeliveryError::Gone)
    } else if status.is_redirection() {
        Some(DeliveryError::Redirect)
    } else {
        Some(DeliveryError::Status)
    }
}
