//! An organization's people, keys and log.

use serde_json::json;
use store_tests::store::Store;

use super::browser::{Browser, HOSTILE, action};

#[tokio::test]
async fn the_keys_of_an_organization() {
    use base64::Engine as _;
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    store.organization("other").await;
    let mut browser = Browser::new(store.root.logged_out());
    assert_eq!(browser.ask("/keys").await.headers["location"], "/login?next=%2Fkeys");
    browser.log_in("developer@acme.example.org", "/keys").await;
    assert!(browser.page("/keys", 200).await.contains("No key is enrolled yet"));
    let key = company_store::signing_key::SigningKey::generate().unwrap().public_key().unwrap();
    let der = base64::engine::general_purpose::STANDARD.encode(key.as_der());
    let enrolled = json!({"public_key": der, "label": HOSTILE});
    let enrolled = acme.admin.post("/v1/orgs/acme/keys", enrolled).await.expect(201);
    let page = browser.page("/keys?org=acme", 200).await;
    assert!(page.contains("enrolled") && page.contains("&#60;script&#62;") && !page.contains("revoked"), "{page}");
    let path = format!("/v1/orgs/acme/keys/{}/revoke", enrolled["id"].as_str().unwrap());
    acme.admin.post(&path, json!({"reason": HOSTILE, "from": "2026-03-01T00:00:00Z"})).await.expect(200);
    let page = browser.page("/keys", 200).await;
    assert!(page.contains("revoked") && page.contains("admin@acme.example.org"), "{page}");
    browser.page("/keys?org=other", 404).await;
}

#[tokio::test]
async fn members_and_their_roles_are_changed_on_their_page() {
    let store = Store::start_without_worker().await;
    store.organization("acme").await;
    store.organization("other").await;
    let mut browser = Browser::new(store.root.logged_out());
    assert_eq!(browser.ask("/members").await.headers["location"], "/login?next=%2Fmembers");
    browser.log_in("developer@acme.example.org", "/members").await;
    let page = browser.page("/members", 200).await;
    assert!(page.contains("admin@acme.example.org") && !page.contains("<select"), "{page}");
    let change = [("email", "developer@acme.example.org"), ("role", "admin")];
    assert_eq!(browser.post("/members/acme", &change, "same-origin").await.status, 403, "nobody promotes himself");
    browser.page("/members?org=other", 404).await;

    browser.log_in("admin@acme.example.org", "/members").await;
    let other = [("email", "developer@other.example.org"), ("role", "viewer")];
    assert_eq!(browser.post("/members/acme", &other, "cross-site").await.status, 403, "a page of another site");
    assert_eq!(browser.post("/members/acme", &other, "same-origin").await.status, 303);
    let page = browser.page("/members?org=acme", 200).await;
    assert!(page.contains("developer@other.example.org"), "{page}");
    let last = page.split("developer@other.example.org").last().unwrap();
    assert_eq!(browser.post(&action(last, "/members/acme/"), &[], "same-origin").await.status, 303);
    assert!(!browser.page("/members", 200).await.contains("developer@other.example.org"));
}

#[tokio::test]
async fn an_api_key_is_shown_once_and_revoked_on_its_page() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    acme.admin.post("/v1/orgs/acme/api-keys", json!({"label": HOSTILE})).await.expect(201);
    let mut browser = Browser::new(store.root.logged_out());
    browser.log_in("developer@acme.example.org", "/api-keys").await;
    let page = browser.page("/api-keys", 200).await;
    assert!(page.contains("You have no API key here"), "another's is not shown: {page}");
    let answer = browser.post("/api-keys/acme", &[("label", "pipeline"), ("days", "30")], "same-origin").await;
    let made = String::from_utf8(answer.body.to_vec()).unwrap();
    let key = made.split("<pre>").nth(1).unwrap().split('<').next().unwrap();
    assert_eq!(store.root.with_token(key).get("/v1/auth/me").await.status, 200);
    let page = browser.page("/api-keys", 200).await;
    assert!(page.contains("pipeline") && !page.contains(key), "{page}");

    browser.log_in("admin@acme.example.org", "/api-keys").await;
    assert!(browser.page("/api-keys", 200).await.contains("&#60;script&#62;"), "an administrator sees all of them");
    browser.log_in("developer@acme.example.org", "/api-keys").await;
    assert_eq!(browser.post(&action(&page, "/api-keys/acme/"), &[], "same-origin").await.status, 303);
    assert_eq!(store.root.with_token(key).get("/v1/auth/me").await.status, 401);
    assert!(browser.page("/api-keys", 200).await.contains("revoked"));
}

#[tokio::test]
async fn the_audit_log_of_an_organization_is_for_its_administrators() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    acme.admin.post("/v1/orgs/acme/api-keys", json!({"label": HOSTILE})).await.expect(201);
    let mut browser = Browser::new(store.root.logged_out());
    browser.log_in("developer@acme.example.org", "/audit").await;
    browser.page("/audit", 403).await;
    browser.log_in("admin@acme.example.org", "/audit").await;
    let page = browser.page("/audit", 200).await;
    assert!(
        page.contains("api_key.created") && page.contains("127.0.0.1") && page.contains("&#60;script&#62;"),
        "{page}"
    );
    let page = browser.page("/audit?org=acme&action=user.created&actor=&subject=", 200).await;
    assert!(page.contains("<h3>user.created</h3>") && !page.contains("<h3>api_key.created</h3>"), "{page}");
    let page = browser.page("/audit?limit=1", 200).await;
    let older = page.split("class=\"pages\"").nth(1).unwrap().split("href=\"").nth(1).unwrap();
    let older = older.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    assert!(browser.page(&older, 200).await.contains("<h3>user.created</h3>"), "{older}");
    browser.page("/audit?org=nobody", 404).await;
}
