//! Something of each kind for an operation to be done to, made anew for every try.

use company_store::signing_key::SigningKey;
use registry_api::rights::Operation;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use store_tests::client::StoreClient;
use store_tests::store::{PASSWORD, Store, module_manifest, text};

use super::Described;

/// An organization of its own for the tries of one operation.
pub(super) struct House<'a> {
    pub(super) store: &'a Store,
    pub(super) id: String,
    pub(super) slug: String,
    /// The one who makes things: an administrator whom no try is about.
    pub(super) keeper: &'a StoreClient,
}

/// Who tries: makes what must be the caller's own.
pub(super) struct Asker<'a> {
    pub(super) client: &'a StoreClient,
    /// The same person, logged in, where `client` has an API key.
    pub(super) person: &'a StoreClient,
}

impl House<'_> {
    /// A request that carries the operation out on something that nobody has touched yet. `n` differs from try to try.
    pub(super) async fn request(&self, described: &Described, asker: &Asker<'_>, n: usize) -> RequestBuilder {
        let mut path = described.path.clone();
        let name = format!("thing-{n}");
        if path.contains("{publisher}")
            || path.contains("/modules/{id}")
            || path.contains("/intakes/{id}")
            || path.contains("/publish/{id}")
        {
            let published = self.publish(&name).await;
            let id = if path.contains("/modules/{id}") { "moduleId" } else { "publishId" };
            path = path.replace("{id}", &text(&published[id]));
        }
        if path.contains("/webhooks/") {
            let (webhook, delivery) = self.webhook(&path).await;
            path = path.replace("{id}", &webhook).replace("{delivery}", &delivery);
        }
        if path.contains("{id}") {
            path = path.replace("{id}", &self.thing(&path, &name, n).await);
        }
        if let Some((publisher, _)) = path.split_once("/tokens/{token}") {
            let publisher = publisher.rsplit('/').next().unwrap_or_default();
            path = path.replace("{token}", &self.publish_token(publisher).await);
        }
        if path.contains("{key}") {
            path = path.replace("{key}", &self.api_key(asker).await);
        }
        if path.contains("{user}") {
            let user = self.user(&name).await;
            if path.contains("/superusers/") {
                let body = json!({"email": format!("{name}@{}.example.org", self.slug)});
                self.store.root.post("/v1/superusers", body).await.expect(204);
            }
            path = path.replace("{user}", &user);
        }
        for (parameter, value) in [
            ("{org}", self.slug.as_str()),
            ("{publisher}", self.slug.as_str()),
            ("{name}", name.as_str()),
            ("{version}", "1.0.0"),
            ("{reference}", "1.0.0"),
            ("{digest}", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ] {
            path = path.replace(parameter, value);
        }
        assert!(!path.contains('{'), "{described:?} has a parameter that this test does not know");
        path += &self.query(described.operation, n).await;
        let request = asker.client.request(described.method.clone(), &path).header("X-Organization-Id", &self.id);
        // No document is so named: the one in force stays.
        let request = request.header("If-Match", "\"none\"");
        match self.body(described.operation, n) {
            Some(body) => request.json(&body),
            None => request,
        }
    }

    async fn post(&self, area: &str, body: Value) -> Value {
        let made = self.keeper.post(&format!("/v1/orgs/{}/{area}", self.slug), body).await;
        assert!(made.status < 300, "{made:?}");
        made.json()
    }

    /// What `{id}` stands for in this path.
    pub(super) async fn thing(&self, path: &str, name: &str, n: usize) -> String {
        let made = if path.contains("/registries/") {
            self.post("registries", json!({"pattern": format!("ghcr.io/{}-{name}/*", self.slug)})).await
        } else if path.contains("/trusted-publishers/") {
            self.post("trusted-publishers", trusted_publisher(name)).await
        } else if path.contains("/waivers/") {
            self.post("waivers", waiver(n)).await
        } else if path.contains("/keys/") {
            self.post("keys", json!({"public_key": public_key(), "label": name})).await
        } else if path.contains("/companies/") {
            json!({"id": self.company(n).await})
        } else if path.contains("/reviews/") {
            json!({"id": self.review(name).await})
        } else {
            panic!("{path} has an id that this test does not know")
        };
        text(&made["id"])
    }

    /// As an exchange would have left it behind.
    pub(super) async fn publish_token(&self, publisher: &str) -> String {
        let sql = "\
            INSERT INTO publish_tokens (id, trusted_publisher_id, token_hash, claims, expires_at) \
            VALUES (gen_random_uuid(), $1::text::uuid, decode(md5($1), 'hex'), '{}', now()) RETURNING id::text";
        self.store.database.connect().await.query_one(sql, &[&publisher]).await.unwrap().get(0)
    }

    async fn publish(&self, name: &str) -> Value {
        let image = format!("ghcr.io/{}/{name}:1", self.slug);
        let body = json!({"imageRef": image, "manifest": module_manifest(name, "1.0.0"), "orgId": self.id});
        self.keeper.post("/v1/modules/publish", body).await.expect(202)
    }

    /// A webhook of the organization or, where the path says so, of the store; and a delivery to it.
    pub(super) async fn webhook(&self, path: &str) -> (String, String) {
        let (base, by) = if path.starts_with("/v1/webhooks") {
            ("/v1/webhooks".to_owned(), &self.store.root)
        } else {
            (format!("/v1/orgs/{}/webhooks", self.slug), self.keeper)
        };
        // The store has a bounded number of them, and is the same for all tries.
        let known = by.get(&base).await.expect(200)["items"][0]["id"].clone();
        let id = if known.is_null() { by.post(&base, webhook()).await.expect(201)["id"].clone() } else { known };
        let id = text(&id);
        by.patch(&format!("{base}/{id}"), json!({"enabled": true})).await.expect(200);
        let delivery = by.post(&format!("{base}/{id}/test"), json!({})).await.expect(202);
        (id, text(&delivery["delivery"]))
    }

    async fn company(&self, n: usize) -> String {
        let body = json!({"organization": self.slug, "template": template(n), "name": format!("Company {n}")});
        let made = self.keeper.post("/api/templates/import", body).await;
        assert!(made.status < 300, "{made:?}");
        text(&made.json()["company"])
    }

    pub(super) async fn api_key(&self, asker: &Asker<'_>) -> String {
        // Strangers cannot make one, and superusers have none: they try it on the keeper's.
        let path = format!("/v1/orgs/{}/api-keys", self.slug);
        let own = asker.person.post(&path, json!({"label": "own"})).await;
        let key = if own.status == 201 { own.json() } else { self.post("api-keys", json!({"label": "key"})).await };
        text(&key["id"])
    }

    /// Of this organization alone.
    async fn user(&self, name: &str) -> String {
        let email = format!("{name}@{}.example.org", self.slug);
        let made = self.post("users", json!({"email": email, "password": PASSWORD, "role": "viewer"})).await;
        text(&made["id"])
    }

    /// As the worker would have left it behind.
    async fn review(&self, name: &str) -> String {
        let intake = text(&self.publish(name).await["publishId"]);
        let sql = "\
            WITH left_open AS (INSERT INTO verdicts (id, version_id, intake_id, decision, envelope, key_id) \
                SELECT gen_random_uuid(), version_id, id, '{\"decision\": \"in_review\", \"reasons\": [], \"warnings\": []}', '', '' \
                FROM intakes WHERE id::text = $1 RETURNING *) \
            INSERT INTO reviews (id, version_id, organization_id, intake_id, verdict_id) \
            SELECT gen_random_uuid(), i.version_id, i.organization_id, i.id, d.id FROM left_open d \
            JOIN intakes i ON i.id = d.intake_id RETURNING id::text, verdict_id::text";
        let row = self.store.database.connect().await.query_one(sql, &[&intake]).await.unwrap();
        row.get(0)
    }

    async fn query(&self, operation: Operation, n: usize) -> String {
        match operation {
            Operation::ListAudit | Operation::ExportAudit => format!("?org={}", self.slug),
            Operation::ListReviews => format!("?org={}", self.slug),
            Operation::ExportTemplate => format!("?company={}", self.company(n).await),
            _ => String::new(),
        }
    }

    fn body(&self, operation: Operation, n: usize) -> Option<Value> {
        let name = format!("made-{n}");
        Some(match operation {
            Operation::CreateOrganization => {
                json!({"slug": format!("{}-{name}", self.slug), "display_name": "Another"})
            }
            Operation::CreateUser => {
                json!({"email": format!("{name}@{}.example.org", self.slug), "password": PASSWORD, "role": "viewer"})
            }
            Operation::AddSuperuser => json!({"email": "bystander@bystanders.example.org"}),
            Operation::SetMember => json!({"email": "bystander@bystanders.example.org", "role": "viewer"}),
            // Good but for the new password, which would end the login of the one who asks.
            Operation::ChangePassword => json!({"current_password": PASSWORD, "new_password": "short"}),
            Operation::ResetPassword => json!({"password": "another password of the tests"}),
            Operation::EnrolManifestKey => json!({"public_key": public_key(), "label": name}),
            Operation::RevokeManifestKey => json!({"reason": "lost"}),
            Operation::AddTrustedPublisher => trusted_publisher(&name),
            Operation::CreateApiKey => json!({"label": name}),
            Operation::CreateRegistry => json!({"pattern": format!("ghcr.io/{}-{name}/*", self.slug)}),
            Operation::RefuseRegistry => json!({"reason": "whose is it?"}),
            Operation::ChangeRegistry => json!({"credential": null}),
            Operation::PublishModule | Operation::PublishModuleByApiKey => json!({
                "imageRef": format!("ghcr.io/{}/{name}:1", self.slug), "manifest": module_manifest(&name, "1.0.0"), "orgId": self.id,
            }),
            Operation::PublishTemplate | Operation::ImportTemplate => {
                json!({"organization": self.slug, "template": template(n)})
            }
            Operation::ApproveReview | Operation::RejectReview => {
                json!({"verdict": "00000000-0000-0000-0000-000000000000", "reason": "seen"})
            }
            Operation::ChangeOrganization => json!({"trust_tier": "internal"}),
            Operation::CreateWebhook | Operation::CreateWebhookOfStore => webhook(),
            Operation::ChangeWebhook | Operation::ChangeWebhookOfStore => json!({"description": name}),
            Operation::RotateWebhookSecret | Operation::RotateWebhookSecretOfStore => json!({}),
            Operation::ReplayFailedDeliveries | Operation::ReplayFailedDeliveriesOfStore => {
                json!({"since": "2026-01-01T00:00:00Z"})
            }
            // Whoever may import is told that this is no signature.
            Operation::ImportVex => json!({"document": "{}", "signature": "?"}),
            Operation::SetPolicy => json!({}),
            Operation::AskWaiver => waiver(1000 + n),
            Operation::ApproveWaiver | Operation::RefuseWaiver => json!({}),
            Operation::YankVersion => json!({"reason": "broken"}),
            Operation::DeprecateVersion => json!({"note": "use 2.0.0"}),
            _ => return None,
        })
    }
}

fn webhook() -> Value {
    json!({"url": "https://hooks.example.org/"})
}

fn trusted_publisher(name: &str) -> Value {
    json!({
        "package": name, "provider": "github", "repository": "acme/app", "repository_id": 1, "owner_id": 2,
        "workflow": ".github/workflows/release.yml",
    })
}

fn waiver(n: usize) -> Value {
    json!({
        "advisory": format!("CVE-2026-{n}"), "component": {"package": "pkg:pypi/jinja2"}, "reason": "fix_planned",
        "statement": "the next release has it", "days": 7,
    })
}

fn public_key() -> String {
    use base64::Engine as _;
    let key = SigningKey::generate().unwrap().public_key().unwrap();
    base64::engine::general_purpose::STANDARD.encode(key.as_der())
}

fn template(n: usize) -> Value {
    json!({
        "id": format!("small-studio-{n}"), "name": "Small studio", "version": "1.0.0", "description": "A studio of one.",
        "agents": [{"ref": "ceo", "name": "Chief", "role": "ceo"}], "goals": [], "projects": [], "issues": [],
    })
}
