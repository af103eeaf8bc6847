//! The store that the table is played to, and the rules that hold for every case.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use intake_worker::Patience;
use intake_worker::verdict::VerdictKey;
use registry_types::digest::{Digest, Hasher};
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::hostile_registry::{HostileRegistry, Venue};
use store_tests::process::ChildProcess;
use store_tests::store::{Organization, Store, module_manifest, text};
use tokio_postgres::Client;

use super::SIDE_BY_SIDE;
use super::canary::{Canary, files_below, token_of};
use super::case::{Case, Expected, Scene, TAG};

const WORKER: &str = env!("CARGO_BIN_EXE_test-intake-worker");
const API: &str = env!("CARGO_BIN_EXE_test-registry-api");
/// Attempts of an intake.
const ATTEMPTS: i64 = 5;
/// Requests of one attempt, with all tries, pages and hops, for the images of this table.
const REQUESTS: usize = 100;
/// From the submission to the end, with every attempt and the other cases beside it.
const LONGEST: Duration = Duration::from_secs(90);
/// Until the index names the active packages.
const RENDERING: Duration = Duration::from_secs(30);
/// What the worker may take: a debug build at [`SIDE_BY_SIDE`] intakes, each with up to four manifests of 4 MiB.
const MOST_MEMORY: u64 = 512 * 1024 * 1024;

pub(super) struct House {
    pub(super) store: Store,
    database: Client,
    canary: Canary,
    key: Arc<VerdictKey>,
    /// Paths whose answers held a credential.
    heard: Mutex<Vec<String>>,
    _api: ChildProcess,
}

/// A case that was played.
pub(super) struct Ended {
    name: String,
    expected: Expected,
    pub(super) took: Duration,
    problems: Vec<String>,
    /// It goes on listening: what comes late is heard as well.
    here: HostileRegistry,
    elsewhere: HostileRegistry,
    secret: String,
    elsewhere_untouched: bool,
}

/// An attempt is counted at the claim, and the job's row goes with its end: what is told of an intake does not say how many
/// there were.
const COUNT_ATTEMPTS: &str = "
    CREATE TABLE counted_attempts (intake text NOT NULL);
    CREATE FUNCTION count_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO counted_attempts VALUES (NEW.payload ->> 'intake');
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER jobs_count_attempt AFTER UPDATE ON jobs FOR EACH ROW
    WHEN (NEW.kind = 'intake' AND NEW.attempt > OLD.attempt) EXECUTE FUNCTION count_attempt();
";

/// What an intake of this table stores before its end: what was resolved, manifests, the config, a layer.
const STORED: i64 = 4;

/// An attempt that stored something gives all of them back.
fn all_used_up(attempts: i64) -> bool {
    (ATTEMPTS..=(STORED + 1) * ATTEMPTS).contains(&attempts)
}

impl House {
    /// A store whose worker is quick to give up.
    pub(super) async fn open() -> Self {
        let mut store = Store::start_without_worker().await;
        store.trace_processes();
        let settings = store.worker_settings_mut();
        settings.concurrency = SIDE_BY_SIDE;
        settings.queue.lease_ms = 20_000;
        settings.queue.per_organization = u32::try_from(SIDE_BY_SIDE).unwrap();
        settings.sources.patience = Patience {
            connect_ms: 2_000,
            idle_ms: 1_000,
            exchange_ms: 2_000,
            blob_ms: 2_000,
            tries: 2,
            retry_base_ms: 10,
            retry_cap_ms: 1_000,
        };
        let _api = store.move_to_api_process(Path::new(API)).await;
        let database = store.database.connect().await;
        database.batch_execute(COUNT_ATTEMPTS).await.unwrap();
        let key = VerdictKey::from_pem(&VerdictKey::generate_pem().unwrap()).unwrap();
        Self { store, database, canary: Canary::new(), key: Arc::new(key), heard: Mutex::default(), _api }
    }

    pub(super) fn worker(&self) -> ChildProcess {
        self.store.start_worker_process(Path::new(WORKER))
    }

