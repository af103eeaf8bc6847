//! Reads what a store has written down when all is quiet, and tells whether any of it was lost, doubled or too early:
//! submissions, audit, events, evidence, verdicts, objects and index must tell one story.

mod content;
mod rules;

use std::collections::BTreeMap;

use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::store::Store;

/// A submission that the store answered with 202.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub intake: Uuid,
    /// `publisher/name`.
    pub package: String,
    pub version: String,
}

/// What is wrong with the store's history, given everything that it accepted; empty when it is sound. Call when no intake
/// is under way any more.
///
/// # Panics
/// When the store does not answer.
pub async fn faults(store: &Store, accepted: &[Accepted]) -> Vec<String> {
    let sql = store.database.connect().await;
    let mut faults = lost(&sql, accepted).await;
    for (rule, offenders) in rules::RULES {
        let found = sql.query(*offenders, &[]).await.unwrap_or_else(|error| panic!("{rule}: {error:?}"));
        faults.extend(found.iter().map(|row| {
            let offender: String = row.get(0);
            format!("{rule}: {offender}")
        }));
    }
    faults.extend(content::faults(store, &sql).await);
    faults
}

/// Package and version of every entry of the index.
///
/// # Panics
/// When it is none.
pub fn index_entries(index: &Value) -> Vec<(String, String)> {
    content::entries(index)
}

/// # Panics
/// When the history is not sound.
pub async fn assert_sound(store: &Store, accepted: &[Accepted]) {
    let faults = faults(store, accepted).await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Accepted and not there, or there and never accepted.
async fn lost(sql: &Client, accepted: &[Accepted]) -> Vec<String> {
    let rows = sql
        .query(
            "SELECT i.id, o.slug || '/' || p.name, v.version FROM intakes i JOIN versions v ON v.id = i.version_id \
             JOIN packages p ON p.id = v.package_id JOIN organizations o ON o.id = p.organization_id",
            &[],
        )
        .await
        .unwrap();
    let mut there: BTreeMap<Uuid, (String, String)> =
        rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
    let mut faults = Vec::new();
    for one in accepted {
        if there.remove(&one.intake) != Some((one.package.clone(), one.version.clone())) {
            faults.push(format!("accepted and lost: {one:?}"));
        }
    }
    faults.extend(
        there.iter().map(|(intake, package)| format!("an intake that nobody was told of: {intake} {package:?}")),
    );
    faults
}
