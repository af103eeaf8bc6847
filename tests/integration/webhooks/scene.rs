//! A store with an organization that listens.

use intake_worker::WorkerSettings;
use serde_json::{Value, json};
use store_tests::client::StoreClient;
use store_tests::store::{Organization, Store, text};
use store_tests::wait;
use store_tests::webhook_receiver::WebhookReceiver;

pub(crate) const BASE: &str = "/v1/orgs/acme/webhooks";

pub(crate) struct Scene {
    pub(crate) store: Store,
    pub(crate) acme: Organization,
    pub(crate) receiver: WebhookReceiver,
}

/// A webhook as it was answered when it was added.
pub(crate) struct Hook {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Scene {
    /// Failed attempts are repeated three times, at once.
    pub(crate) async fn set() -> Self {
        Self::set_with(|_| {}).await
    }

    pub(crate) async fn set_with(change: impl FnOnce(&mut WorkerSettings)) -> Self {
        let mut scene = Self::without_worker().await;
        scene.store.start_worker_with(|settings| {
            settings.webhooks.retry_seconds = vec![0, 0, 0];
            change(settings);
        });
        scene
    }

    pub(crate) async fn without_worker() -> Self {
        let store = Store::start_without_worker().await;
        let acme = store.organization("acme").await;
        Self { store, acme, receiver: WebhookReceiver::start().await }
    }

    /// Adds a webhook of `acme` that hears of everything.
    pub(crate) async fn listen(&self, url: &str) -> Hook {
        add(&self.acme.admin, BASE, json!({ "url": url })).await
    }

    /// Something happens: a namespace is onboarded.
    pub(crate) async fn happen(&self, name: &str) {
        let body = json!({ "pattern": format!("ghcr.io/{name}/*") });
        self.acme.admin.post("/v1/orgs/acme/registries", body).await.expect(201);
    }

    pub(crate) async fn webhook(&self, id: &str) -> Value {
        self.acme.admin.get(&format!("{BASE}/{id}")).await.expect(200)
    }

    pub(crate) async fn deliveries(&self, id: &str) -> Vec<Value> {
        let page = self.acme.admin.get(&format!("{BASE}/{id}/deliveries")).await.expect(200);
        page["items"].as_array().unwrap().clone()
    }

    /// Waits until the webhook's newest delivery is in this state.
    pub(crate) async fn newest(&self, id: &str, state: &str) -> Value {
        wait::until(&format!("the newest delivery to be {state}"), async || {
            let deliveries = self.deliveries(id).await;
            deliveries.first().filter(|delivery| delivery["state"] == state).cloned()
        })
        .await
    }

    /// Waits until nothing is on its way.
    pub(crate) async fn quiet(&self) {
        wait::until("all events to be sent", async || {
            let sql = "SELECT count(*) FROM jobs WHERE kind IN ('event', 'webhook_delivery')";
            let row = self.store.database.connect().await.query_one(sql, &[]).await.unwrap();
            (row.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
    }

    pub(crate) async fn count(&self, of: &str) -> i64 {
        store_tests::advised::count(&self.store.database, of).await
    }
}

pub(crate) async fn add(by: &StoreClient, base: &str, webhook: Value) -> Hook {
    let added = by.post(base, webhook).await.expect(201);
    Hook { id: text(&added["id"]), secret: text(&added["secret"]) }
}

/// The errors of a delivery's attempts, in their order; `-` for the one that delivered.
pub(crate) fn errors(delivery: &Value) -> Vec<String> {
    let attempts = delivery["attempts"].as_array().unwrap();
    attempts.iter().map(|attempt| attempt["error"].as_str().unwrap_or("-").to_owned()).collect()
}
