//! The store's clock for what ends on a date: the database's, so that all machines agree on what is over. A test sets it in
//! its own database, by putting another function in the place of `store_now()`.

use chrono::{DateTime, Utc};
use diesel_async::RunQueryDsl;

use crate::{Connection, DbResult};

diesel::define_sql_function! {
    /// What time it is; in a transaction, when it began.
    fn store_now() -> diesel::sql_types::Timestamptz;
}

/// What time it is; in a transaction, when it began.
///
/// # Errors
/// When the database does not answer.
pub async fn now(conn: &mut Connection) -> DbResult<DateTime<Utc>> {
    Ok(diesel::select(store_now()).get_result(conn).await?)
}
