//! The registry test: what can be done with a namespace's credential.

use registry_types::digest::Digest;
use reqwest::StatusCode;
use serde::Serialize;
use url::Url;

use super::challenge::Challenge;
use super::error::SourceError;
use super::places::authority;
use super::session::RegistrySession;
use super::transport::{Ask, success};

/// An answer that may not be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    Yes,
    No,
    /// Could not be tried, or the registry's answer does not tell.
    Unknown,
}

/// How referrers are found at a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferrersSupport {
    Api,
    /// By the fallback tag.
    Fallback,
    Unknown,
}

/// What the namespace's pattern lets be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeScope {
    /// The session's repository is an exact one.
    Repository,
    /// The pattern ends in `/*`: no repository is known, only the registry itself and its token service can be tried.
    RegistryOnly,
}

/// The result of a registry test. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeReport {
    /// An OCI registry answered.
    pub reachable: bool,
    pub anonymous_pull: Known,
    /// The credential was accepted. `Unknown` without one.
    pub authenticated: Known,
    /// The credential, or without one nobody in particular, may pull.
    pub pull_right: Known,
    pub referrers: ReferrersSupport,
    /// The host that the registry names as its token service, if any.
    pub token_host: Option<String>,
    /// Whether that host may receive the credential already; if not, an administrator has to confirm it.
    pub token_host_confirmed: bool,
    /// What went wrong, for people.
    pub problems: Vec<String>,
}

impl RegistrySession {
    /// Tries the registry. Failures are part of the report.
    pub async fn probe(&self, scope: ProbeScope) -> ProbeReport {
        let mut report = ProbeReport {
            reachable: false,
            anonymous_pull: Known::Unknown,
            authenticated: Known::Unknown,
            pull_right: Known::Unknown,
            referrers: ReferrersSupport::Unknown,
            token_host: None,
            token_host_confirmed: false,
            problems: Vec::new(),
        };
        if let Err(error) = self.probe_into(&mut report, scope).await {
            report.problems.push(error.to_string());
        }
        report
    }

    async fn probe_into(&self, report: &mut ProbeReport, scope: ProbeScope) -> Result<(), SourceError> {
        let challenge = self.ping().await?;
        report.reachable = true;
        if let Some(Challenge::Bearer { realm, .. }) = &challenge {
            let realm =
                Url::parse(realm).map_err(|_| SourceError::Protocol("the token realm is not a URL".to_owned()))?;
            report.token_host = Some(authority(&realm));
            report.token_host_confirmed = self.allows_realm(&realm);
        }
        report.anonymous_pull = match self.anonymous()?.may_pull(scope, challenge.is_none()).await {
            Ok(answer) => answer,
            Err(error) => {
                report.problems.push(format!("without credential: {error}"));
                Known::Unknown
            }
        };
        if self.has_credential() {
            report.authenticated = self.is_authenticated(challenge.is_none()).await?;
            report.pull_right = match report.authenticated {
                Known::No => Known::No,
                Known::Yes | Known::Unknown => self.may_pull(scope, false).await?,
            };
        } else {
            report.pull_right = report.anonymous_pull;
        }
        if scope == ProbeScope::Repository && report.pull_right == Known::Yes {
            report.referrers = self.referrers_support().await?;
        }
        Ok(())
    }

    /// `GET /v2/` without credential: the challenge, or `None` where the registry is open.
    async fn ping(&self) -> Result<Option<Challenge>, SourceError> {
        let ask = Ask::get(self.ping_url()?, "application/json", "the registry API");
        self.with_retries(|| self.ping_once(&ask)).await
    }

    async fn ping_once(&self, ask: &Ask) -> Result<Option<Challenge>, SourceError> {
        let response = self.shared.transport.send(ask, None, self.secrets()).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let challenge = Challenge::of(response.headers())?;
            let missing = || SourceError::Protocol("401 without a Bearer or Basic challenge".to_owned());
            return challenge.map(Some).ok_or_else(missing);
        }
        success(response, ask).await?;
        Ok(None)
    }

    /// Whether the credential is accepted at `/v2/`. An open registry never looks at it.
    async fn is_authenticated(&self, open: bool) -> Result<Known, SourceError> {
        if open {
            return Ok(Known::Unknown);
        }
        let ask = Ask::get(self.ping_url()?, "application/json", "the registry API");
        match self.with_retries(|| self.once(&ask)).await {
            Ok(_) => Ok(Known::Yes),
            Err(SourceError::AccessDenied { .. }) => Ok(Known::No),
            Err(error) => Err(error),
        }
    }

    /// Whether this identity may list the repository's tags, which needs the same right as pulling.
    async fn may_pull(&self, scope: ProbeScope, open: bool) -> Result<Known, SourceError> {
        match scope {
            ProbeScope::RegistryOnly if open => return Ok(Known::Yes),
            ProbeScope::RegistryOnly => return Ok(Known::Unknown),
            ProbeScope::Repository => {}
        }
        let mut url = self.url(&["tags", "list"])?;
        url.query_pairs_mut().append_pair("n", "1");
        let ask = Ask::get(url, "application/json", format!("tags of {}/{}", self.host(), self.repository()));
        match self.with_retries(|| self.once(&ask)).await {
            Ok(_) => Ok(Known::Yes),
            Err(SourceError::AccessDenied { .. }) => Ok(Known::No),
            // Either there is no such repository yet, or it is hidden from this identity.
            Err(SourceError::NotFound { .. } | SourceError::Unsupported { .. }) => Ok(Known::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Asks for the referrers of a digest that no image has.
    async fn referrers_support(&self) -> Result<ReferrersSupport, SourceError> {
        match self.referrers_by_api(&Digest::from_sha256([0; 32])).await {
            Ok(_) => Ok(ReferrersSupport::Api),
            Err(SourceError::NotFound { .. } | SourceError::Unsupported { .. }) => Ok(ReferrersSupport::Fallback),
            Err(error) => Err(error),
        }
    }
}
