//! Publish, import, read and export through the store's interface, decided by the real worker.

use registry_types::template::Template;
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::Answer;
use store_tests::store::{Organization, Store, text};

const STARTUP: &str = include_str!("../../fixtures/templates/startup.json");
const BROKEN: &str = include_str!("../../fixtures/templates/broken.json");
const STUDIO: &str = include_str!("../../../examples/templates/software-studio.json");

fn document(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

pub(super) async fn publish(organization: &Organization, template: &Value, scope: &str) -> Answer {
    let body = json!({"organization": organization.slug, "template": template, "scope": scope});
    organization.developer.post("/v1/templates/publish", body).await
}

/// Publishes and waits for the verdict.
pub(super) async fn publish_and_wait(organization: &Organization, template: &Value, scope: &str) -> Value {
    let accepted = publish(organization, template, scope).await.expect(202);
    organization.intake_end(&text(&accepted["publishId"])).await
}

async fn import(organization: &Organization, mut body: Value) -> Answer {
    body["organization"] = json!(organization.slug);
    organization.developer.post("/api/templates/import", body).await
}

async fn companies(organization: &Organization) -> Vec<Value> {
    let path = format!("/v1/orgs/{}/companies", organization.slug);
    let list = organization.developer.get(&path).await.expect(200);
    list["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_published_template_becomes_a_company_and_comes_out_again() {
    let store = Store::start().await;
    let acme = store.organization("acme").await;

    let accepted = publish(&acme, &document(STUDIO), "public").await;
    let location = accepted.headers["location"].to_str().unwrap().to_owned();
    let id = text(&accepted.expect(202)["publishId"]);
    assert_eq!(location, format!("/v1/intakes/{id}"));
    let intake = acme.intake_end(&id).await;
    assert_eq!(intake["outcome"], "active", "{intake}");

    let anonymous = acme.developer.logged_out();
    let listed = anonymous.get("/v1/packages?kind=template").await.expect(200);
    assert_eq!(listed["items"][0]["name"], "acme/software-studio", "{listed}");
    let manifest = anonymous.get("/v1/packages/acme/software-studio/versions/1.0.0/manifest").await;
    // Byte for byte as it was sent.
    assert_eq!(manifest.expect(200), document(STUDIO));

    let made = import(&acme, json!({"package": "acme/software-studio", "name": "Our Studio"})).await.expect(201);
    assert_eq!(made["ids"]["agents"].as_object().unwrap().len(), 8);
    assert_eq!(made["ids"]["issues"].as_array().unwrap().len(), 10);

    let id = text(&made["company"]);
    let company = acme.developer.get(&format!("/v1/companies/{id}")).await.expect(200);
    assert_eq!(
        (&company["name"], &company["template_package"]),
        (&json!("Our Studio"), &json!("acme/software-studio"))
    );
    let founder = &made["ids"]["agents"]["founder"];
    let product = company["agents"].as_array().unwrap().iter().find(|agent| agent["ref"] == "product").unwrap();
    assert_eq!(&product["reports_to"], founder);

    let mut expected = document(STUDIO);
    expected["name"] = json!("Our Studio");
    let exported = acme.developer.get(&format!("/api/templates/export?company={id}")).await.expect(200);
    assert_eq!(exported, expected);

    let again = publish(&acme, &document(STUDIO), "public").await;
    again.expect_problem(409, "VERSION_EXISTS");
}

#[tokio::test]
async fn an_inline_template_comes_out_as_the_same_document() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let made = import(&acme, json!({"template": document(STARTUP)})).await;
    let id = text(&made.expect(201)["company"]);
    assert_eq!(made.headers["location"], format!("/v1/companies/{id}"));
    let exported = acme.developer.get(&format!("/api/templates/export?company={id}")).await;
    assert_eq!(exported.expect(200), document(STARTUP));

    // Paged, and with every event.
    let issues = acme.developer.get(&format!("/v1/companies/{id}/issues?limit=2")).await.expect(200);
    assert_eq!(issues["items"].as_array().unwrap().len(), 2);
    let cursor = text(&issues["next_cursor"]);
    let rest = acme.developer.get(&format!("/v1/companies/{id}/issues?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!((&rest["items"][0]["title"], &rest["next_cursor"]), (&json!("Find a name"), &Value::Null));
    let activity = acme.developer.get(&format!("/v1/companies/{id}/activity")).await.expect(200);
    assert_eq!(activity["items"].as_array().unwrap().len(), 1 + 3 + 2 + 2 + 3);
    assert_eq!(activity["items"][10]["action"], "company.created");
}

#[tokio::test]
async fn a_dry_run_gives_the_plan_and_stores_nothing() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let answer = import(&acme, json!({"template": document(STARTUP), "dryRun": true})).await.expect(200);
    let order: Vec<_> = answer["plan"]["agents"].as_array().unwrap().iter().map(|agent| text(&agent["ref"])).collect();
    assert_eq!(order, ["owner", "baker", "web"]);
    assert_eq!(answer["plan"]["goals"][0]["ref"], "profit");
    assert_eq!((&answer["dryRun"], answer.get("company")), (&json!(true), None));
    assert!(companies(&acme).await.is_empty());
}

#[tokio::test]
async fn a_broken_template_is_refused_with_all_its_errors_and_leaves_nothing() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let expected = [
        ("/agents/0/reportsTo", "cycle"),
        ("/agents/0/role", "unknown_value"),
        ("/agents/1/budgetCents", "range"),
        ("/goals/0/parentRef", "dangling_reference"),
        ("/goals/1/level", "unknown_value"),
        ("/goals/1/ref", "duplicate_reference"),
        ("/issues/0/assigneeRef", "dangling_reference"),
        ("/issues/0/due", "unknown_key"),
        ("/issues/0/title", "length"),
    ];
    let refusals = [
        publish(&acme, &document(BROKEN), "org").await,
        import(&acme, json!({"template": document(BROKEN)})).await,
        import(&acme, json!({"template": document(BROKEN), "dryRun": true})).await,
    ];
    for refusal in refusals {
        let problem = refusal.expect_problem(422, "TEMPLATE_INVALID");
        let errors = problem["errors"].as_array().unwrap();
        let mut found: Vec<_> = errors.iter().map(|error| (text(&error["pointer"]), text(&error["code"]))).collect();
        found.sort();
        assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
    }
    assert!(companies(&acme).await.is_empty());
    // What no typed reader sees.
    let twice = STARTUP.replacen("\"ref\": \"web\"", "\"ref\": \"web\", \"ref\": \"web\"", 1);
    let body = format!("{{\"organization\": \"acme\", \"template\": {twice}}}");
    let request =
        acme.developer.request(Method::POST, "/api/templates/import").header("content-type", "application/json");
    let problem = Answer::to(request.body(body)).await.expect_problem(422, "TEMPLATE_INVALID");
    assert_eq!(problem["errors"][0]["pointer"], "/agents/2/ref");
}

#[tokio::test]
async fn nobody_reaches_anothers_companies_and_templates() {
    let mut store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let other = store.organization("other-org").await;
    let viewer = store.user("acme", "viewer").await;
    let made = import(&acme, json!({"template": document(STARTUP)})).await.expect(201);
    let id = text(&made["company"]);
    let reads = [
        format!("/v1/companies/{id}"),
        format!("/v1/companies/{id}/issues"),
        format!("/v1/companies/{id}/activity"),
        format!("/api/templates/export?company={id}"),
        "/v1/orgs/acme/companies".to_owned(),
    ];
    for path in &reads {
        viewer.get(path).await.expect(200);
        other.admin.get(path).await.expect_problem(404, "NOT_FOUND");
        other.admin.logged_out().get(path).await.expect_problem(401, "UNAUTHENTICATED");
    }
    // A viewer reads and makes nothing; a stranger's organization is not there.
    let body = json!({"organization": "acme", "template": document(STARTUP)});
    viewer.post("/api/templates/import", body.clone()).await.expect_problem(403, "FORBIDDEN");
    viewer.post("/v1/templates/publish", body.clone()).await.expect_problem(403, "FORBIDDEN");
    other.admin.post("/api/templates/import", body.clone()).await.expect_problem(404, "NOT_FOUND");
    other.admin.post("/v1/templates/publish", body).await.expect_problem(404, "NOT_FOUND");

    // A template of the organization alone, before and after its verdict.
    let accepted = publish(&acme, &document(STUDIO), "org").await.expect(202);
    let reference = json!({"package": "acme/software-studio@1.0.0"});
    import(&acme, reference.clone()).await.expect_problem(409, "CONFLICT");
    import(&other, reference.clone()).await.expect_problem(404, "NOT_FOUND");
    store.start_worker();
    assert_eq!(acme.intake_end(&text(&accepted["publishId"])).await["outcome"], "active");
    import(&other, reference.clone()).await.expect_problem(404, "NOT_FOUND");
    import(&acme, reference).await.expect(201);
    import(&acme, json!({"package": "acme/software-studio@9.9.9"})).await.expect_problem(404, "NOT_FOUND");
    assert_eq!(companies(&acme).await.len(), 2);
    assert!(companies(&other).await.is_empty());
}

#[tokio::test]
async fn an_import_names_exactly_one_template_and_a_good_name() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let both = json!({"package": "acme/software-studio", "template": document(STARTUP)});
    for body in [
        json!({}),
        both,
        json!({"package": "not a reference"}),
        json!({"template": document(STARTUP), "name": "two\nlines"}),
        json!({"template": document(STARTUP), "name": ""}),
        json!({"template": document(STARTUP), "unknown": 1}),
    ] {
        import(&acme, body).await.expect_problem(400, "BAD_REQUEST");
    }
    assert!(companies(&acme).await.is_empty());
}

#[test]
fn the_example_is_a_template() {
    let template = Template::parse(&document(STUDIO)).unwrap();
    assert_eq!(template.to_value().unwrap(), document(STUDIO));
}
