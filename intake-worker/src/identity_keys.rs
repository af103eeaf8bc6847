//! The job `identity_keys`: the keys that an identity provider signs its tokens with. The only place where the store speaks to
//! identity providers; the API reads what is recorded here.

use registry_db::jobs::{self, ClaimedJob};
use registry_db::{Pool, identity_providers, store_settings, transaction};
use registry_types::identity_provider::{
    Issuer, MAX_DOCUMENT_BYTES, ProviderDocumentError, SigningKey, keys_url, signing_keys,
};

use crate::job_error::JobError;
use crate::source::{SourceClient, SourceError};

/// Why the keys were not read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("the {what} is not used: {source}")]
    Document {
        what: &'static str,
        #[source]
        source: ProviderDocumentError,
    },
    #[error("the issuer is no address")]
    Address(#[from] url::ParseError),
}

/// # Errors
/// When the database does not answer, or the lease is lost. A provider that does not answer is a result.
pub(crate) async fn run(pool: &Pool, source: &SourceClient, job: &ClaimedJob, issuer: &Issuer) -> Result<(), JobError> {
    let policy = store_settings::policy(&mut *pool.get().await?).await?;
    if policy.trusted_publishing.issuer(issuer.as_str()).is_none() {
        return Ok(jobs::finish(&mut *pool.get().await?, job.lease).await?);
    }
    let read = read_keys(source, issuer).await;
    match &read {
        Ok(keys) => tracing::info!(%issuer, keys = keys.len(), "read an identity provider's keys"),
        Err(error) => tracing::warn!(%issuer, %error, "an identity provider's keys cannot be read"),
    }
    let read = read.map_err(|error| error.to_string());
    transaction(&mut *pool.get().await?, async |conn| {
        identity_providers::record(conn, job.lease, issuer, read.as_deref().map_err(String::as_str)).await
    })
    .await?;
    Ok(())
}

async fn read_keys(source: &SourceClient, issuer: &Issuer) -> Result<Vec<SigningKey>, ReadError> {
    let document = |what| move |source| ReadError::Document { what, source };
    let at = issuer.discovery_url().parse()?;
    let discovery = source.document(at, MAX_DOCUMENT_BYTES, "discovery document").await?;
    let at = keys_url(issuer, &discovery).map_err(document("discovery document"))?;
    let keys = source.document(at, MAX_DOCUMENT_BYTES, "key set").await?;
    signing_keys(&keys).map_err(document("key set"))
}