    /// Onboards the case's registry, publishes, waits for the end and looks at what came of it.
    pub(super) async fn perform(&self, organization: Organization, case: Case) -> Ended {
        let Case { name, expected, wants_signature, elsewhere_untouched, .. } = &case;
        let (name, expected, elsewhere_untouched) = (name.clone(), *expected, *elsewhere_untouched);
        let (here, elsewhere) = (Venue::take().await, Venue::take().await);
        let manifest = module_manifest(&name, TAG);
        let scene = Scene {
            here: here.host.clone(),
            elsewhere: elsewhere.host.clone(),
            image: Scene::image_of(&manifest, "the image"),
            secret: token_of(&name),
            key: Arc::clone(&self.key),
        };
        let policy = if *wants_signature {
            json!({"mode": "required", "keys": [self.key.public_key_pem()]})
        } else {
            json!({"mode": "none"})
        };
        let (script, script_elsewhere) = case.scripts(&scene);
        let (here, elsewhere) = (here.play(script), elsewhere.play(script_elsewhere));
        self.allow(&organization, &name, &scene, policy).await;
        let started = Instant::now();
        let intake = self.publish(&organization, &scene, &manifest).await;
        let took = started.elapsed();
        let mut problems = self.ending_of(&intake, expected).await;
        problems.extend(self.visibility_of(&organization, &name, &scene, expected).await);
        Ended { name, expected, took, problems, here, elsewhere, secret: scene.secret, elsewhere_untouched }
    }

    async fn allow(&self, organization: &Organization, name: &str, scene: &Scene, policy: Value) {
        let body = json!({
            "provider": "generic",
            "pattern": format!("{}/{name}/*", scene.here),
            "signature_policy": policy,
            "credential": {"username": "robot", "token": scene.secret},
        });
        let path = format!("/v1/orgs/{}/registries", organization.slug);
        let made = self.listen(&path, self.store.root.post(&path, body).await).expect(201);
        assert_eq!(made["state"], "verified", "{made}");
    }

    /// Publishes, follows the events to their end, and gives the intake.
    async fn publish(&self, organization: &Organization, scene: &Scene, manifest: &Value) -> Value {
        let reference = format!("{}/{}/app:{TAG}", scene.here, text(&manifest["name"]));
        let accepted = self.listen("publish", organization.publish(manifest, &reference).await).expect(202);
        let path = format!("/v1/intakes/{}", text(&accepted["publishId"]));
        let events = organization.developer.request(Method::GET, &format!("{path}/events"));
        // One that does not end in time is shown as it stands.
        if let Ok(followed) = tokio::time::timeout(LONGEST, Answer::to(events)).await {
            self.listen("events", followed);
        }
        self.look(&organization.developer, &path).await.expect(200)
    }

    async fn look(&self, client: &StoreClient, path: &str) -> Answer {
        self.listen(path, client.get(path).await)
    }

    /// Notes an answer that holds a credential.
    fn listen(&self, path: &str, answer: Answer) -> Answer {
        if self.canary.sings_in_bytes(&answer.body) || self.canary.sings_in(&format!("{:?}", answer.headers)) {
            let body: String = String::from_utf8_lossy(&answer.body).chars().take(500).collect();
            self.heard.lock().unwrap().push(format!("the answer of {path}: {body}"));
        }
        answer
    }

