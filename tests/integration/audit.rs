//! The audit log: what it says, who may read it, and that nobody alters it unnoticed.

use registry_db::{Pool, audit, transaction};
use registry_types::digest::Digest;
use serde_json::{Value, json};
use store_tests::client::StoreClient;
use store_tests::store::{Organization, PASSWORD, Store, text};
use store_tests::told;
use store_tests::wait::until;
use tokio_postgres::Client;

use crate::commands::Program;

/// A store in which some things happened, all of them chained.
struct Scene {
    store: Store,
    acme: Organization,
    sql: Client,
}

impl Scene {
    async fn new() -> Self {
        let store = Store::start().await;
        let acme = store.organization("acme").await;
        for path in ["a", "b", "c"] {
            let pattern = json!({ "pattern": format!("ghcr.io/acme/{path}/*") });
            acme.admin.post("/v1/orgs/acme/registries", pattern).await.expect(201);
        }
        let sql = store.database.connect().await;
        let scene = Self { store, acme, sql };
        scene.chained().await;
        scene
    }

    async fn chained(&self) {
        let unchained = "SELECT count(*) FROM audit_entries WHERE sequence IS NULL";
        until("the audit log to be chained", async || {
            let count: i64 = self.sql.query_one(unchained, &[]).await.unwrap().get(0);
            (count == 0).then_some(())
        })
        .await;
    }

