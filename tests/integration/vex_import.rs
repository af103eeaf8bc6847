//! OpenVEX documents of others, which ask for waivers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use registry_types::policy::{Policy, VexAuthor};
use serde_json::{Value, json};
use store_tests::advised::{Scene, check, coverage_and, jinja, jinja_escape};
use store_tests::client::Answer;
use store_tests::store::{Organization, Store, text};

/// Somebody who writes documents.
struct Author {
    key: SigningKey,
}

impl Author {
    fn new(seed: u8) -> Self {
        Self { key: SigningKey::from_slice(&[seed; 32]).unwrap() }
    }

    fn named(&self, name: &str) -> VexAuthor {
        let key = p256::PublicKey::from(*self.key.verifying_key()).to_public_key_pem(LineEnding::LF).unwrap();
        VexAuthor { name: name.to_owned(), key: key.try_into().unwrap() }
    }

    fn sign(&self, document: &str) -> String {
        let signature: DerSignature = self.key.sign(document.as_bytes());
        STANDARD.encode(signature.as_bytes())
    }
}

fn document() -> String {
    let statement = |status: &str, product: &str| {
        json!({
            "vulnerability": {"name": "GHSA-test-escape"}, "products": [{"@id": product}], "status": status,
            "justification": "vulnerable_code_not_in_execute_path", "impact_statement": "no template comes from outside",
        })
    };
    let statements = [
        statement("not_affected", "pkg:pypi/jinja2@3.1.6"),
        statement("not_affected", "pkg:pypi/jinja2@3.1.6"),
        statement("fixed", "pkg:pypi/jinja2@3.2"),
    ];
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://vendor.example/vex/1", "author": "anybody",
        "timestamp": "2026-11-01T00:00:00Z", "version": 1, "statements": statements,
    })
    .to_string()
}

async fn import(organization: &Organization, document: &str, signature: &str) -> Answer {
    let body = json!({"document": document, "signature": signature, "package": "ranker", "days": 10});
    organization.developer.post("/v1/orgs/acme/vex", body).await
}

async fn store_of(authors: &[VexAuthor]) -> (Store, Organization) {
    let store = Store::start_without_worker().await;
    store.set_policy(&Policy { vex_authors: authors.to_vec(), ..Policy::default() }).await;
    let acme = store.organization("acme").await;
    (store, acme)
}

async fn waivers(organization: &Organization) -> Vec<Value> {
    let waivers = organization.developer.get("/v1/orgs/acme/waivers").await.expect(200);
    waivers["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_allowed_author_says_counts_once_another_person_approves_it() {
    let scene = Scene::set(&coverage_and(&[jinja_escape()])).await;
    let vendor = Author::new(1);
    scene.store.set_policy(&Policy { vex_authors: vec![vendor.named("Vendor")], ..Policy::default() }).await;
    let imported = import(&scene.acme, &document(), &vendor.sign(&document())).await.expect(200);
    assert_eq!(
        (&imported["document"], &imported["author"]),
        (&json!("https://vendor.example/vex/1"), &json!("Vendor"))
    );
    let asked = &imported["asked"];
    assert_eq!((asked.as_array().unwrap().len(), &imported["already_asked"]), (1, &json!(1)), "{imported:#}");
    assert_eq!(asked[0]["statement"], "Vendor says: no template comes from outside");
    assert_eq!(asked[0]["component"]["version"], "3.1.6");
    assert_eq!(imported["left_out"][0]["pointer"], "/statements/2");
    assert_eq!(scene.count("audit_entries WHERE action = 'vex.imported'").await, 1);

    // Nobody has approved it.
    let refused = scene.publish("ranker", jinja()).await;
    assert_eq!(refused["failure_code"], "SECURITY_SCAN_FAILED", "{refused:#}");
    let id = text(&asked[0]["id"]);
    scene.store.root.post(&format!("/v1/orgs/acme/waivers/{id}/approve"), json!({})).await.expect(200);
    scene.publish_active("ranker", jinja()).await;
    let version = scene.version("ranker").await;
    let vulnerabilities = check(&version, "vulnerabilities");
    assert_eq!(vulnerabilities["evidence"]["waivers"][0]["id"], json!(id), "{vulnerabilities:#}");
}

#[tokio::test]
async fn a_document_that_is_imported_again_asks_for_nothing_new() {
    let vendor = Author::new(1);
    let (_store, acme) = store_of(&[vendor.named("Vendor")]).await;
    import(&acme, &document(), &vendor.sign(&document())).await.expect(200);
    let again = import(&acme, &document(), &vendor.sign(&document())).await.expect(200);
    assert_eq!((&again["asked"], &again["already_asked"]), (&json!([]), &json!(2)));
    assert_eq!(waivers(&acme).await.len(), 1);
}

#[tokio::test]
async fn a_document_counts_only_as_an_allowed_author_signed_it() {
    let (vendor, other) = (Author::new(1), Author::new(2));
    let (_store, acme) = store_of(&[vendor.named("Vendor")]).await;
    let good = vendor.sign(&document());
    let altered = document().replace("3.1.6", "3.1.7");
    let spaced = format!("{} ", document());
    for (document, signature) in [
        (document(), other.sign(&document())),
        (altered, good.clone()),
        // The same JSON is not the same bytes.
        (spaced, good.clone()),
        (document(), STANDARD.encode([0; 70])),
        (document(), String::new()),
    ] {
        import(&acme, &document, &signature).await.expect_problem(403, "VEX_AUTHOR_UNKNOWN");
    }
    import(&acme, &document(), "no base64").await.expect_problem(422, "VEX_INVALID");
    let no_vex = r#"{"bomFormat": "CycloneDX"}"#;
    import(&acme, no_vex, &vendor.sign(no_vex)).await.expect_problem(422, "VEX_INVALID");
    assert!(waivers(&acme).await.is_empty());
}

#[tokio::test]
async fn nobody_is_an_author_by_default() {
    let vendor = Author::new(1);
    let (_store, acme) = store_of(&[]).await;
    import(&acme, &document(), &vendor.sign(&document())).await.expect_problem(403, "VEX_AUTHOR_UNKNOWN");
}
