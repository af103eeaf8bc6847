//! Which tokens count: everything that a token says is checked, and who shows a wrong one learns nothing.

use serde_json::{Value, json};
use store_tests::clock;
use store_tests::identity_provider::{IdentityProvider, SigningKey, unsigned};

use super::scene::{Scene, github_binding};

/// All refusals look the same.
const REFUSED: &str = "IDENTITY_TOKEN_REFUSED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_both_providers_are_given_a_token_once() {
    let scene = Scene::new().await;
    for (provider, claims) in
        [(&scene.github, scene.github_claims(json!({})).await), (&scene.gitlab, scene.gitlab_claims(json!({})).await)]
    {
        let token = provider.token(&claims);
        let given = scene.exchange(&token).await.expect(200);
        assert_eq!(given["package"], "acme/app");
        let entry = scene.last_entry().await;
        assert_eq!(entry["action"], "publish_token.issued");
        assert_eq!(entry["details"]["claims"]["jti"], claims["jti"]);
        assert!(entry["actor"].as_str().unwrap().starts_with("trusted_publisher:"), "{entry}");

        // The same identity token again, and once more: refused, and told once.
        let replayed = scene.exchange(&token).await.expect_problem(401, REFUSED);
        let entry = scene.last_entry().await;
        assert_eq!(
            (&entry["action"], &entry["details"]["reason"]),
            (&json!("publish_token.refused"), &json!("replayed"))
        );
        let again = scene.exchange(&token).await.expect_problem(401, REFUSED);
        assert_eq!(scene.last_entry().await["id"], entry["id"]);
        assert_eq!(replayed["detail"], again["detail"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_exchanges_of_one_identity_token_at_the_same_time_one_wins() {
    let scene = Scene::new().await;
    let token = scene.github.token(&scene.github_claims(json!({})).await);
    let (one, two) = tokio::join!(scene.exchange(&token), scene.exchange(&token));
    assert_eq!([one.status.min(two.status), one.status.max(two.status)], [200, 401]);
}

/// A job that is not the bound one in a single claim is given nothing. Who asks is told the same every time; the
/// organization's audit log tells which claim it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_claim_that_differs_refuses_and_only_the_audit_log_tells_which() {
    let scene = Scene::new().await;
    let workflow =
        |repository: &str, file: &str| json!(format!("{repository}/.github/workflows/{file}@refs/heads/main"));
    let no_match = |claim: &str| json!({"reason": "no_match", "differs_in": claim});
    let mut answers = Vec::new();
    for (other, reason) in [
        // A repository of the same name that was made anew, or moved to another owner.
        (json!({"repository_id": "75"}), no_match("repository_id")),
        (json!({"repository_owner_id": "66"}), no_match("owner_id")),
        (json!({"workflow_ref": workflow("acme/app", "other.yml")}), no_match("workflow")),
        (json!({"workflow_ref": workflow("evil/app", "release.yml")}), json!({"reason": "claims"})),
        (json!({"job_workflow_ref": workflow("evil/lib", "release.yml")}), json!({"reason": "claims"})),
        (json!({"event_name": "pull_request_target"}), json!({"reason": "claims"})),
        (json!({"event_name": "pull_request"}), json!({"reason": "claims"})),
        (json!({"event_name": "workflow_run"}), json!({"reason": "claims"})),
        (json!({"event_name": null}), json!({"reason": "claims"})),
        (json!({"repository_id": 74}), json!({"reason": "claims"})),
    ] {
        let token = scene.github.token(&scene.github_claims(other.clone()).await);
        answers.push(scene.exchange(&token).await.expect_problem(401, REFUSED));
        assert_refused(&scene, &other, &reason, 0).await;
    }
    for (other, reason) in [
        (json!({"project_id": "21"}), no_match("repository_id")),
        (json!({"namespace_id": "73"}), no_match("owner_id")),
        (json!({"environment": "staging"}), no_match("environment")),
        (json!({"environment": null}), no_match("environment")),
        (json!({"ref_path": "refs/heads/v1"}), no_match("ref")),
        (json!({"pipeline_source": "merge_request_event"}), json!({"reason": "claims"})),
        (json!({"ci_config_ref_uri": null}), json!({"reason": "claims"})),
        (
            json!({"ci_config_ref_uri": "gitlab.com/acme/tools/app//.gitlab-ci.yml@refs/tags/v1.0.0"}),
            json!({"reason": "claims"}),
        ),
    ] {
        let token = scene.gitlab.token(&scene.gitlab_claims(other.clone()).await);
        answers.push(scene.exchange(&token).await.expect_problem(401, REFUSED));
        assert_refused(&scene, &other, &reason, 1).await;
    }
    // Another package, another organization, and one that is not there.
    scene.store.organization("other").await;
    for (organization, package) in [("acme", "another"), ("other", "app"), ("nobody", "app")] {
        let token = scene.github.token(&scene.github_claims(json!({})).await);
        answers.push(scene.exchange_for(&token, organization, package).await.expect_problem(401, REFUSED));
    }
    for answer in &answers {
        assert_eq!(answer["detail"], answers[0]["detail"]);
    }
}

/// `publisher` is the place of the bound one that should have matched.
async fn assert_refused(scene: &Scene, other: &Value, reason: &Value, publisher: usize) {
    let entry = scene.last_entry().await;
    assert_eq!((&entry["action"], &entry["actor"]), (&json!("publish_token.refused"), &json!("anonymous")), "{other}");
    assert_eq!(entry["details"]["reason"], reason["reason"], "{other}: {entry}");
    if reason["reason"] == "no_match" {
        assert_eq!(entry["details"]["publishers"][publisher]["differs_in"], reason["differs_in"], "{other}: {entry}");
    }
}

/// A repository that only got another name is the one that was bound; names are shown and prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_repository_is_still_the_bound_one() {
    let scene = Scene::new().await;
    let renamed = json!({
        "repository": "acme-inc/application", "repository_owner": "acme-inc",
        "workflow_ref": "acme-inc/application/.github/workflows/release.yml@refs/heads/main",
        "job_workflow_ref": "acme-inc/application/.github/workflows/release.yml@refs/heads/main",
    });
    let token = scene.github.token(&scene.github_claims(renamed).await);
    scene.exchange(&token).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_current_token_of_a_trusted_issuer_for_this_store_counts() {
    let scene = Scene::new().await;
    let now = clock::now(&scene.store.database).await.timestamp();
    let audience = scene.audience().await;
    for other in [
        json!({"exp": now - 40}),
        json!({"nbf": now + 60}),
        json!({"iat": now + 60}),
        json!({"exp": null}),
        json!({"nbf": null}),
        json!({"iat": null}),
        json!({"exp": "soon"}),
        json!({"jti": null}),
        json!({"jti": ""}),
        json!({"aud": "https://elsewhere.example.org"}),
        json!({"aud": [audience, "https://elsewhere.example.org"]}),
        json!({"aud": format!("{audience}/")}),
        json!({"aud": null}),
        json!({"iss": "https://token.actions.githubusercontent.com"}),
        json!({"iss": scene.gitlab.issuer()}),
        json!({"iss": null}),
    ] {
        let token = scene.github.token(&scene.github_claims(other.clone()).await);
        let answer = scene.exchange(&token).await;
        assert_eq!((answer.status, &answer.json()["code"]), (401, &json!(REFUSED)), "{other}");
    }
    // Clocks that differ a little, and an audience in a list of its own.
    for other in [json!({"exp": now - 5}), json!({"iat": now + 10, "nbf": now + 10}), json!({"aud": [audience]})] {
        let token = scene.github.token(&scene.github_claims(other.clone()).await);
        assert_eq!(scene.exchange(&token).await.status, 200, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_issuer_s_own_signature_counts() {
    let scene = Scene::new().await;
    let (id, key) = scene.github.key();
    let claims = scene.github_claims(json!({})).await;
    let good = key.sign(&json!({"alg": "RS256", "kid": id}), &claims);
    let parts: Vec<&str> = good.split('.').collect();
    let stranger = IdentityProvider::start().await;
    let (other, ecdsa) = (SigningKey::rsa(), SigningKey::ecdsa());
    for (what, token) in [
        ("no signature", unsigned(&id, &claims)),
        ("a signature cut off", format!("{}.{}.", parts[0], parts[1])),
        ("the public key as a secret", key.sign_with_public_key_as_secret(&id, &claims)),
        ("another key under the same id", other.sign(&json!({"alg": "RS256", "kid": id}), &claims)),
        ("another kind of key under the same id", ecdsa.sign(&json!({"alg": "ES256", "kid": id}), &claims)),
        ("an algorithm that the key is not for", key.sign(&json!({"alg": "ES256", "kid": id}), &claims)),
        ("an algorithm that is not taken", key.sign(&json!({"alg": "PS256", "kid": id}), &claims)),
        ("an algorithm that nobody knows", key.sign(&json!({"alg": "RS1", "kid": id}), &claims)),
        ("no key id", key.sign(&json!({"alg": "RS256"}), &claims)),
        ("an unknown extension", key.sign(&json!({"alg": "RS256", "kid": id, "crit": ["b64"], "b64": false}), &claims)),
        ("a key in the header", other.sign(&json!({"alg": "RS256", "kid": "new", "jku": stranger.issuer()}), &claims)),
        ("claims of another token", format!("{}.{}.{}", parts[0], stranger_part(&scene, &key, &id).await, parts[2])),
        (
            "an issuer that nobody trusts",
            stranger.token(&stranger.claims(&scene.audience().await, chrono::Utc::now(), &json!({}))),
        ),
        ("no token", "cs_at_x".to_owned()),
        ("nothing", String::new()),
        ("too long a token", "x".repeat(20_000)),
    ] {
        let answer = scene.exchange(&token).await;
        assert_eq!((answer.status, &answer.json()["code"]), (401, &json!(REFUSED)), "{what}");
    }
    assert_eq!(stranger.requests(), 0, "a stranger was asked for its keys");
    scene.exchange(&good).await.expect(200);
}

async fn stranger_part(scene: &Scene, key: &SigningKey, id: &str) -> String {
    let other = scene.github_claims(json!({"run_id": "another"})).await;
    key.sign(&json!({"alg": "RS256", "kid": id}), &other).split('.').nth(1).unwrap().to_owned()
}

/// Two repositories of one package: each job is matched for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_may_have_several_publishers() {
    let scene = Scene::new().await;
    let mut second = github_binding();
    second["repository_id"] = json!(80);
    let path = super::scene::PUBLISHERS;
    let second = scene.acme.admin.post(path, second).await.expect(201);
    let token = scene.github.token(&scene.github_claims(json!({"repository_id": "80"})).await);
    scene.exchange(&token).await.expect(200);
    assert_eq!(scene.last_entry().await["details"]["publisher"], second["id"]);
}
