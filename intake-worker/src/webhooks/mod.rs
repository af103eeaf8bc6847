//! The jobs that bring events to webhooks: each event to those who want it, each delivery by as many attempts as it takes.
//!
//! Delivered at least once: whoever notes an attempt may die after it was sent, and then it is sent again under the same id.
//! In which order the events of a webhook arrive is not promised.

mod message;
mod sender;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use registry_db::jobs::{self, ClaimedJob};
use registry_db::key_ring::KeyRing;
use registry_db::webhooks::{self, Attempt, Dispatch, Outcome};
use registry_db::{DbError, Pool, events, transaction};
use registry_types::ids::{DeliveryId, EventId};
use registry_types::webhook::DeliveryError;

pub(crate) use sender::Sender;
pub use settings::WebhookSettings;

use crate::job_error::JobError;
use crate::telemetry::Metrics;
use message::Message;

/// The means of these jobs.
pub(crate) struct Webhooks {
    pub(crate) pool: Pool,
    pub(crate) key_ring: Arc<KeyRing>,
    pub(crate) sender: Sender,
    pub(crate) settings: WebhookSettings,
    /// The store's name, the `source` of its events.
    pub(crate) store: String,
    pub(crate) metrics: Arc<Metrics>,
}

impl Webhooks {
    /// # Errors
    /// When the database does not answer, or the lease is lost.
    pub(crate) async fn fan_out(&self, job: &ClaimedJob, event: EventId) -> Result<(), JobError> {
        let mut conn = self.pool.get().await?;
        transaction(&mut conn, async |conn| events::fan_out(conn, job.lease, event).await).await?;
        Ok(())
    }

    /// # Errors
    /// When the database does not answer, or the lease is lost. A receiver that does not take it is a result.
    pub(crate) async fn deliver(&self, job: &ClaimedJob, delivery: DeliveryId) -> Result<(), JobError> {
        let Some(dispatch) = self.load(job, delivery).await? else { return Ok(()) };
        fail_points::reach("webhook", "loaded", dispatch.event.id.0).await;
        let attempt = self.attempt(&dispatch).await;
        fail_points::reach("webhook", "sent", dispatch.event.id.0).await;
        let outcome = self.outcome(dispatch.tries, &attempt);
        let mut conn = self.pool.get().await?;
        transaction(&mut conn, async |conn| webhooks::settle(conn, job.lease, &dispatch, &attempt, outcome).await)
            .await?;
        self.metrics.webhook_attempted(attempt.error);
        let (webhook, error) = (dispatch.receiver.webhook, attempt.error.map_or("none", DeliveryError::as_str));
        tracing::info!(%webhook, event = %dispatch.event.id, status = attempt.status, error, "webhook attempted");
        Ok(())
    }

    /// `None`, and the job is ended, when nothing is owed any more.
    async fn load(&self, job: &ClaimedJob, delivery: DeliveryId) -> Result<Option<Dispatch>, JobError> {
        let mut conn = self.pool.get().await?;
        let loaded = transaction(&mut conn, async |conn| -> Result<_, DbError> {
            let dispatch = webhooks::load(conn, job.lease, delivery, &self.key_ring).await?;
            if dispatch.is_none() {
                jobs::finish(conn, job.lease).await?;
            }
            Ok(dispatch)
        });
        Ok(loaded.await?)
    }

    async fn attempt(&self, dispatch: &Dispatch) -> Attempt {
        let at = chrono::Utc::now();
        let message = match &dispatch.secrets {
            Ok(secrets) => Message::new(&self.store, &dispatch.event, secrets, at),
            Err(error) => {
                let webhook = dispatch.receiver.webhook;
                tracing::error!(%webhook, error = error as &dyn std::error::Error, "a webhook's secret does not open");
                None
            }
        };
        match message {
            Some(message) => self.sender.post(&dispatch.receiver.url, message).await,
            None => Attempt { at, took: Duration::ZERO, status: None, error: Some(DeliveryError::SecretUnreadable) },
        }
    }

    fn outcome(&self, tries: u32, attempt: &Attempt) -> Outcome {
        let disable_after = self.settings.disable_after();
        match attempt.error {
            None => Outcome::Delivered,
            Some(DeliveryError::Gone) => Outcome::Gone,
            Some(_) => match self.settings.delay_after(tries) {
                Some(after) => Outcome::Again { after, disable_after },
                None => Outcome::Failed { disable_after },
            },
        }
    }

    /// Gives a delivery up whose workers ended without a word; it may be replayed.
    ///
    /// # Errors
    /// When the database does not answer, or the lease is lost.
    pub(crate) async fn give_up(&self, job: &ClaimedJob, delivery: DeliveryId, error: &str) -> Result<(), JobError> {
        let mut conn = self.pool.get().await?;
        transaction(&mut conn, async |conn| webhooks::give_up(conn, job, delivery, error).await).await?;
        Ok(())
    }
}
