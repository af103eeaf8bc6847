//! The pages: each is there, says what it must, escapes what others wrote, and holds nothing that could run.

use reqwest::Method;
use serde_json::json;
use store_tests::client::{Answer, StoreClient};
use store_tests::shelf::{Shelf, described};
use store_tests::store::Store;

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

/// A browser: asks for HTML, and sends the cookie that the login gave.
struct Browser {
    client: StoreClient,
    cookie: Option<String>,
}

impl Browser {
    const fn new(client: StoreClient) -> Self {
        Self { client, cookie: None }
    }

    async fn ask(&self, path: &str) -> Answer {
        let mut request = self.client.request(Method::GET, path).header("accept", "text/html,*/*;q=0.8");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        Answer::to(request).await
    }

    /// A page with this status; checks what holds for all pages.
    async fn page(&self, path: &str, status: u16) -> String {
        let answer = self.ask(path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{path}");
        assert_eq!(answer.headers["content-security-policy"], POLICY, "{path}");
        let html = String::from_utf8(answer.body.to_vec()).unwrap();
        let lower = html.to_lowercase();
        for forbidden in ["<script", "<style", " style=", "javascript:", "<iframe", "<img src=x"] {
            assert!(!lower.contains(forbidden), "{path} holds {forbidden}: {html}");
        }
        for tag in lower.split('<').skip(1).filter_map(|tag| tag.split('>').next()) {
            assert!(!tag.contains(" on"), "{path} holds a handler: <{tag}>");
        }
        for landmark in ["lang=\"en\"", "<main id=\"main\">", "<h1", "name=\"viewport\"", "development"] {
            assert!(html.contains(landmark), "{path} lacks {landmark}: {html}");
        }
        html
    }

    async fn post(&self, path: &str, form: &[(&str, &str)], site: &str) -> Answer {
        let mut request = self.client.request(Method::POST, path).header("sec-fetch-site", site).form(form);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        Answer::to(request).await
    }

    /// Logs in and keeps the cookie.
    async fn log_in(&mut self, email: &str, next: &str) -> Answer {
        let form = [("email", email), ("password", "a password of the tests"), ("next", next)];
        let answer = self.post("/login", &form, "same-origin").await;
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        self.cookie = cookie.split(';').next().map(str::to_owned);
        answer
    }
}

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

/// What follows `action="` in the first form that begins so.
fn action(page: &str, beginning: &str) -> String {
    let rest =
        page.split(&format!("action=\"{beginning}")).nth(1).unwrap_or_else(|| panic!("no {beginning} in {page}"));
    format!("{beginning}{}", rest.split('"').next().unwrap())
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
