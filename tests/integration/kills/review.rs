//! The worker is killed with -9 while it writes what a person decided.

use serde_json::json;
use store_tests::store::text;
use store_tests::wait;

use super::scene::{Scene, SceneParts};

/// Around each step of the job: what lies in the object store is written, then all rows, then the commit.
const POINTS: [&str; 4] = ["review.loaded", "review.stored", "review.commit", "review.committed"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_s_decision_survives_a_worker_that_is_killed_at_any_point() {
    let mut scene = Scene::set(SceneParts::default()).await;
    scene.store.root.patch("/v1/orgs/acme", json!({"trust_tier": "community"})).await.expect(200);
    for point in POINTS {
        let worker = scene.worker();
        let batch = scene.publish(&["nowhere.never"]).await;
        let (intake, package) = (batch.held[0].intake.to_string(), batch.held[0].package.clone());
        assert_eq!(scene.acme.intake_end(&intake).await["outcome"], "in_review", "{point}");
        drop(worker);

        let waiting = scene.store.root.get("/v1/reviews").await.expect(200)["items"][0].clone();
        let (id, version) = (text(&waiting["id"]), format!("/v1/packages/{package}/versions/1.0.0"));
        let mut hold = scene.points.hold(point, &id);
        let decision = json!({"verdict": waiting["verdict"], "digest": waiting["digest"]});
        scene.store.root.post(&format!("/v1/reviews/{id}/approve"), decision).await.expect(202);
        let worker = scene.worker();
        hold.reached(1).await;
        drop(worker);
        let expected = if point == "review.committed" { "active" } else { "in_review" };
        assert_eq!(scene.acme.developer.get(&version).await.expect(200)["state"], expected, "{point}");

        scene.leases_run_out().await;
        hold.release();
        let _next = scene.worker();
        wait::until("the decision to be written", async || {
            let review = scene.store.root.get(&format!("/v1/reviews/{id}")).await.expect(200);
            (!review["settled_at"].is_null()).then_some(())
        })
        .await;
        assert_eq!(scene.acme.developer.get(&version).await.expect(200)["state"], "active", "{point}");
        // Written once, and no second decision asked for.
        let sql = scene.sql().await;
        let count = async |what: &str| sql.query_one(what, &[&id]).await.unwrap().get::<_, i64>(0);
        let verdicts = "SELECT count(*) FROM verdicts WHERE review_id = $1::text::uuid";
        assert_eq!(count(verdicts).await, 1, "{point}");
        let entries = "SELECT count(*) FROM audit_entries WHERE action = 'version.reviewed' AND subject = \
                       (SELECT 'version:' || version_id FROM reviews WHERE id = $1::text::uuid)";
        assert_eq!(count(entries).await, 1, "{point}");
        wait::until("the job to be gone", async || {
            let jobs = "SELECT count(*) FROM jobs WHERE kind = 'review' AND payload::text LIKE '%' || $1 || '%'";
            (count(jobs).await == 0).then_some(())
        })
        .await;
        let passed = scene.points.passed(&id);
        assert!(POINTS.iter().all(|point| passed.contains_key(*point)), "{passed:?}");
    }
    assert_eq!(scene.store.root.get("/v1/reviews").await.expect(200)["items"], json!([]));
}
