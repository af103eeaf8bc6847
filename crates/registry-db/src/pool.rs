//! Connections, transactions and migrations.

use std::time::Duration;

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::pooled_connection::deadpool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncConnection, AsyncMigrationHarness, AsyncPgConnection, TransactionManager as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{DbError, DbResult};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// One connection; what all functions of this crate take.
pub type Connection = AsyncPgConnection;

/// A pool of connections. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    inner: deadpool::Pool<AsyncPgConnection>,
    url: SecretString,
}

impl Pool {
    /// Opens lazily: the first [`Pool::get`] connects.
    ///
    /// # Errors
    /// When the pool cannot be built.
    pub fn new(url: SecretString, max_connections: usize) -> DbResult<Self> {
        Self::build(url, max_connections, DURABLE)
    }

    /// A pool whose commits do not wait for the disk: a crash of the database may lose the last fraction of a second, never
    /// part of a transaction. For work that is then simply done again; what must not be lost says so with [`durable`].
    ///
    /// # Errors
    /// When the pool cannot be built.
    pub fn with_lazy_commits(url: SecretString, max_connections: usize) -> DbResult<Self> {
        Self::build(url, max_connections, LAZY)
    }

    fn build(url: SecretString, max_connections: usize, synchronous_commit: &'static str) -> DbResult<Self> {
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(move |url| Box::pin(establish(url.to_owned(), synchronous_commit)));
        let manager = AsyncDieselConnectionManager::new_with_config(url.expose_secret(), config);
        let inner = deadpool::Pool::builder(manager)
            .max_size(max_connections)
            .wait_timeout(Some(Duration::from_secs(5)))
            .create_timeout(Some(Duration::from_secs(5)))
            .runtime(::deadpool::Runtime::Tokio1)
            .build()
            .map_err(|e| DbError::Unavailable(Box::new(e)))?;
        Ok(Self { inner, url })
    }

