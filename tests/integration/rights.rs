//! Every operation of the API is listed here as public, or refuses strangers: 401 without a login, 403 or 404 with somebody
//! else's. An operation that is added without a thought of who may call it fails this test.

use std::collections::BTreeSet;

use company_store::signing_key::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::store::{Organization, PASSWORD, Store, module_manifest, text};

/// Open to everybody. What those that read packages show is bounded by visibility, which their own tests prove.
const PUBLIC: [&str; 24] = [
    "getBlob",
    "getIndex",
    "getManifest",
    "getPackage",
    "getPackageManifest",
    "getSbom",
    "getSignatures",
    "getVerdict",
    "getVersion",
    "listComponents",
    "listFindings",
    "listPackages",
    "listReferrers",
    "listTags",
    "listVerdictKeys",
    "listVersions",
    "live",
    "login",
    "logout",
    "metrics",
    "openapi",
    "pingRegistry",
    "ready",
    "refreshTokens",
];

/// About the caller itself: any login will do.
const OWN: [&str; 8] = [
    "changePassword",
    "getPublishConfig",
    "listModules",
    "listModulesByApiKey",
    "listOrganizations",
    "listReviews",
    "me",
    "meByApiKey",
];

/// Refused with a code whoever asks, so that clients stop.
const UNSUPPORTED: [&str; 6] = [
    "listModuleRuns",
    "listModuleRunsByApiKey",
    "runModule",
    "runModuleByApiKey",
    "uploadSource",
    "uploadSourceByApiKey",
];

/// For the platform's own people only.
const SUPERUSER: [&str; 1] = ["listAuditCheckpoints"];

/// One thing of each kind, all of one organization.
struct Things {
    acme: Organization,
    intake: String,
    module: String,
    registry: String,
    company: String,
    waiver: String,
    review: String,
    api_key: String,
    manifest_key: String,
    user: String,
}