    async fn ending_of(&self, intake: &Value, expected: Expected) -> Vec<String> {
        let word = |key: &str| intake[key].as_str().unwrap_or_default();
        let reason_of_review = || {
            let checks = intake["checks"].as_array().unwrap();
            let check = checks.iter().find(|check| check["outcome"] == "error");
            check.and_then(|check| check["reasons"][0]["code"].as_str()).unwrap_or_default()
        };
        let ending = (word("state"), word("outcome"), word("failure_code"));
        let attempts = self.attempts_of(intake).await;
        let as_expected = match expected {
            Expected::Active => ending == ("decided", "active", ""),
            Expected::Rejected(code) => ending == ("decided", "rejected", code) && attempts == 1,
            Expected::RejectedLater(code) => ending == ("decided", "rejected", code) && attempts == 2,
            Expected::Failed => ending == ("failed", "", "INTAKE_FAILED") && all_used_up(attempts),
            Expected::InReview(code) => (word("outcome"), reason_of_review(), attempts) == ("in_review", code, 1),
            Expected::InReviewAtLast(code) => {
                (word("outcome"), reason_of_review()) == ("in_review", code) && all_used_up(attempts)
            }
        };
        if !as_expected {
            let (reason, review) = (&intake["failure_reason"], reason_of_review());
            return vec![format!("{expected:?}, but {ending:?} {review} at attempt {attempts}: {reason}")];
        }
        let mut problems = Vec::new();
        if matches!(expected, Expected::Failed) && word("failure_reason").is_empty() {
            problems.push("failed without a reason".to_owned());
        }
        if matches!(expected, Expected::Rejected(_) | Expected::RejectedLater(_)) {
            let checks = intake["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == "fail");
            let first: Vec<_> = checks.map(|check| &check["reasons"][0]).collect();
            let whole = |reason: &&Value| ["code", "rule", "message", "fix"].iter().all(|key| reason[key].is_string());
            if first.is_empty() || !first.iter().all(whole) {
                problems.push(format!("a refusal without code, rule, message and fix: {first:?}"));
            }
        }
        problems
    }

    async fn attempts_of(&self, intake: &Value) -> i64 {
        let counted = "SELECT count(*) FROM counted_attempts WHERE intake = $1";
        self.database.query_one(counted, &[&text(&intake["id"])]).await.unwrap().get(0)
    }

    /// What the world sees of the package: all of it when it is active, else nothing.
    async fn visibility_of(
        &self,
        organization: &Organization,
        name: &str,
        scene: &Scene,
        expected: Expected,
    ) -> Vec<String> {
        let package = format!("{}/{name}", organization.slug);
        let mut paths = vec![
            format!("/v1/packages/{package}"),
            format!("/v1/packages/{package}/versions/{TAG}"),
            format!("/packages/{package}"),
            format!("/v2/{package}/tags/list"),
            format!("/v2/{package}/manifests/{TAG}"),
        ];
        if expected != Expected::Active {
            paths.push(format!("/v2/{package}/manifests/{}", scene.image.manifest.digest));
            let blobs = scene.image.layers.iter().chain([&scene.image.config]);
            paths.extend(blobs.map(|blob| format!("/v2/{package}/blobs/{}", blob.digest)));
        }
        let wanted = if expected == Expected::Active { 200 } else { 404 };
        let anybody = self.store.root.logged_out();
        let mut problems = Vec::new();
        for path in paths {
            let status = self.look(&anybody, &path).await.status;
            if status != wanted {
                problems.push(format!("{path} is answered with {status}"));
            }
        }
        problems
    }

    /// What must hold when all cases have ended.
    pub(super) async fn aftermath(&self, ended: &[Ended], mut worker: ChildProcess) -> Vec<String> {
        let mut faults = self.lists(ended).await;
        let peak = worker.peak_memory_bytes();
        println!("the worker took {} MiB at most", peak / 1024 / 1024);
        if peak > MOST_MEMORY {
            faults.push(format!("the worker took {peak} bytes"));
        }
        // Its last words are heard as well.
        worker.signal("TERM");
        worker.ended().await;
        faults.extend(self.objects().await);
        faults.extend(self.everything_written().await);
        faults.extend(self.heard.lock().unwrap().drain(..));
        faults
    }

    /// The lists of the store name the active packages and no others.
    async fn lists(&self, ended: &[Ended]) -> Vec<String> {
        let anybody = self.store.root.logged_out();
        let active: Vec<_> = ended.iter().filter(|case| case.expected == Expected::Active).collect();
        // It is rendered anew a moment after a decision: the last one's is waited for.
        let index = async || self.look(&anybody, "/index.json").await.expect(200).to_string();
        let rendered = async || {
            let index = index().await;
            let names = ended.iter().filter(|case| index.contains(&case.quoted_name())).count();
            (names == active.len()).then_some(index)
        };
        let index = match tokio::time::timeout(RENDERING, store_tests::wait::until("the index", rendered)).await {
            Ok(index) => index,
            Err(_) => index().await,
        };
        let mut listed = String::new();
        let mut next = Some("/v1/packages?limit=100".to_owned());
        while let Some(path) = next {
            let page = self.look(&anybody, &path).await.expect(200);
            listed += &page["items"].to_string();
            next = page["next_cursor"].as_str().map(|cursor| format!("/v1/packages?limit=100&cursor={cursor}"));
        }
        for path in ["/", "/v1/orgs"] {
            self.look(&self.store.root, path).await;
        }
        for part in ["status", "bodies", "manifests", "indexes", "redirects", "referrers"] {
            for what in ["registries", "intakes"] {
                self.look(&self.store.root, &format!("/v1/orgs/{part}/{what}")).await.expect(200);
            }
        }
        let mut faults = Vec::new();
        for case in ended {
            let is_active = case.expected == Expected::Active;
            for (list, text) in [("the index", &index), ("the list of packages", &listed)] {
                if text.contains(&case.quoted_name()) != is_active {
                    faults.push(format!("{}: {list} is wrong about it", case.name));
                }
            }
        }
        faults
    }

    /// Nothing lies in staging, and every blob has the bytes that its name promises.
    async fn objects(&self) -> Vec<String> {
        let staged = files_below(&self.store.folder().join("objects/staging"));
        let mut faults: Vec<_> = staged.iter().map(|file| format!("left in staging: {}", file.display())).collect();
        let objects = self.store.objects();
        let mut keys = objects.list("blobs/");
        while let Some(key) = keys.next().await {
            let key = key.unwrap();
            let blob_store::ObjectKey::Blob(digest) = &key else { continue };
            let mut hasher = Hasher::new(digest.algorithm());
            let mut body = objects.get(&key, None).await.unwrap().stream;
            while let Some(chunk) = body.next().await {
                hasher.update(&chunk.unwrap());
            }
            let actual: Digest = hasher.finish();
            if actual != *digest {
                faults.push(format!("the object {key} has the digest {actual}"));
            }
        }
        faults
    }

    /// Logs, rows and objects, none of which may hold a credential.
    async fn everything_written(&self) -> Vec<String> {
        let folder = self.store.folder();
        let (mut faults, mut searched) = (Vec::new(), Vec::new());
        let mut search = |what: &str, (heard, count): (Vec<String>, usize)| {
            faults.extend(
                heard.into_iter().map(|text| format!("the {what}: {}", text.chars().take(500).collect::<String>())),
            );
            searched.push(format!("{count} of the {what}"));
            if count < 100 {
                faults.push(format!("only {count} of the {what} were searched"));
            }
        };
        search("worker's log", self.canary.lines_of(&folder.join("worker.log")));
        search("API's log", self.canary.lines_of(&folder.join("api.log")));
        search("rows", self.canary.rows_of(&self.database).await);
        search("objects", self.canary.files_of(&folder.join("objects")));
        println!("searched for credentials: {}", searched.join(", "));
        faults
    }
}

impl Ended {
    fn quoted_name(&self) -> String {
        format!("/{}\"", self.name)
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let all = self.problems.iter().cloned().chain(self.arrivals());
        all.map(|problem| format!("{}: {problem}", self.name)).collect()
    }

