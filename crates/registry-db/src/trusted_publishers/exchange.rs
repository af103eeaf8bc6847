//! A verified identity token for a publish token.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::identity_provider::Issuer;
use registry_types::ids::{OrganizationId, PublishTokenId, TrustedPublisherId};
use registry_types::names::PackageSlug;
use registry_types::trusted_publisher::Mismatch;
use registry_types::workload::Workload;
use serde_json::Value;

use super::publisher::of_package;
use crate::clock::{self, store_now};
use crate::schema::{publish_tokens, trusted_publishers};
use crate::users::SecretHash;
use crate::{Connection, DbResult};

/// A job that asks, by its verified token.
#[derive(Debug, Clone)]
pub struct Exchange<'a> {
    pub issuer: &'a Issuer,
    /// SHA-256 of the identity token's `jti`.
    pub token_id: [u8; 32],
    pub token_expires_at: DateTime<Utc>,
    /// What its claims say; or why they describe no job that may act.
    pub job: Result<&'a Workload, String>,
}

/// What it asks for.
#[derive(Debug, Clone)]
pub struct NewPublishToken<'a> {
    pub organization: OrganizationId,
    pub package: &'a PackageSlug,
    pub hash: SecretHash,
    pub lifetime: TimeDelta,
    pub claims: &'a Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    pub publisher: TrustedPublisherId,
    pub token: PublishTokenId,
    pub expires_at: DateTime<Utc>,
}

/// Why a job is given nothing. For the organization's audit log; the job is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The identity token was shown before, so often.
    Replayed { replays: i64 },
    /// The claims describe no job that may act.
    Claims(String),
    /// No publisher of the package is bound to this job: where each differs.
    NoMatch(Vec<(TrustedPublisherId, Mismatch)>),
}

/// Uses the identity token up and, if a publisher of the package is bound to this job, records a publish token. Call in a
/// transaction and commit whatever the answer.
///
/// # Errors
/// When the database refuses.
pub async fn exchange(
    conn: &mut Connection,
    asked: &Exchange<'_>,
    new: &NewPublishToken<'_>,
) -> DbResult<Result<Exchanged, Refusal>> {
    let replays = use_up(conn, asked).await?;
    if replays > 0 {
        return Ok(Err(Refusal::Replayed { replays }));
    }
    let job = match &asked.job {
        Ok(job) => job,
        Err(reason) => return Ok(Err(Refusal::Claims(reason.clone()))),
    };
    let mut mismatches = Vec::new();
    for publisher in of_package(conn, new.organization, new.package).await? {
        match publisher.binding.check(asked.issuer, job) {
            Ok(()) => return issue(conn, publisher.id, new).await.map(Ok),
            Err(mismatch) => mismatches.push((publisher.id, mismatch)),
        }
    }
    Ok(Err(Refusal::NoMatch(mismatches)))
}

#[derive(QueryableByName)]
struct Replays {
    #[diesel(sql_type = sql_types::BigInt)]
    replays: i64,
}

/// How often the token was shown before. Two that show it at the same time wait for each other at its row.
async fn use_up(conn: &mut Connection, asked: &Exchange<'_>) -> DbResult<i64> {
    let row: Replays = diesel::sql_query(
        "INSERT INTO used_identity_tokens AS used (issuer, token_id, expires_at) VALUES ($1, $2, $3) \
         ON CONFLICT ON CONSTRAINT used_identity_tokens_pkey DO UPDATE SET replays = used.replays + 1 RETURNING replays",
    )
    .bind::<sql_types::Text, _>(asked.issuer.as_str())
    .bind::<sql_types::Binary, _>(asked.token_id.to_vec())
    .bind::<sql_types::Timestamptz, _>(asked.token_expires_at)
    .get_result(conn)
    .await?;
    Ok(row.replays)
}

async fn issue(conn: &mut Connection, publisher: TrustedPublisherId, new: &NewPublishToken<'_>) -> DbResult<Exchanged> {
    let token = PublishTokenId::new();
    let expires_at = clock::now(conn).await? + new.lifetime;
    diesel::insert_into(publish_tokens::table)
        .values((
            publish_tokens::id.eq(token.0),
            publish_tokens::trusted_publisher_id.eq(publisher.0),
            publish_tokens::token_hash.eq(new.hash.0.to_vec()),
            publish_tokens::claims.eq(new.claims),
            publish_tokens::expires_at.eq(expires_at),
        ))
        .execute(conn)
        .await?;
    diesel::update(trusted_publishers::table.find(publisher.0))
        .set(trusted_publishers::last_used_at.eq(store_now().nullable()))
        .execute(conn)
        .await?;
    Ok(Exchanged { publisher, token, expires_at })
}
