//! The proof by claims: a job whose owner the provider vouches for shows whose the namespaces below that owner's name are.

use chrono::TimeDelta;
use registry_types::identity_provider::CiProvider;
use registry_types::policy::{Policy, TrustedIssuer, TrustedPublishingPolicy};
use serde_json::{Value, json};
use store_tests::client::Answer;
use store_tests::clock;
use store_tests::identity_provider::IdentityProvider;
use store_tests::store::{Organization, text, unsigned_policy};
use store_tests::told;

use super::scene::{Claim, Scene, looked};

/// The owner `acme` has the number 65 with the provider, and the paths below `acme/` in the registry.
struct Forge {
    scene: Scene,
    provider: IdentityProvider,
}

impl Forge {
    async fn of(ci: CiProvider) -> Self {
        let scene = Scene::new().await;
        let forge = Self { provider: IdentityProvider::start().await, scene };
        forge.push_to(ci, Some(&forge.scene.registry.address.host)).await;
        forge
    }

    /// Which registry gives the provider's owners their paths.
    async fn push_to(&self, provider: CiProvider, registry: Option<&str>) {
        let issuer = self.provider.issuer().parse().unwrap();
        let issuers = vec![TrustedIssuer { provider, issuer, registry: registry.map(|host| host.parse().unwrap()) }];
        let trusted_publishing = TrustedPublishingPolicy { issuers, ..TrustedPublishingPolicy::default() };
        self.scene.store.set_policy(&Policy { trusted_publishing, ..unsigned_policy() }).await;
    }

    /// Binds the jobs of a repository of the owner with this number to the package `app`.
    async fn bind(&self, organization: &Organization, owner_id: i64) -> Value {
        let body = json!({
            "package": "app", "provider": "github", "repository": "acme/app", "repository_id": 74, "owner_id": owner_id,
            "workflow": ".github/workflows/release.yml",
        });
        organization.admin.post(&format!("/v1/orgs/{}/trusted-publishers", organization.slug), body).await.expect(201)
    }

    /// The exchange of a job of GitHub Actions that runs in a repository of this owner.
    async fn exchange(&self, organization: &Organization, owner: &str, owner_id: i64) -> Answer {
        self.exchange_claims(organization, github_job(owner, owner_id)).await
    }

    async fn exchange_claims(&self, organization: &Organization, job: Value) -> Answer {
        let anybody = self.scene.store.root.logged_out();
        let audience = text(&anybody.get("/v1/oidc/audience").await.expect(200)["audience"]);
        let claims = self.provider.claims(&audience, clock::now(&self.scene.store.database).await, &job);
        let body = json!({"token": self.provider.token(&claims), "organization": organization.slug, "package": "app"});
        anybody.post("/v1/oidc/exchange", body).await
    }

    async fn pass(&self, time: TimeDelta) {
        let later = clock::now(&self.scene.store.database).await + time;
        clock::set(&self.scene.store.database, later).await;
    }

    /// What housekeeping does: looks for every proof that is due.
    async fn look_for_what_is_due(&self) {
        let pool = registry_db::Pool::new(self.scene.store.database.url().clone(), 1).unwrap();
        let mut conn = pool.get().await.unwrap();
        let plan = async |conn: &mut registry_db::Connection| registry_db::namespace_proofs::request_due(conn).await;
        registry_db::transaction(&mut conn, plan).await.unwrap();
        looked(&self.scene.store).await;
    }

    /// Until the proof has been missing three times in a row.
    async fn lose_proof(&self) {
        self.pass(TimeDelta::days(7)).await;
        for _ in 0..3 {
            self.look_for_what_is_due().await;
            self.pass(TimeDelta::days(1)).await;
        }
    }
}

fn github_job(owner: &str, owner_id: i64) -> Value {
    let workflow = format!("{owner}/app/.github/workflows/release.yml@refs/heads/main");
    json!({
        "repository": format!("{owner}/app"), "repository_id": "74", "repository_owner": owner,
        "repository_owner_id": owner_id.to_string(), "workflow_ref": workflow, "job_workflow_ref": workflow,
        "ref": "refs/heads/main", "event_name": "push",
    })
}

