//! One small JSON document at a fixed place, under the same rules as everything else that is read from outside.

use bytes::Bytes;
use url::Url;

use super::auth::Secrets;
use super::client::SourceClient;
use super::error::SourceError;
use super::transport::{Ask, Redirects, read_body, success};

impl SourceClient {
    /// Reads the document, without a credential and without following redirects.
    ///
    /// # Errors
    /// [`SourceError::LimitExceeded`] above `limit` bytes; else what keeps it from being read.
    pub async fn document(&self, url: Url, limit: u64, what: &str) -> Result<Bytes, SourceError> {
        let transport = &self.shared.transport;
        let ask = Ask { redirects: Redirects::Refuse, ..Ask::get(url, "application/json", what) };
        let read = async {
            let response = transport.send(&ask, None, &Secrets::default()).await?;
            read_body(success(response, &ask).await?, limit, what).await
        };
        let read = tokio::time::timeout(transport.timeouts.exchange, read).await;
        read.unwrap_or(Err(SourceError::Timeout("the whole exchange")))
    }
}
