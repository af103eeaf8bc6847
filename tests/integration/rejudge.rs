//! Stored versions judged anew when the advisories change, without a word to the registries that they came from.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{Days, SecondsFormat, Utc};
use image_scan::advisories::matched_name;
use registry_db::Pool;
use registry_db::advisories;
use registry_db::rejudgement;
use registry_types::component::Ecosystem;
use serde_json::{Value, json};
use store_tests::advised::{Scene, about, check, count, coverage, coverage_and, jinja, jinja_escape};
use store_tests::image::{DebianPackage, Image};
use store_tests::postgres::Database;
use store_tests::registry::Registry;
use store_tests::shelf::Shelf;
use store_tests::store::{module_manifest, text};
use store_tests::told;
use store_tests::wait;

const WORKER: &str = env!("CARGO_BIN_EXE_test-intake-worker");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_quarantined_when_an_advisory_comes_and_returns_when_it_is_withdrawn() {
    let scene = Scene::set(&coverage()).await;
    scene.publish_active("ranker", jinja()).await;
    let activated = scene.version("ranker").await["activated_at"].clone();
    let anybody = scene.store.root.logged_out();
    let is_served = async || anybody.get("/v2/acme/ranker/manifests/1.0.0").await.status == 200;
    let is_listed = async || anybody.get("/v1/packages").await.expect(200).to_string().contains("acme/ranker");
    assert!(is_served().await && is_listed().await);
    scene.registry.forget_requests();

    let snapshot = scene.load_and_judge(&coverage_and(&[jinja_escape()])).await;
    let version = scene.version("ranker").await;
    assert_eq!(
        (&version["state"], &version["rejection_code"]),
        (&json!("quarantined"), &json!("SECURITY_SCAN_FAILED")),
        "{version:#}"
    );
    let reason = &version["reasons"][0];
    assert_eq!(reason["code"], "SECURITY_SCAN_FAILED", "{version:#}");
    assert!(text(&reason["message"]).contains("jinja2 3.1.6 has GHSA-test-escape (HIGH)"), "{reason:#}");
    assert!(reason["layer"].is_string() && reason["file"].is_string(), "{reason:#}");
    let vulnerabilities = check(&version, "vulnerabilities");
    assert_eq!(vulnerabilities["outcome"], "fail");
    assert_eq!(vulnerabilities["evidence"]["advisories"]["number"], snapshot.number);
    assert_eq!(version["checks"].as_array().unwrap().len(), 8);
    let findings = anybody.get("/v1/packages/acme/ranker/versions/1.0.0/findings").await.expect(200);
    assert_eq!(findings["items"][0]["advisory"], "GHSA-test-escape");
    assert!(!is_served().await && !is_listed().await);
    let page = anybody.get("/packages/acme/ranker/1.0.0").await;
    assert!(String::from_utf8_lossy(&page.body).contains("GHSA-test-escape"));
    let verdict = anybody.get("/v1/packages/acme/ranker/versions/1.0.0/verdict").await.expect(200);
    assert_eq!(statement(&verdict)["predicate"]["verificationResult"], "FAILED");
    // What the intake found at its time stays what it found.
    let first = "intake_checks WHERE name = 'vulnerabilities' AND outcome = 'pass'";
    assert_eq!(scene.count(first).await, 1);

    scene.load_and_judge(&coverage()).await;
    let version = scene.version("ranker").await;
    assert_eq!((&version["state"], &version["rejection_code"]), (&json!("active"), &Value::Null), "{version:#}");
    assert_eq!(version["activated_at"], activated, "it was active before");
    assert_eq!(check(&version, "vulnerabilities")["outcome"], "pass");
    assert!(is_served().await && is_listed().await);
    let verdict = anybody.get("/v1/packages/acme/ranker/versions/1.0.0/verdict").await.expect(200);
    assert_eq!(statement(&verdict)["predicate"]["verificationResult"], "PASSED");
    let digest = text(&version["digest"]);
    let referrers = anybody.get(&format!("/v2/acme/ranker/referrers/{digest}")).await.expect(200);
    assert_eq!(referrers["manifests"].as_array().unwrap().len(), 2, "the first verdict and the newest: {referrers:#}");

    assert_eq!(scene.decisions("ranker").await, ["active", "rejected", "active"], "each is added, none is changed");
    let told = "audit_entries WHERE action = 'version.rejudged' AND details->>'to' = ANY ('{quarantined,active}')";
    assert_eq!(scene.count(told).await, 2);
    assert!(scene.registry.requests().is_empty(), "{:?}", scene.registry.requests());
    told::assert_all_is_told(&scene.store.database).await;
}

