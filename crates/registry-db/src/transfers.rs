//! Transfers under way: of two intakes of an organization that need the same blob, one reads it and the other waits.

use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::digest::Digest;
use registry_types::ids::OrganizationId;

use crate::jobs::Lease;
use crate::prepared::prepared;
use crate::{Connection, DbResult};

const BEGIN: &str = "\
    INSERT INTO blob_transfers (organization_id, digest, job_id, attempt) \
    SELECT $1, $2, id, attempt FROM jobs WHERE id = $3 AND attempt = $4 \
    ON CONFLICT (organization_id, digest) DO UPDATE SET job_id = excluded.job_id, attempt = excluded.attempt \
    WHERE blob_transfers.job_id = excluded.job_id OR NOT EXISTS ( \
        SELECT FROM jobs WHERE jobs.id = blob_transfers.job_id AND jobs.attempt = blob_transfers.attempt \
            AND jobs.locked_until >= now())";

/// Begins the transfer of a blob for this organization; `false` while another job that holds its lease transfers it.
///
/// # Errors
/// When the database does not answer.
pub async fn begin(
    conn: &mut Connection,
    organization: OrganizationId,
    digest: &Digest,
    lease: Lease,
) -> DbResult<bool> {
    let begin = diesel::sql_query(BEGIN)
        .bind::<sql_types::Uuid, _>(organization.0)
        .bind::<sql_types::Text, _>(digest.to_string())
        .bind::<sql_types::Uuid, _>(lease.job.0)
        .bind::<sql_types::Integer, _>(lease.attempt);
    Ok(prepared(begin).execute(conn).await? > 0)
}

/// Ends a transfer, in the transaction that records what it brought. One that is not ended holds as long as its job's lease.
///
/// # Errors
/// When the database does not answer.
pub async fn end(conn: &mut Connection, organization: OrganizationId, digest: &Digest, lease: Lease) -> DbResult<()> {
    let end = diesel::sql_query(
        "DELETE FROM blob_transfers WHERE organization_id = $1 AND digest = $2 AND job_id = $3 AND attempt = $4",
    )
    .bind::<sql_types::Uuid, _>(organization.0)
    .bind::<sql_types::Text, _>(digest.to_string())
    .bind::<sql_types::Uuid, _>(lease.job.0)
    .bind::<sql_types::Integer, _>(lease.attempt);
    prepared(end).execute(conn).await?;
    Ok(())
}