    /// Waits at most five seconds for a connection.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when none can be had.
    pub async fn get(&self) -> DbResult<impl std::ops::DerefMut<Target = Connection> + use<>> {
        self.inner.get().await.map_err(|e| DbError::Unavailable(Box::new(e)))
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when it does not.
    pub async fn check(&self) -> DbResult<()> {
        use diesel_async::RunQueryDsl as _;
        diesel::sql_query("SELECT 1").execute(&mut *self.get().await?).await?;
        Ok(())
    }

    /// A connection outside the pool, for `LISTEN`.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when the database does not answer.
    pub async fn dedicated(&self) -> DbResult<Connection> {
        AsyncPgConnection::establish(self.url.expose_secret()).await.map_err(|e| DbError::Unavailable(Box::new(e)))
    }
}

/// Commits wait for the disk, unless the transaction or the pool says otherwise.
const DURABLE: &str = "on";
const LAZY: &str = "off";

/// A program that froze in the middle of a transaction loses it, and with it its locks: others must be able to take its
/// work over. Both settings in one round trip.
async fn establish(url: String, synchronous_commit: &'static str) -> ConnectionResult<AsyncPgConnection> {
    use diesel_async::RunQueryDsl as _;
    let mut connection = AsyncPgConnection::establish(&url).await?;
    let settings = diesel::sql_query(
        "SELECT set_config('synchronous_commit', $1, false), \
         set_config('idle_in_transaction_session_timeout', '15s', false)",
    )
    .bind::<diesel::sql_types::Text, _>(synchronous_commit);
    settings.execute(&mut connection).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// Lets the commit of the current transaction wait for the disk, and with it all that was committed before.
///
/// # Errors
/// When the database does not answer.
pub async fn durable(conn: &mut Connection) -> DbResult<()> {
    use diesel_async::RunQueryDsl as _;
    diesel::sql_query("SET LOCAL synchronous_commit = on").execute(conn).await?;
    Ok(())
}

/// An async closure over a connection whose future may move between threads. Implemented for every such closure; it only
/// exists because the bound on the future cannot be written on `AsyncFnOnce` itself.
pub trait TransactionBody<C, R>: AsyncFnOnce(C) -> R + FnOnce(C) -> <Self as TransactionBody<C, R>>::Future {
    type Future: Future<Output = R>;
}

impl<F, C, R, Fut> TransactionBody<C, R> for F
where
    F: AsyncFnOnce(C) -> R + FnOnce(C) -> Fut,
    Fut: Future<Output = R>,
{
    type Future = Fut;
}

/// Runs `body` in one transaction: committed on `Ok`, rolled back on `Err`. Inside another transaction it is a
/// savepoint. Never do outside I/O in `body`.
///
/// # Errors
/// What `body` returns, or the database's refusal to begin or commit.
pub async fn transaction<R, E, F>(conn: &mut Connection, body: F) -> Result<R, E>
where
    for<'c> F: AsyncFnOnce(&'c mut Connection) -> Result<R, E>
        + TransactionBody<&'c mut Connection, Result<R, E>, Future: Send>
        + Send,
    R: Send,
    E: From<DbError> + Send,
{
    type Manager = <Connection as AsyncConnection>::TransactionManager;
    Manager::begin_transaction(conn).await.map_err(DbError::from)?;
    match body(&mut *conn).await {
        Ok(value) => {
            Manager::commit_transaction(conn).await.map_err(DbError::from)?;
            Ok(value)
        }
        Err(error) => {
            // The first error tells more than a failed rollback; the pool drops a connection that is left broken.
            if let Err(rollback) = Manager::rollback_transaction(conn).await {
                tracing::warn!(error = %rollback, "rollback failed");
            }
            Err(error)
        }
    }
}

/// Brings the schema up to date. Run by one process at a time: a Postgres advisory lock guards it.
///
/// # Errors
/// When the database does not answer or a migration fails.
pub async fn migrate(url: &SecretString) -> DbResult<()> {
    run(url, |harness| harness.run_pending_migrations(MIGRATIONS).map(|_| ())).await
}

/// Takes every migration back; for the test that proves each `down.sql`.
///
/// # Errors
/// When the database does not answer or a migration fails.
pub async fn revert_all(url: &SecretString) -> DbResult<()> {
    run(url, |harness| harness.revert_all_migrations(MIGRATIONS).map(|_| ())).await
}

type Harness = AsyncMigrationHarness<AsyncPgConnection>;
type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn run(url: &SecretString, action: impl FnOnce(&mut Harness) -> Outcome + Send + 'static) -> DbResult<()> {
    use diesel_async::RunQueryDsl as _;
    let unavailable = |e| DbError::Unavailable(Box::new(e));
    let mut connection = AsyncPgConnection::establish(url.expose_secret()).await.map_err(unavailable)?;
    // Any constant will do; it only has to be the same in every program of the store. Released with the connection.
    diesel::sql_query("SELECT pg_advisory_lock(7318349394477056)").execute(&mut connection).await?;
    let mut harness = AsyncMigrationHarness::new(connection);
    tokio::task::spawn_blocking(move || action(&mut harness))
        .await
        .map_err(|e| DbError::Unavailable(Box::new(e)))?
        .map_err(|source| DbError::Corrupt { what: "migration", source: Some(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only while a transaction that borrows from its caller can be moved between threads.
    #[test]
    fn a_transaction_borrows_and_is_send() {
        fn is_send<T: Send>(value: T) -> T {
            value
        }
        async fn uses(conn: &mut Connection, name: &str) -> DbResult<usize> {
            is_send(transaction(conn, async |conn| -> DbResult<usize> {
                diesel_async::RunQueryDsl::execute(diesel::sql_query("SELECT 1"), conn).await?;
                Ok(name.len())
            }))
            .await
        }
        let _ = uses;
    }
}
