//! A private package that nobody else can infer: whatever a stranger asks about it is answered as if it had never been, word
//! for word, whoever the stranger is and whatever it has learned of names, ids and digests.

use std::collections::BTreeMap;

use registry_api::rights::Operation;
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::StoreClient;
use store_tests::image::Image;
use store_tests::registry::Registry;
use store_tests::store::{Organization, Store, module_manifest, text};
use uuid::Uuid;

use super::things::{Asker, House};
use super::{Described, described};

const NAME: &str = "canary-secret";
/// As long, so that an answer's length says nothing either.
const ABSENT_NAME: &str = "nothing-there";

/// What a stranger may have learned of the canary, each with something of the same form that has never been.
struct Leaked(BTreeMap<&'static str, (String, String)>);

impl Leaked {
    /// What a path's parameter stands for, and what it would if there were no canary.
    fn parameter(&self, described: &Described, parameter: &str) -> (String, String) {
        let path = &described.path;
        let of = |name: &str| self.0.get(name).unwrap_or_else(|| panic!("nothing is known of {name}")).clone();
        match parameter {
            "org" | "publisher" => of("organization"),
            "name" => of("package"),
            "version" => ("1.0.0".to_owned(), "1.0.0".to_owned()),
            "reference" => of("manifest digest"),
            "digest" if path.contains("/blobs/") => of("layer digest"),
            "digest" => of("manifest digest"),
            "key" => of("api key"),
            "user" => of("user"),
            "delivery" => of("delivery"),
            "token" => of("publish token"),
            "id" => {
                let kinds = [
                    ("/registries/", "registry"),
                    ("/trusted-publishers/", "trusted publisher"),
                    ("/waivers/", "waiver"),
                    ("/reviews/", "review"),
                    ("/companies/", "company"),
                    ("/modules/publish/", "intake"),
                    ("/modules/", "module"),
                    ("/keys/", "manifest key"),
                    ("/webhooks/", "webhook"),
                    ("/intakes/", "intake"),
                ];
                let kind = kinds.iter().find(|(part, _)| path.contains(part));
                of(kind.unwrap_or_else(|| panic!("{path} has an id that this test does not know")).1)
            }
            other => panic!("{path} has the parameter {other}, which this test does not know"),
        }
    }

    /// The path about the canary, and about nothing.
    fn paths(&self, described: &Described) -> (String, String) {
        let (mut real, mut absent) = (described.path.clone(), described.path.clone());
        while let Some((start, end)) = real.find('{').zip(real.find('}')) {
            let parameter = real[start + 1..end].to_owned();
            let (of_real, of_absent) = self.parameter(described, &parameter);
            let braced = format!("{{{parameter}}}");
            real = real.replace(&braced, &of_real);
            absent = absent.replace(&braced, &of_absent);
        }
        (real, absent)
    }

    /// What an answer would say if it were about nothing.
    fn blanked(&self, answer: &str) -> String {
        self.0.values().fold(answer.to_owned(), |answer, (real, absent)| answer.replace(real.as_str(), absent))
    }

    /// What must stand in no answer that was not asked about it.
    fn words(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|(real, _)| real.as_str())
    }
}

