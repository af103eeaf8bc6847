//! The source registry is slow.

use std::time::Duration;

use super::batches;
use super::scene::{Scene, SceneParts};

/// Between two of the eight drops of an answer.
const PAUSE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_slow_from_any_point_on() {
    let mut scene = Scene::set(SceneParts::default()).await;
    scene.undisturbed().await;
    for points in batches() {
        scene.registry.drip(None);
        let mut batch = scene.publish(&points).await;
        let _worker = scene.worker();
        scene.all_held(&mut batch).await;
        let known = scene.known_layers().await;
        scene.registry.forget_requests();
        scene.registry.drip(Some(PAUSE));
        scene.end(batch).await;
        scene.assert_not_read_again(&known);
    }
    scene.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_that_takes_longer_than_the_lease_keeps_it() {
    let lease = Duration::from_secs(8);
    let mut scene = Scene::set(SceneParts { lease: Some(lease), ..SceneParts::default() }).await;
    scene.registry.drip(Some(lease / 6));
    let batch = scene.publish(&["nowhere.never"]).await;
    let _worker = scene.worker();
    let _other = scene.worker();
    scene.end(batch).await;
    // Nobody else took the job, and nothing was done again.
    assert!(scene.passed(0).values().all(|times| *times <= 3), "{:?}", scene.passed(0));
    assert_eq!(scene.passed(0)["intake.claimed"], 1);
    scene.assert_sound().await;
}
