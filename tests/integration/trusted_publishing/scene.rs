use registry_types::identity_provider::CiProvider;
use registry_types::policy::{Policy, TrustedIssuer, TrustedPublishingPolicy};
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::clock;
use store_tests::identity_provider::IdentityProvider;
use store_tests::store::{Organization, Store, text, unsigned_policy};

/// A store with a worker that trusts one GitHub and one GitLab, and an organization that bound a job of each.
pub(crate) struct Scene {
    pub(crate) store: Store,
    pub(crate) acme: Organization,
    pub(crate) github: IdentityProvider,
    pub(crate) gitlab: IdentityProvider,
    /// The GitHub job's publisher.
    pub(crate) publisher: Value,
}

pub(crate) const PUBLISHERS: &str = "/v1/orgs/acme/trusted-publishers";
const EXCHANGE: &str = "/v1/oidc/exchange";

impl Scene {
    pub(crate) async fn new() -> Self {
        let store = Store::start().await;
        let (github, gitlab) = (IdentityProvider::start().await, IdentityProvider::start().await);
        store.set_policy(&policy(&github, &gitlab)).await;
        let acme = store.organization("acme").await;
        let publisher = acme.admin.post(PUBLISHERS, github_binding()).await.expect(201);
        acme.admin.post(PUBLISHERS, gitlab_binding()).await.expect(201);
        Self { store, acme, github, gitlab, publisher }
    }

    /// Somebody without any login.
    pub(crate) fn nobody(&self) -> StoreClient {
        self.store.root.logged_out()
    }

    pub(crate) async fn audience(&self) -> String {
        text(&self.nobody().get("/v1/oidc/audience").await.expect(200)["audience"])
    }

    /// The claims of the bound GitHub job, with these instead of its own.
    pub(crate) async fn github_claims(&self, other: Value) -> Value {
        self.claims(&self.github, github_job(), other).await
    }

    pub(crate) async fn gitlab_claims(&self, other: Value) -> Value {
        self.claims(&self.gitlab, self.gitlab_job(), other).await
    }

    async fn claims(&self, provider: &IdentityProvider, mut job: Value, other: Value) -> Value {
        job.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        provider.claims(&self.audience().await, clock::now(&self.store.database).await, &job)
    }

    pub(crate) fn gitlab_job(&self) -> Value {
        let host = self.gitlab.issuer().trim_start_matches("http://");
        json!({
            "project_path": "acme/tools/app", "project_id": "20", "namespace_path": "acme/tools", "namespace_id": "72",
            "ci_config_ref_uri": format!("{host}/acme/tools/app//.gitlab-ci.yml@refs/tags/v1.0.0"),
            "ref_path": "refs/tags/v1.0.0", "pipeline_source": "push", "environment": "production",
        })
    }

    pub(crate) async fn exchange(&self, token: &str) -> Answer {
        self.exchange_for(token, "acme", "app").await
    }

    pub(crate) async fn exchange_for(&self, token: &str, organization: &str, package: &str) -> Answer {
        let body = json!({"token": token, "organization": organization, "package": package});
        self.nobody().post(EXCHANGE, body).await
    }

    /// A publish token of the bound GitHub job.
    pub(crate) async fn publish_token(&self) -> String {
        let token = self.github.token(&self.github_claims(json!({})).await);
        text(&self.exchange(&token).await.expect(200)["token"])
    }

    /// What the audit log says of the last exchange.
    pub(crate) async fn last_entry(&self) -> Value {
        let page = self.acme.admin.get("/v1/audit?org=acme&limit=200").await.expect(200);
        let entries = page["items"].as_array().unwrap();
        let of_exchanges = |entry: &&Value| text(&entry["action"]).starts_with("publish_token.");
        entries.iter().find(of_exchanges).cloned().unwrap_or(Value::Null)
    }
}

fn policy(github: &IdentityProvider, gitlab: &IdentityProvider) -> Policy {
    let trusted = |provider, issuer: &IdentityProvider| TrustedIssuer {
        provider,
        issuer: issuer.issuer().parse().unwrap(),
        registry: None,
    };
    let issuers = vec![trusted(CiProvider::GitHub, github), trusted(CiProvider::GitLab, gitlab)];
    let trusted_publishing = TrustedPublishingPolicy { issuers, ..TrustedPublishingPolicy::default() };
    Policy { trusted_publishing, ..unsigned_policy() }
}

pub(crate) fn github_binding() -> Value {
    json!({
        "package": "app", "provider": "github", "repository": "acme/app", "repository_id": 74, "owner_id": 65,
        "workflow": ".github/workflows/release.yml",
    })
}

fn gitlab_binding() -> Value {
    json!({
        "package": "app", "provider": "gitlab", "repository": "acme/tools/app", "repository_id": 20, "owner_id": 72,
        "workflow": ".gitlab-ci.yml", "environment": "production", "ref": "refs/tags/v*",
    })
}

/// The job that [`github_binding`] means.
pub(crate) fn github_job() -> Value {
    json!({
        "repository": "acme/app", "repository_id": "74", "repository_owner": "acme", "repository_owner_id": "65",
        "workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
        "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
        "ref": "refs/heads/main", "event_name": "push", "run_id": "9",
    })
}
