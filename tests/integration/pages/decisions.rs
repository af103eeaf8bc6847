//! What people decide about packages.

use serde_json::json;
use store_tests::store::Store;

use super::browser::{Browser, HOSTILE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reviews_are_decided_on_their_page() {
    let scene = store_tests::advised::Scene::set(&store_tests::advised::coverage()).await;
    scene.trust("community").await;
    let mut manifest = store_tests::store::module_manifest("ranker", "1.0.0");
    manifest["permissions"] = json!({"network": ["api.example.org"]});
    let image = store_tests::image::Image::new().debian_12().layer().hla_module(&manifest);
    let reference = scene.push("ranker", &image).await;
    assert_eq!(scene.acme.intake(&manifest, &reference).await["outcome"], "in_review");

    let mut browser = Browser::new(scene.store.root.logged_out());
    assert_eq!(browser.ask("/reviews").await.headers["location"], "/login?next=%2Freviews");
    browser.log_in("developer@acme.example.org", "/reviews").await;
    let page = browser.page("/reviews", 200).await;
    assert!(page.contains("acme/ranker 1.0.0") && page.contains("api.example.org is new"), "{page}");
    assert!(!page.contains("<button name=\"choice\""), "a publisher looks, and does not decide: {page}");
    browser.log_in("admin@acme.example.org", "/reviews").await;
    assert!(!browser.page("/reviews", 200).await.contains("<button name=\"choice\""), "nor does its administrator");
    scene.trust("internal").await;
    let page = browser.page("/reviews", 200).await;
    assert!(page.contains("<button name=\"choice\""), "but in the platform's own organizations: {page}");
    scene.trust("community").await;
    browser.log_in("root@example.org", "/reviews").await;
    let page = browser.page("/reviews", 200).await;
    let field = |name: &str| {
        let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let (verdict, digest) = (field("verdict"), field("digest"));
    let action = page.split("action=\"/reviews/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let action = format!("/reviews/{action}");
    let form = [("choice", "approve"), ("verdict", &*verdict), ("digest", &*digest), ("reason", "")];
    assert_eq!(browser.post(&action, &form, "cross-site").await.status, 403, "another site's form");
    assert_eq!(browser.post(&action, &form, "same-origin").await.status, 303);
    store_tests::wait::until("the version to be active", async || {
        (scene.state("ranker").await == "active").then_some(())
    })
    .await;
    assert!(browser.page("/reviews", 200).await.contains("Nothing waits."));
}

#[tokio::test]
async fn waivers_are_decided_on_their_page() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let waiver = json!({
        "advisory": "CVE-2026-1", "component": {"package": "pkg:pypi/jinja2", "before": "3.2"}, "reason": "fix_planned",
        "statement": HOSTILE, "days": 7,
    });
    acme.developer.post("/v1/orgs/acme/waivers", waiver).await.expect(201);
    let mut browser = Browser::new(store.root.logged_out());
    browser.log_in("developer@acme.example.org", "/waivers").await;
    let page = browser.page("/waivers", 200).await;
    assert!(page.contains("CVE-2026-1") && page.contains("pkg:pypi/jinja2 before 3.2"), "{page}");
    assert!(!page.contains("value=\"approve\"") && page.contains("value=\"withdraw\""), "{page}");
    browser.log_in("admin@acme.example.org", "/waivers").await;
    let page = browser.page("/waivers", 200).await;
    let action = page.split("action=\"/waivers/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let answer = browser.post(&format!("/waivers/{action}"), &[("choice", "approve")], "same-origin").await;
    assert_eq!(answer.status, 303, "{answer:?}");
    assert!(browser.page("/waivers", 200).await.contains("admin@acme.example.org"));
}
