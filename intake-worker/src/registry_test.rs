//! The registry test: what can be done with a namespace's credential.

use registry_db::jobs::{self, ClaimedJob};
use registry_db::key_ring::KeyRing;
use registry_db::{DbError, DbResult, Pool, registries, transaction};
use registry_types::ids::RegistryNamespaceId;
use serde_json::{Value, json};

use crate::job_error::JobError;
use crate::namespace;
use crate::source::{ProbeScope, SourceClient};

/// # Errors
/// When the database does not answer, or the lease is lost. A registry that does not answer is a result.
pub(crate) async fn run(
    pool: &Pool,
    source: &SourceClient,
    key_ring: &KeyRing,
    job: &ClaimedJob,
    id: RegistryNamespaceId,
) -> Result<(), JobError> {
    let Some(opened) = namespace::open_or_finish(pool, key_ring, job, id).await? else { return Ok(()) };
    let pattern = &opened.namespace.pattern;
    let scope = if pattern.is_wildcard() { ProbeScope::RegistryOnly } else { ProbeScope::Repository };
    let repository = pattern.path().clone();
    let result = match namespace::session(source, opened, &repository) {
        Ok(session) => {
            let report = session.probe(scope).await;
            serde_json::to_value(report).map_err(|e| JobError::internal("test report")(Box::new(e)))?
        }
        Err(problem) => failed(&problem.to_string()),
    };
    transaction(&mut *pool.get().await?, async |conn| {
        jobs::finish(conn, job.lease).await?;
        record(conn, id, &result).await
    })
    .await?;
    Ok(())
}

/// Ends a test whose attempts are used up.
///
/// # Errors
/// When the database does not answer, or the lease is lost.
pub(crate) async fn give_up(
    pool: &Pool,
    job: &ClaimedJob,
    id: RegistryNamespaceId,
    told: &str,
    error: &str,
) -> Result<(), JobError> {
    transaction(&mut *pool.get().await?, async |conn| {
        jobs::fail(conn, job, error).await?;
        record(conn, id, &failed(told)).await
    })
    .await?;
    Ok(())
}

async fn record(conn: &mut registry_db::Connection, id: RegistryNamespaceId, result: &Value) -> DbResult<()> {
    match registries::record_test(conn, id, result).await {
        // Removed meanwhile: nobody reads the result.
        Err(DbError::NotFound) => Ok(()),
        other => other,
    }
}

/// A test that came to nothing, in the form of a report.
fn failed(problem: &str) -> Value {
    json!({ "reachable": false, "problems": [problem] })
}
