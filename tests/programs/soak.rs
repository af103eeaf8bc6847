//! Publishes without pause while two workers are killed at random moments, Postgres is killed and started again and the
//! object store fails; then reads the whole history. `soak --seconds 300 --seed 7`.
//!
//! The seed fixes what is published and what is killed after how long; where in an intake that strikes is the machine's
//! doing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::StoreClient;
use store_tests::fail_points::FailPoints;
use store_tests::history::{self, Accepted};
use store_tests::image::Image;
use store_tests::object_server::{Outage, S3Server};
use store_tests::postgres::OwnServer;
use store_tests::process::ChildProcess;
use store_tests::random::Random;
use store_tests::registry::{Registry, RegistryAddress};
use store_tests::store::{Interruptible, Organization, Parts, Store, module_manifest, text};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const ORGANIZATIONS: [&str; 3] = ["acme", "globex", "initech"];
const PACKAGES: u64 = 8;
/// Layers that images of all organizations share.
const SHARED_LAYERS: u64 = 12;
const DRAIN_WITHIN: Duration = Duration::from_secs(180);

#[derive(Parser)]
struct Arguments {
    /// For how long it is published and killed.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { seconds, seed } = Arguments::parse();
    println!("soak: {seconds} seconds, seed {seed}");
    let faults = soak(Duration::from_secs(seconds), seed).await;
    faults.iter().for_each(|fault| println!("FAULT {fault}"));
    println!("soak: seed {seed}: {}", if faults.is_empty() { "sound" } else { "NOT SOUND" });
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is wrong at the end.
async fn soak(duration: Duration, seed: u64) -> Vec<String> {
    let points = FailPoints::start();
    let program = Interruptible { program: beside("interruptible"), fail_points: points.socket() };
    let mut server = OwnServer::start().await;
    let objects = S3Server::in_process().await;
    let parts = Parts {
        database: Some(server.database().await),
        objects: Some(objects.store_settings()),
        api: Some(program.clone()),
        ..Parts::default()
    };
    let mut store = Store::start_with(parts).await;
    store.worker_settings_mut().concurrency = 4;
    store.worker_settings_mut().queue.lease_ms = 10_000;
    let registry = Registry::start().await;

    let stop = CancellationToken::new();
    let mut publishers = Vec::new();
    for (number, slug) in (0..).zip(ORGANIZATIONS) {
        let organization = store.organization(slug).await;
        store.allow(&organization, &registry.address, slug).await;
        let publisher = Publisher::new(organization, registry.address.clone(), Random::new(seed, number));
        publishers.push(tokio::spawn(publisher.run(stop.clone())));
    }
    let watcher = tokio::spawn(watch_index(store.root.logged_out(), stop.clone()));
    let harm = do_harm(&store, &program, &mut server, &objects, duration, Random::new(seed, 100)).await;
    stop.cancel();

    let mut submissions = Vec::new();
    for publisher in publishers {
        submissions.extend(publisher.await.expect("a publisher that goes on"));
    }
    let drained = drain(&store, &harm.workers).await;
    let seen = watcher.await.expect("a watcher that goes on");
    println!("harm: {}", harm.summary());
    let mut faults = drained;
    faults.extend(judge(&store, &submissions, &seen).await);
    println!(
        "layer reads: {} of {} layers",
        layer_reads(&registry).values().sum::<u32>(),
        layer_reads(&registry).len()
    );
    faults
}

fn beside(program: &str) -> PathBuf {
    std::env::current_exe().expect("the own path").with_file_name(program)
}

/// What was asked of the store, and is to come of it.
struct Submission {
    accepted: Accepted,
    outcome: &'static str,
}

/// Publishes for one organization, one submission after the other.
struct Publisher {
    organization: Organization,
    registry: RegistryAddress,
    random: Random,
    /// Next patch number of each package.
    versions: BTreeMap<u64, u64>,
    submissions: Vec<Submission>,
    repeated: u32,
}

impl Publisher {
    fn new(organization: Organization, registry: RegistryAddress, random: Random) -> Self {
        Self { organization, registry, random, versions: BTreeMap::new(), submissions: Vec::new(), repeated: 0 }
    }