async fn states<const N: usize>(claims: &[Claim<'_>; N]) -> Vec<String> {
    let mut states = Vec::new();
    for claim in claims {
        states.push(claim.state().await);
    }
    states
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_the_owner_proves_what_lies_below_the_owner_s_name_and_the_history_says_so() {
    let forge = Forge::of(CiProvider::GitHub).await;
    let acme = &forge.scene.acme;
    let publisher = text(&forge.bind(acme, 65).await["id"]);
    let claims = [
        forge.scene.claim(acme, "acme/*").await,
        forge.scene.claim(acme, "acme/app").await,
        forge.scene.claim(acme, "acme/app/*").await,
    ];
    // Of this one nobody has asked for a challenge.
    let plain = json!({"pattern": format!("{}/acme/plain/*", forge.scene.registry.address.host)});
    let plain = acme.admin.post("/v1/orgs/acme/registries", plain).await.expect(201);
    forge.scene.dry_run(acme).await.expect_problem(403, "REGISTRY_UNAUTHORIZED");
    // Providers tell apart no case; registries know lower case only.
    forge.exchange(acme, "Acme", 65).await.expect(200);
    assert_eq!(states(&claims).await, ["verified"; 3]);
    let plain = format!("/v1/orgs/acme/registries/{}", text(&plain["id"]));
    assert_eq!(acme.admin.get(&plain).await.expect(200)["state"], "verified");
    forge.scene.dry_run(acme).await.expect(200);
    told::assert_all_is_told(&forge.scene.store.database).await;

    let history = claims[0].history().await;
    assert_eq!((history.len(), &history[0]["state"], &history[0]["how"]), (1, &json!("verified"), &json!("claims")));
    assert_eq!(history[0]["actor"], format!("trusted_publisher:{publisher}"));
    let evidence = text(&history[0]["evidence"]);
    assert!(
        evidence.starts_with(&format!("{}, owner 65 (Acme), publish_token:", forge.provider.issuer())),
        "{evidence}"
    );
    // The claims stand in the audit log, under the token that the evidence names.
    let token = evidence.rsplit(", ").next().unwrap();
    let log = acme.admin.get(&format!("/v1/audit?org=acme&subject={token}")).await.expect(200);
    assert_eq!(log["items"][0]["details"]["claims"]["repository_owner_id"], "65");
    let approved = acme.admin.get("/v1/audit?org=acme&action=registry.approved").await.expect(200);
    assert_eq!(approved["items"].as_array().unwrap().len(), 4);
    assert_eq!(approved["items"][0]["details"]["how"], "claims");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_gitlab_proves_its_group_and_no_group_above_it() {
    let forge = Forge::of(CiProvider::GitLab).await;
    let acme = &forge.scene.acme;
    let body = json!({
        "package": "app", "provider": "gitlab", "repository": "acme/tools/app", "repository_id": 20, "owner_id": 72,
        "workflow": ".gitlab-ci.yml",
    });
    acme.admin.post("/v1/orgs/acme/trusted-publishers", body).await.expect(201);
    let claims = [
        forge.scene.claim(acme, "acme/tools/*").await,
        forge.scene.claim(acme, "acme/tools/app/*").await,
        forge.scene.claim(acme, "acme/*").await,
        forge.scene.claim(acme, "acme/toolshed/*").await,
        forge.scene.claim(acme, "acme/tools").await,
    ];
    let host = forge.provider.issuer().trim_start_matches("http://");
    let job = json!({
        "project_path": "acme/tools/app", "project_id": "20", "namespace_path": "acme/tools", "namespace_id": "72",
        "ci_config_ref_uri": format!("{host}/acme/tools/app//.gitlab-ci.yml@refs/heads/main"),
        "ref_path": "refs/heads/main", "pipeline_source": "push",
    });
    forge.exchange_claims(acme, job).await.expect(200);
    assert_eq!(states(&claims).await, ["verified", "verified", "pending", "pending", "pending"]);
    assert!(text(&claims[0].history().await[0]["evidence"]).contains("owner 72 (acme/tools)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_proven_beside_the_owner_s_name_on_another_host_or_by_what_may_not_act() {
    let forge = Forge::of(CiProvider::GitHub).await;
    let acme = &forge.scene.acme;
    forge.bind(acme, 65).await;
    let beside = [
        forge.scene.claim(acme, "acme-evil/*").await,
        forge.scene.claim(acme, "evil/acme/*").await,
        forge.scene.claim(acme, "acme").await,
    ];
    let elsewhere = acme.admin.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/acme/*"})).await.expect(201);
    let whole = json!({"pattern": format!("{}/*", forge.scene.registry.address.host)});
    acme.admin.post("/v1/orgs/acme/registries", whole).await.expect_problem(422, "REGISTRY_PATTERN_INVALID");
    forge.exchange(acme, "acme", 65).await.expect(200);
    assert_eq!(states(&beside).await, ["pending"; 3]);
    let elsewhere = format!("/v1/orgs/acme/registries/{}", text(&elsewhere["id"]));
    assert_eq!(acme.admin.get(&elsewhere).await.expect(200)["state"], "pending");

    let own = [forge.scene.claim(acme, "acme/*").await];
    // Of another owner, of a stranger's trigger, and of an organization that has bound nobody.
    forge.exchange(acme, "acme", 66).await.expect_problem(401, "IDENTITY_TOKEN_REFUSED");
    let mut pull_request = github_job("acme", 65);
    pull_request["event_name"] = json!("pull_request_target");
    forge.exchange_claims(acme, pull_request).await.expect_problem(401, "IDENTITY_TOKEN_REFUSED");
    let stranger = forge.scene.store.organization("stranger").await;
    let strangers = [forge.scene.claim(&stranger, "acme/*").await];
    forge.exchange(&stranger, "acme", 65).await.expect_problem(401, "IDENTITY_TOKEN_REFUSED");
    assert_eq!(
        (states(&own).await, states(&strangers).await),
        (vec!["pending".to_owned()], vec!["pending".to_owned()])
    );
    // Where nobody said which registry follows the provider's names, none is guessed.
    forge.push_to(CiProvider::GitHub, None).await;
    forge.exchange(acme, "acme", 65).await.expect(200);
    assert_eq!(states(&own).await, ["pending"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_organization_holds_is_not_proven_and_the_job_gets_its_token_all_the_same() {
    let forge = Forge::of(CiProvider::GitHub).await;
    let (acme, other) = (&forge.scene.acme, forge.scene.store.organization("other").await);
    forge.scene.store.allow(&other, &forge.scene.registry.address, "acme/team").await;
    forge.bind(acme, 65).await;
    let claims = [forge.scene.claim(acme, "acme/*").await, forge.scene.claim(acme, "acme/app").await];
    forge.exchange(acme, "acme", 65).await.expect(200);
    assert_eq!(states(&claims).await, ["pending", "verified"]);
    assert!(text(&claims[0].read().await["last_result"]).contains("another organization"));
    assert!(claims[0].history().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_two_organizations_at_the_same_time_prove_overlapping_namespaces_for_one() {
    let forge = Forge::of(CiProvider::GitHub).await;
    let (acme, other) = (&forge.scene.acme, forge.scene.store.organization("other").await);
    for organization in [acme, &other] {
        forge.bind(organization, 65).await;
    }
    let claims = [
        forge.scene.claim(acme, "acme/*").await,
        forge.scene.claim(&other, "acme/one/*").await,
        forge.scene.claim(&other, "acme/two/*").await,
    ];
    let (one, two) = tokio::join!(forge.exchange(acme, "acme", 65), forge.exchange(&other, "acme", 65));
    assert_eq!((one.status, two.status), (200, 200));
    let states = states(&claims).await;
    assert!(
        states == ["verified", "pending", "pending"] || states == ["pending", "verified", "verified"],
        "{states:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_renews_the_proof_and_a_new_owner_of_the_name_does_not() {
    let forge = Forge::of(CiProvider::GitHub).await;
    let acme = &forge.scene.acme;
    forge.bind(acme, 65).await;
    let claim = forge.scene.claim(acme, "acme/*").await;
    forge.exchange(acme, "acme", 65).await.expect(200);
    let first = claim.read().await["proven_at"].clone();
    // A release in the same week: nothing is looked for in the next.
    forge.pass(TimeDelta::days(6)).await;
    forge.exchange(acme, "acme", 65).await.expect(200);
    let renewed = claim.read().await["proven_at"].clone();
    assert_ne!(renewed, first);
    forge.pass(TimeDelta::days(6)).await;
    forge.look_for_what_is_due().await;
    assert_eq!(claim.read().await["misses"], 0);
    assert_eq!(claim.history().await.len(), 1, "a renewal is no news");
    told::assert_all_is_told(&forge.scene.store.database).await;

    // The account was deleted, and the name is somebody else's: another number, whoever bound it.
    forge.bind(acme, 66).await;
    forge.exchange(acme, "acme", 66).await.expect(200);
    let after = claim.read().await;
    assert_eq!(after["proven_at"], renewed);
    assert!(text(&after["last_result"]).contains("another owner"), "{after}");
    // So the proof is lost, the new owner does not lift that, and the old one does.
    forge.lose_proof().await;
    forge.exchange(acme, "acme", 66).await.expect(200);
    assert_eq!(claim.state().await, "suspended");
    forge.scene.dry_run(acme).await.expect_problem(403, "REGISTRY_PROOF_LOST");
    forge.exchange(acme, "acme", 65).await.expect(200);
    assert_eq!(claim.state().await, "verified");
    let history = claim.history().await;
    let how: Vec<_> = history.iter().map(|holding| text(&holding["how"])).collect();
    assert_eq!(how, ["claims", "proof_lost", "claims"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_suspended_or_refused_no_job_lifts() {
    let forge = Forge::of(CiProvider::GitHub).await;
    let (acme, root) = (&forge.scene.acme, &forge.scene.store.root);
    forge.bind(acme, 65).await;
    let claims = [forge.scene.claim(acme, "acme/*").await, forge.scene.claim(acme, "acme/app").await];
    let refusal = json!({"reason": "not yours"});
    root.post(&format!("{}/suspend", claims[0].path), json!({})).await.expect(200);
    root.post(&format!("{}/refuse", claims[1].path), refusal).await.expect(200);
    forge.exchange(acme, "acme", 65).await.expect(200);
    assert_eq!(states(&claims).await, ["suspended", "refused"]);
    // Nor by another pattern for the same repositories, nor by adding the same again.
    let narrower = [forge.scene.claim(acme, "acme/team/*").await];
    forge.exchange(acme, "acme", 65).await.expect(200);
    assert_eq!(states(&narrower).await, ["pending"]);
    assert!(text(&narrower[0].read().await["last_result"]).contains("a person has suspended"));
    acme.admin.delete(&claims[0].path).await.expect_problem(409, "CONFLICT");
    root.post(&format!("{}/approve", claims[0].path), json!({})).await.expect(200);
    forge.exchange(acme, "acme", 65).await.expect(200);
    assert_eq!(states(&narrower).await, ["verified"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_approved_stands_without_the_proof_that_a_job_has_shown() {
    let forge = Forge::of(CiProvider::GitHub).await;
    let acme = &forge.scene.acme;
    forge.bind(acme, 65).await;
    let claim = forge.scene.claim(acme, "acme/*").await;
    forge.scene.store.root.post(&format!("{}/approve", claim.path), json!({})).await.expect(200);
    forge.exchange(acme, "acme", 65).await.expect(200);
    assert!(claim.read().await["proven_at"].is_string());
    forge.lose_proof().await;
    assert_eq!((claim.read().await["misses"].clone(), claim.state().await), (json!(3), "verified".to_owned()));
    // And it is not looked for for ever.
    forge.pass(TimeDelta::days(30)).await;
    forge.look_for_what_is_due().await;
    assert_eq!(claim.read().await["misses"], 3);
}
