//! A worker that froze, and wakes up when another has finished its work: it can no longer write.

use super::batches;
use super::scene::{Scene, SceneParts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_freezes_at_any_point_and_wakes_up_late_changes_nothing() {
    let mut scene = Scene::set(SceneParts::default()).await;
    scene.undisturbed().await;
    for points in batches() {
        let mut batch = scene.publish(&points).await;
        let mut frozen = scene.worker();
        scene.all_held(&mut batch).await;
        frozen.signal("STOP");
        scene.leases_run_out().await;
        let known = scene.known_layers().await;
        scene.registry.forget_requests();
        // What the frozen one is let go on with, it only sees when it wakes up.
        let other = scene.worker();
        scene.end(batch).await;
        scene.assert_not_read_again(&known);
        drop(other);

        let before = scene.everything().await;
        frozen.signal("CONT");
        // It stops in order: first all that it had under way comes to whatever end it takes.
        frozen.signal("TERM");
        frozen.ended().await;
        assert_eq!(scene.everything().await, before, "after {points:?}");
    }
    scene.assert_sound().await;
}