async fn things(store: &Store) -> Things {
    let acme = store.organization("acme").await;
    let registry = store.root.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/acme/*"})).await.expect(201);
    let published = acme.publish(&module_manifest("app", "1.0.0"), "ghcr.io/acme/app:1").await.expect(202);
    let api_key = acme.admin.post("/v1/orgs/acme/api-keys", json!({"label": "key"})).await.expect(201);
    let manifest_key = json!({"public_key": public_key(), "label": "key"});
    let manifest_key = acme.admin.post("/v1/orgs/acme/keys", manifest_key).await.expect(201);
    let members = acme.admin.get("/v1/orgs/acme/members").await.expect(200);
    let template = json!({"organization": "acme", "template": template()});
    let company = acme.admin.post("/api/templates/import", template).await;
    assert!(company.status < 300, "{company:?}");
    let waiver = acme.admin.post("/v1/orgs/acme/waivers", waiver()).await.expect(201);
    Things {
        waiver: text(&waiver["id"]),
        review: review(store).await,
        intake: text(&published["publishId"]),
        module: text(&published["moduleId"]),
        registry: text(&registry["id"]),
        company: text(&company.json()["company"]),
        api_key: text(&api_key["id"]),
        manifest_key: text(&manifest_key["id"]),
        user: text(&members["items"][0]["id"]),
        acme,
    }
}

/// As the worker would have left it behind.
async fn review(store: &Store) -> String {
    let sql = "\
        WITH left_open AS (INSERT INTO verdicts (id, version_id, intake_id, decision, envelope, key_id) \
            SELECT gen_random_uuid(), version_id, id, '{\"decision\": \"in_review\", \"reasons\": [], \"warnings\": []}', '', '' \
            FROM intakes LIMIT 1 RETURNING *) \
        INSERT INTO reviews (id, version_id, organization_id, intake_id, verdict_id) \
        SELECT gen_random_uuid(), i.version_id, i.organization_id, i.id, d.id FROM left_open d \
        JOIN intakes i ON i.id = d.intake_id RETURNING id::text";
    let row = store.database.connect().await.query_one(sql, &[]).await.unwrap();
    row.get(0)
}

fn waiver() -> Value {
    json!({
        "advisory": "CVE-2026-1", "component": {"package": "pkg:pypi/jinja2"}, "reason": "fix_planned",
        "statement": "the next release has it", "days": 7,
    })
}

fn public_key() -> String {
    use base64::Engine as _;
    let key = SigningKey::generate().unwrap().public_key().unwrap();
    base64::engine::general_purpose::STANDARD.encode(key.as_der())
}

fn template() -> Value {
    json!({
        "id": "small-studio", "name": "Small studio", "version": "1.0.0", "description": "A studio of one.",
        "agents": [{"ref": "ceo", "name": "Chief", "role": "ceo"}], "goals": [], "projects": [], "issues": [],
    })
}

#[derive(Debug, Clone)]
struct Operation {
    id: String,
    method: Method,
    /// With its parameters in braces.
    path: String,
    has_security: bool,
}

fn operations() -> Vec<Operation> {
    let api = serde_json::to_value(registry_api::openapi()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            if !operation["responses"].is_object() {
                continue;
            }
            operations.push(Operation {
                id: text(&operation["operationId"]),
                method,
                path: path.clone(),
                has_security: operation["security"].as_array().is_some_and(|security| !security.is_empty()),
            });
        }
    }
    operations
}

impl Things {
    /// A request that would do the operation to these things.
    fn request(&self, client: &StoreClient, operation: &Operation) -> reqwest::RequestBuilder {
        let mut path = operation.path.clone();
        let id = if path.contains("/registries/") {
            &self.registry
        } else if path.contains("/waivers/") {
            &self.waiver
        } else if path.contains("/reviews/") {
            &self.review
        } else if path.contains("/companies/") {
            &self.company
        } else if path.contains("/modules/{id}") {
            &self.module
        } else if path.contains("/keys/{id}") {
            &self.manifest_key
        } else {
            &self.intake
        };
        for (parameter, value) in [
            ("{org}", "acme"),
            ("{publisher}", "acme"),
            ("{name}", "app"),
            ("{version}", "1.0.0"),
            ("{id}", id),
            ("{key}", &self.api_key),
            ("{user}", &self.user),
        ] {
            path = path.replace(parameter, value);
        }
        assert!(!path.contains('{'), "{operation:?} has a parameter that this test does not know");
        if matches!(operation.id.as_str(), "listAudit" | "exportAudit") {
            path += "?org=acme";
        }
        if operation.id == "exportTemplate" {
            path += &format!("?company={}", self.company);
        }
        let request = client.request(operation.method.clone(), &path);
        match self.body(&operation.id) {
            Some(body) => request.json(&body),
            None => request,
        }
    }

    fn body(&self, operation: &str) -> Option<Value> {
        let publish = || json!({"imageRef": "ghcr.io/acme/app:2", "manifest": module_manifest("app", "2.0.0"), "orgId": self.acme.id});
        Some(match operation {
            "createOrganization" => json!({"slug": "another", "display_name": "Another"}),
            "createUser" => json!({"email": "new@acme.example", "password": "a long password", "role": "viewer"}),
            "setMember" => json!({"email": "developer@acme.example.org", "role": "viewer"}),
            // Good but for the new password, which would end the login of the one who asks.
            "changePassword" => json!({"current_password": PASSWORD, "new_password": "short"}),
            "resetPassword" => json!({"password": "a long password"}),
            "enrolManifestKey" => json!({"public_key": public_key(), "label": "another"}),
            "revokeManifestKey" => json!({"reason": "lost"}),
            "createApiKey" => json!({"label": "mine"}),
            "createRegistry" => json!({"pattern": "ghcr.io/more/*"}),
            "changeRegistry" => json!({"credential": null}),
            "publishModule" | "publishModuleByApiKey" => publish(),
            "publishTemplate" | "importTemplate" => json!({"organization": "acme", "template": template()}),
            "approveReview" | "rejectReview" => json!({"verdict": self.review, "reason": "seen"}),
            "changeOrganization" => json!({"trust_tier": "verified"}),
            "askWaiver" => waiver(),
            "approveWaiver" | "refuseWaiver" => json!({}),
            "yankVersion" => json!({"reason": "broken"}),
            "deprecateVersion" => json!({"note": "use 2.0.0"}),
            _ => return None,
        })
    }
}

#[tokio::test]
async fn every_operation_is_public_or_refuses_strangers() {
    let store = Store::start_without_worker().await;
    let things = things(&store).await;
    let stranger = store.organization("strangers").await.admin;
    let nobody = store.root.logged_out();
    let mut faults = Vec::new();
    for operation in operations() {
        let is_public = PUBLIC.contains(&operation.id.as_str());
        let is_unsupported = UNSUPPORTED.contains(&operation.id.as_str());
        if is_public == operation.has_security {
            faults.push(format!("{operation:?}: the description and this list disagree about who may call it"));
        }
        if is_public {
            continue;
        }
        let anonymous = Answer::to(things.request(&nobody, &operation)).await;
        if anonymous.status != 401 || anonymous.json()["code"] != "UNAUTHENTICATED" {
            faults.push(format!("{operation:?} answers {} to nobody", anonymous.status));
        }
        let foreign = Answer::to(things.request(&stranger, &operation)).await;
        let is_refused = matches!(foreign.status, 403 | 404);
        let is_own = OWN.contains(&operation.id.as_str());
        if is_unsupported && foreign.json()["code"] != "SOURCE_PUBLISH_UNSUPPORTED" {
            foreign.expect_problem(403, "MODULE_RUNS_UNSUPPORTED");
        }
        if is_refused == is_own {
            faults.push(format!("{operation:?} answers {} to a stranger", foreign.status));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Proves that the requests of this test are good: what a stranger is refused, the organization's own people get.
#[tokio::test]
async fn the_organization_s_own_people_may_read_all_of_it() {
    let store = Store::start_without_worker().await;
    let things = things(&store).await;
    let mut faults = Vec::new();
    let readable = |operation: &Operation| operation.method == Method::GET && operation.id != "followIntake";
    for operation in operations().into_iter().filter(readable) {
        if PUBLIC.contains(&operation.id.as_str()) || UNSUPPORTED.contains(&operation.id.as_str()) {
            continue;
        }
        let reader = if SUPERUSER.contains(&operation.id.as_str()) { &store.root } else { &things.acme.admin };
        let answer = Answer::to(things.request(reader, &operation)).await;
        if answer.status != 200 {
            faults.push(format!("{operation:?} answers {}", answer.status));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_lists_name_operations_that_exist() {
    let all: BTreeSet<String> = operations().into_iter().map(|operation| operation.id).collect();
    for listed in PUBLIC.iter().chain(&OWN).chain(&UNSUPPORTED).chain(&SUPERUSER) {
        assert!(all.contains(*listed), "{listed} is no operation");
    }
}
