//! What broken and hostile source registries can make of a publish: nothing but the right code.
//!
//! One table: a name, what the registry plays, and how the intake must end. Every case is a publish over HTTP to a store
//! with API and worker as processes of their own; its namespace has a credential that nobody else has. All cases share one
//! store and run side by side, as hostile registries would.
//!
//! Beside its own ending every case is held to the same rules ([`house`]): nothing of it is visible unless it is active; a
//! refusal is given at the first attempt, an outage after all of them; it ends in time; the credential arrives nowhere but
//! at the registry itself. When all have ended, staging is empty, every object has its digest, the worker's memory stayed
//! small, and no log, row, object or answer holds a credential ([`canary`]).

mod bodies;
mod canary;
mod case;
mod house;
mod indexes;
mod manifests;
mod redirects;
mod referrers;
mod status;

use futures_util::{StreamExt as _, stream};

use case::Case;
use house::{Ended, House};

/// Publishes, and intakes, under way at the same time.
const SIDE_BY_SIDE: usize = 16;

/// The table, in the parts that an organization each publishes.
fn table() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("status", status::cases()),
        ("bodies", bodies::cases()),
        ("manifests", manifests::cases()),
        ("indexes", indexes::cases()),
        ("redirects", redirects::cases()),
        ("referrers", referrers::cases()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hostile_registry_gets_its_code_and_nothing_else() {
    let house = House::open().await;
    let mut cases = Vec::new();
    for (part, of_part) in table() {
        let organization = house.store.organization(part).await;
        cases.extend(of_part.into_iter().map(|case| (organization.clone(), case)));
    }
    let worker = house.worker();
    let ended: Vec<Ended> = stream::iter(cases)
        .map(|(organization, case)| house.perform(organization, case))
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let mut faults: Vec<String> = ended.iter().flat_map(Ended::faults).collect();
    faults.extend(house.aftermath(&ended, worker).await);
    println!("{} cases, the slowest {:?}", ended.len(), ended.iter().map(|case| case.took).max());
    assert!(faults.is_empty(), "{} of {} cases and rules:\n{}", faults.len(), ended.len(), faults.join("\n"));
}
