//! The client: what all sessions share.

use std::sync::Arc;

use ipnet::IpNet;
use registry_types::image_reference::{RegistryHost, Repository};
use registry_types::profile::Profile;

use super::address::{AddressPolicy, GuardedResolver, NameLookup, SystemLookup};
use super::auth::Credential;
use super::error::SourceError;
use super::places::Places;
use super::retry::RetryPolicy;
use super::session::RegistrySession;
use super::transport::{Timeouts, Transport};

/// How source registries are reached.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    pub profile: Profile,
    /// Private networks and loopback are allowed. Link-local and metadata addresses stay forbidden.
    pub allow_private: bool,
    /// Further networks that are allowed.
    pub allowed_networks: Vec<IpNet>,
    /// Registries that are asked over plain http beside loopback. Development only.
    pub plain_http_hosts: Vec<RegistryHost>,
    /// Certificates of private authorities, as PEM, beside the system's.
    pub extra_roots_pem: Option<String>,
    pub timeouts: Timeouts,
    pub retry: RetryPolicy,
}

impl SourceSettings {
    /// The defaults of a profile.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            allow_private: false,
            allowed_networks: Vec::new(),
            plain_http_hosts: Vec::new(),
            extra_roots_pem: None,
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
        }
    }
}

/// A read-only OCI registry client for registries that are not trusted. Cheap to clone.
#[derive(Clone)]
pub struct SourceClient {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) transport: Transport,
    pub(super) retry: RetryPolicy,
}

impl SourceClient {
    /// # Errors
    /// [`SourceError::Setup`] when TLS cannot be set up, a certificate is unreadable, or a production client is given a
    /// development setting.
    pub fn new(settings: SourceSettings) -> Result<Self, SourceError> {
        Self::with_lookup(settings, Arc::new(SystemLookup))
    }

    /// A client that learns the addresses of names from `names`. What it learns is checked as ever.
    ///
    /// # Errors
    /// As [`SourceClient::new`].
    pub fn with_lookup(settings: SourceSettings, names: Arc<dyn NameLookup>) -> Result<Self, SourceError> {
        if settings.profile == Profile::Production && !settings.plain_http_hosts.is_empty() {
            return Err(SourceError::Setup("plain http registries are a development setting".to_owned()));
        }
        let roots = settings.extra_roots_pem.as_deref().unwrap_or_default();
        let roots = reqwest::Certificate::from_pem_bundle(roots.as_bytes())
            .map_err(|_| SourceError::Setup("the extra root certificates are not PEM".to_owned()))?;
        let policy = AddressPolicy::new(settings.profile, settings.allow_private, settings.allowed_networks);
        let policy = Arc::new(policy);
        let places = Places::new(settings.profile, settings.plain_http_hosts, Arc::clone(&policy));
        let transport = Transport::new(places, GuardedResolver { policy, names }, settings.timeouts, roots)?;
        Ok(Self { shared: Arc::new(Shared { transport, retry: settings.retry }) })
    }

    /// The same client for a job that a call caused: every request carries the call's `X-Request-Id`.
    #[must_use]
    pub fn on_behalf_of(&self, request_id: &str) -> Self {
        let transport = self.shared.transport.on_behalf_of(request_id);
        Self { shared: Arc::new(Shared { transport, retry: self.shared.retry }) }
    }

    /// A session for one repository. `confirmed_token_hosts` (`host[:port]`) may receive the credential beside the registry
    /// itself and the token services known to belong to it.
    ///
    /// # Errors
    /// [`SourceError::HostForbidden`] when the host cannot be named by a URL.
    pub fn session(
        &self,
        host: &RegistryHost,
        repository: &Repository,
        credential: Option<Credential>,
        confirmed_token_hosts: &[String],
    ) -> Result<RegistrySession, SourceError> {
        RegistrySession::new(
            Arc::clone(&self.shared),
            host.clone(),
            repository.clone(),
            credential,
            confirmed_token_hosts.to_vec(),
        )
    }
}
