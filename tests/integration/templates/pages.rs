//! The pages of templates and companies, as a browser without script sees them.

use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::store::{Organization, Store, text};

use super::over_http::publish_and_wait;

const STUDIO: &str = include_str!("../../../examples/templates/software-studio.json");

fn studio() -> Value {
    serde_json::from_str(STUDIO).unwrap()
}

async fn page(client: &StoreClient, path: &str) -> (u16, String) {
    let request = client.logged_out().request(Method::GET, path);
    let answer = Answer::to(match client.token() {
        Some(token) => request.header("cookie", format!("session={token}")),
        None => request,
    })
    .await;
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
}

async fn submit(organization: &Organization, form: &[(&str, &str)]) -> Answer {
    let client = &organization.developer;
    let request = client.logged_out().request(Method::POST, "/companies/import");
    let cookie = format!("session={}", client.token().unwrap());
    Answer::to(request.header("cookie", cookie).header("sec-fetch-site", "same-origin").form(form)).await
}

/// Every opened list and item is closed again, in order.
fn assert_balanced(html: &str) {
    let mut open = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let tag: String = rest[start + 1..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
        rest = &rest[start + 1..];
        match tag.as_str() {
            "ul" | "ol" | "li" | "section" | "div" => open.push(tag),
            "/ul" | "/ol" | "/li" | "/section" | "/div" => {
                assert_eq!(open.pop().as_deref(), tag.strip_prefix('/'), "{rest:.80}")
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} not closed");
}

#[tokio::test]
async fn a_template_is_shown_planned_and_made_a_company() {
    let store = Store::start().await;
    let acme = store.organization("acme").await;
    let mut template = studio();
    // Text of a template is text.
    template["agents"][0]["name"] = json!("<script>alert(1)</script>");
    let intake = publish_and_wait(&acme, &template, "public").await;
    assert_eq!(intake["outcome"], "active", "{intake}");

    let (status, html) = page(&acme.developer.logged_out(), "/packages/acme/software-studio").await;
    assert_eq!(status, 200);
    for shown in
        ["Tech Lead", "Every screen answers within 200 milliseconds", "First version", "Set up continuous delivery"]
    {
        assert!(html.contains(shown), "{shown} is missing");
    }
    assert!(!html.contains("<script") && html.contains("script&#62;alert(1)"), "not escaped");
    assert_balanced(&html);

    let form = [("org", "acme"), ("package", "acme/software-studio"), ("name", "")];
    let planned = submit(&acme, &[&form[..], &[("action", "plan")]].concat()).await;
    let html = String::from_utf8(planned.body.to_vec()).unwrap();
    assert!(planned.status == 200 && html.contains("Nothing was made yet") && html.contains("8 agents"));
    assert_balanced(&html);
    let (_, html) = page(&acme.developer, "/companies").await;
    assert!(html.contains("has no companies yet"));

    let made = submit(&acme, &[&form[..], &[("action", "import")]].concat()).await;
    assert_eq!(made.status, 303);
    let place = made.headers["location"].to_str().unwrap().to_owned();
    let (status, html) = page(&acme.developer, &place).await;
    assert_eq!(status, 200);
    for shown in
        ["Software Studio", "Reliability and Security", "5,050.00 a month in all", "Restore a backup", "issue created"]
    {
        assert!(html.contains(shown), "{shown} is missing");
    }
    assert_balanced(&html);
    let (_, html) = page(&acme.developer, "/companies").await;
    assert!(html.contains(&place));

    let refused =
        submit(&acme, &[("org", "acme"), ("package", "acme/none-such"), ("name", ""), ("action", "import")]).await;
    assert_eq!(refused.status, 404);
    assert!(String::from_utf8(refused.body.to_vec()).unwrap().contains("Nothing was made: template not found."));
}

#[tokio::test]
async fn strangers_are_sent_to_the_login_or_see_nothing() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let other = store.organization("other-org").await;
    let body = json!({"organization": "acme", "template": studio()});
    let made = acme.developer.post("/api/templates/import", body).await.expect(201);
    let place = format!("/companies/{}", text(&made["company"]));
    assert_eq!(page(&other.developer, &place).await.0, 404);
    assert_eq!(page(&other.developer, "/companies?org=acme").await.0, 404);
    for path in ["/companies", "/companies/import", &place] {
        assert_eq!(page(&acme.developer.logged_out(), path).await.0, 303, "{path}");
    }
    // Another site's page cannot use the cookie.
    let request = acme.developer.logged_out().request(Method::POST, "/companies/import");
    let cookie = format!("session={}", acme.developer.token().unwrap());
    let form = [("org", "acme"), ("package", "acme/software-studio"), ("name", ""), ("action", "import")];
    let answer = Answer::to(request.header("cookie", cookie).header("sec-fetch-site", "cross-site").form(&form)).await;
    assert_eq!(answer.status, 403);
}
