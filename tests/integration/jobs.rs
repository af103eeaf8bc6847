//! The job queue under several workers at once. What happens first is decided by the test, never by a clock.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use registry_db::jobs::{self, ClaimLimits, ClaimedJob, Enqueue, Lease};
use registry_db::notifications::{Channel, Listener};
use registry_db::{Connection, DbError, Pool, transaction};
use registry_types::ids::{IntakeId, JobId, OrganizationId, RegistryNamespaceId};
use registry_types::job::{JobKind, JobPayload};
use store_tests::postgres::Database;
use store_tests::store::Store;
use store_tests::wait;
use tokio::sync::Barrier;

/// Longer than any test: such a lease runs out only when the test says so.
const LONG: Duration = Duration::from_secs(3600);

/// Higher than any test reaches.
const LIMITS: ClaimLimits = ClaimLimits { per_organization: 1_000, per_source_host: 1_000 };

struct Queue {
    database: Database,
    pool: Pool,
}

impl Queue {
    async fn new() -> Self {
        let database = Database::create().await;
        let pool = Pool::new(database.url().clone(), 8).unwrap();
        Self { database, pool }
    }

    async fn connection(&self) -> impl std::ops::DerefMut<Target = Connection> {
        self.pool.get().await.unwrap()
    }

    async fn enqueue(&self, how: Enqueue) -> JobId {
        jobs::enqueue(&mut *self.connection().await, &payload(), how).await.unwrap()
    }

    async fn claim(&self) -> Option<ClaimedJob> {
        claim(&mut *self.connection().await).await
    }

    /// As if the worker that holds the job had not been heard of for longer than its lease.
    async fn let_lease_run_out(&self, lease: Lease) {
        let client = self.database.connect().await;
        let sql = "UPDATE jobs SET locked_until = now() - interval '1 second' WHERE id = $1";
        assert_eq!(client.execute(sql, &[&lease.job.0]).await.unwrap(), 1);
    }

    async fn count(&self) -> i64 {
        self.database.connect().await.query_one("SELECT count(*) FROM jobs", &[]).await.unwrap().get(0)
    }
}

fn payload() -> JobPayload {
    JobPayload::Intake { intake: IntakeId::new() }
}

fn of(organization: OrganizationId, host: &str) -> Enqueue {
    let source_host = Some(host.parse().unwrap());
    Enqueue { organization: Some(organization), source_host, ..Enqueue::default() }
}

async fn claim(conn: &mut Connection) -> Option<ClaimedJob> {
    claim_within(conn, LIMITS).await
}

