//! The job `namespace_proof`: looks whether the store's nonce stands where only the namespace's owner could have put it. Read
//! through the hardened client, like everything else of a source registry.

use std::collections::BTreeMap;

use registry_db::jobs::ClaimedJob;
use registry_db::key_ring::KeyRing;
use registry_db::namespace_proofs::{self, Look};
use registry_db::registries::OpenedNamespace;
use registry_db::{Pool, transaction};
use registry_types::ids::RegistryNamespaceId;
use registry_types::image_reference::Repository;
use registry_types::namespace_pattern::{CHALLENGE_ANNOTATION, challenge_repository, challenge_tag};
use serde::Deserialize;

use crate::job_error::JobError;
use crate::namespace::{self, SessionError};
use crate::source::{FailureClass, RawManifest, SourceClient, SourceError};

/// # Errors
/// When the registry or the database does not answer, or the lease is lost.
pub(crate) async fn run(
    pool: &Pool,
    source: &SourceClient,
    key_ring: &KeyRing,
    job: &ClaimedJob,
    id: RegistryNamespaceId,
) -> Result<(), JobError> {
    let Some(opened) = namespace::open_or_finish(pool, key_ring, job, id).await? else { return Ok(()) };
    let look = match manifest(source, opened, id).await {
        Ok(Ok(manifest)) => nonce_in(&manifest),
        Ok(Err(unusable)) => Look::Missing(unusable),
        Err(error) => match error.class() {
            FailureClass::Retry => return Err(JobError::outage(&error)),
            FailureClass::Reject(code) => Look::Missing(format!("{code}: {error}")),
            FailureClass::OurFault => return Err(JobError::internal("source client")(Box::new(error))),
        },
    };
    settle(pool, job, id, &look).await
}

/// Where the challenge should be; or why the namespace is none that can be looked at.
async fn manifest(
    source: &SourceClient,
    opened: OpenedNamespace,
    id: RegistryNamespaceId,
) -> Result<Result<RawManifest, String>, SourceError> {
    let repository: Repository = match challenge_repository(&opened.namespace.pattern).parse() {
        Ok(repository) => repository,
        Err(error) => return Ok(Err(error.to_string())),
    };
    match namespace::session(source, opened, &repository) {
        Ok(session) => session.manifest(&challenge_tag(id)).await.map(Ok),
        Err(SessionError::Credential(error)) => Ok(Err(error.to_string())),
        Err(SessionError::Source(error)) => Err(error),
    }
}

fn nonce_in(manifest: &RawManifest) -> Look {
    #[derive(Deserialize)]
    struct Annotated {
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    let annotated: Result<Annotated, _> = serde_json::from_slice(&manifest.bytes);
    match annotated.ok().and_then(|mut annotated| annotated.annotations.remove(CHALLENGE_ANNOTATION)) {
        Some(nonce) => Look::Found { nonce, evidence: manifest.digest.clone() },
        None => Look::Missing(format!("the manifest has no annotation {CHALLENGE_ANNOTATION}")),
    }
}

async fn settle(pool: &Pool, job: &ClaimedJob, id: RegistryNamespaceId, look: &Look) -> Result<(), JobError> {
    let mut conn = pool.get().await?;
    transaction(&mut conn, async |conn| namespace_proofs::settle(conn, job.lease, id, look).await).await?;
    Ok(())
}

/// The registry stayed away: nobody's miss.
///
/// # Errors
/// When the database does not answer, or the lease is lost.
pub(crate) async fn give_up(
    pool: &Pool,
    job: &ClaimedJob,
    id: RegistryNamespaceId,
    told: &str,
) -> Result<(), JobError> {
    settle(pool, job, id, &Look::Outage(told.to_owned())).await
}
