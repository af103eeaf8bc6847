//! The issuer's keys: read when they are needed, not more often, and never guessed.

use chrono::TimeDelta;
use serde_json::json;
use store_tests::clock;
use store_tests::identity_provider::{Fault, SigningKey};

use super::scene::Scene;

impl Scene {
    async fn wait(&self, seconds: i64) {
        let later = clock::now(&self.store.database).await + TimeDelta::seconds(seconds);
        clock::set(&self.store.database, later).await;
    }

    async fn status(&self) -> u16 {
        let token = self.github.token(&self.github_claims(json!({})).await);
        self.exchange(&token).await.status
    }

    /// A worker reads the keys when the first publisher is bound; that is over.
    async fn keys_are_read(&self) {
        assert_eq!(self.status().await, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_read_once_and_a_new_one_when_it_is_named() {
    let scene = Scene::new().await;
    scene.keys_are_read().await;
    let asked = scene.github.requests();
    for _ in 0..3 {
        assert_eq!(scene.status().await, 200);
    }
    assert_eq!(scene.github.requests(), asked);

    // A rotation, to a key of another kind: asked again, but not within a minute of the last time.
    scene.github.rotate("key-2", SigningKey::ecdsa());
    assert_eq!(scene.status().await, 401);
    assert_eq!(scene.github.requests(), asked);
    scene.wait(61).await;
    assert_eq!(scene.status().await, 200);
    assert_eq!(scene.github.requests(), asked + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_key_does_not_count_any_more() {
    let scene = Scene::new().await;
    scene.keys_are_read().await;
    let (id, old) = scene.github.key();
    scene.github.rotate("key-2", SigningKey::rsa());
    scene.wait(61).await;
    assert_eq!(scene.status().await, 200);
    let stolen = old.sign(&json!({"alg": "RS256", "kid": id}), &scene.github_claims(json!({})).await);
    scene.exchange(&stolen).await.expect_problem(401, "IDENTITY_TOKEN_REFUSED");
}

/// An issuer that cannot be asked says nothing about a token: 503, so that the job tries again, and never 401.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_down_is_an_outage_and_no_refusal() {
    let scene = Scene::new().await;
    scene.keys_are_read().await;
    // What is known still serves; what is not known cannot be told.
    scene.github.answer_with(Some(Fault::Unavailable));
    assert_eq!(scene.status().await, 200);
    scene.wait(61).await;
    let unknown = scene.github.token(&scene.github_claims(json!({})).await);
    let (id, key) = scene.github.key();
    let other = key.sign(&json!({"alg": "RS256", "kid": format!("{id}-other")}), &scene.github_claims(json!({})).await);
    let refused = scene.exchange(&other).await;
    assert_eq!(refused.headers["retry-after"], "2");
    refused.expect_problem(503, "UNAVAILABLE");
    scene.exchange(&unknown).await.expect(200);
    // It is not asked again at once.
    let asked = scene.github.requests();
    scene.exchange(&other).await.expect_problem(503, "UNAVAILABLE");
    assert_eq!(scene.github.requests(), asked);
    // The same token counts when its issuer is back, unless it has no such key.
    scene.github.answer_with(None);
    scene.wait(11).await;
    scene.exchange(&other).await.expect_problem(401, "IDENTITY_TOKEN_REFUSED");
    // After a day without an answer the keys are not used any more: the issuer may have withdrawn them.
    scene.github.stop();
    scene.wait(24 * 3600 + 1).await;
    assert_eq!(scene.status().await, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_s_documents_are_read_within_limits_and_from_itself() {
    let scene = Scene::new().await;
    scene.keys_are_read().await;
    for fault in [
        Fault::Redirect,
        Fault::AnotherIssuer,
        Fault::KeysElsewhere,
        Fault::LargeKeySet,
        Fault::TooManyKeys,
        Fault::NoJson,
    ] {
        scene.github.answer_with(Some(fault));
        // So that what was read before does not serve.
        scene.wait(24 * 3600 + 1).await;
        let asked = scene.github.requests();
        assert_eq!(scene.status().await, 503, "{fault:?}");
        assert!(scene.github.requests() > asked, "{fault:?}");
        scene.github.answer_with(None);
        scene.wait(11).await;
        assert_eq!(scene.status().await, 200, "{fault:?}");
    }
}

/// Without a worker nobody asks the issuer: nothing is known about the token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_worker_nothing_is_known() {
    let mut scene = Scene::new().await;
    scene.keys_are_read().await;
    scene.store.stop_workers();
    scene.wait(24 * 3600 + 1).await;
    assert_eq!(scene.status().await, 503);
}
