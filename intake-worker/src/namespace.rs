//! What the jobs that read from a registry namespace share.

use registry_db::jobs::{self, ClaimedJob};
use registry_db::key_ring::KeyRing;
use registry_db::registries::{self, OpenedNamespace};
use registry_db::{DbError, Pool};
use registry_types::ids::RegistryNamespaceId;
use registry_types::image_reference::Repository;

use crate::job_error::JobError;
use crate::source::{Credential, CredentialError, RegistrySession, SourceClient, SourceError};

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// The namespace that a job is about, opened under its lease. `None`: it was removed or suspended since, and the job is ended.
///
/// # Errors
/// When the database does not answer, or the lease is lost: then the job is not ours to end either.
pub(crate) async fn open_or_finish(
    pool: &Pool,
    key_ring: &KeyRing,
    job: &ClaimedJob,
    id: RegistryNamespaceId,
) -> Result<Option<OpenedNamespace>, JobError> {
    let mut conn = pool.get().await?;
    match registries::credential_for_job(&mut conn, id, job.lease, key_ring).await {
        Ok(opened) => Ok(Some(opened)),
        Err(DbError::Stale | DbError::NotFound) => {
            jobs::assert_in_time(&mut conn, job.lease).await?;
            jobs::finish(&mut conn, job.lease).await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// A session for one repository of the namespace's registry.
///
/// # Errors
/// When the credential cannot be sent, or the host cannot be named by a URL.
pub(crate) fn session(
    source: &SourceClient,
    opened: OpenedNamespace,
    repository: &Repository,
) -> Result<RegistrySession, SessionError> {
    let OpenedNamespace { namespace, credential } = opened;
    let credential = credential.map(|login| Credential::new(login.username, login.token)).transpose()?;
    let hosts: Vec<String> = namespace.confirmed_token_hosts.iter().map(ToString::to_string).collect();
    Ok(source.session(namespace.pattern.host(), repository, credential, &hosts)?)
}
