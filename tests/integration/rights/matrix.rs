//! Every operation × every role × own and foreign organization × login and API key.

use registry_api::rights::{Access, Operation, Rule};
use registry_types::people::Role;
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::StoreClient;
use store_tests::store::{PASSWORD, Store, text};
use store_tests::told;

use super::things::{Asker, House};
use super::{Described, described};

const ROLES: [Role; 3] = [Role::Viewer, Role::Developer, Role::Admin];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    /// The administrator of another organization.
    Stranger,
    Member(Role),
    Superuser,
}

/// Somebody, with what they prove it.
struct Caller {
    who: Who,
    has_key: bool,
    client: StoreClient,
    person: StoreClient,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Done,
    /// 401.
    Unauthenticated,
    /// 403.
    Forbidden,
    /// 403 or 404: it is not told whether there is such a thing.
    NotThere,
    /// 403 with a code of its own.
    Unsupported,
}

/// What the table says.
fn expected(rule: Rule, caller: &Caller) -> Expected {
    let is_refused_key = rule.is_personal && caller.has_key;
    match (rule.access, caller.who) {
        (Access::Public, _) => Expected::Done,
        (_, Who::Nobody) => Expected::Unauthenticated,
        (Access::Unsupported, _) => Expected::Unsupported,
        (Access::Own, _) => {
            if is_refused_key {
                Expected::Forbidden
            } else {
                Expected::Done
            }
        }
        (_, Who::Stranger) => Expected::NotThere,
        (_, Who::Superuser) => Expected::Done,
        (Access::Member(least), Who::Member(role)) if role >= least && !is_refused_key => Expected::Done,
        // The organizations of this test are internal: their administrators decide for themselves.
        (Access::Decider, Who::Member(Role::Admin)) if !is_refused_key => Expected::Done,
        (Access::Member(_) | Access::Decider | Access::Superuser, Who::Member(_)) => Expected::Forbidden,
    }
}

/// Where more is demanded than the table says.
fn exception(operation: Operation, who: Who) -> Option<Expected> {
    match (operation, who) {
        // A key belongs to a membership, and a superuser from outside has none.
        (Operation::CreateApiKey, Who::Superuser) => Some(Expected::Forbidden),
        // Who asked for it withdraws it, and administrators: here the keeper asked.
        (Operation::WithdrawWaiver, Who::Member(Role::Developer)) => Some(Expected::Forbidden),
        // Strangers see their own queue; the one that they name here is not there.
        (Operation::ListReviews, Who::Stranger) => Some(Expected::NotThere),
        // They name an organization that is not theirs.
        (Operation::ListModules | Operation::ListModulesByApiKey, Who::Stranger) => Some(Expected::NotThere),
        _ => None,
    }
}

fn is_as(expected: Expected, operation: Operation, status: u16, body: &Value) -> bool {
    let code = body["code"].as_str().unwrap_or_default();
    match expected {
        // It got as far as the thing itself, which is not always in the state for it.
        Expected::Done => {
            status < 300 || matches!(status, 400 | 409 | 412 | 422) || is_seen_not_there(operation, status, code)
        }
        Expected::Unauthenticated => status == 401 && code == "UNAUTHENTICATED",
        Expected::Forbidden => status == 403 && code == "FORBIDDEN",
        Expected::NotThere => matches!(status, 403 | 404),
        Expected::Unsupported => status == 403 && code.ends_with("_UNSUPPORTED"),
    }
}

