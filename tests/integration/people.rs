//! Logging in, tokens, API keys, and who may administer whom.

use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::store::{Store, text};
use store_tests::told;

use crate::commands::Program;

const PASSWORD: &str = "a new person's password";

async fn tokens(store: &Store, email: &str) -> Value {
    let body = json!({"email": email, "password": PASSWORD});
    store.root.logged_out().post("/v1/auth/login", body).await.expect(200)
}

async fn person(store: &Store, organization: &str, email: &str) {
    let body = json!({"email": email, "password": PASSWORD, "role": "developer"});
    store.root.post(&format!("/v1/orgs/{organization}/users"), body).await.expect(201);
}

async fn me_with(store: &Store, header: &str, value: &str) -> Answer {
    Answer::to(store.root.logged_out().request(Method::GET, "/v1/auth/me").header(header, value)).await
}

async fn me(store: &Store, token: &str) -> Answer {
    me_with(store, "authorization", &format!("Bearer {token}")).await
}

#[tokio::test]
async fn a_login_says_who_one_is() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    person(&store, "acme", "dev@acme.example").await;

    let tokens = tokens(&store, "dev@acme.example").await;
    assert_eq!(tokens["organization_id"], acme.id.as_str());
    assert!(tokens["expires_in"].as_u64().unwrap() > 0);
    let me = me(&store, &text(&tokens["access_token"])).await.expect(200);
    assert_eq!(me["email"], "dev@acme.example");
    assert_eq!(me["is_superuser"], false);
    let organizations = me["organizations"].as_array().unwrap();
    assert_eq!(organizations.len(), 1);
    assert_eq!(organizations[0]["slug"], "acme");
    assert_eq!(organizations[0]["role"], "developer");
    assert_eq!(organizations[0]["is_primary"], true);

    // Upper case in the address is the same address.
    let again = json!({"email": "Dev@Acme.Example ", "password": PASSWORD});
    store.root.logged_out().post("/v1/auth/login", again).await.expect(200);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_alike() {
    let store = Store::start_without_worker().await;
    let refused = async |email: &str| {
        let body = json!({"email": email, "password": "not the password"});
        let mut problem =
            store.root.logged_out().post("/v1/auth/login", body).await.expect_problem(401, "UNAUTHENTICATED");
        problem["request_id"] = Value::Null;
        problem
    };
    let (known, unknown, nonsense) =
        (refused("root@example.org").await, refused("nobody@example.org").await, refused("nonsense").await);
    assert_eq!(known, unknown);
    assert_eq!(known, nonsense);
    // The client of HLA-Compass prints `error.message` only.
    assert!(text(&known["error"]["message"]).starts_with("UNAUTHENTICATED: "));
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_login() {
    let store = Store::start_without_worker().await;
    store.organization("acme").await;
    person(&store, "acme", "dev@acme.example").await;
    let anonymous = store.root.logged_out();
    let refresh = async |token: &str| anonymous.post("/v1/auth/refresh", json!({"refresh_token": token})).await;

    let first = tokens(&store, "dev@acme.example").await;
    let second = refresh(&text(&first["refresh_token"])).await.expect(200);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    me(&store, &text(&second["access_token"])).await.expect(200);

    refresh(&text(&first["refresh_token"])).await.expect_problem(401, "UNAUTHENTICATED");
    // Whoever stole it has nothing, and the owner must log in again.
    refresh(&text(&second["refresh_token"])).await.expect_problem(401, "UNAUTHENTICATED");
    me(&store, &text(&second["access_token"])).await.expect_problem(401, "UNAUTHENTICATED");
    // An access token is no refresh token.
    let third = tokens(&store, "dev@acme.example").await;
    refresh(&text(&third["access_token"])).await.expect_problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn of_two_refreshes_at_the_same_time_one_succeeds() {
    let store = Store::start_without_worker().await;
    store.organization("acme").await;
    person(&store, "acme", "dev@acme.example").await;
    let token = text(&tokens(&store, "dev@acme.example").await["refresh_token"]);
    let anonymous = store.root.logged_out();
    let refresh = async || anonymous.post("/v1/auth/refresh", json!({"refresh_token": token})).await.status;
    let (one, two) = tokio::join!(refresh(), refresh());
    assert_eq!([one.min(two), one.max(two)], [200, 401]);
}

#[tokio::test]
async fn logging_out_ends_both_tokens() {
    let store = Store::start_without_worker().await;
    store.organization("acme").await;
    person(&store, "acme", "dev@acme.example").await;
    let anonymous = store.root.logged_out();

    let tokens = tokens(&store, "dev@acme.example").await;
    let logged_out =
        anonymous.post("/v1/auth/logout", json!({"refresh_token": tokens["refresh_token"]})).await.expect(200);
    assert_eq!(logged_out, json!({"refreshSessionsRevoked": true}));
    me(&store, &text(&tokens["access_token"])).await.expect_problem(401, "UNAUTHENTICATED");
    // Without a body, as the client sends it.
    Answer::to(anonymous.request(Method::POST, "/v1/auth/logout").header("content-type", "application/json"))
        .await
        .expect(200);
}

#[tokio::test]
async fn an_api_key_acts_in_its_organization_only() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let other = store.organization("other").await;
    // The developer of one organization administers the other.
    let email = json!({"email": "developer@acme.example.org", "role": "admin"});
    other.admin.post("/v1/orgs/other/members", email).await.expect(204);

    let made = acme.developer.post("/v1/orgs/acme/api-keys", json!({"label": "pipeline"})).await.expect(201);
    let key = text(&made["key"]);
    let by_key = |path: &str| store.root.logged_out().request(Method::GET, path).header("X-API-Key", &key);

    let me = Answer::to(by_key("/v1/api/auth/me")).await.expect(200);
    assert_eq!(me["credentialType"], "api_key");
    assert_eq!(me["organizations"].as_array().unwrap().len(), 1);
    Answer::to(by_key("/v1/orgs/acme/members")).await.expect(200);
    Answer::to(by_key("/v1/orgs/other/members")).await.expect_problem(404, "NOT_FOUND");
    Answer::to(by_key("/v1/modules").header("X-Organization-Id", &other.id)).await.expect_problem(403, "FORBIDDEN");
    let another = store.root.logged_out().request(Method::POST, "/v1/orgs/acme/api-keys").header("X-API-Key", &key);
    Answer::to(another.json(&json!({"label": "child"}))).await.expect_problem(403, "FORBIDDEN");

    // Listed without the key, revoked by its owner, and gone.
    let listed = acme.admin.get("/v1/orgs/acme/api-keys").await.expect(200);
    assert_eq!(listed["items"][0]["label"], "pipeline");
    assert!(!listed.to_string().contains(&key));
    let path = format!("/v1/orgs/acme/api-keys/{}", text(&made["id"]));
    other.admin.delete(&path).await.expect_problem(404, "NOT_FOUND");
    acme.developer.delete(&path).await.expect(204);
    Answer::to(by_key("/v1/api/auth/me")).await.expect_problem(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_superuser_s_key_is_no_superuser() {
    let store = Store::start_without_worker().await;
    store.organization("acme").await;
    let key = text(&store.root.post("/v1/orgs/first/api-keys", json!({"label": "k"})).await.expect(201)["key"]);
    let request = store.root.logged_out().request(Method::POST, "/v1/orgs").header("X-API-Key", &key);
    let body = json!({"slug": "third", "display_name": "Third"});
    Answer::to(request.json(&body)).await.expect_problem(403, "FORBIDDEN");
    // Nor does it reach organizations that its owner could.
    let request = store.root.logged_out().request(Method::GET, "/v1/orgs/acme").header("X-API-Key", &key);
    Answer::to(request).await.expect_problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn basic_passwords_and_cookies_carry_the_same_tokens() {
    use base64::Engine as _;
    let store = Store::start_without_worker().await;
    let token = store.root.token().unwrap();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("anybody:{token}"));
    me_with(&store, "authorization", &format!("Basic {basic}")).await.expect(200);
    me_with(&store, "cookie", &format!("session={token}")).await.expect(200);
    me_with(&store, "authorization", "Bearer cs_at_unknown").await.expect_problem(401, "UNAUTHENTICATED");

    // A page of another site can make a browser send the cookie, but not from here.
    let post = |name: &'static str, value: String| {
        let request =
            store.root.logged_out().request(Method::POST, "/v1/orgs").header("cookie", format!("session={token}"));
        request.header(name, value).json(&json!({"slug": "by-cookie", "display_name": "By cookie"}))
    };
    Answer::to(post("sec-fetch-site", "cross-site".to_owned())).await.expect_problem(403, "FORBIDDEN");
    Answer::to(post("origin", "https://evil.example".to_owned())).await.expect_problem(403, "FORBIDDEN");
    Answer::to(post("x-nothing", String::new())).await.expect_problem(403, "FORBIDDEN");
    Answer::to(post("sec-fetch-site", "same-origin".to_owned())).await.expect(201);
}

#[tokio::test]
async fn roles_bound_what_members_may_do() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let viewer = store.user("acme", "viewer").await;
    let other = store.organization("other").await;

    let new_member = json!({"email": "viewer@acme.example.org", "role": "admin"});
    viewer.post("/v1/orgs/acme/members", new_member.clone()).await.expect_problem(403, "FORBIDDEN");
    acme.developer.post("/v1/orgs/acme/members", new_member.clone()).await.expect_problem(403, "FORBIDDEN");
    other.admin.post("/v1/orgs/acme/members", new_member.clone()).await.expect_problem(404, "NOT_FOUND");
    other.admin.post("/v1/orgs/no-such-org/members", new_member).await.expect_problem(404, "NOT_FOUND");
    let organization = json!({"slug": "mine", "display_name": "Mine"});
    acme.admin.post("/v1/orgs", organization).await.expect_problem(403, "FORBIDDEN");
    // By id or by slug, it is the same place.
    assert_eq!(viewer.get(&format!("/v1/orgs/{}", acme.id)).await.expect(200)["slug"], "acme");
    assert_eq!(listed(&viewer, "/v1/orgs").await, ["acme"]);
    assert_eq!(listed(&store.root, "/v1/orgs").await, ["acme", "first", "other"]);
}

async fn listed(client: &StoreClient, path: &str) -> Vec<String> {
    let list = client.get(path).await.expect(200);
    list["items"].as_array().unwrap().iter().map(|item| text(&item["slug"])).collect()
}

#[tokio::test]
async fn an_organization_keeps_an_administrator() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let members = acme.admin.get("/v1/orgs/acme/members").await.expect(200);
    let admin = members["items"].as_array().unwrap().iter().find(|member| member["role"] == "admin").unwrap().clone();
    let path = format!("/v1/orgs/acme/members/{}", text(&admin["id"]));

    acme.admin.delete(&path).await.expect_problem(409, "CONFLICT");
    let demoted = json!({"email": admin["email"], "role": "viewer"});
    acme.admin.post("/v1/orgs/acme/members", demoted.clone()).await.expect_problem(409, "CONFLICT");
    let promoted = json!({"email": "developer@acme.example.org", "role": "admin"});
    acme.admin.post("/v1/orgs/acme/members", promoted).await.expect(204);
    acme.admin.delete(&path).await.expect(204);
    // Gone at once, not when the token runs out.
    acme.admin.get("/v1/orgs/acme").await.expect_problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn superusers_make_others_and_the_last_one_stays() {
    let store = Store::start_without_worker().await;
    store.organization("acme").await;
    person(&store, "acme", "ops@acme.example").await;
    let ops = store.root.login("ops@acme.example", PASSWORD).await;
    ops.get("/v1/superusers").await.expect_problem(403, "FORBIDDEN");
    let root = Program::of(&store, "root@example.org").await;
    root.done(&["superuser", "add", "ops@acme.example"]).await;
    assert!(root.refused(&["superuser", "add", "nobody@acme.example"]).await.contains("user"));
    // At once, with the login that there is.
    let people = ops.get("/v1/superusers?limit=1").await.expect(200);
    assert_eq!(people["items"][0]["email"], "ops@acme.example");
    let cursor = text(&people["next_cursor"]);
    let rest = ops.get(&format!("/v1/superusers?cursor={cursor}")).await.expect(200);
    assert_eq!(rest["items"][0]["email"], "root@example.org");

    let id = |people: &Value, at: usize| text(&people["items"][at]["id"]);
    let all = root.done(&["superuser", "list"]).await;
    let (ops_id, root_id) = (id(&all, 0), id(&all, 1));
    // Of two who remove one another one comes too late.
    let (ops_path, root_path) = (format!("/v1/superusers/{ops_id}"), format!("/v1/superusers/{root_id}"));
    let (one, other) = tokio::join!(store.root.delete(&ops_path), ops.delete(&root_path));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert!(matches!(statuses, [204, 403 | 409]), "{statuses:?}");
    let (left, client) = if one.status == 204 { (root_path, &store.root) } else { (ops_path, &ops) };
    client.delete(&left).await.expect_problem(409, "CONFLICT");
    let logged = client.get("/v1/audit?action=superuser.removed").await.expect(200);
    assert_eq!(logged["items"].as_array().unwrap().len(), 1);
    told::assert_all_is_told(&store.database).await;
}

#[tokio::test]
async fn lists_come_in_pages_without_gaps() {
    let store = Store::start_without_worker().await;
    store.organization("acme").await;
    for number in 0..5 {
        person(&store, "acme", &format!("p{number}@acme.example")).await;
    }
    let (mut emails, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = store.root.get(&format!("/v1/orgs/acme/members?limit=2{cursor}")).await.expect(200);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        emails.extend(items.iter().map(|item| text(&item["email"])));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(emails.len(), 7);
    assert!(emails.is_sorted());
    store.root.get("/v1/orgs/acme/members?cursor=nonsense").await.expect_problem(400, "BAD_REQUEST");
}

#[tokio::test]
async fn bad_input_has_a_code() {
    let store = Store::start_without_worker().await;
    let raw = |body: &'static str| {
        store.root.request(Method::POST, "/v1/orgs").header("content-type", "application/json").body(body)
    };
    Answer::to(raw("{")).await.expect_problem(400, "BAD_REQUEST");
    Answer::to(raw(r#"{"slug":"Not A Slug","display_name":"x"}"#)).await.expect_problem(400, "BAD_REQUEST");
    Answer::to(raw(r#"{"slug":"abc","display_name":"x","extra":1}"#)).await.expect_problem(400, "BAD_REQUEST");
    let huge = store.root.request(Method::POST, "/v1/orgs").header("content-type", "application/json");
    let answer = Answer::to(huge.body("x".repeat(3 * 1024 * 1024))).await;
    answer.expect_problem(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    store.root.post("/v1/orgs", json!({"slug": "first", "display_name": "x"})).await.expect_problem(409, "CONFLICT");
    let short = json!({"email": "x@example.org", "password": "short", "role": "viewer"});
    store.root.post("/v1/orgs/first/users", short).await.expect_problem(400, "BAD_REQUEST");
    store.root.get("/v1/nothing-here").await.expect_problem(404, "NOT_FOUND");
    store.root.get("/v1/intakes/not-a-uuid").await.expect_problem(404, "NOT_FOUND");
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_safe_headers() {
    let store = Store::start_without_worker().await;
    let sent = Answer::to(store.root.request(Method::GET, "/v1/nothing").header("x-request-id", "abc-123")).await;
    assert_eq!(sent.headers["x-request-id"], "abc-123");
    assert_eq!(sent.expect_problem(404, "NOT_FOUND")["request_id"], "abc-123");
    let harmful = Answer::to(store.root.request(Method::GET, "/livez").header("x-request-id", "a b\"c")).await;
    assert_ne!(harmful.headers["x-request-id"], "a b\"c");
    for path in ["/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/v1/auth/me"] {
        let answer = store.root.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert!(answer.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"), "{path}");
    }
    let metrics = String::from_utf8(store.root.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("registry_api_http_requests_total"), "{metrics}");
}
