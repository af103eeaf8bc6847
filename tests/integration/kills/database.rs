//! Postgres is killed and started again.

use std::time::Duration;

use store_tests::postgres::OwnServer;

use super::batches;
use super::scene::{Scene, SceneParts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_at_any_point() {
    let mut server = OwnServer::start().await;
    let database = Some(server.database().await);
    // A worker that cannot tell the database that it failed leaves the job to its lease.
    let lease = Some(Duration::from_secs(10));
    let mut scene = Scene::set(SceneParts { database, lease, ..SceneParts::default() }).await;
    scene.undisturbed().await;
    for points in batches() {
        let mut batch = scene.publish(&points).await;
        let _worker = scene.worker();
        scene.all_held(&mut batch).await;
        server.kill().await;
        // What the worker wants to write now, it cannot.
        batch.release();
        server.start_again().await;
        let known = scene.known_layers().await;
        scene.registry.forget_requests();
        scene.end(batch).await;
        scene.assert_not_read_again(&known);
    }
    scene.assert_sound().await;
}