/// What is read by anybody is not there while nothing has been decided, and no bytes are behind it.
fn is_seen_not_there(operation: Operation, status: u16, code: &str) -> bool {
    operation.rule().access == Access::Public
        && matches!(code, "NOT_FOUND" | "" | "UNAUTHENTICATED")
        && matches!(status, 401 | 404 | 503)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_is_open_to_those_whom_the_table_names_and_to_nobody_else() {
    let store = Store::start_without_worker().await;
    let people = People::of(&store).await;
    let mut faults = Vec::new();
    for (number, described) in described().iter().enumerate() {
        // Whoever calls these proves it by what the body says; calling them as oneself would end the login.
        if is_proven_by_its_body(described.operation) {
            continue;
        }
        let house = people.house(&store, number).await;
        for (n, caller) in people.callers(&house).await.iter().enumerate() {
            let expected =
                exception(described.operation, caller.who).unwrap_or_else(|| expected(described.rule(), caller));
            let asker = Asker { client: &caller.client, person: &caller.person };
            let (status, body) = try_out(house.request(described, &asker, n).await, described).await;
            if !is_as(expected, described.operation, status, &body) {
                let with = if caller.has_key { "an API key" } else { "a login" };
                faults.push(format!(
                    "{:?} by {:?} with {with}: {expected:?}, got {status} {body}",
                    described.operation, caller.who
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    told::assert_all_is_told(&store.database).await;
}

fn is_proven_by_its_body(operation: Operation) -> bool {
    let by_secret = matches!(operation, Operation::Login | Operation::Logout | Operation::RefreshTokens);
    by_secret || operation == Operation::ExchangeIdentityToken
}

/// The answer's status, and its body where there is an error.
async fn try_out(request: reqwest::RequestBuilder, described: &Described) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    // Some answers never end.
    let body = if status < 400 { Value::Null } else { answer.json().await.unwrap_or(Value::Null) };
    assert!(status < 500 || described.operation == Operation::Ready, "{described:?}: {status} {body}");
    (status, body)
}

/// Who belongs to every organization of this test.
struct People {
    members: Vec<(Role, StoreClient, String)>,
    keeper: (StoreClient, String),
    stranger: StoreClient,
    stranger_key: StoreClient,
}

impl People {
    async fn of(store: &Store) -> Self {
        let strangers = store.organization("strangers").await;
        let key = strangers.admin.post("/v1/orgs/strangers/api-keys", json!({"label": "key"})).await.expect(201);
        store.root.post("/v1/orgs", json!({"slug": "bystanders", "display_name": "Bystanders"})).await.expect(201);
        let mut people = Vec::new();
        for name in ["viewer", "developer", "admin", "keeper", "bystander"] {
            let email = format!("{name}@bystanders.example.org");
            let body = json!({"email": email, "password": PASSWORD, "role": "viewer"});
            store.root.post("/v1/orgs/bystanders/users", body).await.expect(201);
            people.push((store.root.login(&email, PASSWORD).await, email));
        }
        let keeper = people.swap_remove(3);
        let members = ROLES.into_iter().zip(people).map(|(role, (client, email))| (role, client, email)).collect();
        let stranger_key = strangers.admin.with_token(&text(&key["key"]));
        Self { members, keeper, stranger: strangers.admin, stranger_key }
    }

    async fn house<'a>(&'a self, store: &'a Store, number: usize) -> House<'a> {
        let slug = format!("house-{number}");
        let body = json!({"slug": slug, "display_name": slug, "trust_tier": "internal"});
        let made = store.root.post("/v1/orgs", body).await.expect(201);
        let members = self.members.iter().map(|(role, _, email)| (*role, email));
        // An organization is never without an administrator.
        for (role, email) in std::iter::once((Role::Admin, &self.keeper.1)).chain(members) {
            let body = json!({"email": email, "role": role});
            store.root.post(&format!("/v1/orgs/{slug}/members"), body).await.expect(204);
        }
        let pattern = json!({"pattern": format!("ghcr.io/{slug}/*")});
        store.root.post(&format!("/v1/orgs/{slug}/registries"), pattern).await.expect(201);
        House { store, id: text(&made["id"]), slug, keeper: &self.keeper.0 }
    }

    /// The refused first, so that what they are refused is still there.
    async fn callers(&self, house: &House<'_>) -> Vec<Caller> {
        let root = &house.store.root;
        let caller = |who, has_key, client: &StoreClient, person: &StoreClient| Caller {
            who,
            has_key,
            client: client.clone(),
            person: person.clone(),
        };
        let nobody = root.logged_out();
        let mut callers = vec![
            caller(Who::Nobody, false, &nobody, &nobody),
            caller(Who::Stranger, false, &self.stranger, &self.stranger),
            caller(Who::Stranger, true, &self.stranger_key, &self.stranger),
        ];
        for (role, person, _) in &self.members {
            let key =
                person.post(&format!("/v1/orgs/{}/api-keys", house.slug), json!({"label": "key"})).await.expect(201);
            callers.push(caller(Who::Member(*role), true, &root.with_token(&text(&key["key"])), person));
            callers.push(caller(Who::Member(*role), false, person, person));
        }
        callers.push(caller(Who::Superuser, false, root, root));
        callers
    }
}

/// Outside of the platform's own organizations its administrators decide nothing about themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deciders_of_an_organization_from_outside_are_the_platform_s_people() {
    let store = Store::start_without_worker().await;
    let people = People::of(&store).await;
    let house = people.house(&store, 1).await;
    let tier = json!({"trust_tier": "community"});
    store.root.patch(&format!("/v1/orgs/{}", house.slug), tier).await.expect(200);
    let deciding = described().into_iter().filter(|one| one.rule().access == Access::Decider);
    for (number, described) in deciding.enumerate() {
        for (n, caller) in people.callers(&house).await.iter().enumerate() {
            let asker = Asker { client: &caller.client, person: &caller.person };
            let request = house.request(&described, &asker, number * 100 + n).await;
            let (status, body) = try_out(request, &described).await;
            let expected = match caller.who {
                Who::Nobody => Expected::Unauthenticated,
                Who::Stranger => Expected::NotThere,
                Who::Member(_) => Expected::Forbidden,
                Who::Superuser => Expected::Done,
            };
            assert!(
                is_as(expected, described.operation, status, &body),
                "{described:?} {:?}: {status} {body}",
                caller.who
            );
        }
    }
}

/// What changes something is never open to a request that only reads.
#[test]
fn what_is_public_changes_nothing_but_the_caller_s_own_login() {
    for one in described().iter().filter(|one| one.rule().access == Access::Public) {
        assert!(one.method == Method::GET || is_proven_by_its_body(one.operation), "{one:?}");
    }
}
