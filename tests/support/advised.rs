//! A store that judges by advisories which a test loads, and what is published to it.

use intake_worker::advisories::{AdvisorySource, sync};
use registry_db::Pool;
use registry_db::advisories::SnapshotInfo;
use registry_types::component::Ecosystem;
use serde_json::{Value, json};

use crate::image::Image;
use crate::postgres::Database;
use crate::registry::Registry;
use crate::store::{Organization, Store, module_manifest, text};
use crate::wait;

/// An OSV record about the versions of a package below `fixed`.
#[must_use]
pub fn about(ecosystem: &str, package: &str, id: &str, severity: &str, fixed: &str) -> Value {
    json!({
        "id": id, "summary": "a problem of the tests",
        "affected": [{
            "package": {"ecosystem": ecosystem, "name": package},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
        }],
        "database_specific": {"severity": severity},
    })
}

/// What makes the snapshots of these tests speak about the ecosystems of their images.
#[must_use]
pub fn coverage() -> Vec<Value> {
    vec![
        about("Debian:12", "covered", "COVERS-DEBIAN", "LOW", "1"),
        about("PyPI", "covered", "COVERS-PYPI", "LOW", "1"),
    ]
}

/// [`coverage`] and these.
#[must_use]
pub fn coverage_and(records: &[Value]) -> Vec<Value> {
    coverage().into_iter().chain(records.iter().cloned()).collect()
}

/// About what [`jinja`] holds.
#[must_use]
pub fn jinja_escape() -> Value {
    about("PyPI", "jinja2", "GHSA-test-escape", "HIGH", "9.9.9")
}

/// A store that judges by synced advisories, and a registry whose `acme/` the organization may publish.
pub struct Scene {
    pub store: Store,
    pub acme: Organization,
    pub registry: Registry,
}

impl Scene {
    /// With one worker.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn set(records: &[Value]) -> Self {
        let mut scene = Self::without_worker(records).await;
        scene.store.start_worker();
        scene
    }

    /// Puts `acme` on another tier's path.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn trust(&self, tier: &str) {
        let changed = self.store.root.patch("/v1/orgs/acme", json!({"trust_tier": tier})).await.expect(200);
        assert_eq!(changed["trust_tier"], tier);
    }

    /// What is submitted stays queued.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn without_worker(records: &[Value]) -> Self {
        let store = Store::start_without_worker().await;
        let registry = Registry::start().await;
        let acme = store.organization("acme").await;
        store.allow(&acme, &registry.address, "acme").await;
        let scene = Self { store, acme, registry };
        scene.load(records).await;
        scene
    }

    /// A pool on its database.
    ///
    /// # Panics
    /// When the store refuses.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool::new(self.store.database.url().clone(), 2).unwrap()
    }

    /// Loads exactly these records, as `company-store advisories sync` does.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn load(&self, records: &[Value]) -> SnapshotInfo {
        let folder = tempfile::tempdir().unwrap();
        for record in records {
            std::fs::write(folder.path().join(format!("{}.json", text(&record["id"]))), record.to_string()).unwrap();
        }
        let source = AdvisorySource::Folder(folder.path().to_owned());
        sync(&self.pool(), &source, Ecosystem::ALL, |_| ()).await.unwrap()
    }

    /// Loads the records and waits until every stored version is judged by them.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn load_and_judge(&self, records: &[Value]) -> SnapshotInfo {
        let snapshot = self.load(records).await;
        self.judged().await;
        snapshot
    }

    /// Waits until no stored version is owed a judgement.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn judged(&self) {
        wait::until("stored versions to be judged", async || {
            (self.count("jobs WHERE kind = 'rejudgement'").await == 0).then_some(())
        })
        .await;
    }

    /// Pushes `acme/<name>:1.0.0`.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn push(&self, name: &str, image: &Image) -> String {
        image.push(&self.registry.address, &format!("acme/{name}"), "1.0.0").await.reference
    }

    /// Publishes `acme/<name>` 1.0.0 with what `image` holds, and returns how the intake ended.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn publish(&self, name: &str, image: Image) -> Value {
        let manifest = module_manifest(name, "1.0.0");
        let reference = self.push(name, &image.layer().hla_module(&manifest)).await;
        self.acme.intake(&manifest, &reference).await
    }

    /// [`Scene::publish`], which must end well.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn publish_active(&self, name: &str, image: Image) {
        let intake = self.publish(name, image).await;
        assert_eq!(intake["outcome"], "active", "{intake:#}");
    }

    /// `acme/<name>` 1.0.0 as its developer sees it.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn version(&self, name: &str) -> Value {
        self.acme.developer.get(&format!("/v1/packages/acme/{name}/versions/1.0.0")).await.expect(200)
    }

    /// Its state.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn state(&self, name: &str) -> String {
        text(&self.version(name).await["state"])
    }

    /// The decisions of all verdicts on a version, the oldest first.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn decisions(&self, name: &str) -> Vec<String> {
        let sql = "SELECT d.decision->>'decision' FROM verdicts d JOIN versions v ON v.id = d.version_id \
                   JOIN packages p ON p.id = v.package_id WHERE p.name = $1 ORDER BY d.created_at, d.id";
        let rows = self.store.database.connect().await.query(sql, &[&name]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// How many rows there are of `table WHERE …`.
    ///
    /// # Panics
    /// When the store refuses.
    pub async fn count(&self, of: &str) -> i64 {
        count(&self.store.database, of).await
    }
}

/// How many rows there are of `table WHERE …`.
///
/// # Panics
/// When the database refuses.
pub async fn count(database: &Database, of: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {of}");
    database.connect().await.query_one(&sql, &[]).await.unwrap().get(0)
}

/// One of a version's checks.
///
/// # Panics
/// When it has none of that name.
#[must_use]
pub fn check<'a>(version: &'a Value, name: &str) -> &'a Value {
    let checks = version["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}: {version:#}"))
}

/// Debian 12 with Jinja2 3.1.6.
#[must_use]
pub fn jinja() -> Image {
    Image::new().debian_12().layer().wheel("Jinja2", "3.1.6")
}
