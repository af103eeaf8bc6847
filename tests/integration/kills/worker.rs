//! The worker is killed with -9.

use super::batches;
use super::scene::{Scene, SceneParts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_at_any_point() {
    let mut scene = Scene::set(SceneParts::default()).await;
    scene.undisturbed().await;
    for points in batches() {
        let mut batch = scene.publish(&points).await;
        let worker = scene.worker();
        scene.all_held(&mut batch).await;
        drop(worker);
        scene.leases_run_out().await;
        let known = scene.known_layers().await;
        scene.registry.forget_requests();
        let _next = scene.worker();
        scene.end(batch).await;
        scene.assert_not_read_again(&known);
    }
    scene.assert_sound().await;
}
