//! The store, its packages and intakes, logging in, and what is not there.

use serde_json::json;
use store_tests::shelf::{Shelf, described};
use store_tests::store::Store;

use super::browser::{Browser, HOSTILE};

#[tokio::test]
async fn the_store_and_its_search() {
    let store = Store::start_without_worker().await;
    let browser = Browser::new(store.root.logged_out());
    assert!(browser.page("/", 200).await.contains("Nothing is published here yet"));
    let shelf = Shelf::of(&store.database).await;
    let acme = shelf.organization("acme", "verified").await;
    for n in 0..60 {
        let package = shelf.package(acme, &format!("tool-{n}"), "hla-compass.module", "public").await;
        shelf.version(package, "1.0.0", "active", &described(&format!("Tool {n}"), HOSTILE, &["a b&c"])).await;
    }
    let page = browser.page("/", 200).await;
    assert!(page.contains("Tool 59") && page.contains("&#60;script&#62;"));
    assert!(page.contains("/?tag=a%20b%26c"));
    let next = page.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap().split('"').next().unwrap();
    assert!(browser.page(&next.replace("&#38;", "&"), 200).await.contains("Tool 0"));
    let found = browser.page("/?q=tool+17&kind=&format=hla-compass.module&tier=", 200).await;
    assert!(found.contains("/packages/acme/tool-17") && !found.contains("/packages/acme/tool-18"));
    assert!(browser.page("/?q=zebra", 200).await.contains("No package that you may see fits"));
    assert!(browser.page(&format!("/?q={}", "%3Cscript%3E"), 200).await.contains("&#60;script&#62;"));
    browser.page("/?kind=zebra", 400).await;
    let publisher = browser.page("/publishers/acme", 200).await;
    assert!(publisher.contains("verified") && publisher.contains("/packages/acme/tool-59"));
    browser.page("/publishers/nobody", 404).await;
}

#[tokio::test]
async fn a_package_says_what_was_checked_and_by_whom_it_is_signed() {
    let store = Store::start_without_worker().await;
    let browser = Browser::new(store.root.logged_out());
    let shelf = Shelf::of(&store.database).await;
    let acme = shelf.organization("acme", "verified").await;
    let tool = shelf.package(acme, "tool", "hla-compass.module", "public").await;
    let version = shelf.version(tool, "1.0.0", "active", &described(HOSTILE, HOSTILE, &[])).await;
    let image = shelf.image(&store.objects(), version, b"layer").await;
    shelf.refresh(tool.id).await;
    let candidate = json!({"outcome": "accepted", "subject": "ci@acme.example", "issuer": "https://issuer.example"});
    let signed = json!({"policy": "required", "images": [{"candidates": [candidate]}]});
    let warning =
        json!([{"code": "SECURITY_SCAN_FAILED", "rule": "vulnerabilities.warn_at=MEDIUM", "message": "a medium one"}]);
    let checks = [
        ("signature", "pass", json!([]), signed),
        ("vulnerabilities", "warn", warning.clone(), json!({"snapshot": 1, "note": HOSTILE})),
    ];
    shelf.intake(tool, version, &json!({"decision": "active", "warnings": []}), &checks).await;
    let finding = json!({"advisory": "GHSA-1", "aliases": [], "severity": "MEDIUM", "summary": HOSTILE, "purl": "pkg:pypi/x@1",
        "package": "x", "version": "1", "fixed_version": "2", "layer": image.digest, "path": "usr/x"});
    let insert = "INSERT INTO findings (version_id, ordinal, advisory, severity, purl, finding) VALUES ($1, 0, 'GHSA-1', 'MEDIUM', 'p', $2)";
    shelf.sql.execute(insert, &[&version.0, &finding]).await.unwrap();
    let component = json!({"purl": "pkg:pypi/x@1", "ecosystem": "pypi", "ecosystem_release": "", "name": "x", "version": "1",
        "source_name": "x", "source_version": "1", "license": "MIT", "layer": image.digest, "path": "usr/x"});
    let insert = "INSERT INTO components (version_id, ordinal, purl, ecosystem, name, source_name, component) \
                  VALUES ($1, 0, 'pkg:pypi/x@1', 'pypi', 'x', 'x', $2)";
    shelf.sql.execute(insert, &[&version.0, &component]).await.unwrap();
    shelf.version(tool, "0.9.0", "yanked", &described("Old", "", &[])).await;
    shelf.version(tool, "2.0.0", "rejected", &described("Refused", "", &[])).await;

    let page = browser.page("/packages/acme/tool", 200).await;
    let pull = format!("docker pull {}/acme/tool@{}", store.url().authority(), image.digest);
    for expected in [
        pull.as_str(),
        "Signed by <code>ci@acme.example</code>",
        "A medium one.",
        "GHSA-1",
        "sbom?format=cyclonedx",
        "/v1/packages/acme/tool/versions/1.0.0/verdict",
        "/packages/acme/tool/0.9.0",
        "yanked",
    ] {
        assert!(page.contains(expected), "lacks {expected}: {page}");
    }
    assert!(!page.contains("2.0.0"), "a stranger does not see a refused version");
    assert_eq!(browser.page("/packages/acme/tool/1.0.0", 200).await, page);
    let yanked = browser.page("/packages/acme/tool/0.9.0", 200).await;
    assert!(yanked.contains("took this version back") && !yanked.contains("docker pull"));
    browser.page("/packages/acme/tool/2.0.0", 404).await;
    browser.page("/packages/acme/tool/9.9.9", 404).await;
    browser.page("/packages/acme/none", 404).await;

    let item = browser.client.get("/v1/packages/acme/tool/versions/1.0.0").await.expect(200);
    assert_eq!(item["checks"][1]["reasons"][0]["message"], "a medium one");
    assert_eq!(item["package"]["name"], "acme/tool");
    let signatures = browser.client.get("/v1/packages/acme/tool/versions/1.0.0/signatures").await.expect(200);
    assert_eq!(signatures["evidence"]["images"][0]["candidates"][0]["subject"], "ci@acme.example");
    let findings = browser.client.get("/v1/packages/acme/tool/versions/1.0.0/findings").await.expect(200);
    assert_eq!(findings["items"][0]["fixed_version"], "2");
    let components = browser.client.get("/v1/packages/acme/tool/versions/1.0.0/components").await.expect(200);
    assert_eq!(components["items"][0]["purl"], "pkg:pypi/x@1");
    let verdict = browser.client.get("/v1/packages/acme/tool/versions/1.0.0/verdict").await;
    assert_eq!(verdict.headers["content-type"], "application/vnd.dsse.envelope.v1+json");
    assert_eq!(verdict.expect(200)["payloadType"], "application/vnd.in-toto+json");
}

