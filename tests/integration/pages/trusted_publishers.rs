//! The pages of trusted publishers and their tokens, with jobs that exchange theirs.

use serde_json::json;
use store_tests::store::text;

use super::browser::{Browser, action};
use crate::trusted_publishing::scene::{PUBLISHERS, Scene};

const FORM: [(&str, &str); 9] = [
    ("package", "sorter"),
    ("provider", "github"),
    ("repository", "acme/sorter"),
    ("repository_id", "75"),
    ("owner_id", "65"),
    ("workflow", ".github/workflows/release.yml"),
    ("environment", ""),
    ("ref", "refs/tags/v*"),
    ("issuer", ""),
];

fn with(other: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let value = |name: &str, own| other.iter().find(|(other, _)| *other == name).map_or(own, |(_, value)| *value);
    FORM.iter().map(|(name, own)| (*name, value(name, *own))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_bound_their_tokens_revoked_and_they_themselves_removed_on_their_pages() {
    let scene = Scene::new().await;
    let mut browser = Browser::new(scene.store.root.logged_out());
    browser.log_in("admin@acme.example.org", "/trusted-publishers").await;
    let page = browser.page("/trusted-publishers", 200).await;
    assert!(page.contains("acme/app (74, owner 65)") && page.contains("acme/tools/app (20, owner 72)"), "{page}");
    assert_eq!(browser.post("/trusted-publishers/acme", &FORM, "cross-site").await.status, 403);
    assert_eq!(browser.post("/trusted-publishers/acme", &FORM, "same-origin").await.status, 303);
    let gitlab = with(&[
        ("provider", "gitlab"),
        ("package", "lister"),
        ("workflow", ".gitlab-ci.yml"),
        ("environment", "production"),
    ]);
    assert_eq!(browser.post("/trusted-publishers/acme", &gitlab, "same-origin").await.status, 303);
    let bound = scene.acme.admin.get(PUBLISHERS).await.expect(200)["items"].clone();
    let package =
        |n: usize| (bound[n]["package"].clone(), bound[n]["provider"].clone(), bound[n]["environment"].clone());
    assert_eq!(package(2), (json!("sorter"), json!("github"), json!(null)));
    assert_eq!(package(3), (json!("lister"), json!("gitlab"), json!("production")));
    assert_eq!((&bound[2]["repository_id"], &bound[2]["ref"]), (&json!(75), &json!("refs/tags/v*")));

    // A live token is revoked.
    let id = text(&scene.publisher["id"]);
    let place = format!("/trusted-publishers/acme/{id}");
    assert!(browser.page(&place, 200).await.contains("No job was given a token yet."));
    let token = scene.publish_token().await;
    let page = browser.page(&place, 200).await;
    assert!(page.contains(">live<") && page.contains("refs/heads/main") && !page.contains(&token), "{page}");
    let revoke = action(&page, &format!("{place}/tokens/"));
    assert_eq!(browser.post(&revoke, &[], "cross-site").await.status, 403);
    assert_eq!(browser.post(&revoke, &[], "same-origin").await.status, 303);
    let page = browser.page(&place, 200).await;
    assert!(page.contains(">revoked<") && !page.contains("/revoke\""), "{page}");
    let tokens = scene.acme.admin.get(&format!("{PUBLISHERS}/{id}/tokens")).await.expect(200);
    assert!(tokens["items"][0]["revoked_at"].is_string());

    assert_eq!(browser.post(&format!("{place}/remove"), &[], "same-origin").await.status, 303);
    browser.page(&place, 404).await;
    assert!(!browser.page("/trusted-publishers", 200).await.contains("(74, owner 65)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binding_that_is_refused_says_at_which_field_and_keeps_the_others() {
    let scene = Scene::new().await;
    let mut browser = Browser::new(scene.store.root.logged_out());
    browser.log_in("admin@acme.example.org", "/trusted-publishers").await;
    for (faulty, status, fields) in [
        (with(&[("repository_id", "many"), ("owner_id", "0")]), 422, &["repository_id", "owner_id"][..]),
        (with(&[("package", "No Name")]), 422, &["package"]),
        (with(&[("provider", "jenkins")]), 422, &["provider"]),
        (with(&[("workflow", "../release.yml")]), 422, &["workflow"]),
        (with(&[("ref", "main")]), 422, &["ref"]),
        (with(&[("repository", "sorter")]), 422, &["repository"]),
        (with(&[("issuer", "https://evil.example")]), 422, &["issuer"]),
        // Already there: that is nobody's fault but the whole form's.
        (with(&[("package", "app"), ("repository_id", "74"), ("repository", "acme/app"), ("ref", "")]), 409, &[]),
    ] {
        let answer = browser.post("/trusted-publishers/acme", &faulty, "same-origin").await;
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(answer.status, status, "{faulty:?}: {page}");
        let fault_of = |field: &str| {
            let of_field = page.split(&format!("name=\"{field}\"")).nth(1).unwrap().split("</div>").next().unwrap();
            of_field.contains("role=\"alert\"")
        };
        for (field, value) in &faulty {
            assert_eq!(fault_of(field), fields.contains(field), "{field} of {faulty:?}: {page}");
            assert!(*field == "provider" || page.contains(&format!("value=\"{value}\"")), "{field} is lost: {page}");
        }
        let over_the_form = page.split("<h2>Bind a job</h2>").nth(1).unwrap().split("<form").next().unwrap();
        assert_eq!(over_the_form.contains("role=\"alert\""), fields.is_empty(), "{page}");
    }
    assert_eq!(scene.acme.admin.get(PUBLISHERS).await.expect(200)["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_trusted_publishers_are_for_administrators() {
    let scene = Scene::new().await;
    scene.store.organization("other").await;
    scene.publish_token().await;
    let id = text(&scene.publisher["id"]);
    let place = format!("/trusted-publishers/acme/{id}");
    let mut browser = Browser::new(scene.store.root.logged_out());
    for path in ["/trusted-publishers", &place] {
        assert_eq!(browser.ask(path).await.headers["location"], "/login?next=%2Ftrusted-publishers");
    }
    let tokens = scene.acme.admin.get(&format!("{PUBLISHERS}/{id}/tokens")).await.expect(200);
    let revoke = format!("{place}/tokens/{}/revoke", text(&tokens["items"][0]["id"]));
    for (who, status) in [("admin@other.example.org", 404), ("developer@acme.example.org", 403)] {
        browser.log_in(who, "/").await;
        browser.page("/trusted-publishers?org=acme", status).await;
        browser.page(&place, status).await;
        for path in ["/trusted-publishers/acme", &format!("{place}/remove"), &revoke] {
            assert_eq!(browser.post(path, &FORM, "same-origin").await.status, status, "{who} {path}");
        }
    }
    let tokens = scene.acme.admin.get(&format!("{PUBLISHERS}/{id}/tokens")).await.expect(200);
    assert_eq!(tokens["items"][0]["revoked_at"], json!(null));
}