    /// What arrived where.
    fn arrivals(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let here = self.here.arrived();
        let allowed = [self.basic(), format!("Bearer {}.issued", self.secret)];
        for request in &here {
            let carried = request.header("authorization");
            if carried
                .is_some_and(|carried| !allowed.iter().any(|one| one == carried) && carried != "Bearer for-anybody")
            {
                problems.push(format!("another's credential arrived: {}", request.head));
            }
            if carried.is_some() && request.target.starts_with("/landing") {
                problems.push(format!("a credential came back that was dropped: {}", request.head));
            }
        }
        if self.expected == Expected::Active && !here.iter().any(|r| r.header("authorization") == Some(&allowed[0])) {
            problems.push("the credential did not arrive where it belongs".to_owned());
        }
        let most = REQUESTS * usize::try_from(2 * ATTEMPTS).unwrap();
        if here.len() > most {
            problems.push(format!("{} requests", here.len()));
        }
        let canary = Canary::new();
        problems.extend(canary.requests_of(&self.elsewhere).iter().map(|head| format!("arrived elsewhere: {head}")));
        if self.elsewhere_untouched && !self.elsewhere.arrived().is_empty() {
            problems.push("another host was asked".to_owned());
        }
        problems
    }

    fn basic(&self) -> String {
        use base64::Engine as _;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("robot:{}", self.secret)))
    }
}
