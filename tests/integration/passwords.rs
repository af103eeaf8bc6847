//! Passwords that change, and the logins that end with them.

use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::Answer;
use store_tests::store::{PASSWORD, Store, text};

const NEW: &str = "another password";
const DEVELOPER: &str = "developer@acme.example.org";

async fn login(store: &Store, password: &str) -> Answer {
    store.root.logged_out().post("/v1/auth/login", json!({"email": DEVELOPER, "password": password})).await
}

async fn me(store: &Store, tokens: &Value) -> u16 {
    let request = store.root.logged_out().request(Method::GET, "/v1/auth/me");
    Answer::to(request.bearer_auth(text(&tokens["access_token"]))).await.status
}

async fn refresh(store: &Store, tokens: &Value) -> Answer {
    store.root.logged_out().post("/v1/auth/refresh", json!({"refresh_token": tokens["refresh_token"]})).await
}

#[tokio::test]
async fn a_changed_password_ends_all_logins_made_with_the_old_one() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let elsewhere = login(&store, PASSWORD).await.expect(200);
    let change = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    let path = "/v1/auth/password";

    acme.developer.post(path, change("not the password", NEW)).await.expect_problem(403, "FORBIDDEN");
    acme.developer.post(path, change(PASSWORD, "short")).await.expect_problem(400, "BAD_REQUEST");
    store.root.logged_out().post(path, change(PASSWORD, NEW)).await.expect_problem(401, "UNAUTHENTICATED");
    assert_eq!(me(&store, &elsewhere).await, 200);

    let api_key = acme.developer.post("/v1/orgs/acme/api-keys", json!({"label": "ci"})).await.expect(201);
    let with_key =
        |method, path| store.root.logged_out().request(method, path).header("X-API-Key", text(&api_key["key"]));
    Answer::to(with_key(Method::POST, path).json(&change(PASSWORD, NEW))).await.expect_problem(403, "FORBIDDEN");

    let tokens = acme.developer.post(path, change(PASSWORD, NEW)).await.expect(200);
    assert_eq!(me(&store, &tokens).await, 200);
    assert_eq!(me(&store, &elsewhere).await, 401);
    refresh(&store, &elsewhere).await.expect_problem(401, "UNAUTHENTICATED");
    acme.developer.get("/v1/auth/me").await.expect_problem(401, "UNAUTHENTICATED");
    login(&store, PASSWORD).await.expect_problem(401, "UNAUTHENTICATED");
    login(&store, NEW).await.expect(200);
    // A key is a credential of its own.
    Answer::to(with_key(Method::GET, "/v1/api/auth/me")).await.expect(200);
    let entries = "SELECT count(*) FROM audit_entries WHERE action = 'user.password_changed'";
    assert_eq!(store.database.connect().await.query_one(entries, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn an_administrator_resets_a_member_s_password() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let other = store.organization("other").await;
    let members = acme.admin.get("/v1/orgs/acme/members").await.expect(200);
    let member = |email: &str| {
        let found = members["items"].as_array().unwrap().iter().find(|member| member["email"] == email);
        text(&found.unwrap()["id"])
    };
    let path = |organization: &str| format!("/v1/orgs/{organization}/users/{}/password", member(DEVELOPER));
    let body = json!({"password": NEW});
    let put = async |client: &store_tests::client::StoreClient, path: &str| {
        Answer::to(client.request(Method::PUT, path).json(&body)).await
    };
    let before = login(&store, PASSWORD).await.expect(200);

    put(&acme.developer, &path("acme")).await.expect_problem(403, "FORBIDDEN");
    put(&other.admin, &path("acme")).await.expect_problem(404, "NOT_FOUND");
    put(&other.admin, &path("other")).await.expect_problem(404, "NOT_FOUND");
    assert_eq!(me(&store, &before).await, 200);

    put(&acme.admin, &path("acme")).await.expect(204);
    assert_eq!(me(&store, &before).await, 401);
    refresh(&store, &before).await.expect_problem(401, "UNAUTHENTICATED");
    login(&store, PASSWORD).await.expect_problem(401, "UNAUTHENTICATED");
    login(&store, NEW).await.expect(200);

    // Who belongs elsewhere, too, is not one administrator's to become.
    other.admin.post("/v1/orgs/other/members", json!({"email": DEVELOPER, "role": "viewer"})).await.expect(204);
    put(&acme.admin, &path("acme")).await.expect_problem(403, "FORBIDDEN");
    put(&other.admin, &path("other")).await.expect_problem(403, "FORBIDDEN");
    put(&store.root, &path("acme")).await.expect(204);
    // Nor is a superuser.
    acme.admin.post("/v1/orgs/acme/members", json!({"email": "root@example.org", "role": "viewer"})).await.expect(204);
    let members = acme.admin.get("/v1/orgs/acme/members").await.expect(200);
    let root = members["items"].as_array().unwrap().iter().find(|member| member["email"] == "root@example.org");
    let path = format!("/v1/orgs/acme/users/{}/password", text(&root.unwrap()["id"]));
    put(&acme.admin, &path).await.expect_problem(403, "FORBIDDEN");
}

/// Found by reading: an ended family did not take with it the tokens that a refresh was writing at that moment.
#[tokio::test]
async fn a_login_that_ends_while_it_is_refreshed_has_ended() {
    let store = Store::start_without_worker().await;
    store.organization("acme").await;
    for round in 0..20 {
        let first = login(&store, PASSWORD).await.expect(200);
        let second = refresh(&store, &first).await.expect(200);
        // A copy of the first refresh token is used while its owner uses the second.
        let (third, reused) = tokio::join!(refresh(&store, &second), refresh(&store, &first));
        reused.expect_problem(401, "UNAUTHENTICATED");
        assert_eq!(me(&store, &second).await, 401, "round {round}");
        if third.status == 200 {
            assert_eq!(me(&store, &third.json()).await, 401, "round {round}");
            refresh(&store, &third.json()).await.expect_problem(401, "UNAUTHENTICATED");
        }
    }
}