async fn claim_within(conn: &mut Connection, limits: ClaimLimits) -> Option<ClaimedJob> {
    jobs::claim(conn, JobKind::ALL, "test", LONG, limits).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_claimers_get_each_job_once() {
    const CLAIMERS: usize = 6;
    const JOBS: usize = 4;
    let queue = Arc::new(Queue::new().await);
    for _ in 0..JOBS {
        queue.enqueue(Enqueue::default()).await;
    }
    let barrier = Arc::new(Barrier::new(CLAIMERS));
    let claimers: Vec<_> = (0..CLAIMERS)
        .map(|_| {
            let (queue, barrier) = (Arc::clone(&queue), Arc::clone(&barrier));
            tokio::spawn(async move {
                let mut conn = queue.connection().await;
                barrier.wait().await;
                claim(&mut conn).await.map(|job| job.lease.job)
            })
        })
        .collect();
    let mut claimed = Vec::new();
    for claimer in claimers {
        claimed.extend(claimer.await.unwrap());
    }
    claimed.sort_unstable();
    claimed.dedup();
    // A claimer that meets a row which another is just taking passes over it: what is left is there for the next one.
    while let Some(job) = queue.claim().await {
        assert!(!claimed.contains(&job.lease.job), "a job was claimed twice");
        claimed.push(job.lease.job);
    }
    assert_eq!(claimed.len(), JOBS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_late_worker_still_writes_is_passed_over_and_not_waited_for() {
    let queue = Queue::new().await;
    queue.enqueue(Enqueue::default()).await;
    let late = queue.claim().await.unwrap();
    queue.let_lease_run_out(late.lease).await;
    let mut conn = queue.connection().await;
    transaction(&mut conn, async |conn| {
        jobs::finish(conn, late.lease).await?;
        // The end is not committed yet.
        assert_eq!(queue.claim().await, None);
        Ok::<_, DbError>(())
    })
    .await
    .unwrap();
    assert_eq!(queue.claim().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_over_all_workers() {
    let queue = Queue::new().await;
    let (acme, zeta) = (OrganizationId::new(), OrganizationId::new());
    let hosts = ["one.example", "two.example"];
    for organization in [acme, acme, zeta] {
        for host in hosts {
            queue.enqueue(of(organization, host)).await;
        }
    }
    let mut conn = queue.connection().await;
    // Two of each organization…
    let per_organization = ClaimLimits { per_organization: 2, per_source_host: 100 };
    let mut claimed = Vec::new();
    while let Some(job) = claim_within(&mut conn, per_organization).await {
        claimed.push(job);
    }
    assert_eq!(claimed.len(), 4);
    for job in claimed {
        jobs::give_back(&mut conn, job.lease).await.unwrap();
    }
    // … or one from each host.
    let per_host = ClaimLimits { per_organization: 100, per_source_host: 1 };
    let first = claim_within(&mut conn, per_host).await.unwrap();
    assert!(claim_within(&mut conn, per_host).await.is_some());
    assert_eq!(claim_within(&mut conn, per_host).await, None);
    jobs::finish(&mut conn, first.lease).await.unwrap();
    assert!(claim_within(&mut conn, per_host).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_with_many_jobs_makes_nobody_wait_for_more_than_one() {
    let queue = Queue::new().await;
    let store = queue.database.connect().await;
    let (busy, quiet) = (OrganizationId::new(), OrganizationId::new());
    for (organization, slug) in [(busy, "busy"), (quiet, "quiet")] {
        let insert = "INSERT INTO organizations (id, slug, display_name, trust_tier) VALUES ($1, $2, $2, 'community')";
        store.execute(insert, &[&organization.0, &slug]).await.unwrap();
    }
    for _ in 0..500 {
        queue.enqueue(of(busy, "one.example")).await;
    }
    let mut conn = queue.connection().await;
    let served = claim(&mut conn).await.unwrap();
    let mine = queue.enqueue(of(quiet, "two.example")).await;
    jobs::finish(&mut conn, served.lease).await.unwrap();
    // The next free worker takes the newcomer's, though 499 are due longer.
    assert_eq!(claim(&mut conn).await.unwrap().lease.job, mine);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn depth_and_age_of_the_queue_are_told() {
    let queue = Queue::new().await;
    let mut conn = queue.connection().await;
    assert_eq!(jobs::queue_state(&mut conn).await.unwrap(), []);
    queue.enqueue(Enqueue { run_after: Some(Utc::now() - TimeDelta::minutes(5)), ..Enqueue::default() }).await;
    queue.enqueue(Enqueue { run_after: Some(Utc::now() + TimeDelta::hours(1)), ..Enqueue::default() }).await;
    let [state] = &jobs::queue_state(&mut conn).await.unwrap()[..] else { panic!("one kind") };
    assert_eq!((state.kind, state.waiting, state.running), (JobKind::Intake, 1, 0));
    assert!(state.oldest.unwrap() >= Duration::from_secs(300));
    queue.claim().await.unwrap();
    let [state] = &jobs::queue_state(&mut conn).await.unwrap()[..] else { panic!("one kind") };
    assert_eq!((state.waiting, state.running, state.oldest), (0, 1, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_worker_died_after_the_claim_is_claimed_again() {
    let queue = Queue::new().await;
    queue.enqueue(Enqueue::default()).await;
    let first = queue.claim().await.unwrap();
    assert_eq!(queue.claim().await, None);
    queue.let_lease_run_out(first.lease).await;
    let second = queue.claim().await.unwrap();
    assert_eq!((second.lease.job, second.lease.attempt), (first.lease.job, first.lease.attempt + 1));
    assert_eq!(second.payload().unwrap(), first.payload().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_worker_can_write_nothing() {
    let queue = Queue::new().await;
    queue.enqueue(Enqueue::default()).await;
    let late = queue.claim().await.unwrap();
    queue.let_lease_run_out(late.lease).await;
    // Nobody else has taken it: it may still be renewed.
    let mut conn = queue.connection().await;
    jobs::heartbeat(&mut conn, late.lease, LONG).await.unwrap();
    queue.let_lease_run_out(late.lease).await;
    let current = queue.claim().await.unwrap();

    let is_stale = |result: Result<(), DbError>| matches!(result, Err(DbError::Stale));
    assert!(is_stale(jobs::heartbeat(&mut conn, late.lease, LONG).await));
    assert!(is_stale(jobs::assert_held(&mut conn, late.lease).await));
    assert!(is_stale(jobs::retry(&mut conn, late.lease, "late", Duration::ZERO).await));
    assert!(is_stale(jobs::give_back(&mut conn, late.lease).await));
    assert!(is_stale(jobs::fail(&mut conn, &late, "late").await));
    assert!(is_stale(jobs::finish(&mut conn, late.lease).await));
    jobs::assert_held(&mut conn, current.lease).await.unwrap();
    jobs::finish(&mut conn, current.lease).await.unwrap();
    assert_eq!(queue.count().await, 0);
    assert!(is_stale(jobs::finish(&mut conn, current.lease).await), "a job ends once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_held_in_a_transaction_cannot_be_taken_meanwhile() {
    let queue = Queue::new().await;
    queue.enqueue(Enqueue::default()).await;
    let holder = queue.claim().await.unwrap();
    queue.let_lease_run_out(holder.lease).await;
    transaction(&mut *queue.connection().await, async |conn| {
        jobs::assert_held(conn, holder.lease).await?;
        assert_eq!(queue.claim().await, None);
        Ok::<_, DbError>(())
    })
    .await
    .unwrap();
    assert!(queue.claim().await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolled_back_cause_leaves_no_job() {
    let queue = Queue::new().await;
    let rolled_back: Result<(), DbError> = transaction(&mut *queue.connection().await, async |conn| {
        jobs::enqueue(conn, &payload(), Enqueue::default()).await?;
        assert_eq!(queue.claim().await, None, "visible before the commit");
        Err(DbError::NotFound)
    })
    .await;
    assert!(rolled_back.is_err());
    assert_eq!(queue.count().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_kills_its_worker_is_given_up_without_being_started_again() {
    let queue = Queue::new().await;
    queue.enqueue(Enqueue { max_attempts: 2, ..Enqueue::default() }).await;
    for attempt in 1..=2 {
        let job = queue.claim().await.unwrap();
        assert_eq!((job.lease.attempt, job.is_exhausted()), (attempt, false));
        assert_eq!(job.is_last_attempt(), attempt == 2);
        queue.let_lease_run_out(job.lease).await;
    }
    let poison = queue.claim().await.unwrap();
    assert!(poison.is_exhausted());
    transaction(&mut *queue.connection().await, async |conn| jobs::fail(conn, &poison, "two workers died").await)
        .await
        .unwrap();
    assert_eq!(queue.count().await, 0);
    let client = queue.database.connect().await;
    let row = client.query_one("SELECT details FROM audit_entries WHERE action = 'job.failed'", &[]).await.unwrap();
    let details: serde_json::Value = row.get(0);
    assert_eq!((&details["attempts"], &details["error"]), (&2.into(), &"two workers died".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_given_back_has_as_many_attempts_left_as_before() {
    let queue = Queue::new().await;
    queue.enqueue(Enqueue { max_attempts: 1, ..Enqueue::default() }).await;
    for _ in 0..3 {
        let job = queue.claim().await.unwrap();
        assert!(!job.is_exhausted());
        jobs::give_back(&mut *queue.connection().await, job.lease).await.unwrap();
    }
    let first = queue.claim().await.unwrap();
    queue.let_lease_run_out(first.lease).await;
    assert!(queue.claim().await.unwrap().is_exhausted(), "a crash is an attempt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_retried_waits_for_its_time() {
    let queue = Queue::new().await;
    queue.enqueue(Enqueue::default()).await;
    let job = queue.claim().await.unwrap();
    jobs::retry(&mut *queue.connection().await, job.lease, "the registry is down", LONG).await.unwrap();
    assert_eq!(queue.claim().await, None);
    let client = queue.database.connect().await;
    let row = client.query_one("SELECT last_error, locked_until IS NULL FROM jobs", &[]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(1)), ("the registry is down", true));
    client.execute("UPDATE jobs SET run_after = now()", &[]).await.unwrap();
    assert_eq!(queue.claim().await.unwrap().lease.attempt, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_has_one_open_job() {
    let queue = Queue::new().await;
    let keyed = || Enqueue { dedup_key: Some("housekeeping".to_owned()), ..Enqueue::default() };
    let first = queue.enqueue(keyed()).await;
    assert_eq!(queue.enqueue(keyed()).await, first);
    let job = queue.claim().await.unwrap();
    // Also while it is carried out.
    assert_eq!(queue.enqueue(keyed()).await, first);
    assert_eq!(queue.claim().await, None);
    jobs::finish(&mut *queue.connection().await, job.lease).await.unwrap();
    assert_ne!(queue.enqueue(keyed()).await, first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_claims_only_the_kinds_that_it_knows_and_the_oldest_first() {
    let queue = Queue::new().await;
    let mut conn = queue.connection().await;
    let test = JobPayload::RegistryTest { namespace: RegistryNamespaceId::new() };
    jobs::enqueue(&mut conn, &test, Enqueue::default()).await.unwrap();
    let first = queue.enqueue(Enqueue::default()).await;
    queue.enqueue(Enqueue::default()).await;
    let claimed = jobs::claim(&mut conn, &[JobKind::Intake], "test", LONG, LIMITS).await.unwrap().unwrap();
    assert_eq!((claimed.kind, claimed.lease.job), (JobKind::Intake, first));
    assert_eq!(jobs::claim(&mut conn, &[JobKind::Housekeeping], "test", LONG, LIMITS).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enqueueing_and_giving_back_wake_who_listens() {
    let queue = Queue::new().await;
    let mut listener = Listener::open(&queue.pool, Channel::Jobs).await.unwrap();
    queue.enqueue(Enqueue::default()).await;
    assert_eq!(listener.next().await.unwrap(), "intake");
    let job = queue.claim().await.unwrap();
    jobs::give_back(&mut *queue.connection().await, job.lease).await.unwrap();
    assert_eq!(listener.next().await.unwrap(), "intake");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_nobody_can_read_is_given_up_and_holds_nobody_up() {
    let store = Store::start().await;
    let client = store.database.connect().await;
    let unreadable = JobId::new();
    let sql = "INSERT INTO jobs (id, kind, payload, max_attempts) VALUES ($1, 'intake', '{}', 2)";
    client.execute(sql, &[&unreadable.0]).await.unwrap();
    wait::until("the job to be given up", async || {
        let left = client.query("SELECT 1 FROM jobs WHERE id = $1", &[&unreadable.0]).await.unwrap();
        left.is_empty().then_some(())
    })
    .await;
    let sql = "SELECT details FROM audit_entries WHERE action = 'job.failed' AND subject = $1";
    let row = client.query_one(sql, &[&format!("job:{unreadable}")]).await.unwrap();
    assert_eq!(row.get::<_, serde_json::Value>(0)["attempts"], 2);
    // The worker still works.
    let pool = Pool::new(store.database.url().clone(), 1).unwrap();
    let test = JobPayload::RegistryTest { namespace: RegistryNamespaceId::new() };
    jobs::enqueue(&mut pool.get().await.unwrap(), &test, Enqueue::default()).await.unwrap();
    wait::until("the next job to be done", async || {
        let left = client.query("SELECT 1 FROM jobs WHERE kind = 'registry_test'", &[]).await.unwrap();
        left.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_prepares_what_is_asked_often_once() {
    let queue = Queue::new().await;
    // Only a connection itself sees what it has prepared: it writes that down at each insert.
    let client = queue.database.connect().await;
    let note = "CREATE TABLE kept (statement text, uses bigint); \
                CREATE FUNCTION note_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                    DELETE FROM kept; \
                    INSERT INTO kept SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements; \
                    RETURN NULL; \
                END $$; \
                CREATE TRIGGER note_kept AFTER INSERT ON jobs FOR EACH STATEMENT EXECUTE FUNCTION note_kept();";
    client.batch_execute(note).await.unwrap();
    let mut conn = queue.connection().await;
    for _ in 0..3 {
        jobs::enqueue(&mut conn, &payload(), Enqueue::default()).await.unwrap();
        let job = claim(&mut conn).await.unwrap();
        jobs::progressed(&mut conn, job.lease).await.unwrap();
    }
    for text in ["INSERT INTO \"jobs\"", "SELECT id, attempt, max_attempts", "UPDATE jobs SET max_attempts"] {
        let kept = client.query("SELECT uses FROM kept WHERE starts_with(statement, $1)", &[&text]).await.unwrap();
        let uses: Vec<i64> = kept.iter().map(|row| row.get(0)).collect();
        assert!(matches!(*uses, [several] if several > 1), "{text}: {uses:?}");
    }
}

/// The job `waivers` once came back at once, for ever, where no waiver was open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_with_nothing_to_do_comes_to_rest() {
    let store = Store::start().await;
    let client = store.database.connect().await;
    wait::until("housekeeping to be done, and nothing else to be planned", async || {
        let jobs = client.query("SELECT kind, run_after > now() FROM jobs", &[]).await.unwrap();
        let jobs: Vec<(String, bool)> = jobs.iter().map(|job| (job.get(0), job.get(1))).collect();
        (jobs == [("housekeeping".to_owned(), true)]).then_some(())
    })
    .await;
}
