//! What the policy demands, by the organization's trust tier.

use registry_types::people::TrustTier;
use registry_types::policy::{NamespacePolicy, NamespaceProofDemand, Policy};
use reqwest::Method;
use serde_json::json;
use store_tests::client::Answer;
use store_tests::store::{Organization, Store, module_manifest, text, unsigned_policy};

use super::scene::Scene;

const TIERS: [TrustTier; 3] = [TrustTier::Community, TrustTier::Verified, TrustTier::Internal];

async fn demand(store: &Store, tier: TrustTier, demand: NamespaceProofDemand) {
    let mut namespaces = NamespacePolicy::default();
    let of_tier = match tier {
        TrustTier::Community => &mut namespaces.community,
        TrustTier::Verified => &mut namespaces.verified,
        TrustTier::Internal => &mut namespaces.internal,
    };
    *of_tier = demand;
    store.set_policy(&Policy { namespaces, ..unsigned_policy() }).await;
}

async fn dry_run(organization: &Organization) -> Answer {
    let image = format!("ghcr.io/{}/app:1", organization.slug);
    let body = json!({"imageRef": image, "manifest": module_manifest("app", "1.0.0"), "dryRun": true});
    Answer::to(organization.developer.request(Method::POST, "/v1/modules/publish").json(&body)).await
}

/// Every value for every tier: what it demands it demands of that tier, and of no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tier_demands_a_proof_never_for_approval_or_for_publishing() {
    let store = Store::start_without_worker().await;
    let mut organizations = Vec::new();
    for tier in TIERS {
        let organization = store.organization_of_tier(&format!("of-{tier}"), tier.as_str()).await;
        let pattern = json!({"pattern": format!("ghcr.io/{}/*", organization.slug)});
        let path = format!("/v1/orgs/{}/registries", organization.slug);
        // As the default leaves it: a person's word suffices.
        assert_eq!(store.root.post(&path, pattern).await.expect(201)["state"], "verified");
        organizations.push((tier, organization, path));
    }
    for value in [NamespaceProofDemand::Never, NamespaceProofDemand::ForApproval, NamespaceProofDemand::ForPublishing] {
        for demanded_of in TIERS {
            demand(&store, demanded_of, value).await;
            for (tier, organization, path) in &organizations {
                let (is_for_approval, is_for_publishing) = match value {
                    _ if *tier != demanded_of => (false, false),
                    NamespaceProofDemand::Never => (false, false),
                    NamespaceProofDemand::ForApproval => (true, false),
                    NamespaceProofDemand::ForPublishing => (true, true),
                };
                let case = format!("{value} of {demanded_of}, asked by {tier}");
                let pattern = json!({"pattern": format!("quay.io/{}-{value}-{demanded_of}/*", organization.slug)});
                let made = store.root.post(path, pattern).await.expect(201);
                assert_eq!(made["state"], if is_for_approval { "pending" } else { "verified" }, "{case}");
                let approved = store.root.post(&format!("{path}/{}/approve", text(&made["id"])), json!({})).await;
                match is_for_approval {
                    true => drop(approved.expect_problem(403, "REGISTRY_PROOF_REQUIRED")),
                    false => drop(approved.expect(200)),
                }
                match is_for_publishing {
                    true => drop(dry_run(organization).await.expect_problem(403, "REGISTRY_PROOF_REQUIRED")),
                    false => drop(dry_run(organization).await.expect(200)),
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_proof_is_demanded_a_challenge_meets_the_demand_while_it_is_found() {
    let scene = Scene::new().await;
    let claim = scene.claim(&scene.acme, "acme/*").await;
    let approve = async || scene.store.root.post(&format!("{}/approve", claim.path), json!({})).await;
    approve().await.expect(200);
    demand(&scene.store, TrustTier::Internal, NamespaceProofDemand::ForPublishing).await;
    approve().await.expect_problem(403, "REGISTRY_PROOF_REQUIRED");
    let refused = scene.dry_run(&scene.acme).await.expect_problem(403, "REGISTRY_PROOF_REQUIRED");
    assert!(text(&refused["detail"]).contains("company-store registry challenge"), "{refused}");

    scene.push(&claim.challenge, &claim.nonce()).await;
    claim.look(&scene.store).await;
    scene.dry_run(&scene.acme).await.expect(200);
    approve().await.expect(200);

    // A person's approval stands when the proof goes; what the policy demands is no longer there.
    scene.push(&claim.challenge, "another").await;
    for misses in 1..=3 {
        scene.dry_run(&scene.acme).await.expect(200);
        assert_eq!(claim.look(&scene.store).await["misses"], misses);
    }
    assert_eq!(claim.state().await, "verified");
    scene.dry_run(&scene.acme).await.expect_problem(403, "REGISTRY_PROOF_REQUIRED");
    approve().await.expect_problem(403, "REGISTRY_PROOF_REQUIRED");
}
