//! `LISTEN`: being woken by commits of other connections. A wake-up may be lost with the connection, so every listener
//! also polls.

use diesel_async::RunQueryDsl as _;
use futures_util::StreamExt as _;

use crate::{Connection, DbError, DbResult, Pool};

/// The channels that the schema's triggers notify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// A job was enqueued; the payload is its kind.
    Jobs,
    /// An intake has a new event; the payload is the intake's id.
    IntakeEvents,
}

impl Channel {
    const fn listen(self) -> &'static str {
        match self {
            Self::Jobs => "LISTEN jobs",
            Self::IntakeEvents => "LISTEN intake_events",
        }
    }
}

/// A connection of its own that listens on one channel. Dropping it ends the listening.
pub struct Listener {
    connection: Connection,
}

impl Listener {
    /// # Errors
    /// When the database does not answer.
    pub async fn open(pool: &Pool, channel: Channel) -> DbResult<Self> {
        let mut connection = pool.dedicated().await?;
        diesel::sql_query(channel.listen()).execute(&mut connection).await?;
        Ok(Self { connection })
    }

    /// Waits for the next notification and returns its payload. Cancel-safe.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when the connection is lost: open a new one, and look once for what was missed.
    pub async fn next(&mut self) -> DbResult<String> {
        let next = std::pin::pin!(self.connection.notifications_stream()).next().await;
        match next {
            Some(Ok(notification)) => Ok(notification.payload),
            Some(Err(error)) => Err(DbError::Unavailable(Box::new(error))),
            None => Err(DbError::Unavailable("the listening connection was closed".into())),
        }
    }
}
