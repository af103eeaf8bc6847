//! A store of real processes, and intakes that are held at their fail points.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::StoreClient;
use store_tests::fail_points::FailPoints;
use store_tests::history::{self, Accepted};
use store_tests::hold::Hold;
use store_tests::image::Image;
use store_tests::object_server::S3Server;
use store_tests::postgres::Database;
use store_tests::process::ChildProcess;
use store_tests::registry::Registry;
use store_tests::store::{Interruptible, Organization, Parts, Store, module_manifest, text};
use store_tests::wait;
use tokio::task::JoinHandle;
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_interruptible");
/// More than one part of a multipart upload, so that something lies in staging.
const LARGE: usize = 9 * 1024 * 1024;
const SMALL: usize = 20_000;

/// Where an intake leaves anything.
const EVIDENCE: [&str; 17] = [
    "packages",
    "versions",
    "intakes",
    "intake_steps",
    "intake_checks",
    "intake_events",
    "verdicts",
    // Without their places in the chain, which any worker gives them a moment later.
    "(SELECT id, at, actor, action, subject, details FROM audit_entries)",
    "components",
    "findings",
    "version_documents",
    "version_manifests",
    "version_blobs",
    "manifests",
    "blobs",
    "layer_catalogs",
    "listing_revision",
];

/// What differs between the disturbances.
#[derive(Default)]
pub(super) struct SceneParts {
    pub(super) database: Option<Database>,
    pub(super) api_program: bool,
    /// Objects in S3 instead of a directory.
    pub(super) s3: bool,
    /// `None`: longer than any test, so that no lease runs out unless [`Scene::leases_run_out`] says so.
    pub(super) lease: Option<Duration>,
}

pub(super) struct Scene {
    pub(super) store: Store,
    pub(super) acme: Organization,
    pub(super) registry: Registry,
    /// `None` where objects are in a directory.
    pub(super) objects: Option<S3Server>,
    pub(super) points: FailPoints,
    accepted: Vec<Accepted>,
    /// What the evidence of an intake that nobody disturbed looks like.
    undisturbed: Option<Value>,
}

/// Intakes, each to be held at its point.
pub(super) struct Batch {
    pub(super) held: Vec<Held>,
}

pub(super) struct Held {
    pub(super) point: String,
    pub(super) intake: Uuid,
    pub(super) package: String,
    /// `None` once it was released.
    hold: Option<Hold>,
}

impl Scene {
    pub(super) async fn set(parts: SceneParts) -> Self {
        let points = FailPoints::start();
        let parts_lease = parts.lease.unwrap_or(Duration::from_secs(600));
        let objects = if parts.s3 { Some(S3Server::in_process().await) } else { None };
        let program = Interruptible { program: PROGRAM.into(), fail_points: points.socket() };
        let parts = Parts {
            database: parts.database,
            objects: objects.as_ref().map(S3Server::store_settings),
            api: parts.api_program.then_some(program),
            ..Parts::default()
        };
        let mut store = Store::start_with(parts).await;
        let settings = store.worker_settings_mut();
        settings.concurrency = 16;
        settings.queue.lease_ms = parts_lease.as_millis().try_into().unwrap();
        let registry = Registry::start().await;
        let acme = store.organization("acme").await;
        store.allow(&acme, &registry.address, "acme").await;
        Self { store, acme, registry, objects, points, accepted: Vec::new(), undisturbed: None }
    }

    /// A worker whose fail points are announced; dropping it kills it.
    pub(super) fn worker(&self) -> ChildProcess {
        let program = Interruptible { program: PROGRAM.into(), fail_points: self.points.socket() };
        self.store.start_worker_program(&program)
    }

    /// Publishes one module for each point, and holds its intake there. To be called without a worker.
    pub(super) async fn publish(&mut self, points: &[&str]) -> Batch {
        let mut held = Vec::new();
        for point in points {
            let name = format!("module-{}-{}", self.accepted.len(), point.replace('.', "-"));
            let manifest = module_manifest(&name, "1.0.0");
            // All layers are its own: whatever is read twice is read twice by one intake.
            let seed = 2 * self.accepted.len() as u64;
            let is_large = self.objects.is_some() && point.starts_with("layer.");
            let size = if is_large { LARGE } else { SMALL };
            let image = Image::new().debian_12().ballast("usr/share/a", seed, 100).layer();
            let image = image.ballast("usr/share/b", seed + 1, size).layer().hla_module(&manifest);
            let pushed = image.push(&self.registry.address, &format!("acme/{name}"), "1.0.0").await;
            let accepted = self.acme.publish(&manifest, &pushed.reference).await.expect(202);
            held.push(self.hold(point, &accepted));
        }
        Batch { held }
    }

    /// Notes what the store answered with 202.
    pub(super) fn was_accepted(&mut self, answer: &Value) -> Accepted {
        let intake = text(&answer["publishId"]).parse().unwrap();
        let accepted = Accepted { intake, package: text(&answer["package"]), version: text(&answer["version"]) };
        self.accepted.push(accepted.clone());
        accepted
    }

