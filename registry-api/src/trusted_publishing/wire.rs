//! Trusted publishers as the API takes and shows them.

use chrono::{DateTime, Utc};
use registry_db::trusted_publishers::{PublishToken, TrustedPublisher};
use registry_types::identity_provider::{CiProvider, Issuer};
use registry_types::names::PackageSlug;
use registry_types::pointer::PointerError;
use registry_types::policy::TrustedPublishingPolicy;
use registry_types::trusted_publisher::{Binding, BindingError};
use registry_types::workload::NumericId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::{Problem, ProblemCode};

const MAX_REPOSITORY: usize = 200;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddTrustedPublisher {
    /// Name of the package, which need not exist yet, without the publisher.
    #[schema(value_type = String, example = "app")]
    pub(crate) package: PackageSlug,
    /// `github` or `gitlab`.
    #[schema(value_type = String, example = "github")]
    pub(crate) provider: CiProvider,
    /// Who signs the job's tokens; the provider's only one, if not given.
    #[serde(default)]
    #[schema(example = "https://token.actions.githubusercontent.com")]
    pub(crate) issuer: Option<String>,
    /// `owner/name`: shown, and never compared.
    #[schema(example = "my-org/app")]
    pub(crate) repository: String,
    /// GitHub's `repository_id`, GitLab's `project_id`.
    #[schema(value_type = i64, minimum = 1)]
    pub(crate) repository_id: NumericId,
    /// GitHub's `repository_owner_id`, GitLab's `namespace_id`.
    #[schema(value_type = i64, minimum = 1)]
    pub(crate) owner_id: NumericId,
    /// Path of the workflow or pipeline file in the repository.
    #[schema(example = ".github/workflows/release.yml")]
    pub(crate) workflow: String,
    /// The environment that the job must run in; any or none, if not given.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// The ref that the job must run for, `*` at its end for any that begins so; any, if not given.
    #[serde(default)]
    #[schema(example = "refs/tags/v*")]
    pub(crate) r#ref: Option<String>,
}

impl AddTrustedPublisher {
    /// # Errors
    /// `TRUSTED_PUBLISHER_INVALID` with the place of the fault.
    pub(crate) fn binding(&self, policy: &TrustedPublishingPolicy) -> Result<Binding, Problem> {
        let is_name = self.repository.len() <= MAX_REPOSITORY
            && self.repository.contains('/')
            && !self.repository.chars().any(|c| c.is_control() || c.is_whitespace());
        if !is_name {
            return Err(invalid("/repository", "repository must be its full name, owner/name"));
        }
        let binding = Binding {
            issuer: self.trusted_issuer(policy)?,
            repository_id: self.repository_id,
            owner_id: self.owner_id,
            workflow: self.workflow.clone(),
            environment: self.environment.clone(),
            reference: self.r#ref.clone(),
        };
        match binding.validate() {
            Ok(()) => Ok(binding),
            Err(error @ BindingError::Workflow) => Err(invalid("/workflow", error)),
            Err(error @ BindingError::Environment) => Err(invalid("/environment", error)),
            Err(error @ BindingError::Reference) => Err(invalid("/ref", error)),
        }
    }

    fn trusted_issuer(&self, policy: &TrustedPublishingPolicy) -> Result<Issuer, Problem> {
        let mut known = policy.issuers.iter().filter(|trusted| trusted.provider == self.provider);
        let found = match &self.issuer {
            Some(named) => known.find(|trusted| trusted.issuer.as_str() == named),
            None => known.next().filter(|_| known.next().is_none()),
        };
        found.map(|trusted| trusted.issuer.clone()).ok_or_else(|| {
            let all = policy.issuers.iter().filter(|trusted| trusted.provider == self.provider);
            let all: Vec<_> = all.map(|trusted| trusted.issuer.as_str()).collect();
            let names = if all.is_empty() { "nobody".to_owned() } else { all.join(", ") };
            invalid("/issuer", format!("this store trusts as issuers of {}: {names}", self.provider))
        })
    }
}

fn invalid(pointer: &str, message: impl ToString) -> Problem {
    let message = message.to_string();
    Problem::new(ProblemCode::TrustedPublisherInvalid, message.clone()).with_errors(vec![PointerError::new(
        pointer,
        "trusted_publisher",
        message,
    )])
}

/// A job that may publish a package.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrustedPublisherItem {
    pub(crate) id: Uuid,
    /// Without the publisher.
    pub(crate) package: String,
    /// `github` or `gitlab`.
    pub(crate) provider: &'static str,
    pub(crate) issuer: String,
    /// As it was called when it was bound; not compared.
    pub(crate) repository: String,
    pub(crate) repository_id: i64,
    pub(crate) owner_id: i64,
    pub(crate) workflow: String,
    pub(crate) environment: Option<String>,
    pub(crate) r#ref: Option<String>,
    /// E-mail address of who bound it, in whose name it publishes.
    pub(crate) created_by: String,
    pub(crate) created_at: DateTime<Utc>,
    /// When a job was last given a token.
    pub(crate) last_used_at: Option<DateTime<Utc>>,
}

impl From<TrustedPublisher> for TrustedPublisherItem {
    fn from(publisher: TrustedPublisher) -> Self {
        let Binding { issuer, repository_id, owner_id, workflow, environment, reference } = publisher.binding;
        Self {
            id: publisher.id.0,
            package: publisher.package.to_string(),
            provider: publisher.provider.as_str(),
            issuer: issuer.into(),
            repository: publisher.repository,
            repository_id: repository_id.into(),
            owner_id: owner_id.into(),
            workflow,
            environment,
            r#ref: reference,
            created_by: publisher.created_by.to_string(),
            created_at: publisher.created_at,
            last_used_at: publisher.last_used_at,
        }
    }
}

/// A publish token, without the token itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct PublishTokenItem {
    pub(crate) id: Uuid,
    /// What the job said it is.
    #[schema(value_type = Object)]
    pub(crate) claims: Value,
    pub(crate) issued_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
}

impl From<PublishToken> for PublishTokenItem {
    fn from(token: PublishToken) -> Self {
        Self {
            id: token.id.0,
            claims: token.claims,
            issued_at: token.issued_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
        }
    }
}
