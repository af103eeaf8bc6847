//! What a publish token is good for: its package, for minutes, and nothing else.

use chrono::TimeDelta;
use registry_api::rights::Operation;
use registry_types::policy::{ManifestSignaturePolicy, Policy};
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::clock;
use store_tests::image::Image;
use store_tests::registry::Registry;
use store_tests::store::{module_manifest, text};

use super::scene::{PUBLISHERS, Scene, github_job};
use crate::commands::Program;

async fn publish(client: &StoreClient, token: &str, name: &str, image: &str) -> Answer {
    let body = json!({"imageRef": image, "manifest": module_manifest(name, "1.0.0"), "orgId": "acme"});
    Answer::to(client.request(Method::POST, "/v1/modules/publish").bearer_auth(token).json(&body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_both_providers_publish_by_the_command_until_the_version_is_active() {
    let scene = Scene::new().await;
    let registry = Registry::start().await;
    scene.store.allow(&scene.acme, &registry.address, "acme").await;
    let runner = Program::new(&scene.store);
    let gitlab_token = scene.gitlab.token(&scene.gitlab_claims(json!({})).await);
    let github = scene.github.github_environment(&github_job()).map(|(name, value)| (name, value));
    let gitlab = [("STORE_TOKEN", gitlab_token)];
    for (version, variables, more) in
        [("1.0.0", &github[..], &[][..]), ("1.1.0", &gitlab[..], &["--oidc-token-env", "STORE_TOKEN"][..])]
    {
        let manifest = module_manifest("app", version);
        runner.write("manifest.json", &manifest.to_string());
        let image = Image::of_module(&manifest).push(&registry.address, "acme/app", version).await.reference;
        let command = [&["publish", &*image, "--trusted", "--org", "acme", "--watch"], more].concat();
        let output = runner.run_in(&command, variables).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = format!("/v1/packages/acme/app/versions/{version}");
        assert_eq!(scene.acme.developer.get(&path).await.expect(200)["state"], "active");
    }
    // It stands in the audit log with the credential, which leads to the claims.
    let page = scene.acme.admin.get("/v1/audit?org=acme&action=version.submitted").await.expect(200);
    let submitted = &page["items"][0];
    let token = text(&submitted["credential"]);
    assert_eq!(submitted["actor"], *token);
    let issued = scene.acme.admin.get("/v1/audit?org=acme&action=publish_token.issued").await.expect(200);
    assert_eq!(issued["items"][0]["subject"], *token);
    assert_eq!(issued["items"][0]["details"]["claims"]["project_id"], "20");
    // Without a job there is nothing to show.
    let output = runner.run(&["publish", "ghcr.io/acme/app:2", "--trusted", "--org", "acme"]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("id-token: write"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_token_is_good_for_its_package_and_nothing_else() {
    let mut scene = Scene::new().await;
    scene.publish_token().await;
    scene.store.stop_workers();
    for path in ["ghcr.io/acme/*", "ghcr.io/other/*"] {
        let organization = path.split('/').nth(1).unwrap();
        if organization == "other" {
            scene.store.organization("other").await;
        }
        let path = json!({"pattern": path});
        scene.store.root.post(&format!("/v1/orgs/{organization}/registries"), path).await.expect(201);
    }
    let anybody = scene.nobody();
    let other_s = scene.acme.publish(&module_manifest("another", "1.0.0"), "ghcr.io/acme/another:1").await.expect(202);
    // The worker has gone, the keys are read.
    let token = scene.publish_token().await;
    let own = publish(&anybody, &token, "app", "ghcr.io/acme/app:1").await.expect(202);

    publish(&anybody, &token, "another", "ghcr.io/acme/another:1").await.expect_problem(403, "FORBIDDEN");
    let elsewhere =
        json!({"imageRef": "ghcr.io/other/app:1", "manifest": module_manifest("app", "1.0.0"), "orgId": "other"});
    let elsewhere = anybody.request(Method::POST, "/v1/modules/publish").bearer_auth(&token).json(&elsewhere);
    Answer::to(elsewhere).await.expect_problem(403, "FORBIDDEN");
    publish(&anybody, &token, "app", "ghcr.io/evil/app:1").await.expect_problem(403, "REGISTRY_UNAUTHORIZED");

    let own = text(&own["publishId"]);
    let others = text(&other_s["publishId"]);
    for path in ["/v1/intakes/", "/v1/modules/publish/", "/v1/api/modules/publish/"] {
        let get = |id: &str| Answer::to(anybody.request(Method::GET, &format!("{path}{id}")).bearer_auth(&token));
        get(&own).await.expect(200);
        get(&others).await.expect_problem(404, "NOT_FOUND");
    }
    assert_eq!(refusals(&anybody, &token, &own).await, Vec::<String>::new());
    // Nor does it show more of what is open to everybody.
    for path in ["/v1/packages", "/v1/packages/acme/app", "/v2/", "/v2/acme/app/manifests/1.0.0"] {
        let answer = Answer::to(anybody.request(Method::GET, path).bearer_auth(&token)).await;
        assert!(matches!(answer.status, 401 | 403), "{path}: {answer:?}");
    }
    let jobs: Vec<_> = Operation::ALL.iter().filter(|operation| operation.rule().is_for_jobs).map(|o| o.id()).collect();
    assert_eq!(jobs.len(), 6, "{jobs:?}");
}

/// Every operation that is not for jobs refuses the token, whichever way it is sent.
async fn refusals(client: &StoreClient, token: &str, intake: &str) -> Vec<String> {
    let api = serde_json::to_value(registry_api::openapi()).unwrap();
    let mut faults = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap_or_default();
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            // Pages and documents that ask nobody who they are answer whoever asks.
            let has_security = operation["security"].as_array().is_some_and(|security| !security.is_empty());
            if !has_security || Operation::named(id).is_some_and(|operation| operation.rule().is_for_jobs) {
                continue;
            }
            let mut path = path.replace("{org}", "acme").replace("{publisher}", "acme").replace("{name}", "app");
            path = path.replace("{version}", "1.0.0");
            while let (Some(start), Some(end)) = (path.find('{'), path.find('}')) {
                path.replace_range(start..=end, intake);
            }
            for request in [
                client.request(method.clone(), &path).bearer_auth(token),
                client.request(method.clone(), &path).header("X-API-Key", token),
                client.request(method.clone(), &path).basic_auth("job", Some(token)),
            ] {
                let answer = Answer::to(request.json(&json!({}))).await;
                if !matches!(answer.status, 401 | 403) {
                    faults.push(format!("{id} answers {}", answer.status));
                }
            }
        }
    }
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_token_ends_by_time_by_revocation_and_with_its_publisher() {
    let scene = Scene::new().await;
    scene.store.root.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/acme/*"})).await.expect(201);
    let anybody = scene.nobody();
    let dry_run = async |token: &str| {
        let body =
            json!({"imageRef": "ghcr.io/acme/app:1", "manifest": module_manifest("app", "1.0.0"), "dryRun": true});
        Answer::to(anybody.request(Method::POST, "/v1/modules/publish").bearer_auth(token).json(&body)).await
    };
    let publisher = format!("{PUBLISHERS}/{}", text(&scene.publisher["id"]));
    let (by_time, revoked) = (scene.publish_token().await, scene.publish_token().await);
    dry_run(&by_time).await.expect(200);
    dry_run(&revoked).await.expect(200);

    // Listed without the token itself, with what the job said it is; the newest first.
    let listed = scene.acme.admin.get(&format!("{publisher}/tokens")).await.expect(200);
    assert!(!listed.to_string().contains("cs_pub_"), "{listed}");
    let tokens = listed["items"].as_array().unwrap();
    assert_eq!((tokens.len(), &tokens[0]["claims"]["repository_id"]), (2, &json!("74")));
    let path = format!("{publisher}/tokens/{}", text(&tokens[0]["id"]));
    scene.acme.developer.delete(&path).await.expect_problem(403, "FORBIDDEN");
    scene.acme.admin.delete(&path).await.expect(204);
    dry_run(&revoked).await.expect_problem(401, "UNAUTHENTICATED");
    dry_run(&by_time).await.expect(200);

    let now = clock::now(&scene.store.database).await;
    clock::set(&scene.store.database, now + TimeDelta::minutes(15)).await;
    dry_run(&by_time).await.expect_problem(401, "UNAUTHENTICATED");

    let orphaned = scene.publish_token().await;
    dry_run(&orphaned).await.expect(200);
    scene.acme.admin.delete(&publisher).await.expect(204);
    dry_run(&orphaned).await.expect_problem(401, "UNAUTHENTICATED");
    let token = scene.github.token(&scene.github_claims(json!({})).await);
    scene.exchange(&token).await.expect_problem(401, "IDENTITY_TOKEN_REFUSED");
}

/// No secret has to lie in the pipeline: where a manifest must be signed, the bound job stands for the signature, unless the
/// policy says otherwise. A signature that is there is judged all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_job_stands_for_the_manifest_s_signature_where_the_policy_lets_it() {
    let scene = Scene::new().await;
    scene.store.root.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/acme/*"})).await.expect(201);
    scene.store.root.patch("/v1/orgs/acme", json!({"trust_tier": "verified"})).await.expect(200);
    let pool = registry_db::Pool::new(scene.store.database.url().clone(), 1).unwrap();
    let policy = registry_db::store_settings::policy(&mut pool.get().await.unwrap()).await.unwrap();
    let signed = Policy { manifest_signatures: ManifestSignaturePolicy::default(), ..policy };
    let anybody = scene.nobody();
    let token = scene.publish_token().await;
    let dry_run = async |credential: &str, manifest: Value| {
        let body = json!({"imageRef": "ghcr.io/acme/app:1", "manifest": manifest, "dryRun": true, "orgId": "acme"});
        Answer::to(anybody.request(Method::POST, "/v1/modules/publish").bearer_auth(credential).json(&body)).await
    };
    let manifest = || module_manifest("app", "1.0.0");
    scene.store.set_policy(&signed).await;
    dry_run(&token, manifest()).await.expect(200);
    dry_run(scene.acme.developer.token().unwrap(), manifest()).await.expect_problem(422, "MANIFEST_UNSIGNED");
    let mut forged = manifest();
    forged["signature"] = json!("AAAA");
    assert_ne!(dry_run(&token, forged).await.status, 200);

    let mut strict = signed;
    strict.trusted_publishing.stands_for_manifest_signature = false;
    scene.store.set_policy(&strict).await;
    dry_run(&token, manifest()).await.expect_problem(422, "MANIFEST_UNSIGNED");
}