#[tokio::test]
async fn a_refused_intake_says_first_why() {
    let store = Store::start_without_worker().await;
    let organization = store.organization("acme").await;
    let shelf = Shelf::of(&store.database).await;
    let tool = shelf.package(organization.id.parse().unwrap(), "tool", "hla-compass.module", "public").await;
    let version = shelf.version(tool, "1.0.0", "rejected", &described("Tool", "", &[])).await;
    let reason = json!({"code": "SECURITY_SCAN_FAILED", "rule": "vulnerabilities.reject_at=HIGH", "message": "x 1 has CVE-1",
        "package": "x", "file": "usr/lib/x", "layer": "sha256:abc", "fix": "update x to 2"});
    let decision = json!({"decision": "rejected", "code": "SECURITY_SCAN_FAILED", "reasons": [reason], "warnings": []});
    let checks = [("vulnerabilities", "fail", json!([reason]), json!({}))];
    let intake = shelf.intake(tool, version, &decision, &checks).await;
    let path = format!("/intakes/{intake}");

    let mut browser = Browser::new(store.root.logged_out());
    let sent_away = browser.ask(&path).await;
    assert_eq!(sent_away.status, 303);
    let form = sent_away.headers["location"].to_str().unwrap().to_owned();
    assert!(browser.page(&form, 200).await.contains(&format!("value=\"{path}\"")));
    let logged_in = browser.log_in("developer@acme.example.org", &path).await;
    assert_eq!(logged_in.headers["location"], path.as_str());
    let page = browser.page(&path, 200).await;
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("lacks {text}: {page}"));
    for expected in ["X 1 has CVE-1.", "vulnerabilities.reject_at=HIGH", "usr/lib/x", "sha256:abc", "Update x to 2."] {
        assert!(place("Refused:") < place(expected) && place(expected) < place("id=\"checks\""), "{expected}");
    }
    assert!(page.contains("developer@acme.example.org") && !page.contains("http-equiv=\"refresh\""));

    let mut stranger = Browser::new(store.root.logged_out());
    store.organization("other").await;
    stranger.log_in("developer@other.example.org", "/").await;
    stranger.page(&path, 404).await;

    shelf.sql.execute("UPDATE intakes SET state = 'running', step = 'scan', finished_at = NULL", &[]).await.unwrap();
    let open = browser.page(&path, 200).await;
    assert!(open.contains("http-equiv=\"refresh\"") && open.contains("Under way"));
}

#[tokio::test]
async fn logging_in_and_out() {
    let store = Store::start_without_worker().await;
    store.organization("acme").await;
    let mut browser = Browser::new(store.root.logged_out());
    browser.page("/login", 200).await;
    let form = [("email", "admin@acme.example.org"), ("password", "wrong"), ("next", "/")];
    let refused = browser.post("/login", &form, "same-origin").await;
    assert_eq!(refused.status, 401);
    let text = String::from_utf8_lossy(&refused.body);
    assert!(text.contains("E-mail address or password is wrong.") && text.contains("admin@acme.example.org"));
    assert!(!refused.headers.contains_key("set-cookie") && !text.contains("value=\"wrong\""));
    let right = [("email", "admin@acme.example.org"), ("password", "a password of the tests"), ("next", "/")];
    assert_eq!(browser.post("/login", &right, "cross-site").await.status, 403, "another site cannot log anybody in");
    let elsewhere = browser.log_in("admin@acme.example.org", "//evil.example").await;
    assert_eq!(elsewhere.headers["location"], "/");
    assert!(browser.page("/", 200).await.contains("Log out"));
    assert_eq!(browser.post("/logout", &[], "cross-site").await.status, 403);
    assert_eq!(browser.post("/logout", &[], "same-origin").await.status, 303);
    assert_eq!(browser.ask("/registries").await.status, 303, "the cookie no longer works");
}

#[tokio::test]
async fn what_is_not_there_is_a_page_for_people_and_json_for_programs() {
    let store = Store::start_without_worker().await;
    let browser = Browser::new(store.root.logged_out());
    assert!(browser.page("/nowhere", 404).await.contains("There is nothing here"));
    browser.client.get("/nowhere").await.expect_problem(404, "NOT_FOUND");
    let api = browser.ask("/v1/nowhere").await;
    assert_eq!(api.headers["content-type"], "application/problem+json");
    let stylesheet = browser.ask("/assets/store.css").await;
    assert_eq!(
        (stylesheet.status, stylesheet.headers["content-type"].to_str().unwrap()),
        (200, "text/css; charset=utf-8")
    );
    assert_eq!(browser.ask("/assets/icon.svg").await.headers["content-type"], "image/svg+xml");
}
