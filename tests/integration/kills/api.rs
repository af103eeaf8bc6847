//! The API is killed with -9: under intakes that are being worked on, and while it accepts one.

use reqwest::Method;
use serde_json::{Value, json};
use store_tests::image::Image;
use store_tests::postgres::OwnServer;
use store_tests::store::{module_manifest, text};
use store_tests::wait;

use super::batches;
use super::scene::{Scene, SceneParts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_is_killed_at_any_point() {
    let mut scene = Scene::set(SceneParts { api_program: true, ..SceneParts::default() }).await;
    scene.undisturbed().await;
    for points in batches() {
        let mut batch = scene.publish(&points).await;
        let followers = scene.follow(&batch);
        let _worker = scene.worker();
        scene.all_held(&mut batch).await;
        scene.registry.forget_requests();
        let known = scene.known_layers().await;
        scene.store.kill_api();
        batch.release();
        // The worker needs no API.
        let sql = scene.sql().await;
        wait::until("all intakes to end", async || {
            let open = "SELECT 1 FROM intakes WHERE state IN ('queued', 'running')";
            sql.query(open, &[]).await.unwrap().is_empty().then_some(())
        })
        .await;
        scene.store.start_api_again().await;
        scene.assert_followed(followers).await;
        scene.end(batch).await;
        scene.assert_not_read_again(&known);
    }
    scene.assert_sound().await;
}

/// Around the commit of a submission.
const ACCEPTING: [&str; 2] = ["publish.commit", "publish.committed"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_is_killed_while_it_accepts_is_asked_again_and_accepts_once() {
    let mut scene = Scene::set(SceneParts { api_program: true, ..SceneParts::default() }).await;
    for point in ACCEPTING {
        let submission = Submission::new(&scene, point).await;
        let mut hold = scene.points.hold(point, &scene.acme.id);
        let asking = tokio::spawn(submission.ask(&scene));
        hold.reached(1).await;
        scene.store.kill_api();
        assert!(asking.await.unwrap().is_none(), "{point}: nobody can have answered");
        hold.release();
        scene.store.start_api_again().await;
        submission.is_accepted_once(&mut scene).await;
    }
    let _worker = scene.worker();
    scene.all_end().await;
    scene.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_while_a_submission_is_accepted_has_it_once() {
    let mut server = OwnServer::start().await;
    let database = Some(server.database().await);
    let mut scene = Scene::set(SceneParts { database, api_program: true, ..SceneParts::default() }).await;
    for point in ACCEPTING {
        let submission = Submission::new(&scene, point).await;
        let mut hold = scene.points.hold(point, &scene.acme.id);
        let asking = tokio::spawn(submission.ask(&scene));
        hold.reached(1).await;
        server.kill().await;
        hold.release();
        let answer = asking.await.unwrap();
        server.start_again().await;
        let accepted = submission.is_accepted_once(&mut scene).await;
        match point {
            // What was not committed was not promised.
            "publish.commit" => assert_eq!(answer.map(|(status, _)| status), Some(503)),
            _ => assert_eq!(answer, Some((202, accepted))),
        }
    }
    let _worker = scene.worker();
    scene.all_end().await;
    scene.assert_sound().await;
}

/// One request to publish, with its key.
#[derive(Clone)]
struct Submission {
    key: String,
    body: Value,
}

impl Submission {
    async fn new(scene: &Scene, point: &str) -> Self {
        let name = point.replace('.', "-");
        let manifest = module_manifest(&name, "1.0.0");
        let image = Image::of_module(&manifest).push(&scene.registry.address, &format!("acme/{name}"), "1.0.0").await;
        let body =
            json!({"imageRef": image.reference, "manifest": manifest, "scope": "public", "orgId": scene.acme.id});
        Self { key: format!("key of {point}"), body }
    }

    /// Status and body; `None` when there was no answer.
    fn ask(&self, scene: &Scene) -> impl Future<Output = Option<(u16, Value)>> + Send + use<> {
        let request = scene.acme.developer.request(Method::POST, "/v1/modules/publish");
        let request = request.header("Idempotency-Key", &self.key).json(&self.body);
        async move {
            let answer = request.send().await.ok()?;
            Some((answer.status().as_u16(), answer.json().await.ok()?))
        }
    }

    /// Asked again, and once more: the answer is the same.
    async fn is_accepted_once(&self, scene: &mut Scene) -> Value {
        let (status, accepted) = self.ask(scene).await.unwrap();
        assert_eq!(status, 202, "{accepted}");
        assert_eq!(self.ask(scene).await, Some((202, accepted.clone())));
        assert!(text(&accepted["state"]) == "SUBMITTED");
        scene.was_accepted(&accepted);
        accepted
    }
}
