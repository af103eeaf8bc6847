//! Trusted publishers: jobs of a continuous-integration provider that may publish a package without a stored secret.

use serde::{Deserialize, Serialize};

use crate::identity_provider::Issuer;
use crate::text_enum;
use crate::workload::{NumericId, Workload};

const MAX_TEXT: usize = 200;

/// What a job must be. Names are not part of it: they can be given anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub issuer: Issuer,
    pub repository_id: NumericId,
    pub owner_id: NumericId,
    /// Path of the workflow or pipeline file.
    pub workflow: String,
    /// `None` = any, or none.
    pub environment: Option<String>,
    /// `refs/heads/main`, or with a final `*` (`refs/tags/v*`); `None` = any.
    pub reference: Option<String>,
}

/// Why a binding is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    #[error(
        "workflow must be the path of a file in the repository, as .github/workflows/release.yml or .gitlab-ci.yml"
    )]
    Workflow,
    #[error("environment must have 1 to {MAX_TEXT} printable characters")]
    Environment,
    #[error("ref must begin with refs/heads/ or refs/tags/; `*` stands only at its end")]
    Reference,
}

text_enum! {
    /// The first thing in which a job is not the one that a publisher is bound to. For the audit log; a stranger is never
    /// told.
    pub enum Mismatch {
        Issuer = "issuer",
        RepositoryId = "repository_id",
        OwnerId = "owner_id",
        Workflow = "workflow",
        Environment = "environment",
        Reference = "ref",
    }
}

impl Binding {
    /// # Errors
    /// When a part of it could match nothing, or more than it says.
    pub fn validate(&self) -> Result<(), BindingError> {
        let is_text = |text: &str| (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control);
        let is_path = |path: &str| path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !is_text(&self.workflow) || !is_path(&self.workflow) || self.workflow.contains('@') {
            return Err(BindingError::Workflow);
        }
        if self.environment.as_deref().is_some_and(|environment| !is_text(environment)) {
            return Err(BindingError::Environment);
        }
        // ASCII, so that the last character is the last byte.
        let is_reference = |text: &str| {
            let name = text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("refs/tags/"));
            is_text(text) && text.is_ascii() && name.is_some_and(|n| !n.is_empty() && !n[..n.len() - 1].contains('*'))
        };
        if self.reference.as_deref().is_some_and(|reference| !is_reference(reference)) {
            return Err(BindingError::Reference);
        }
        Ok(())
    }

    /// Whether the job of a token of `issuer` is the one that is meant.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, issuer: &Issuer, job: &Workload) -> Result<(), Mismatch> {
        let same = [
            (self.issuer == *issuer, Mismatch::Issuer),
            (self.repository_id == job.repository_id, Mismatch::RepositoryId),
            (self.owner_id == job.owner_id, Mismatch::OwnerId),
            (self.workflow == job.workflow, Mismatch::Workflow),
            (self.environment.is_none() || self.environment == job.environment, Mismatch::Environment),
            (self.reference.as_deref().is_none_or(|wanted| covers(wanted, &job.reference)), Mismatch::Reference),
        ];
        same.into_iter().find(|(is_same, _)| !is_same).map_or(Ok(()), |(_, mismatch)| Err(mismatch))
    }
}

fn covers(wanted: &str, reference: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => reference.starts_with(start),
        None => reference == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity_provider::CiProvider;

    fn issuer() -> Issuer {
        "https://token.actions.githubusercontent.com".parse().unwrap()
    }

    fn binding() -> Binding {
        Binding {
            issuer: issuer(),
            repository_id: "74".parse().unwrap(),
            owner_id: "65".parse().unwrap(),
            workflow: ".github/workflows/release.yml".to_owned(),
            environment: None,
            reference: None,
        }
    }

    fn job() -> Workload {
        Workload::read(CiProvider::GitHub, &issuer(), &crate::workload::tests::github()).unwrap()
    }

    #[test]
    fn every_part_of_a_binding_is_compared() {
        assert_eq!(binding().check(&issuer(), &job()), Ok(()));
        let other: NumericId = "99".parse().unwrap();
        let text = |text: &str| Some(text.to_owned());
        for (bound, mismatch) in [
            (Binding { issuer: "https://gitlab.com".parse().unwrap(), ..binding() }, Mismatch::Issuer),
            (Binding { repository_id: other, ..binding() }, Mismatch::RepositoryId),
            (Binding { owner_id: other, ..binding() }, Mismatch::OwnerId),
            (Binding { workflow: ".github/workflows/other.yml".to_owned(), ..binding() }, Mismatch::Workflow),
            (Binding { environment: text("production"), ..binding() }, Mismatch::Environment),
            (Binding { reference: text("refs/heads/mai"), ..binding() }, Mismatch::Reference),
            (Binding { reference: text("refs/tags/*"), ..binding() }, Mismatch::Reference),
        ] {
            assert_eq!(bound.check(&issuer(), &job()), Err(mismatch));
        }
        let in_production = Workload { environment: text("production"), ..job() };
        let bound = Binding { environment: text("production"), reference: text("refs/heads/m*"), ..binding() };
        assert_eq!(bound.check(&issuer(), &in_production), Ok(()));
        // Names are compared nowhere: a renamed repository is the same one.
        let renamed = Workload { repository: "new/name".to_owned(), owner: "new".to_owned(), ..job() };
        assert_eq!(binding().check(&issuer(), &renamed), Ok(()));
    }

    #[test]
    fn a_binding_that_could_match_nothing_or_too_much_is_refused() {
        assert_eq!(binding().validate(), Ok(()));
        for workflow in ["", "/x.yml", "a//b.yml", "../x.yml", "a/./b", "x.yml@refs/heads/main", "x\n"] {
            assert_eq!(Binding { workflow: workflow.to_owned(), ..binding() }.validate(), Err(BindingError::Workflow));
        }
        for reference in ["main", "refs/heads/", "refs/*", "refs/pull/1/merge", "refs/heads/*x", "*", "refs/heads/ä"] {
            let bound = Binding { reference: Some(reference.to_owned()), ..binding() };
            assert_eq!(bound.validate(), Err(BindingError::Reference), "{reference}");
        }
        for reference in ["refs/heads/main", "refs/heads/*", "refs/tags/v*"] {
            assert_eq!(Binding { reference: Some(reference.to_owned()), ..binding() }.validate(), Ok(()));
        }
        let bound = Binding { environment: Some(String::new()), ..binding() };
        assert_eq!(bound.validate(), Err(BindingError::Environment));
    }
}