    /// As somebody with every right on the database would.
    async fn tamper(&self, statement: &str) {
        let script = format!(
            "ALTER TABLE audit_entries DISABLE TRIGGER USER; {statement}; ALTER TABLE audit_entries ENABLE TRIGGER USER"
        );
        self.sql.batch_execute(&script).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_says_who_did_what_with_which_credential_and_from_where() {
    let scene = Scene::new().await;
    let page = scene.acme.admin.get("/v1/audit?org=acme&action=registry.created&limit=2").await.expect(200);
    let entries = page["items"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    let entry = &entries[0];
    let me = scene.acme.admin.get("/v1/auth/me").await.expect(200);
    assert_eq!(text(&entry["actor"]), format!("user:{}", text(&me["id"])));
    assert!(text(&entry["credential"]).starts_with("session:"), "{entry}");
    assert_eq!(entry["address"], "127.0.0.1");
    assert_eq!(entry["organization_id"], scene.acme.id.as_str());
    assert!(text(&entry["subject"]).starts_with("registry:"));
    assert!(entry["sequence"].as_i64() > entries[1]["sequence"].as_i64(), "the newest comes first");
    let cursor = text(&page["next_cursor"]);
    let rest = format!("/v1/audit?org=acme&action=registry.created&cursor={cursor}");
    let rest = scene.acme.admin.get(&rest).await.expect(200);
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);

    let none = format!("/v1/audit?org=acme&until={}", "2020-01-01T00:00:00Z");
    assert_eq!(scene.acme.admin.get(&none).await.expect(200)["items"], json!([]));
    let subject = format!("/v1/audit?org=acme&subject={}", text(&entry["subject"]));
    assert_eq!(scene.acme.admin.get(&subject).await.expect(200)["items"][0]["id"], entry["id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_says_how_its_subject_stood_before_and_stands_after() {
    let scene = Scene::new().await;
    let states = async |client: &StoreClient, subject: &str| -> Vec<Value> {
        let page = client.get(&format!("/v1/audit?org=acme&subject={subject}")).await.expect(200);
        page["items"].as_array().unwrap().iter().rev().map(|entry| entry["details"]["state"].clone()).collect()
    };
    let admin = &scene.acme.admin;

    let pattern = json!({ "pattern": "ghcr.io/acme/d/*" });
    let id = text(&admin.post("/v1/orgs/acme/registries", pattern).await.expect(201)["id"]);
    let path = format!("/v1/orgs/acme/registries/{id}");
    scene.store.root.post(&format!("{path}/approve"), json!({})).await.expect(200);
    admin.delete(&path).await.expect(204);
    let told = states(admin, &format!("registry:{id}")).await;
    assert_eq!(told.len(), 3);
    assert_eq!((&told[0]["before"], &told[2]["after"]), (&Value::Null, &Value::Null), "made and removed: {told:?}");
    assert_eq!((&told[0]["after"], &told[1]["after"]), (&told[1]["before"], &told[2]["before"]), "without a gap");
    assert_ne!(told[0]["after"], told[1]["after"], "approval is a change");
    assert!(text(&told[0]["after"]).parse::<Digest>().is_ok());

    // The account is one thing, the role in an organization another: what another organization does with it is its own.
    let new = json!({"email": "dora@acme.example.org", "password": PASSWORD, "role": "viewer"});
    let dora = text(&admin.post("/v1/orgs/acme/users", new).await.expect(201)["id"]);
    let membership = format!("member:{}/{dora}", scene.acme.id);
    let joined = states(admin, &membership).await;
    let other = scene.store.organization("other").await;
    let membership_of_other = json!({"email": "dora@acme.example.org", "role": "admin"});
    other.admin.post("/v1/orgs/other/members", membership_of_other).await.expect(204);
    assert_eq!(states(admin, &membership).await, joined);

    let untold = async || told::untold(&scene.store.database).await;
    assert_eq!(untold().await, [] as [String; 0]);
    let around = "UPDATE memberships SET role = 'developer' WHERE role = 'viewer'";
    scene.sql.execute(around, &[]).await.unwrap();
    assert_eq!(untold().await, [membership], "what is changed around the store differs from what the log told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_reads_its_own_entries_and_only_superusers_all() {
    let scene = Scene::new().await;
    let other = scene.store.organization("other").await;
    scene.chained().await;
    for path in ["/v1/audit", "/v1/audit/export"] {
        other.admin.get(path).await.expect_problem(403, "FORBIDDEN");
        other.admin.get(&format!("{path}?org=acme")).await.expect_problem(404, "NOT_FOUND");
        scene.acme.developer.get(&format!("{path}?org=acme")).await.expect_problem(403, "FORBIDDEN");
    }
    other.admin.get("/v1/audit/checkpoints").await.expect_problem(403, "FORBIDDEN");
    let own = other.admin.get("/v1/audit/export?org=other").await;
    let lines: Vec<Value> =
        own.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(json_of).collect();
    assert!(!lines.is_empty());
    assert!(lines.iter().all(|entry| entry["organization_id"] == other.id.as_str()), "{lines:#?}");
    let all = scene.store.root.get("/v1/audit/export").await;
    let count = all.body.iter().filter(|byte| **byte == b'\n').count();
    assert!(count > lines.len());
}

fn json_of(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_refuses_to_alter_or_remove_an_entry() {
    let scene = Scene::new().await;
    for statement in [
        "UPDATE audit_entries SET action = 'nothing.happened' WHERE sequence = 2",
        "UPDATE audit_entries SET sequence = NULL, hash = NULL WHERE sequence = 2",
        "DELETE FROM audit_entries WHERE sequence = 2",
        "TRUNCATE audit_entries",
    ] {
        let error = scene.sql.batch_execute(statement).await.unwrap_err();
        assert!(error.as_db_error().unwrap().message().contains("append-only"), "{statement}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_any_altered_or_removed_entry() {
    let mut scene = Scene::new().await;
    scene.store.stop_workers();
    let root = Program::of(&scene.store, "root@example.org").await;
    // The login stands in the log, unchained: no worker runs.
    let whole = root.done(&["audit", "verify"]).await;
    assert!(whole["entries"].as_i64().unwrap() > 3, "{whole}");
    let head = text(&whole["head"]);
    root.done(&["audit", "verify", "--head", &head]).await;

    scene.tamper("CREATE TABLE kept AS SELECT * FROM audit_entries").await;
    scene.tamper("CREATE TABLE kept_checkpoints AS SELECT * FROM audit_checkpoints").await;
    let columns = "id, at, organization_id, actor, action, subject, details, credential, address, sequence, hash";
    let restore = format!(
        "DELETE FROM audit_entries; INSERT INTO audit_entries ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM kept; \
         DELETE FROM audit_checkpoints; INSERT INTO audit_checkpoints SELECT * FROM kept_checkpoints"
    );
    let last = "sequence = (SELECT max(sequence) FROM audit_entries)";
    let end_of_chain = format!(
        "DELETE FROM audit_entries WHERE {last}; \
         DELETE FROM audit_checkpoints c WHERE NOT EXISTS (SELECT FROM audit_entries e WHERE e.sequence = c.sequence)"
    );
    for (tampering, arguments, told) in [
        ("UPDATE audit_entries SET actor = 'worker' WHERE sequence = 2", &[][..], "entry 2 of the audit log"),
        ("UPDATE audit_entries SET address = NULL WHERE address IS NOT NULL", &[], "was altered"),
        ("UPDATE audit_entries SET at = at + interval '1 microsecond' WHERE sequence = 2", &[], "was altered"),
        ("UPDATE audit_entries SET details = details || '{\"x\": 1}' WHERE sequence = 2", &[], "was altered"),
        ("DELETE FROM audit_entries WHERE sequence = 2", &[], "entry 2 of the audit log is missing"),
        (&format!("DELETE FROM audit_entries WHERE {last}"), &[], "ends before entry"),
        (
            "UPDATE audit_checkpoints SET hash = 'sha256:' || repeat('0', 64)",
            &[],
            "something else than what was signed",
        ),
        (&end_of_chain, &["--head", &head], "ends before entry"),
    ] {
        scene.tamper(tampering).await;
        let arguments = [&["audit", "verify"][..], arguments].concat();
        let error = root.refused(&arguments).await;
        assert!(error.contains(told), "{tampering}: {error}");
        scene.tamper(&restore).await;
        root.done(&["audit", "verify", "--head", &head]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_written_anew_is_not_the_one_that_was_signed() {
    let mut scene = Scene::new().await;
    scene.store.stop_workers();
    let root = Program::of(&scene.store, "root@example.org").await;
    scene.tamper("UPDATE audit_entries SET actor = 'system', sequence = NULL, hash = NULL").await;
    let pool = Pool::new(scene.store.database.url().clone(), 1).unwrap();
    let mut conn = pool.get().await.unwrap();
    let sealed = transaction(&mut conn, async |conn| audit::seal(conn, 1000).await);
    assert!(sealed.await.unwrap().is_some());
    let error = root.refused(&["audit", "verify"]).await;
    assert!(error.contains("is not the one that was signed"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_many_transactions_at_once_get_places_without_gaps() {
    let scene = Scene::new().await;
    let create = async |number: usize| {
        let pattern = json!({ "pattern": format!("ghcr.io/acme/many-{number}/*") });
        scene.acme.admin.post("/v1/orgs/acme/registries", pattern).await.expect(201);
    };
    futures_util::future::join_all((0..40).map(create)).await;
    scene.chained().await;
    let gaps = "SELECT count(*), min(sequence), max(sequence) FROM audit_entries";
    let row = scene.sql.query_one(gaps, &[]).await.unwrap();
    let (count, first, last): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert_eq!((first, last), (1, count));
    Program::of(&scene.store, "root@example.org").await.done(&["audit", "verify"]).await;
}

#[tokio::test]
async fn a_page_of_a_long_log_is_read_along_an_index() {
    let store = Store::start_without_worker().await;
    let acme = store.organization("acme").await;
    let sql = store.database.connect().await;
    let fill = format!(
        "INSERT INTO audit_entries (organization_id, actor, action, subject) \
         SELECT CASE WHEN n % 100 = 0 THEN '{}'::uuid END, 'user:' || n % 500, 'thing.done-' || n % 50, 'thing:' || n \
         FROM generate_series(1, 50000) n; ANALYZE audit_entries",
        acme.id
    );
    sql.batch_execute(&fill).await.unwrap();
    for query in
        ["org=acme", "actor=user:77", "action=thing.done-7", "subject=thing:4711", "org=acme&actor=user:100", ""]
    {
        let plan = format!("EXPLAIN {}", statement(query, &acme.id));
        let plan: Vec<String> = sql.query(&plan, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert!(!plan.iter().any(|line| line.contains("Seq Scan")), "{query}: {plan:#?}");
        let page = store.root.get(&format!("/v1/audit?limit=5&{query}")).await.expect(200);
        assert!(!page["items"].as_array().unwrap().is_empty(), "{query}");
    }
}

/// What the list asks of the database.
fn statement(query: &str, organization: &str) -> String {
    let conditions = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| match name {
        "org" => format!("AND organization_id = '{organization}'"),
        _ => format!("AND {name} = '{value}'"),
    });
    let conditions: String = conditions.collect::<Vec<_>>().join(" ");
    format!("SELECT * FROM audit_entries WHERE id < 9223372036854775807 {conditions} ORDER BY id DESC LIMIT 6")
}
