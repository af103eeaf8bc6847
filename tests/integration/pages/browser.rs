//! A browser without script, and what must hold of every page that it gets.

use reqwest::Method;
use store_tests::client::{Answer, StoreClient};

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
pub(super) const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

/// A browser: asks for HTML, and sends the cookie that the login gave.
pub(super) struct Browser {
    pub(super) client: StoreClient,
    cookie: Option<String>,
}

impl Browser {
    pub(super) const fn new(client: StoreClient) -> Self {
        Self { client, cookie: None }
    }

    pub(super) async fn ask(&self, path: &str) -> Answer {
        let mut request = self.client.request(Method::GET, path).header("accept", "text/html,*/*;q=0.8");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        Answer::to(request).await
    }

    /// A page with this status; checks what holds for all pages.
    pub(super) async fn page(&self, path: &str, status: u16) -> String {
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

    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)], site: &str) -> Answer {
        let mut request = self.client.request(Method::POST, path).header("sec-fetch-site", site).form(form);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        Answer::to(request).await
    }

    /// Logs in and keeps the cookie.
    pub(super) async fn log_in(&mut self, email: &str, next: &str) -> Answer {
        let form = [("email", email), ("password", "a password of the tests"), ("next", next)];
        let answer = self.post("/login", &form, "same-origin").await;
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        self.cookie = cookie.split(';').next().map(str::to_owned);
        answer
    }
}

/// What follows `action="` in the first form that begins so.
pub(super) fn action(page: &str, beginning: &str) -> String {
    let rest =
        page.split(&format!("action=\"{beginning}")).nth(1).unwrap_or_else(|| panic!("no {beginning} in {page}"));
    format!("{beginning}{}", rest.split('"').next().unwrap())
}
