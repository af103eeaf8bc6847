//! What a token of a continuous-integration provider says about the job that asks: one form for GitHub Actions and GitLab CI.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::identity_provider::{CiProvider, Issuer};
use crate::image_reference::Repository;

const MAX_CLAIM: usize = 300;

/// A number that a provider gives to a repository or its owner and never gives again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct NumericId(i64);

/// Why a text is no numeric id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a numeric id is a positive whole number")]
pub struct NumericIdError;

impl TryFrom<i64> for NumericId {
    type Error = NumericIdError;

    fn try_from(value: i64) -> Result<Self, NumericIdError> {
        if value > 0 { Ok(Self(value)) } else { Err(NumericIdError) }
    }
}

impl From<NumericId> for i64 {
    fn from(id: NumericId) -> Self {
        id.0
    }
}

impl FromStr for NumericId {
    type Err = NumericIdError;

    fn from_str(value: &str) -> Result<Self, NumericIdError> {
        let is_plain = value.bytes().all(|b| b.is_ascii_digit()) && !value.starts_with('0');
        value.parse::<i64>().ok().filter(|_| is_plain).ok_or(NumericIdError).and_then(Self::try_from)
    }
}

impl fmt::Display for NumericId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The job that a token was given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub provider: CiProvider,
    /// `owner/name`; names can be given anew and prove nothing.
    pub repository: String,
    pub repository_id: NumericId,
    /// `repository` without its last part: whom the repository belongs to.
    pub owner: String,
    pub owner_id: NumericId,
    /// Path of the workflow or pipeline file in this very repository.
    pub workflow: String,
    /// `None` for a job outside any environment.
    pub environment: Option<String>,
    /// `refs/heads/…` or `refs/tags/…`.
    pub reference: String,
}

/// Why a token's claims describe no job that may act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    #[error("the claim {0} is missing or has another form than expected")]
    Claim(&'static str),
    /// Triggered by something that a stranger can cause, or that is not known to be safe.
    #[error("jobs that {0:?} triggers may not act")]
    Trigger(String),
    #[error("the workflow does not lie in the repository itself")]
    ForeignWorkflow,
}

/// What people with write access to the repository cause. Everything else is refused, because a stranger can cause it
/// (`pull_request_target`, `issue_comment`), it runs code from a fork (`pull_request`), or it carries on what such a job
/// left behind (`workflow_run`).
const GITHUB_TRIGGERS: [&str; 5] = ["push", "release", "workflow_dispatch", "schedule", "repository_dispatch"];
/// Likewise; merge requests and child pipelines, whose parent may be one, are left out.
const GITLAB_TRIGGERS: [&str; 5] = ["push", "web", "schedule", "api", "trigger"];

impl Workload {
    /// Reads verified claims.
    ///
    /// # Errors
    /// When they lack something, contradict each other, or the job's trigger is not one of those that may act.
    pub fn read(provider: CiProvider, issuer: &Issuer, claims: &Map<String, Value>) -> Result<Self, ClaimsError> {
        match provider {
            CiProvider::GitHub => Self::of_github(claims),
            CiProvider::GitLab => Self::of_gitlab(issuer, claims),
        }
    }

    /// The path below which a registry of the provider holds what is the owner's. Providers give a name to nobody else in
    /// another case, and registries know lower case only; `None` for a name that no registry could hold.
    #[must_use]
    pub fn owner_path(&self) -> Option<Repository> {
        let is_account = match self.provider {
            CiProvider::GitHub => !self.owner.contains('/'),
            CiProvider::GitLab => true,
        };
        if is_account { self.owner.to_ascii_lowercase().parse().ok() } else { None }
    }

    fn of_github(claims: &Map<String, Value>) -> Result<Self, ClaimsError> {
        let trigger = text(claims, "event_name")?;
        if !GITHUB_TRIGGERS.contains(&trigger) {
            return Err(ClaimsError::Trigger(trigger.to_owned()));
        }
        let repository = text(claims, "repository")?;
        let owner = text(claims, "repository_owner")?;
        if repository.rsplit_once('/').map(|(owner, _)| owner) != Some(owner) {
            return Err(ClaimsError::Claim("repository_owner"));
        }
        // A job of a workflow that calls another repository's is that repository's code.
        workflow_in(repository, "/", text(claims, "job_workflow_ref")?)?;
        Ok(Self {
            provider: CiProvider::GitHub,
            repository: repository.to_owned(),
            repository_id: id(claims, "repository_id")?,
            owner: owner.to_owned(),
            owner_id: id(claims, "repository_owner_id")?,
            workflow: workflow_in(repository, "/", text(claims, "workflow_ref")?)?,
            environment: optional_text(claims, "environment")?,
            reference: text(claims, "ref")?.to_owned(),
        })
    }