    fn hold(&mut self, point: &str, answer: &Value) -> Held {
        let Accepted { intake, package, .. } = self.was_accepted(answer);
        let hold = self.points.hold(point, &intake.to_string());
        Held { point: point.to_owned(), intake, package, hold: Some(hold) }
    }

    /// Until every intake of the batch waits at its point; none of them may be seen before its decision is committed.
    pub(super) async fn all_held(&self, batch: &mut Batch) {
        for held in &mut batch.held {
            let reached = held.hold.as_mut().unwrap().reached(1);
            if tokio::time::timeout(Duration::from_secs(60), reached).await.is_err() {
                let passed = self.points.passed(&held.intake.to_string());
                let log = self.store.worker_log();
                let log: Vec<_> = log.lines().rev().take(30).collect();
                let now = self.acme.developer.get(&format!("/v1/intakes/{}", held.intake)).await.expect(200);
                panic!("nobody came to {}: {passed:?}\n{now:#}\n{}", held.point, log.join("\n"));
            }
        }
        let anybody = self.store.root.logged_out();
        let index = anybody.get("/index.json").await.expect(200).to_string();
        for Held { point, package, intake, .. } in &batch.held {
            // On a machine that is slow enough, a transaction that is held ends and another attempt goes on.
            let commits = self.passed_of(*intake).get("decide.commit").copied().unwrap_or_default();
            if point != "decide.committed" && commits > u32::from(point == "decide.commit") {
                continue;
            }
            let pulled = anybody.get(&format!("/v2/{package}/manifests/1.0.0")).await.status;
            let shown = anybody.get(&format!("/v1/packages/{package}")).await.status;
            if point == "decide.committed" {
                assert_eq!((pulled, shown), (200, 200), "{point}");
            } else {
                assert_eq!((pulled, shown, index.contains(package.as_str())), (404, 404, false), "{point}");
            }
        }
    }

    /// Until every intake of the batch has ended as one that nobody disturbed.
    pub(super) async fn end(&mut self, mut batch: Batch) {
        batch.release();
        for Held { point, intake, .. } in batch.held {
            let ended = self.acme.intake_end(&intake.to_string()).await;
            assert_eq!(ended["outcome"], "active", "{point}: {ended:#}");
            let evidence = self.evidence(intake).await;
            let undisturbed = self.undisturbed.get_or_insert_with(|| evidence.clone());
            assert_eq!(*undisturbed, evidence, "{point}");
        }
    }

    /// Lets the time of all leases that are held now pass.
    pub(super) async fn leases_run_out(&self) {
        let held = "UPDATE jobs SET locked_until = now() - interval '1 s' WHERE locked_until IS NOT NULL";
        self.sql().await.execute(held, &[]).await.unwrap();
    }

    /// Until everything that was accepted is active.
    pub(super) async fn all_end(&self) {
        for accepted in &self.accepted {
            let ended = self.acme.intake_end(&accepted.intake.to_string()).await;
            assert_eq!(ended["outcome"], "active", "{ended:#}");
        }
    }

    /// A client that follows each intake of the batch, and comes back when it is cut off.
    pub(super) fn follow(&self, batch: &Batch) -> Vec<Follower> {
        let follow = |intake| Follower { intake, told: tokio::spawn(following(self.acme.developer.clone(), intake)) };
        batch.intakes().into_iter().map(follow).collect()
    }

    /// Each follower was told every event, once, in their order.
    pub(super) async fn assert_followed(&self, followers: Vec<Follower>) {
        let sql = self.sql().await;
        for Follower { intake, told } in followers {
            let told = tokio::time::timeout(Duration::from_secs(60), told).await.expect("the end to be told").unwrap();
            let ids = "SELECT id FROM intake_events WHERE intake_id = $1 ORDER BY id";
            let stored: Vec<i64> = sql.query(ids, &[&intake]).await.unwrap().iter().map(|row| row.get(0)).collect();
            assert_eq!(told, stored, "of {intake}");
        }
    }

    /// What must be the same for all intakes of such images: outcomes and numbers, no sizes, digests or times.
    async fn evidence(&self, intake: Uuid) -> Value {
        let query = "SELECT jsonb_build_object( \
            'checks', (SELECT jsonb_object_agg(name, outcome) FROM intake_checks WHERE intake_id = i.id), \
            'steps', (SELECT jsonb_agg(step ORDER BY step) FROM intake_steps WHERE intake_id = i.id), \
            'components', (SELECT jsonb_agg(component ORDER BY ordinal) FROM components WHERE version_id = i.version_id), \
            'findings', (SELECT count(*) FROM findings WHERE version_id = i.version_id), \
            'documents', (SELECT count(*) FROM version_documents WHERE version_id = i.version_id), \
            'manifests', (SELECT count(*) FROM version_manifests WHERE version_id = i.version_id), \
            'blobs', (SELECT count(*) FROM version_blobs WHERE version_id = i.version_id), \
            'events', (SELECT jsonb_agg(DISTINCT kind || coalesce(data->>'state', data->>'step', data->>'name', '')) \
                       FROM intake_events WHERE intake_id = i.id AND kind <> 'progress')) \
            FROM intakes i WHERE id = $1";
        let mut evidence: Value = self.sql().await.query_one(query, &[&intake]).await.unwrap().get(0);
        strip_layers(&mut evidence);
        evidence
    }

