//! Every fail point of an intake × every disturbance: the intake ends as if nothing had been.
//!
//! One store carries many intakes at once, each held at a fail point of its own, so that one disturbance meets them all.

mod api;
mod database;
mod frozen;
mod objects;
mod review;
mod scene;
mod source;
mod worker;

use std::collections::BTreeSet;

use scene::{Scene, SceneParts};

/// Every place where an intake can be stopped: around each step and each commit. `begin`: before the step; `read`,
/// `stored`: what lies in the object store is written, and no row yet; `commit`: all is written and not committed;
/// `committed`: just behind it.
const POINTS: [&str; 27] = [
    "intake.claimed",
    "start.commit",
    "start.committed",
    "resolve.begin",
    "resolve.commit",
    "resolve.committed",
    "verify.begin",
    "verify.commit",
    "verify.committed",
    "transfer.begin",
    "layer.read",
    "layer.stored",
    "layer.commit",
    "layer.committed",
    "transfer.commit",
    "transfer.committed",
    "merge.begin",
    "merge.stored",
    "scan.begin",
    "manifest.begin",
    "ui.begin",
    "secrets.begin",
    "permissions.begin",
    "decide.begin",
    "decide.stored",
    "decide.commit",
    "decide.committed",
];

/// All points, in batches that can be held at the same time. A layer that is held keeps one of the places for layers, and a
/// decision before its commit keeps other decisions waiting: one of each in a batch.
fn batches() -> impl Iterator<Item = Vec<&'static str>> {
    let (layers, others): (Vec<_>, Vec<_>) = POINTS.iter().copied().partition(|point| point.starts_with("layer."));
    (0..layers.len()).map(move |batch| {
        let others = others.iter().skip(batch).step_by(layers.len());
        others.copied().chain([layers[batch]]).collect()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_names_every_fail_point_of_an_intake() {
    let mut scene = Scene::set(SceneParts::default()).await;
    let _worker = scene.worker();
    let batch = scene.publish(&["nowhere.never"]).await;
    scene.end(batch).await;
    let passed: BTreeSet<String> = scene.passed(0).into_keys().collect();
    assert_eq!(passed, POINTS.map(str::to_owned).into());
    assert_eq!(batches().flatten().collect::<BTreeSet<_>>(), POINTS.into());
    scene.assert_sound().await;
}