/// The organization with the canary, and everything of it that has an id.
async fn leaked(store: &Store, acme: &Organization, registry: &Registry) -> Leaked {
    let house = House { store, id: acme.id.clone(), slug: "acme".to_owned(), keeper: &acme.admin };
    let namespace = store.allow(acme, &registry.address, "acme").await;
    store.root.post("/v1/orgs/acme/registries", json!({"pattern": "ghcr.io/acme/*"})).await.expect(201);
    let manifest = module_manifest(NAME, "1.0.0");
    let image = Image::new().debian_12().ballast("usr/share/canary", 42, 100_000).layer().hla_module(&manifest).build();
    let reference = image.push(&registry.address, &format!("acme/{NAME}"), "1.0.0").await.reference;
    let body = json!({"imageRef": reference, "manifest": manifest, "scope": "org", "orgId": acme.id});
    let accepted = acme.developer.post("/v1/modules/publish", body).await.expect(202);
    let ended = acme.intake_end(&text(&accepted["publishId"])).await;
    assert_eq!(ended["outcome"], "active", "{ended:#}");

    let made = |id: String| (id, Uuid::new_v4().to_string());
    let asker = Asker { client: &acme.admin, person: &acme.admin };
    let mut known = BTreeMap::from([
        ("organization", ("acme".to_owned(), "emca".to_owned())),
        ("organization id", made(acme.id.clone())),
        ("package", (NAME.to_owned(), ABSENT_NAME.to_owned())),
        ("manifest digest", (text(&ended["digest"]), format!("sha256:{}", "0".repeat(64)))),
        ("layer digest", (image.layers[0].digest.to_string(), format!("sha256:{}", "1".repeat(64)))),
        ("intake", made(text(&accepted["publishId"]))),
        ("module", made(text(&accepted["moduleId"]))),
        ("registry", made(text(&namespace["id"]))),
        ("api key", made(house.api_key(&asker).await)),
        ("user", made(text(&acme.admin.get("/v1/auth/me").await.expect(200)["id"]))),
    ]);
    for (kind, path) in
        [("waiver", "/waivers/"), ("review", "/reviews/"), ("company", "/companies/"), ("manifest key", "/keys/")]
    {
        known.insert(kind, made(house.thing(path, "thing-1", 1).await));
    }
    let (webhook, delivery) = house.webhook("/v1/orgs/acme/webhooks/").await;
    known.insert("webhook", made(webhook));
    known.insert("delivery", made(delivery));
    let publisher = house.thing("/trusted-publishers/", "thing-1", 1).await;
    known.insert("publish token", made(house.publish_token(&publisher).await));
    known.insert("trusted publisher", made(publisher));
    Leaked(known)
}

