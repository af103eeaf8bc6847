//! The job `namespace_proof`: looks whether the store's nonce stands where only the namespace's owner could have put it. Read
//! through the hardened client, like everything else of a source registry.

use std::collections::BTreeMap;

use registry_db::jobs::{self, ClaimedJob};
use registry_db::key_ring::KeyRing;
use registry_db::namespace_proofs::{self, Look};
use registry_db::registries::{self, OpenedNamespace};
use registry_db::{DbError, Pool, transaction};
use registry_types::ids::RegistryNamespaceId;
use registry_types::namespace_pattern::{CHALLENGE_ANNOTATION, challenge_repository, challenge_tag};
use serde::Deserialize;

use crate::job_error::JobError;
use crate::source::{Credential, FailureClass, RawManifest, SourceClient, SourceError};

/// # Errors
/// When the registry or the database does not answer, or the lease is lost.
pub(crate) async fn run(
    pool: &Pool,
    source: &SourceClient,
    key_ring: &KeyRing,
    job: &ClaimedJob,
    id: RegistryNamespaceId,
) -> Result<(), JobError> {
    let opened = {
        let mut conn = pool.get().await?;
        match registries::credential_for_job(&mut conn, id, job.lease, key_ring).await {
            Ok(opened) => opened,
            // Removed or suspended by somebody since, or the lease is lost.
            Err(DbError::Stale | DbError::NotFound) => {
                jobs::assert_in_time(&mut conn, job.lease).await?;
                return Ok(jobs::finish(&mut conn, job.lease).await?);
            }
            Err(error) => return Err(error.into()),
        }
    };
    let look = match manifest(source, opened, id).await {
        Ok(manifest) => nonce_in(&manifest),
        Err(error) => match error.class() {
            FailureClass::Retry => return Err(JobError::outage(&error)),
            FailureClass::Reject(code) => Look::Missing(format!("{code}: {error}")),
            FailureClass::OurFault => return Err(JobError::internal("source client")(Box::new(error))),
        },
    };
    settle(pool, job, id, &look).await
}

async fn manifest(
    source: &SourceClient,
    opened: OpenedNamespace,
    id: RegistryNamespaceId,
) -> Result<RawManifest, SourceError> {
    let pattern = &opened.namespace.pattern;
    let unusable = |why: &dyn std::fmt::Display| SourceError::NotFound { what: why.to_string() };
    let repository = challenge_repository(pattern).parse().map_err(|error| unusable(&error))?;
    let hosts: Vec<String> = opened.namespace.confirmed_token_hosts.iter().map(ToString::to_string).collect();
    let credential = opened.credential.map(|login| Credential::new(login.username, login.token)).transpose();
    let credential = credential.map_err(|error| unusable(&error))?;
    source.session(pattern.host(), &repository, credential, &hosts)?.manifest(&challenge_tag(id)).await
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
