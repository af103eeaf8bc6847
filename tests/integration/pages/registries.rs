//! Registry namespaces: their list, and the page of one with its proof.

use serde_json::{Value, json};
use store_tests::image::{Blob, Image};
use store_tests::registry::Registry;
use store_tests::store::{Store, text};
use store_tests::wait::until;

use super::browser::Browser;

#[tokio::test]
async fn namespaces_are_shown_to_their_organization() {
    let store = Store::start_without_worker().await;
    let organization = store.organization("acme").await;
    let mut browser = Browser::new(store.root.logged_out());
    assert_eq!(browser.ask("/registries").await.status, 303);
    browser.log_in("admin@acme.example.org", "/registries").await;
    assert!(browser.page("/registries", 200).await.contains("No namespace is onboarded yet"));
    let body = json!({"provider": "ghcr", "pattern": "ghcr.io/acme/*", "credential": {"username": "u", "token": "very-secret"}});
    organization.admin.post("/v1/orgs/acme/registries", body).await.expect(201);
    let page = browser.page("/registries?org=acme", 200).await;
    assert!(page.contains("ghcr.io/acme/*") && page.contains("pending") && page.contains("sealed credential"));
    assert!(!page.contains("very-secret"));
    browser.page("/registries?org=first", 404).await;
}

/// Pushes an image that carries the challenge.
async fn push(registry: &Registry, reference: &str, annotation: &str, nonce: &str) {
    let image = Image::new().layer().file("challenge", nonce).build();
    let mut manifest: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    manifest["annotations"] = json!({ annotation: nonce });
    let inside = reference.strip_prefix(&format!("{}/", registry.address.host)).unwrap();
    let (repository, tag) = inside.split_once(':').unwrap();
    for blob in image.layers.iter().chain([&image.config]) {
        registry.address.put_blob(repository, blob).await;
    }
    let manifest = Blob::new(image.manifest.media_type, manifest.to_string().into());
    registry.address.put_manifest(repository, tag, &manifest).await;
}

/// What a page says of `label`.
fn fact(page: &str, label: &str) -> String {
    let rest = page.split(&format!("<dt>{label}</dt><dd><code>")).nth(1);
    rest.unwrap_or_else(|| panic!("no {label}: {page}")).split('<').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_is_proven_on_its_page() {
    let (store, registry) = (Store::start().await, Registry::start().await);
    let acme = store.organization("acme").await;
    let body = json!({"pattern": format!("{}/acme/*", registry.address.host)});
    acme.admin.post("/v1/orgs/acme/registries", body).await.expect(201);
    let mut browser = Browser::new(store.root.logged_out());
    browser.log_in("admin@acme.example.org", "/registries").await;
    let list = browser.page("/registries", 200).await;
    let id = list.split("href=\"/registries/acme/").nth(1).unwrap().split('"').next().unwrap();
    let place = format!("/registries/acme/{id}");
    let page = browser.page(&place, 200).await;
    assert!(page.contains("Ask for a challenge") && page.contains("Nothing was decided about it yet"), "{page}");
    assert!(!page.contains("value=\"approve\"") && !page.contains("value=\"suspend\""), "a superuser's: {page}");
    let press = async |choice: &str| browser.post(&place, &[("choice", choice)], "same-origin").await.status;
    assert_eq!(press("prove").await, 409, "nobody asked for a challenge");
    assert_eq!(press("approve").await, 403);
    assert_eq!(press("challenge").await, 303);
    let page = browser.page(&place, 200).await;
    let (reference, annotation, nonce) = (fact(&page, "Push to"), fact(&page, "Annotation"), fact(&page, "Nonce"));
    assert!(page.contains(&format!("oras push {reference}")), "{page}");
    assert!(page.contains(&format!("--annotation {annotation}={nonce}")), "{page}");

    let looks = async |result: &str| {
        assert_eq!(press("prove").await, 303);
        until("the last look to be shown", async || {
            let page = browser.page(&place, 200).await;
            page.contains(result).then_some(page)
        })
        .await
    };
    looks("IMAGE_NOT_FOUND").await;
    push(&registry, &reference, &annotation, &nonce).await;
    let proven = looks("Found.").await;
    assert!(
        proven.contains("badge verified") && proven.contains("sha256:") && proven.contains("challenge"),
        "{proven}"
    );
    assert_eq!(press("test").await, 303);
    until("the test to be shown", async || browser.page(&place, 200).await.contains("reachable: yes").then_some(()))
        .await;
}

#[tokio::test]
async fn superusers_refuse_approve_and_suspend_a_namespace_on_its_page() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    store.organization("other").await;
    let made = acme.admin.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/acme/*"})).await.expect(201);
    let id = text(&made["id"]);
    let place = format!("/registries/acme/{id}");
    let state = async || text(&acme.admin.get(&format!("/v1/orgs/acme/registries/{id}")).await.expect(200)["state"]);
    let mut browser = Browser::new(store.root.logged_out());
    assert_eq!(browser.ask(&place).await.headers["location"], "/login?next=%2Fregistries");

    // A developer reads; what proves it is the administrators' matter, and strangers see nothing.
    acme.admin.post(&format!("/v1/orgs/acme/registries/{id}/challenge"), json!({})).await.expect(201);
    browser.log_in("developer@acme.example.org", "/").await;
    let page = browser.page(&place, 200).await;
    assert!(!page.contains("Nonce") && !page.contains("name=\"choice\""), "{page}");
    for choice in ["challenge", "prove", "test", "approve", "suspend", "refuse", "reopen"] {
        assert_eq!(browser.post(&place, &[("choice", choice)], "same-origin").await.status, 403, "{choice}");
    }
    browser.log_in("admin@other.example.org", "/").await;
    browser.page(&place, 404).await;
    browser.page(&format!("/registries/other/{id}"), 404).await;
    assert_eq!(browser.post(&place, &[("choice", "prove")], "same-origin").await.status, 404);

    browser.log_in("root@example.org", "/").await;
    let page = browser.page(&place, 200).await;
    assert!(page.contains(">Refuse<") && page.contains(">Approve<"), "{page}");
    assert_eq!(browser.post(&place, &[("choice", "approve")], "cross-site").await.status, 403);
    assert_eq!(browser.post(&place, &[("choice", "refuse")], "same-origin").await.status, 400, "without a reason");
    for (choice, expected, button) in [
        ("refuse", "refused", ">Ask for it anew<"),
        ("reopen", "pending", ">Refuse<"),
        ("approve", "verified", ">Suspend<"),
        ("suspend", "suspended", ">Approve<"),
    ] {
        let form = [("choice", choice), ("reason", "<whose> is it?")];
        assert_eq!(browser.post(&place, &form, "same-origin").await.status, 303);
        assert_eq!(state().await, expected);
        assert!(browser.page(&place, 200).await.contains(button), "{button}");
    }
    let page = browser.page(&place, 200).await;
    assert_eq!(page.matches("data-label=\"State\"").count(), 4, "{page}");
    assert!(page.contains("data-label=\"By\">person<"), "{page}");
    assert!(page.contains("whose&#62; is it?"), "{page}");
}
