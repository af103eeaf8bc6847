//! One listening connection for all clients that follow intakes.

use std::time::Duration;

use registry_db::Pool;
use registry_db::notifications::{Channel, Listener};
use registry_types::ids::IntakeId;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Pause before listening again after the connection was lost.
const RECONNECT: Duration = Duration::from_secs(1);
const CAPACITY: usize = 1024;

/// Something happened: look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    Intake(IntakeId),
    /// The connection was lost for a while, so anything may have happened.
    All,
}

/// Hands wake-ups to every follower.
#[derive(Clone)]
pub(crate) struct EventHub {
    wakes: broadcast::Sender<Wake>,
}

impl EventHub {
    pub(crate) fn new() -> Self {
        Self { wakes: broadcast::channel(CAPACITY).0 }
    }

    /// Subscribe first, then read what is stored: nothing falls in between. A follower that lags must look again as well.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Wake> {
        self.wakes.subscribe()
    }

    /// Listens until `stopping`.
    pub(crate) async fn run(self, pool: Pool, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            let lost = stopping.run_until_cancelled(self.listen(&pool)).await;
            if let Some(Err(error)) = lost {
                tracing::warn!(error = %error, "not listening for intake events, trying again");
                stopping.run_until_cancelled(tokio::time::sleep(RECONNECT)).await;
            }
        }
    }

    async fn listen(&self, pool: &Pool) -> Result<(), registry_db::DbError> {
        let mut listener = Listener::open(pool, Channel::IntakeEvents).await?;
        self.wake(Wake::All);
        loop {
            let payload = listener.next().await?;
            match payload.parse() {
                Ok(intake) => self.wake(Wake::Intake(intake)),
                Err(_) => tracing::warn!(payload, "a notification names no intake"),
            }
        }
    }

    fn wake(&self, wake: Wake) {
        // Nobody follows: nothing to do.
        let _ = self.wakes.send(wake);
    }
}
