//! The store's clock in the hand of a test.

use chrono::{DateTime, Utc};

use crate::postgres::Database;

/// What time it is for the store.
///
/// # Panics
/// When the database does not answer.
pub async fn now(database: &Database) -> DateTime<Utc> {
    let micros = "SELECT (extract(epoch FROM store_now()) * 1000000)::bigint";
    let row = database.connect().await.query_one(micros, &[]).await.unwrap();
    DateTime::from_timestamp_micros(row.get(0)).unwrap()
}

/// Stops the store's clock at this moment. The queue's waits become as much shorter as time has passed by it, those that a
/// worker is just planning as well: what it has begun is waited for.
///
/// # Panics
/// When the database refuses.
pub async fn set(database: &Database, at: DateTime<Utc>) {
    let passed = (at - now(database).await).as_seconds_f64();
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let set = format!(
        "BEGIN; \
         LOCK TABLE jobs IN SHARE ROW EXCLUSIVE MODE; \
         CREATE OR REPLACE FUNCTION store_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT '{at}'::timestamptz $$; \
         UPDATE jobs SET run_after = run_after - make_interval(secs => {passed}); \
         COMMIT;"
    );
    database.connect().await.batch_execute(&set).await.unwrap();
}