fn statement(envelope: &Value) -> Value {
    serde_json::from_slice(&STANDARD.decode(text(&envelope["payload"])).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_advisory_does_not_concern_is_not_decided_anew() {
    let scene = Scene::set(&coverage()).await;
    scene.publish_active("old", jinja()).await;
    scene.publish_active("repaired", Image::new().debian_12().layer().wheel("Jinja2", "10.0.0")).await;
    scene.publish_active("other", Image::new().debian_12().layer().wheel("requests", "2.32.0")).await;
    // The registry is gone: nothing of it may be needed.
    let Scene { store, acme, registry } = scene;
    drop(registry);
    let scene = Scene { store, acme, registry: Registry::start().await };

    let snapshot = scene.load_and_judge(&coverage_and(&[jinja_escape()])).await;
    assert_eq!(scene.decisions("old").await, ["active", "rejected"]);
    for name in ["repaired", "other"] {
        assert_eq!(scene.decisions(name).await, ["active"], "{name}");
        assert_eq!(scene.state(name).await, "active");
    }
    // All three stand as the new advisories say.
    assert_eq!(scene.count(&format!("version_scans WHERE advisory_snapshot = {}", snapshot.number)).await, 3);

    // A record that says the same in other words changes no decision either.
    let mut reworded = jinja_escape();
    reworded["affected"][0]["ranges"][0]["events"][0] = json!({"introduced": "0.0.1"});
    scene.load_and_judge(&coverage_and(&[reworded])).await;
    assert_eq!(scene.decisions("old").await, ["active", "rejected"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finding_that_only_warns_leaves_a_version_active_with_a_new_verdict() {
    let scene = Scene::set(&coverage()).await;
    scene.publish_active("ranker", jinja()).await;
    let digest = text(&scene.version("ranker").await["digest"]);
    scene.load_and_judge(&coverage_and(&[about("PyPI", "jinja2", "GHSA-mild", "MEDIUM", "9.9.9")])).await;
    let version = scene.version("ranker").await;
    assert_eq!(version["state"], "active");
    assert_eq!(check(&version, "vulnerabilities")["outcome"], "warn", "{version:#}");
    let anybody = scene.store.root.logged_out();
    let referrers = anybody.get(&format!("/v2/acme/ranker/referrers/{digest}")).await.expect(200);
    let newest = &referrers["manifests"].as_array().unwrap().iter().map(|m| text(&m["digest"])).collect::<Vec<_>>();
    assert_eq!(newest.len(), 2);
    let mut warned = 0;
    for referrer in newest {
        let manifest = anybody.get(&format!("/v2/acme/ranker/manifests/{referrer}")).await.expect(200);
        let bundle = text(&manifest["layers"][0]["digest"]);
        let bundle = anybody.get(&format!("/v2/acme/ranker/blobs/{bundle}")).await.expect(200);
        warned += usize::from(statement(&bundle["dsseEnvelope"]).to_string().contains("GHSA-mild"));
    }
    assert_eq!(warned, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_compared_as_the_ecosystem_does() {
    let scene = Scene::set(&coverage()).await;
    scene.publish_active("ranker", Image::new().debian_12().layer().wheel("Zope.Interface__X", "1.0")).await;
    // Spelled as the author did, which a catalog need not keep.
    let spelled = r#"UPDATE components SET source_name = 'Zope.Interface__X',
        component = component || '{"source_name": "Zope.Interface__X"}' WHERE ecosystem = 'pypi'"#;
    assert_eq!(scene.store.database.connect().await.execute(spelled, &[]).await.unwrap(), 1);
    scene.load_and_judge(&coverage_and(&[about("PyPI", "zope-interface-x", "GHSA-zope", "CRITICAL", "2.0")])).await;
    assert_eq!(scene.state("ranker").await, "quarantined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_advisory_about_another_release_of_the_distribution_concerns_nobody() {
    let about_release = |release: &str, id: &str| about(release, "openssl", id, "CRITICAL", "99");
    let covered = coverage_and(&[about("Debian:11", "covered", "COVERS-ELEVEN", "LOW", "1")]);
    let scene = Scene::set(&covered).await;
    let installed = [DebianPackage { name: "libssl3", version: "3.0.15-1", source: Some("openssl") }];
    scene.publish_active("ranker", Image::new().debian_12().layer().dpkg(&installed)).await;

    let with = |record: Value| covered.iter().cloned().chain([record]).collect::<Vec<_>>();
    scene.load_and_judge(&with(about_release("Debian:11", "DSA-11"))).await;
    assert_eq!(scene.decisions("ranker").await, ["active"]);
    scene.load_and_judge(&with(about_release("Debian:12", "DSA-12"))).await;
    assert_eq!(scene.decisions("ranker").await, ["active", "rejected"]);
    assert_eq!(scene.state("ranker").await, "quarantined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_told_is_decided_when_it_can() {
    let only_debian = [about("Debian:12", "covered", "COVERS-DEBIAN", "LOW", "1")];
    let scene = Scene::set(&only_debian).await;
    for (name, jinja) in [("good", "10.0.0"), ("bad", "3.1.6")] {
        let intake = scene.publish(name, Image::new().debian_12().layer().wheel("Jinja2", jinja)).await;
        assert_eq!(intake["outcome"], "in_review", "{intake:#}");
    }
    scene.load_and_judge(&coverage_and(&[jinja_escape()])).await;
    assert_eq!((scene.state("good").await, scene.state("bad").await), ("active".to_owned(), "rejected".to_owned()));
    let anybody = scene.store.root.logged_out();
    assert_eq!(anybody.get("/v2/acme/good/manifests/1.0.0").await.status, 200);
    assert_eq!(anybody.get("/v2/acme/bad/manifests/1.0.0").await.status, 404);
    // Their authors' clients learn it where they ask.
    for (name, status) in [("good", "completed"), ("bad", "failed")] {
        let sql = "SELECT i.id::text FROM intakes i JOIN versions v ON v.id = i.version_id \
                   JOIN packages p ON p.id = v.package_id WHERE p.name = $1";
        let row = scene.store.database.connect().await.query_one(sql, &[&name]).await.unwrap();
        let intake: String = row.get(0);
        let publish = scene.acme.developer.get(&format!("/v1/modules/publish/{intake}")).await.expect(200);
        assert_eq!(publish["status"], status, "{publish:#}");
    }

    // Losing what is known about an ecosystem is not "clean"; it returns with it.
    scene.load_and_judge(&only_debian).await;
    let version = scene.version("good").await;
    assert_eq!(
        (&version["state"], &version["rejection_code"]),
        (&json!("quarantined"), &json!("SECURITY_SCAN_INCOMPLETE")),
        "{version:#}"
    );
    scene.load_and_judge(&coverage()).await;
    assert_eq!(scene.state("good").await, "active");
    assert_eq!(scene.state("bad").await, "rejected", "a rejected version is published again, not judged again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_advisories_quarantine_what_they_know_and_nothing_for_being_stale() {
    let scene = Scene::set(&coverage()).await;
    scene.publish_active("mild", Image::new().debian_12().layer().wheel("flask", "1.0")).await;
    scene.publish_active("bad", jinja()).await;
    let days_ago = Utc::now().checked_sub_days(Days::new(10)).unwrap().to_rfc3339_opts(SecondsFormat::Secs, true);
    let mild = about("PyPI", "flask", "GHSA-mild", "MEDIUM", "2.0");
    let stale: Vec<Value> = coverage_and(&[jinja_escape(), mild])
        .into_iter()
        .map(|mut record| {
            record["modified"] = json!(days_ago);
            record
        })
        .collect();
    scene.load_and_judge(&stale).await;
    assert_eq!(scene.state("bad").await, "quarantined");
    assert_eq!(scene.decisions("mild").await, ["active"], "it waits for advisories that carry a verdict");

    scene.load_and_judge(&coverage_and(&[about("PyPI", "flask", "GHSA-mild", "MEDIUM", "2.0")])).await;
    assert_eq!(scene.decisions("mild").await, ["active", "active"]);
    assert_eq!(scene.state("bad").await, "active");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_of_whom_nothing_is_noted_are_judged_whole() {
    let scene = Scene::set(&coverage()).await;
    scene.publish_active("ranker", jinja()).await;
    scene.publish_active("fine", Image::new().debian_12().layer().wheel("flask", "1.0")).await;
    // As a program leaves them that knows nothing of judging anew; the advisories of then are gone, too.
    scene.store.database.connect().await.execute("DELETE FROM version_scans", &[]).await.unwrap();
    scene.load_and_judge(&coverage_and(&[jinja_escape()])).await;
    assert_eq!(scene.decisions("ranker").await, ["active", "rejected"]);
    assert_eq!(scene.decisions("fine").await, ["active"]);

    let used = "DELETE FROM advisory_snapshots WHERE number < (SELECT max(advisory_snapshot) FROM version_scans)";
    scene.store.database.connect().await.execute(used, &[]).await.unwrap();
    let forget = "UPDATE version_scans SET advisory_snapshot = 0";
    scene.store.database.connect().await.execute(forget, &[]).await.unwrap();
    scene.load_and_judge(&coverage()).await;
    assert_eq!(scene.decisions("ranker").await, ["active", "rejected", "active"]);
    assert_eq!(scene.decisions("fine").await, ["active"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yanked_version_stays_yanked() {
    let scene = Scene::set(&coverage()).await;
    scene.publish_active("ranker", jinja()).await;
    let yank = "/v1/packages/acme/ranker/versions/1.0.0/yank";
    assert_eq!(scene.acme.developer.post(yank, json!({"reason": "a mistake"})).await.status, 204);
    scene.load_and_judge(&coverage_and(&[jinja_escape()])).await;
    assert_eq!(scene.state("ranker").await, "yanked");
    assert_eq!(scene.decisions("ranker").await, ["active"]);
    told::assert_all_is_told(&scene.store.database).await;
}

/// A transaction of its own that holds the rows of these packages' versions until it is dropped.
async fn hold_versions(database: &Database, name: &str) -> tokio_postgres::Client {
    let client = database.connect().await;
    client.batch_execute("BEGIN").await.unwrap();
    let lock = "SELECT v.id FROM versions v JOIN packages p ON p.id = v.package_id WHERE p.name = $1 FOR UPDATE OF v";
    assert_eq!(client.query(lock, &[&name]).await.unwrap().len(), 1);
    client
}

/// Waits until somebody waits for the rows that `holder` holds: for those and no others, which come and go.
async fn somebody_waits(database: &Database, holder: &tokio_postgres::Client) {
    let holder: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    wait::until("somebody to wait for a held row", async || {
        (count(database, &format!("pg_stat_activity WHERE {holder} = ANY(pg_blocking_pids(pid))")).await > 0)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_in_the_middle_of_judging_leaves_nothing_half_done() {
    let mut scene = Scene::set(&coverage()).await;
    for name in ["first", "second", "third"] {
        scene.publish_active(name, jinja()).await;
    }
    scene.store.stop_workers();
    scene.load(&coverage_and(&[jinja_escape()])).await;
    let held = hold_versions(&scene.store.database, "second").await;
    let worker = scene.store.start_worker_process(Path::new(WORKER));
    somebody_waits(&scene.store.database, &held).await;
    // As kill -9, while the second of three is being written.
    drop(worker);
    assert_eq!(scene.state("first").await, "quarantined");
    assert_eq!(scene.decisions("second").await, ["active"]);
    assert_eq!(scene.decisions("third").await, ["active"]);
    drop(held);

    let _next = scene.store.start_worker_process(Path::new(WORKER));
    scene.judged().await;
    for name in ["first", "second", "third"] {
        assert_eq!(scene.state(name).await, "quarantined", "{name}");
        assert_eq!(scene.decisions(name).await, ["active", "rejected"], "{name}");
    }
    assert_eq!(scene.count("audit_entries WHERE action = 'version.rejudged'").await, 3);
    assert_eq!(scene.count("findings").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intake_that_was_scanned_before_the_load_and_decided_after_it_is_judged_anew() {
    let mut scene = Scene::without_worker(&coverage()).await;
    let manifest = module_manifest("ranker", "1.0.0");
    let reference = scene.push("ranker", &jinja().layer().hla_module(&manifest)).await;
    let accepted = scene.acme.publish(&manifest, &reference).await.expect(202);
    let held = hold_versions(&scene.store.database, "ranker").await;
    scene.store.start_worker();
    // The intake has scanned, and wants to write its decision.
    somebody_waits(&scene.store.database, &held).await;
    scene.load(&coverage_and(&[jinja_escape()])).await;
    assert_eq!(scene.count("jobs WHERE kind = 'rejudgement'").await, 0, "nothing is owed yet");
    drop(held);
    let intake = scene.acme.intake_end(&text(&accepted["publishId"])).await;
    assert_eq!(intake["outcome"], "active", "{intake:#}");
    scene.judged().await;
    assert_eq!(scene.state("ranker").await, "quarantined");
}

/// 20,000 versions of five components, one of which all hold, and two snapshots of 20,000 advisories that differ in what
/// they say about that one and about another.
const MANY: &str = r#"
    INSERT INTO versions (id, package_id, version, state, package_manifest, published_by, activated_at)
    SELECT gen_random_uuid(), p.id, '1.0.' || n, 'active', '{}', u.id, now()
    FROM packages p, users u, generate_series(1, 20000) n;
    INSERT INTO components (version_id, ordinal, purl, ecosystem, name, source_name, component)
    SELECT v.id, k, 'pkg:pypi/' || name || '@1', 'pypi', name, name, jsonb_build_object(
        'purl', 'pkg:pypi/' || name || '@1', 'ecosystem', 'pypi', 'ecosystem_release', '', 'name', name, 'version', '1',
        'source_name', name, 'source_version', '1', 'layer', 'sha256:' || repeat('a', 64), 'path', v.version)
    FROM versions v, generate_series(0, 4) k,
    LATERAL (SELECT CASE k WHEN 0 THEN 'Common' ELSE 'package-' || abs(hashtext(v.version || '/' || k)) % 2000 END) named (name);
    INSERT INTO advisory_snapshots (origin, source, digest, records, ecosystems, is_complete)
    SELECT 'synced', 'many', 'sha256:' || repeat('b', 64), 20000, ARRAY['pypi'], true FROM generate_series(1, 2);
    INSERT INTO advisories (snapshot, ecosystem, ecosystem_release, package, advisory_id, ordinal, record)
    SELECT s.number, 'pypi', '', CASE n WHEN 0 THEN 'common' ELSE 'package-' || n % 10000 END, 'A-' || n, 0,
        jsonb_build_object('said', CASE WHEN n IN (0, 7) THEN s.number ELSE 0 END)
    FROM advisory_snapshots s, generate_series(0, 19999) n;
    ANALYZE;
"#;

#[tokio::test]
async fn what_changed_is_found_by_indexes_among_twenty_thousand_versions() {
    let database = Database::create().await;
    let shelf = Shelf::of(&database).await;
    let acme = shelf.organization("acme", "verified").await;
    shelf.package(acme, "ranker", "hla-compass.module", "public").await;
    shelf.sql.batch_execute(MANY).await.unwrap();
    let pool = Pool::new(database.url().clone(), 1).unwrap();
    let conn = &mut *pool.get().await.unwrap();
    let snapshots: Vec<i64> = advisories::snapshots(conn).await.unwrap().iter().map(|s| s.number).collect();
    let (later, earlier) = (snapshots[0], snapshots[1]);

    let mut changed = rejudgement::changed_components(conn, earlier, later).await.unwrap();
    changed.sort_unstable();
    let names: Vec<_> = changed.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names, ["Common", "package-7"], "each once, whoever holds it");
    assert_eq!(rejudgement::changed_components(conn, later, later).await.unwrap(), []);
    assert_eq!(rejudgement::holding(conn, &changed[..1]).await.unwrap().len(), 20_000);

    let plans = rejudgement::plans(conn, (earlier, later), &changed[1..]).await.unwrap();
    for plan in plans.map(|lines| lines.join("\n")) {
        assert!(plan.contains("components_matched_idx"), "{plan}");
        assert!(!plan.contains("Seq Scan on components") && !plan.contains("Seq Scan on advisories"), "{plan}");
    }
}

#[tokio::test]
async fn the_database_matches_names_as_image_scan_does() {
    let database = Database::create().await;
    let client = database.connect().await;
    let spellings =
        ["Jinja2", "zope.interface", "A__b..C--d", " Padded\t", "x-_.y", "ÄÖ_Ü", "-lead", "trail.", "ſharp_K"];
    for ecosystem in Ecosystem::ALL {
        for spelling in spellings {
            let sql = "SELECT matched_name($1, $2)";
            let row = client.query_one(sql, &[&ecosystem.as_str(), &spelling]).await.unwrap();
            assert_eq!(row.get::<_, String>(0), matched_name(*ecosystem, spelling), "{ecosystem} {spelling:?}");
        }
    }
}