/// Status, the headers that say something, and the body.
async fn answer(client: &StoreClient, method: &Method, path: &str, body: Option<&Value>) -> String {
    let request = client.request(method.clone(), path).header("X-Request-Id", "the-same");
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    let answer = request.send().await.unwrap();
    let told = ["content-type", "content-length", "etag", "location", "www-authenticate", "cache-control"];
    let headers =
        told.iter().filter_map(|name| Some(format!("{name}: {}\n", answer.headers().get(*name)?.to_str().ok()?)));
    let head = format!("{}\n{}", answer.status(), headers.collect::<String>());
    format!("{head}\n{}", String::from_utf8_lossy(&answer.bytes().await.unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_package_cannot_be_inferred_through_any_operation() {
    let store = Store::start().await;
    let strangers = store.organization("strangers").await;
    let key = strangers.admin.post("/v1/orgs/strangers/api-keys", json!({"label": "key"})).await.expect(201);
    let callers = [
        ("nobody", store.root.logged_out()),
        ("a stranger", strangers.admin.clone()),
        ("a stranger's key", strangers.admin.with_token(&text(&key["key"]))),
    ];
    // What everybody could see before there was a canary.
    let index = answer(&callers[0].1, &Method::GET, "/index.json", None).await;

    let (acme, registry) = (store.organization("acme").await, Registry::start().await);
    let leaked = leaked(&store, &acme, &registry).await;
    // It is there, for its own people, by what the strangers will try.
    let (package, _) = &leaked.0["package"];
    acme.developer.get(&format!("/v1/packages/acme/{package}")).await.expect(200);
    let (layer, _) = &leaked.0["layer digest"];
    assert_eq!(acme.developer.get(&format!("/v2/acme/{package}/blobs/{layer}")).await.status, 200);

    assert_eq!(answer(&callers[0].1, &Method::GET, "/index.json", None).await, index);
    let mut faults = Vec::new();
    for (who, client) in &callers {
        for one in described() {
            if let Some(fault) = fault(client, &one, &leaked).await {
                faults.push(format!("{:?}, asked by {who}: {fault}", one.operation));
            }
        }
        for path in pages_and_searches(&leaked) {
            if let Some(fault) = told_apart(client, &Method::GET, &path.0, &path.1, (None, None), &leaked).await {
                faults.push(format!("{}, asked by {who}: {fault}", path.0));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n\n"));
}

/// Whether the answer to an operation about the canary differs from that about nothing.
async fn fault(client: &StoreClient, one: &Described, leaked: &Leaked) -> Option<String> {
    // They are about the caller's own login, which they would end; and the description names an `acme` as an example.
    if matches!(one.operation, Operation::Logout | Operation::ChangePassword | Operation::Openapi) {
        return None;
    }
    let (real, absent) = leaked.paths(one);
    let bodies = bodies(one.operation, leaked);
    if real == absent && bodies == (None, None) {
        let told = answer(client, &one.method, &real, None).await;
        let word = leaked.words().find(|word| told.contains(word));
        return word.map(|word| format!("{word} stands in {told}"));
    }
    told_apart(client, &one.method, &real, &absent, (bodies.0.as_ref(), bodies.1.as_ref()), leaked).await
}

async fn told_apart(
    client: &StoreClient,
    method: &Method,
    real: &str,
    absent: &str,
    (body, absent_body): (Option<&Value>, Option<&Value>),
    leaked: &Leaked,
) -> Option<String> {
    let of_canary = leaked.blanked(&answer(client, method, real, body).await);
    let of_nothing = leaked.blanked(&answer(client, method, absent, absent_body).await);
    (of_canary != of_nothing).then(|| format!("{of_canary}\nis not\n{of_nothing}"))
}

/// Good bodies, that name the canary's organization and nothing.
fn bodies(operation: Operation, leaked: &Leaked) -> (Option<Value>, Option<Value>) {
    let of = |slug: &str, id: &str| match operation {
        // The image, the names and the like are the same: what differs is whom it is done to.
        Operation::PublishModule | Operation::PublishModuleByApiKey => Some(json!({
            "imageRef": "ghcr.io/acme/app:1", "manifest": module_manifest("app", "1.0.0"), "orgId": id,
        })),
        Operation::ExchangeIdentityToken => Some(json!({"token": "e30.e30.", "organization": slug, "package": NAME})),
        Operation::PublishTemplate => Some(json!({"organization": slug, "template": {}})),
        Operation::ImportTemplate => Some(json!({"organization": slug, "package": format!("{slug}/{NAME}")})),
        Operation::ApproveReview | Operation::RejectReview => Some(json!({"verdict": Uuid::nil(), "reason": "seen"})),
        _ => None,
    };
    let (organization, id) = (&leaked.0["organization"], &leaked.0["organization id"]);
    (of(&organization.0, &id.0), of(&organization.1, &id.1))
}

/// What is asked by a query and not by a path, and what people look at.
fn pages_and_searches(leaked: &Leaked) -> Vec<(String, String)> {
    let of = |name: &str| &leaked.0[name];
    let mut paths = Vec::new();
    let mut both = |path: &dyn Fn(&str, &str) -> String, kind: &str| {
        let ((slug, no_slug), (real, absent)) = (of("organization"), of(kind));
        paths.push((path(slug, real), path(no_slug, absent)));
    };
    both(&|_, name| format!("/v1/packages?q={name}"), "package");
    // A beginning of the name, and one that is misspelled.
    both(&|_, name| format!("/v1/packages?q={}", &name[..6]), "package");
    both(&|_, name| format!("/v1/packages?q={}", name.replacen('n', "nn", 1)), "package");
    both(&|slug, _| format!("/v1/packages?publisher={slug}"), "package");
    both(&|_, name| format!("/?q={name}"), "package");
    both(&|slug, _| format!("/publishers/{slug}"), "package");
    both(&|slug, name| format!("/packages/{slug}/{name}"), "package");
    both(&|slug, name| format!("/packages/{slug}/{name}/1.0.0"), "package");
    both(&|slug, name| format!("/v2/{slug}/{name}/manifests/1.0.0"), "package");
    both(&|slug, name| format!("/v2/{slug}/{name}/tags/list?n=1"), "package");
    // The stranger's own repository, with a digest that it was told.
    both(&|_, digest| format!("/v2/strangers/own/blobs/{digest}"), "layer digest");
    both(&|_, digest| format!("/v2/strangers/own/manifests/{digest}"), "manifest digest");
    both(&|_, id| format!("/intakes/{id}"), "intake");
    both(&|_, id| format!("/companies/{id}"), "company");
    both(&|_, id| format!("/api/templates/export?company={id}"), "company");
    for area in ["reviews", "waivers", "keys", "registries", "companies"] {
        both(&|slug, _| format!("/{area}?org={slug}"), "package");
    }
    both(&|slug, _| format!("/v1/reviews?org={slug}"), "package");
    both(&|slug, name| format!("/v1/reviews?package={slug}/{name}"), "package");
    both(&|slug, _| format!("/v1/audit?org={slug}"), "package");
    both(&|slug, _| format!("/v1/audit/export?org={slug}"), "package");
    both(&|_, id| format!("/v1/modules?organization_id={id}"), "organization id");
    paths
}