    async fn run(mut self, stop: CancellationToken) -> Vec<Submission> {
        while !stop.is_cancelled() {
            self.publish_one().await;
            let pause = Duration::from_millis(self.random.below(700));
            let _ = tokio::time::timeout(pause, stop.cancelled()).await;
        }
        println!(
            "{}: {} accepted, {} of them asked for again with their key",
            self.organization.slug,
            self.submissions.len(),
            self.repeated
        );
        self.submissions
    }

    async fn publish_one(&mut self) {
        let package = self.random.below(PACKAGES);
        let patch = self.versions.entry(package).or_default();
        let version = format!("1.0.{patch}");
        *patch += 1;
        let name = format!("module-{package}");
        let manifest = module_manifest(&name, &version);
        let is_good = self.random.below(6) > 0;
        let image = self.image(&manifest, is_good);
        let repository = format!("{}/{name}", self.organization.slug);
        let reference = image.push(&self.registry, &repository, &version).await.reference;
        let body = json!({
            "imageRef": reference, "manifest": manifest, "scope": "public", "orgId": self.organization.id,
        });
        let key = format!("{name}@{version}");
        let answer = self.until_accepted(&key, &body).await;
        if self.random.below(5) == 0 {
            self.repeated += 1;
            assert_eq!(self.until_accepted(&key, &body).await, answer, "a repeated request was answered otherwise");
        }
        let intake: Uuid = text(&answer["publishId"]).parse().expect("an id");
        let accepted = Accepted { intake, package: text(&answer["package"]), version };
        self.submissions.push(Submission { accepted, outcome: if is_good { "active" } else { "rejected" } });
    }

    /// Two shared layers and one of its own; a bad one holds another manifest than the submitted one.
    fn image(&mut self, manifest: &Value, is_good: bool) -> Image {
        let mut inside = manifest.clone();
        if !is_good {
            inside["permissions"] = json!({"network": true});
        }
        let image = Image::new().debian_12();
        let image = (0..2).fold(image, |image, _| {
            let shared = self.random.below(SHARED_LAYERS);
            image.layer().ballast(&format!("usr/share/{shared}"), shared, 100_000 + 100_000 * shared as usize)
        });
        image.layer().hla_module(&inside)
    }

