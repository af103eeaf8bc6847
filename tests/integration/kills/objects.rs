//! The object store is down.

use store_tests::object_server::{Outage, S3Server};
use store_tests::wait;

use super::batches;
use super::scene::{Batch, Scene, SceneParts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_store_that_answers_503_from_any_point_on() {
    outage_at_every_point(Outage::Unavailable).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_store_that_hangs_up_from_any_point_on() {
    outage_at_every_point(Outage::HangsUp).await;
}

async fn outage_at_every_point(outage: Outage) {
    let mut scene = Scene::set(SceneParts { s3: true, ..SceneParts::default() }).await;
    scene.undisturbed().await;
    for points in batches() {
        let mut batch = scene.publish(&points).await;
        let _worker = scene.worker();
        scene.all_held(&mut batch).await;
        objects(&scene).fail(Some(outage));
        let known = scene.known_layers().await;
        scene.registry.forget_requests();
        batch.release();
        every_intake_met_it(&scene, &batch).await;
        objects(&scene).fail(None);
        scene.end(batch).await;
        scene.assert_not_read_again(&known);
    }
    scene.assert_sound().await;
}

fn objects(scene: &Scene) -> &S3Server {
    scene.objects.as_ref().unwrap()
}

/// Until each intake has ended without objects, or one of its attempts has failed for want of them.
async fn every_intake_met_it(scene: &Scene, batch: &Batch) {
    let untouched = "SELECT count(*) FROM jobs WHERE (payload->>'intake')::uuid = ANY($1) AND last_error IS NULL";
    let sql = scene.sql().await;
    wait::until("the outage to be met", async || {
        let left: i64 = sql.query_one(untouched, &[&batch.intakes()]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;
}