    /// An intake that nobody disturbs, for comparison.
    pub(super) async fn undisturbed(&mut self) {
        let worker = self.worker();
        let batch = self.publish(&["nowhere.never"]).await;
        self.end(batch).await;
        drop(worker);
    }

    /// Layers that the store has read, checked and recorded.
    pub(super) async fn known_layers(&self) -> BTreeSet<String> {
        let rows = self.sql().await.query("SELECT digest FROM layer_catalogs", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// No layer of these was read since the registry's requests were forgotten, and no other one twice.
    pub(super) fn assert_not_read_again(&self, known: &BTreeSet<String>) {
        let mut read = BTreeSet::new();
        for request in self.registry.requests().iter().filter(|request| request.reads_blob()) {
            let digest = request.path.rsplit('/').next().unwrap().to_owned();
            assert!(!known.contains(&digest), "{digest} was known and read again");
            // Configs are as small as proof of access, and are read instead of it.
            assert!(read.insert(digest.clone()) || request.bytes_sent < 1_000, "{digest} was read twice");
        }
    }

    /// How often the points of the n-th intake were passed.
    pub(super) fn passed(&self, n: usize) -> BTreeMap<String, u32> {
        self.points.passed(&self.accepted[n].intake.to_string())
    }

    /// Of an intake.
    pub(super) fn passed_of(&self, intake: Uuid) -> BTreeMap<String, u32> {
        self.points.passed(&intake.to_string())
    }

    /// The whole history holds together, and nothing is left in staging.
    pub(super) async fn assert_sound(&self) {
        history::assert_sound(&self.store, &self.accepted).await;
        // s3s-fs does not list uploads, so they cannot be cleared there.
        if self.objects.is_none() {
            self.clear_staging().await;
            assert_eq!(self.store.unfinished_uploads(), 0);
        }
    }

    /// The housekeeping job, now.
    async fn clear_staging(&self) {
        let _worker = self.worker();
        let sql = self.sql().await;
        let job = "UPDATE jobs SET run_after = now() WHERE kind = 'housekeeping' RETURNING id";
        let due: Uuid = sql.query_one(job, &[]).await.unwrap().get(0);
        wait::until("the housekeeping", async || {
            sql.query_opt("SELECT 1 FROM jobs WHERE id = $1", &[&due]).await.unwrap().is_none().then_some(())
        })
        .await;
    }

    /// All rows that tell of intakes; in one text, to be compared.
    pub(super) async fn everything(&self) -> String {
        let sql = self.sql().await;
        let mut everything = String::new();
        for table in EVIDENCE {
            let all = format!("SELECT coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '') FROM {table} t");
            let rows: String = sql.query_one(&all, &[]).await.unwrap().get(0);
            everything.push_str(&format!("{table}\n{rows}\n"));
        }
        everything
    }

    pub(super) async fn sql(&self) -> tokio_postgres::Client {
        self.store.database.connect().await
    }
}

/// Ids of the events of an intake as a client sees them.
pub(super) struct Follower {
    intake: Uuid,
    told: JoinHandle<Vec<i64>>,
}

async fn following(client: StoreClient, intake: Uuid) -> Vec<i64> {
    let mut told: Vec<i64> = Vec::new();
    loop {
        let mut request = client.request(Method::GET, &format!("/v1/intakes/{intake}/events"));
        if let Some(last) = told.last() {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let Ok(answer) = request.send().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let mut stream = answer.bytes_stream();
        let mut text = String::new();
        while let Some(Ok(bytes)) = stream.next().await {
            text += std::str::from_utf8(&bytes).unwrap();
        }
        // An event that was cut off is sent again.
        let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        told.extend(whole.lines().filter_map(|line| line.strip_prefix("id: ")?.parse::<i64>().ok()));
        if whole.contains("event: decided") {
            return told;
        }
    }
}

impl Batch {
    /// Lets all go on that are still held.
    pub(super) fn release(&mut self) {
        self.held.iter_mut().filter_map(|held| held.hold.take()).for_each(Hold::release);
    }

    pub(super) fn intakes(&self) -> Vec<Uuid> {
        self.held.iter().map(|held| held.intake).collect()
    }
}

/// Which layer a component lies in differs.
fn strip_layers(evidence: &mut Value) {
    for component in evidence["components"].as_array_mut().into_iter().flatten() {
        if let Some(component) = component.as_object_mut() {
            component.retain(|field, _| field == "purl" || field == "name" || field == "version");
        }
    }
    evidence["events"] = json!(evidence["events"]);
}
