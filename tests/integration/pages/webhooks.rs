//! The pages of webhooks, with a receiver that really hears.

use serde_json::json;
use store_tests::client::Answer;
use store_tests::store::{Store, text};
use store_tests::told;
use store_tests::webhook_receiver::Reply;

use super::browser::{Browser, HOSTILE, action};
use crate::webhooks::scene::Scene;

fn html(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// What stands in the page's box for what is shown once.
fn disclosed(page: &str) -> String {
    page.split("<pre>")
        .nth(1)
        .unwrap_or_else(|| panic!("nothing disclosed: {page}"))
        .split('<')
        .next()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_added_tried_paused_and_removed_on_its_page() {
    let scene = Scene::set_with(|settings| settings.webhooks.retry_seconds = Vec::new()).await;
    let mut browser = Browser::new(scene.store.root.logged_out());
    browser.log_in("admin@acme.example.org", "/webhooks").await;
    assert!(browser.page("/webhooks", 200).await.contains("Nobody is told of anything yet."));
    let url = scene.receiver.url();
    let form = [("url", &*url), ("description", HOSTILE), ("events", "registry.created, registry.approved")];
    assert_eq!(browser.post("/webhooks/acme", &form, "cross-site").await.status, 403, "another site's form");
    let made = html(&browser.post("/webhooks/acme", &form, "same-origin").await);
    let secret = disclosed(&made);
    assert!(secret.starts_with("whsec_") && made.contains("registry.created, registry.approved"), "{made}");
    let page = browser.page("/webhooks", 200).await;
    assert!(page.contains("&#60;script&#62;") && !page.contains("whsec_"), "{page}");
    let place = page.split("href=\"/webhooks/acme/").nth(1).unwrap().split('"').next().unwrap();
    let id = place.to_owned();
    let place = format!("/webhooks/acme/{id}");
    assert!(!browser.page(&place, 200).await.contains("whsec_"), "it is shown once");

    // What failed is seen, and replayed.
    scene.receiver.answer(&[Reply::Status(500)]);
    let press = async |choice: &str| browser.post(&place, &[("choice", choice)], "same-origin").await.status;
    assert_eq!(press("test").await, 303);
    scene.newest(&id, "failed").await;
    let page = browser.page(&place, 200).await;
    assert!(page.contains("webhook.ping") && page.contains("500, STATUS") && page.contains(">failing<"), "{page}");
    assert!(browser.page(&format!("{place}?state=delivered"), 200).await.contains("There is none."));
    let replay = action(&page, &format!("{place}/deliveries/"));
    assert_eq!(browser.post(&replay, &[], "same-origin").await.status, 303);
    scene.newest(&id, "delivered").await;
    assert!(scene.receiver.received().iter().all(|received| received.is_signed_by(&secret)));
    assert_eq!(press("replay_failed").await, 303);

    // A new secret, shown once; deliveries carry both signatures.
    let rotated = browser.post(&format!("{place}/rotate-secret"), &[("overlap_hours", "")], "same-origin").await;
    let rotated = disclosed(&html(&rotated));
    assert_ne!(rotated, secret);
    assert_eq!(press("test").await, 303);
    scene.quiet().await;
    let last = scene.receiver.received().pop().unwrap();
    assert!(last.is_signed_by(&rotated) && last.is_signed_by(&secret));

    assert_eq!(press("pause").await, 303);
    let page = browser.page(&place, 200).await;
    assert!(page.contains("paused by a person") && !page.contains("value=\"test\""), "{page}");
    assert_eq!(press("test").await, 409);
    assert_eq!(press("resume").await, 303);
    assert_eq!(scene.webhook(&id).await["enabled"], true);
    assert_eq!(press("remove").await, 303);
    browser.page(&place, 404).await;
    told::assert_all_is_told(&scene.store.database).await;
}

#[tokio::test]
async fn a_webhook_that_is_refused_loses_nothing_of_what_was_filled_in() {
    let scene = Scene::without_worker().await;
    let mut browser = Browser::new(scene.store.root.logged_out());
    browser.log_in("admin@acme.example.org", "/webhooks").await;
    for (url, events, fault) in [
        ("ftp://hooks.example.org/", "version.active", "http"),
        ("https://hooks.example.org/", "version.active version.exploded", "Expected one of"),
    ] {
        let form = [("url", url), ("description", "our own"), ("events", events)];
        let answer = browser.post("/webhooks/acme", &form, "same-origin").await;
        let page = html(&answer);
        assert_eq!(answer.status, 422, "{page}");
        for kept in [url, "our own", events] {
            assert!(page.contains(&format!("value=\"{kept}\"")), "{kept}: {page}");
        }
        let shown = page.split("role=\"alert\">").nth(1).unwrap().split('<').next().unwrap();
        assert!(shown.to_lowercase().contains(&fault.to_lowercase()), "{shown}");
    }
    assert_eq!(scene.count("webhooks").await, 0);
}

#[tokio::test]
async fn the_pages_of_webhooks_are_for_administrators() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    store.organization("other").await;
    let webhook = json!({"url": "https://hooks.example.org/"});
    let id = text(&acme.admin.post("/v1/orgs/acme/webhooks", webhook).await.expect(201)["id"]);
    let place = format!("/webhooks/acme/{id}");
    let mut browser = Browser::new(store.root.logged_out());
    for path in ["/webhooks", &place] {
        assert_eq!(browser.ask(path).await.headers["location"], "/login?next=%2Fwebhooks");
    }
    let form = [("url", "https://elsewhere.example.org/"), ("description", ""), ("events", "")];
    let posts: [(&str, &[(&str, &str)]); 3] =
        [("/webhooks/acme", &form), (&place, &[("choice", "remove")]), (&place, &[("choice", "pause")])];
    for (who, status) in [("admin@other.example.org", 404), ("developer@acme.example.org", 403)] {
        browser.log_in(who, "/webhooks").await;
        browser.page("/webhooks?org=acme", status).await;
        browser.page(&place, status).await;
        for (path, form) in posts {
            assert_eq!(browser.post(path, form, "same-origin").await.status, status, "{who} {path}");
        }
    }
    // Nor by way of an organization of one's own.
    browser.log_in("admin@other.example.org", "/webhooks").await;
    browser.page(&format!("/webhooks/other/{id}"), 404).await;
    let webhooks = acme.admin.get("/v1/orgs/acme/webhooks").await.expect(200);
    assert_eq!((webhooks["items"].as_array().unwrap().len(), &webhooks["items"][0]["enabled"]), (1, &json!(true)));
}