    fn of_gitlab(issuer: &Issuer, claims: &Map<String, Value>) -> Result<Self, ClaimsError> {
        let trigger = text(claims, "pipeline_source")?;
        if !GITLAB_TRIGGERS.contains(&trigger) {
            return Err(ClaimsError::Trigger(trigger.to_owned()));
        }
        let repository = text(claims, "project_path")?;
        let owner = text(claims, "namespace_path")?;
        if repository.rsplit_once('/').map(|(owner, _)| owner) != Some(owner) {
            return Err(ClaimsError::Claim("namespace_path"));
        }
        let project = format!("{}/{repository}", issuer.authority());
        Ok(Self {
            provider: CiProvider::GitLab,
            repository: repository.to_owned(),
            repository_id: id(claims, "project_id")?,
            owner: owner.to_owned(),
            owner_id: id(claims, "namespace_id")?,
            workflow: workflow_in(&project, "//", text(claims, "ci_config_ref_uri")?)?,
            environment: optional_text(claims, "environment")?,
            reference: text(claims, "ref_path")?.to_owned(),
        })
    }
}

/// The path in `<repository><separator><path>@<ref>`.
fn workflow_in(repository: &str, separator: &str, reference: &str) -> Result<String, ClaimsError> {
    let inside = reference.strip_prefix(repository).and_then(|rest| rest.strip_prefix(separator));
    let path = inside.and_then(|inside| inside.split_once('@')).map(|(path, _)| path);
    path.filter(|path| !path.is_empty()).map(str::to_owned).ok_or(ClaimsError::ForeignWorkflow)
}

fn text<'c>(claims: &'c Map<String, Value>, name: &'static str) -> Result<&'c str, ClaimsError> {
    let text = claims.get(name).and_then(Value::as_str);
    text.filter(|text| (1..=MAX_CLAIM).contains(&text.len()) && !text.chars().any(char::is_control))
        .ok_or(ClaimsError::Claim(name))
}

fn optional_text(claims: &Map<String, Value>, name: &'static str) -> Result<Option<String>, ClaimsError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(empty)) if empty.is_empty() => Ok(None),
        Some(_) => text(claims, name).map(|text| Some(text.to_owned())),
    }
}

/// The providers write their ids as text.
fn id(claims: &Map<String, Value>, name: &'static str) -> Result<NumericId, ClaimsError> {
    text(claims, name)?.parse().map_err(|_| ClaimsError::Claim(name))
}

/// Claims that are kept as evidence: what says where a token came from. Bounded, whatever the provider adds.
const EVIDENCE: [&str; 28] = [
    "iss",
    "sub",
    "jti",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "workflow_ref",
    "job_workflow_ref",
    "environment",
    "ref",
    "event_name",
    "actor",
    "actor_id",
    "run_id",
    "run_attempt",
    "sha",
    "project_path",
    "project_id",
    "namespace_path",
    "namespace_id",
    "ci_config_ref_uri",
    "ref_path",
    "pipeline_source",
    "pipeline_id",
    "job_id",
    "user_id",
    "user_login",
];

