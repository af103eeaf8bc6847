//! A store that demands of package manifests what it does by default, a registry, and an author of an organization who
//! has the client.

use registry_types::policy::{Policy, ReviewPolicy};
use registry_types::review::ReviewPath;
use serde_json::{Value, json};
use store_tests::hla_compass::{HlaCompass, Run};
use store_tests::image::{Image, PushedImage};
use store_tests::registry::Registry;
use store_tests::store::{Organization, PASSWORD, Store};

/// Who the author is.
pub(super) const AUTHOR: &str = "developer@acme.example.org";

/// The folder of the author's module, and its name.
pub(super) const MODULE: &str = "ranker";

pub(super) struct Scene {
    pub(super) store: Store,
    pub(super) acme: Organization,
    pub(super) registry: Registry,
    pub(super) author: HlaCompass,
}

impl Scene {
    /// `None`, said aloud, where the client is not installed.
    pub(super) async fn with_client(version: &str) -> Option<Self> {
        // Nobody waits for a store that nobody needs.
        HlaCompass::find(version, &"http://127.0.0.1:9".parse().unwrap())?;
        let store = Store::start().await;
        // Who reviews is another matter: what passes every check becomes active here.
        let reviews = ReviewPolicy { verified: ReviewPath::Never, ..ReviewPolicy::default() };
        store.set_policy(&Policy { reviews, ..Policy::default() }).await;
        let registry = Registry::start().await;
        let acme = store.organization_of_tier("acme", "verified").await;
        store.allow(&acme, &registry.address, "acme").await;
        let author = HlaCompass::find(version, store.url())?;
        Some(Self { store, acme, registry, author })
    }

    pub(super) async fn log_in(&self) -> Run {
        self.author.login(AUTHOR, PASSWORD).await
    }

    /// Enrols the key that the client has made in its home.
    pub(super) async fn enrol_key_of(&self, client: &HlaCompass) -> Value {
        let key = std::fs::read_to_string(client.home().join(".hla-compass/keys/public.pem")).unwrap();
        self.acme.admin.post("/v1/orgs/acme/keys", json!({"public_key": key, "label": "author"})).await.expect(201)
    }

    /// Gives the module this version, and pushes an image of it.
    pub(super) async fn build(&self, version: &str) -> PushedImage {
        self.build_on(Image::new().debian_12(), version).await
    }

    /// [`Scene::build`], on another base.
    pub(super) async fn build_on(&self, base: Image, version: &str) -> PushedImage {
        self.author.edit_manifest(MODULE, |manifest| manifest["version"] = json!(version));
        let image = base.layer().hla_module(&self.author.manifest(MODULE));
        image.push(&self.registry.address, "acme/ranker", version).await
    }

    /// Publishes an image of the module.
    pub(super) async fn publish(&self, image: &str, more: &[&str]) -> Run {
        self.publish_by(&self.author, image, more).await
    }

    pub(super) async fn publish_by(&self, client: &HlaCompass, image: &str, more: &[&str]) -> Run {
        client.run_in(MODULE, &[&["publish", "--env", "dev", "--image-ref", image], more].concat()).await
    }

    pub(super) async fn count(&self, table: &str) -> i64 {
        let sql = self.store.database.connect().await;
        sql.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
    }

    /// The access tokens that there are run out now.
    pub(super) async fn let_access_tokens_expire(&self) {
        let expire = "UPDATE sessions SET access_expires_at = now() - interval '1 second'";
        self.store.database.connect().await.execute(expire, &[]).await.unwrap();
    }
}

/// The word that follows `label` in what the client printed.
#[track_caller]
pub(super) fn after<'o>(label: &str, output: &'o str) -> &'o str {
    let rest = output.split_once(label).unwrap_or_else(|| panic!("no {label:?} in:\n{output}")).1;
    rest.split_whitespace().next().unwrap_or_default()
}