    /// As a client does: the same request with the same key, until there is an answer.
    async fn until_accepted(&self, key: &str, body: &Value) -> Value {
        loop {
            let request = self.organization.developer.request(Method::POST, "/v1/modules/publish");
            let answer = request.header("Idempotency-Key", key).json(body).send().await;
            if let Ok(answer) = answer {
                let status = answer.status().as_u16();
                let body: Option<Value> = answer.json().await.ok();
                match (status, body) {
                    (202, Some(body)) => return body,
                    // The store is away, or has enough to do.
                    (403, Some(body)) if body["code"] == "QUOTA_EXCEEDED" => {}
                    (500.., _) | (202, None) => {}
                    (status, body) => panic!("{key} was answered {status}: {body:?}"),
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What was done to the store, and the two workers that are left.
struct Harm {
    workers: [ChildProcess; 2],
    worker_kills: u32,
    database_kills: u32,
    outages: u32,
}

impl Harm {
    fn summary(&self) -> String {
        let Self { worker_kills, database_kills, outages, .. } = self;
        format!("{worker_kills} workers killed, {database_kills} times Postgres, {outages} outages of the object store")
    }
}

async fn do_harm(
    store: &Store,
    program: &Interruptible,
    server: &mut OwnServer,
    objects: &S3Server,
    duration: Duration,
    mut random: Random,
) -> Harm {
    let start = || store.start_worker_program(program);
    let mut harm = Harm { workers: [start(), start()], worker_kills: 0, database_kills: 0, outages: 0 };
    let begun = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(500 + random.below(4_500))).await;
        if begun.elapsed() >= duration {
            return harm;
        }
        match random.below(10) {
            0 => {
                harm.database_kills += 1;
                server.kill().await;
                tokio::time::sleep(Duration::from_millis(random.below(2_000))).await;
                server.start_again().await;
            }
            1 => {
                harm.outages += 1;
                let outage = if random.below(2) == 0 { Outage::Unavailable } else { Outage::HangsUp };
                objects.fail(Some(outage));
                tokio::time::sleep(Duration::from_millis(random.below(8_000))).await;
                objects.fail(None);
            }
            dice => {
                harm.worker_kills += 1;
                // The assignment drops the running one, which kills it.
                harm.workers[usize::from(dice % 2 == 0)] = start();
            }
        }
    }
}

/// Which versions the index has shown, and when each was seen first, in seconds since 1970.
async fn watch_index(client: StoreClient, stop: CancellationToken) -> BTreeMap<(String, String), f64> {
    let mut seen = BTreeMap::new();
    while !stop.is_cancelled() {
        let asked = client.request(Method::GET, "/index.json").send().await;
        let body: Option<Value> = match asked {
            Ok(answer) if answer.status() == 200 => answer.json().await.ok(),
            _ => None,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        for entry in body.iter().flat_map(history::index_entries) {
            seen.entry(entry).or_insert(now);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    seen
}

/// Waits until every intake has ended.
async fn drain(store: &Store, _workers: &[ChildProcess; 2]) -> Vec<String> {
    let begun = Instant::now();
    let sql = store.database.connect().await;
    let open = "SELECT id || ' ' || state FROM intakes WHERE state IN ('queued', 'running')";
    loop {
        let left = sql.query(open, &[]).await.expect("the database");
        if left.is_empty() {
            println!("drained in {:.1} s", begun.elapsed().as_secs_f64());
            return Vec::new();
        }
        if begun.elapsed() > DRAIN_WITHIN {
            return left.iter().map(|row| format!("never ended: {}", row.get::<_, String>(0))).collect();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn judge(store: &Store, submissions: &[Submission], seen: &BTreeMap<(String, String), f64>) -> Vec<String> {
    let accepted: Vec<_> = submissions.iter().map(|submission| submission.accepted.clone()).collect();
    let mut faults = history::faults(store, &accepted).await;
    let sql = store.database.connect().await;
    let rows = "SELECT i.id, coalesce(i.outcome, i.state), extract(epoch FROM d.created_at)::float8 \
                FROM intakes i LEFT JOIN verdicts d ON d.intake_id = i.id";
    let ends: BTreeMap<Uuid, (String, Option<f64>)> = sql
        .query(rows, &[])
        .await
        .expect("the database")
        .iter()
        .map(|row| (row.get(0), (row.get(1), row.get(2))))
        .collect();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for Submission { accepted, outcome } in submissions {
        let Some((ended, decided)) = ends.get(&accepted.intake) else { continue };
        *counts.entry(ended).or_default() += 1;
        if ended != outcome {
            let why = why(&sql, accepted.intake).await;
            faults.push(format!("{accepted:?} ended as {ended} instead of {outcome}: {why}"));
        }
        let shown = seen.get(&(accepted.package.clone(), accepted.version.clone()));
        match (shown, decided) {
            (Some(shown), Some(decided)) if ended == "active" && shown >= decided => {}
            (None, _) => {}
            (Some(shown), decided) => {
                faults.push(format!("the index showed {accepted:?}, {ended}, at {shown}, decided {decided:?}"));
            }
        }
    }
    println!("intakes: {} accepted, ended as {counts:?}; {} versions seen in the index", submissions.len(), seen.len());
    faults
}

/// What the audit keeps of a job that was given up.
async fn why(sql: &tokio_postgres::Client, intake: Uuid) -> String {
    let entry = "SELECT details::text FROM audit_entries WHERE action = 'job.failed' \
                 AND details#>>'{payload,intake}' = $1";
    let found = sql.query_opt(entry, &[&intake.to_string()]).await.expect("the database");
    found.map_or_else(|| "nothing in the audit".to_owned(), |row| row.get(0))
}

fn layer_reads(registry: &Registry) -> BTreeMap<String, u32> {
    let mut reads = BTreeMap::new();
    for request in registry.requests().into_iter().filter(|request| request.reads_blob() && request.bytes_sent > 1_000)
    {
        *reads.entry(request.path.rsplit('/').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    reads
}