/// The part of verified claims that is kept in the audit log.
#[must_use]
pub fn evidence(claims: &Map<String, Value>) -> Value {
    let kept = EVIDENCE.iter().filter_map(|name| {
        let text = match claims.get(*name)? {
            Value::String(text) => text.chars().filter(|c| !c.is_control()).take(MAX_CLAIM).collect(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        Some(((*name).to_owned(), Value::String(text)))
    });
    Value::Object(kept.collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn github() -> Map<String, Value> {
        let claims = json!({
            "repository": "acme/app", "repository_id": "74", "repository_owner": "acme", "repository_owner_id": "65",
            "workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
            "job_workflow_ref": "acme/app/.github/workflows/publish.yml@refs/heads/main",
            "ref": "refs/heads/main", "event_name": "push",
        });
        claims.as_object().unwrap().clone()
    }

    fn gitlab() -> Map<String, Value> {
        let claims = json!({
            "project_path": "acme/tools/app", "project_id": "20", "namespace_path": "acme/tools", "namespace_id": "72",
            "ci_config_ref_uri": "gitlab.example.org/acme/tools/app//.gitlab-ci.yml@refs/heads/main",
            "ref_path": "refs/heads/main", "pipeline_source": "push", "environment": "production",
        });
        claims.as_object().unwrap().clone()
    }

    fn issuer() -> Issuer {
        "https://gitlab.example.org".parse().unwrap()
    }

    fn with(mut claims: Map<String, Value>, name: &str, value: Value) -> Map<String, Value> {
        claims.insert(name.to_owned(), value);
        claims
    }

    #[test]
    fn both_providers_jobs_are_read() {
        let job = Workload::read(CiProvider::GitHub, &issuer(), &github()).unwrap();
        assert_eq!((job.workflow.as_str(), job.environment), (".github/workflows/release.yml", None));
        assert_eq!((job.repository_id.to_string(), job.owner_id.to_string()), ("74".to_owned(), "65".to_owned()));
        let job = Workload::read(CiProvider::GitLab, &issuer(), &gitlab()).unwrap();
        assert_eq!((job.workflow.as_str(), job.environment.as_deref()), (".gitlab-ci.yml", Some("production")));
        assert_eq!((job.owner.as_str(), job.reference.as_str()), ("acme/tools", "refs/heads/main"));
    }

    #[test]
    fn an_owner_holds_the_path_of_its_name_in_lower_case() {
        let path = |provider, owner: &str| {
            let job = Workload { provider, owner: owner.to_owned(), ..Workload::of_github(&github()).unwrap() };
            job.owner_path().map(|path| path.to_string())
        };
        assert_eq!(path(CiProvider::GitHub, "Acme-Corp").as_deref(), Some("acme-corp"));
        assert_eq!(path(CiProvider::GitLab, "Acme/Tools").as_deref(), Some("acme/tools"));
        // The Kelvin sign is no k, an account of GitHub has no parts, and what is no path stays none.
        for none in ["\u{212A}elvin", "acme/tools", "acme-", "", "..", "acme/*", "*"] {
            assert_eq!(path(CiProvider::GitHub, none), None, "{none}");
        }
    }

    #[test]
    fn only_triggers_of_people_with_write_access_may_act() {
        for trigger in ["pull_request", "pull_request_target", "workflow_run", "issue_comment", "issues", "fork", "new"]
        {
            let read = Workload::of_github(&with(github(), "event_name", json!(trigger)));
            assert_eq!(read, Err(ClaimsError::Trigger(trigger.to_owned())));
        }
        for trigger in ["merge_request_event", "external_pull_request_event", "parent_pipeline", "pipeline", "chat"] {
            let read = Workload::of_gitlab(&issuer(), &with(gitlab(), "pipeline_source", json!(trigger)));
            assert_eq!(read, Err(ClaimsError::Trigger(trigger.to_owned())));
        }
    }

    #[test]
    fn a_workflow_lies_in_the_repository_itself() {
        let foreign = "evil/lib/.github/workflows/release.yml@refs/heads/main";
        for (name, value) in [
            ("workflow_ref", foreign),
            ("job_workflow_ref", foreign),
            ("workflow_ref", "acme/app-evil/.github/workflows/release.yml@refs/heads/main"),
            ("workflow_ref", "acme/app/@refs/heads/main"),
            ("workflow_ref", "acme/app/.github/workflows/release.yml"),
        ] {
            let read = Workload::of_github(&with(github(), name, json!(value)));
            assert_eq!(read, Err(ClaimsError::ForeignWorkflow), "{value}");
        }
        for value in [
            "gitlab.com/acme/tools/app//.gitlab-ci.yml@refs/heads/main",
            "gitlab.example.org/acme/tools/other//.gitlab-ci.yml@refs/heads/main",
            "gitlab.example.org/acme/tools/app/.gitlab-ci.yml@refs/heads/main",
        ] {
            let read = Workload::of_gitlab(&issuer(), &with(gitlab(), "ci_config_ref_uri", json!(value)));
            assert_eq!(read, Err(ClaimsError::ForeignWorkflow), "{value}");
        }
    }

    #[test]
    fn a_claim_that_is_missing_or_malformed_is_never_passed_over() {
        for name in github().keys() {
            for value in [Value::Null, json!(74), json!(["74"]), json!(""), json!("x\n"), json!("x".repeat(301))] {
                let read = Workload::of_github(&with(github(), name, value.clone()));
                assert!(read.is_err(), "{name} {value}");
            }
        }
        for value in ["0", "-1", "074", "7 4", "99999999999999999999"] {
            let read = Workload::of_github(&with(github(), "repository_id", json!(value)));
            assert_eq!(read, Err(ClaimsError::Claim("repository_id")), "{value}");
        }
        let contradicting = with(github(), "repository_owner", json!("other"));
        assert_eq!(Workload::of_github(&contradicting), Err(ClaimsError::Claim("repository_owner")));
        assert!(Workload::of_github(&with(github(), "environment", json!(5))).is_err());
    }

    #[test]
    fn evidence_is_bounded_and_text() {
        let mut claims = with(github(), "sub", json!("y".repeat(5000)));
        claims.insert("invented".to_owned(), json!("x"));
        claims.insert("actor".to_owned(), json!({"a": 1}));
        let kept = evidence(&claims);
        assert_eq!(kept["repository_id"], "74");
        assert_eq!(kept["sub"].as_str().unwrap().len(), MAX_CLAIM);
        assert!(kept.get("invented").is_none() && kept.get("actor").is_none());
    }
}
