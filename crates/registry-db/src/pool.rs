//! Connections, transactions and migrations.

use std::time::Duration;

use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool;
use diesel_async::{AsyncConnection as _, AsyncMigrationHarness, AsyncPgConnection};
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
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url.expose_secret());
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

    /// A connection outside the pool, for `LISTEN`.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when the database does not answer.
    pub async fn dedicated(&self) -> DbResult<Connection> {
        AsyncPgConnection::establish(self.url.expose_secret()).await.map_err(|e| DbError::Unavailable(Box::new(e)))
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
