//! Advisory snapshots: loading, choosing, looking up, and judging an image by them.

use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use axum::Router;
use axum::http::StatusCode;
use image_scan::advisories::{match_components, matched_name, starter, uncovered};
use intake_worker::advisories::{AdvisorySource, Progress, SyncError, ensure_starter, status, sync};
use registry_db::advisories::{self, AdvisoryRow, PackageKey, SnapshotInfo};
use registry_db::{DbError, Pool};
use registry_types::advisory::{AdvisoryOrigin, Severity};
use registry_types::component::{Component, Ecosystem, EcosystemRelease};
use registry_types::digest::Digest;
use serde_json::json;
use store_tests::postgres::Database;
use zip::write::{SimpleFileOptions, ZipWriter};

fn pool(database: &Database) -> Pool {
    Pool::new(database.url().clone(), 4).unwrap()
}

fn scope(text: &str) -> EcosystemRelease {
    text.parse().unwrap()
}

fn row(scope_text: &str, package: &str, id: &str) -> AdvisoryRow {
    let record = json!({"stored": [scope_text, package, id]});
    AdvisoryRow { scope: scope(scope_text), package: package.into(), advisory_id: id.into(), ordinal: 0, record }
}

fn key(scope_text: &str, package: &str) -> PackageKey {
    PackageKey { scope: scope(scope_text), package: package.into() }
}

async fn complete_snapshot(pool: &Pool, origin: AdvisoryOrigin, rows: &[AdvisoryRow]) -> SnapshotInfo {
    let conn = &mut *pool.get().await.unwrap();
    let number = advisories::begin_snapshot(conn, origin, "a test").await.unwrap();
    advisories::insert_batch(conn, number, rows).await.unwrap();
    let digest = Digest::sha256_of(number.to_string().as_bytes());
    advisories::complete_snapshot(conn, number, &digest, None).await.unwrap()
}

#[tokio::test]
async fn only_a_complete_snapshot_is_used_and_never_changes() {
    let database = Database::create().await;
    let pool = pool(&database);
    let conn = &mut *pool.get().await.unwrap();
    assert_eq!(advisories::latest_usable(conn).await.unwrap(), None);

    let number = advisories::begin_snapshot(conn, AdvisoryOrigin::Synced, "a test").await.unwrap();
    let rows = [row("debian:12", "glibc", "A"), row("debian:12", "glibc", "B"), row("pypi", "jinja2", "B")];
    advisories::insert_batch(conn, number, &rows).await.unwrap();
    advisories::insert_batch(conn, number, &rows).await.unwrap();
    assert_eq!(advisories::latest_usable(conn).await.unwrap(), None);
    let early = advisories::for_packages(conn, number, &[key("pypi", "jinja2")]).await;
    assert!(matches!(early, Err(DbError::NotFound)), "{early:?}");

    let digest = Digest::sha256_of(b"data");
    let snapshot = advisories::complete_snapshot(conn, number, &digest, None).await.unwrap();
    assert_eq!((snapshot.records, &snapshot.digest), (2, &digest));
    assert_eq!(snapshot.ecosystems, [scope("debian:12"), scope("pypi")]);
    assert_eq!(advisories::latest_usable(conn).await.unwrap().as_ref(), Some(&snapshot));

    let again = advisories::complete_snapshot(conn, number, &digest, None).await;
    assert!(matches!(again, Err(DbError::Stale)), "{again:?}");
    advisories::abandon_snapshot(conn, number).await.unwrap();
    assert_eq!(advisories::latest_usable(conn).await.unwrap(), Some(snapshot));
}

#[tokio::test]
async fn synced_data_goes_before_the_starter_set_whichever_came_first() {
    let database = Database::create().await;
    let pool = pool(&database);
    let starter = ensure_starter(&pool).await.unwrap();
    assert_eq!(starter.origin, AdvisoryOrigin::Starter);
    assert_eq!(usize::try_from(starter.records).unwrap(), starter::records().len());
    assert_eq!(ensure_starter(&pool).await.unwrap(), starter, "the same set is loaded once");
    assert_eq!(status(&pool).await.unwrap().in_use.as_ref(), Some(&starter));

    let synced = complete_snapshot(&pool, AdvisoryOrigin::Synced, &[row("pypi", "x", "A")]).await;
    complete_snapshot(&pool, AdvisoryOrigin::Starter, &[row("pypi", "x", "A")]).await;
    assert_eq!(status(&pool).await.unwrap().in_use, Some(synced));
}

#[tokio::test]
async fn lookups_answer_for_the_wanted_packages_and_releases() {
    let database = Database::create().await;
    let pool = pool(&database);
    let rows = [
        row("debian:12", "glibc", "A"),
        row("debian:11", "glibc", "B"),
        row("debian", "glibc", "C"),
        row("debian:12", "zlib", "D"),
        row("ubuntu:12", "glibc", "E"),
        row("pypi", "glibc", "F"),
    ];
    let snapshot = complete_snapshot(&pool, AdvisoryOrigin::Synced, &rows).await;
    complete_snapshot(&pool, AdvisoryOrigin::Synced, &[row("debian:12", "glibc", "other snapshot")]).await;
    let conn = &mut *pool.get().await.unwrap();
    let keys = [key("debian:12", "glibc"), key("debian:12", "absent"), key("pypi", "glibc")];
    let mut found = advisories::for_packages(conn, snapshot.number, &keys).await.unwrap();
    found.sort_by(|a, b| a.advisory_id.cmp(&b.advisory_id));
    assert_eq!(found, [rows[0].clone(), rows[2].clone(), rows[5].clone()]);
    assert_eq!(advisories::for_packages(conn, snapshot.number, &[]).await.unwrap(), []);
    assert_eq!(advisories::for_packages(conn, snapshot.number, &keys[1..2]).await.unwrap(), []);
    let gone = advisories::for_packages(conn, snapshot.number + 100, &keys).await;
    assert!(matches!(gone, Err(DbError::NotFound)), "a missing snapshot is no empty answer: {gone:?}");
}

#[tokio::test]
async fn a_lookup_among_many_rows_goes_by_the_index() {
    let database = Database::create().await;
    let pool = pool(&database);
    let rows: Vec<_> =
        (0..60_000).map(|n| row("debian:12", &format!("package-{}", n / 6), &format!("CVE-{n}"))).collect();
    let conn = &mut *pool.get().await.unwrap();
    let number = advisories::begin_snapshot(conn, AdvisoryOrigin::Synced, "many").await.unwrap();
    for batch in rows.chunks(5_000) {
        advisories::insert_batch(conn, number, batch).await.unwrap();
    }
    let snapshot = advisories::complete_snapshot(conn, number, &Digest::sha256_of(b""), None).await.unwrap();
    assert_eq!(snapshot.records, 60_000);
    let keys: Vec<_> = (0..400).map(|n| key("debian:12", &format!("package-{}", n * 7))).collect();
    let plan = advisories::plan_of_for_packages(conn, number, &keys).await.unwrap().join("\n");
    assert!(plan.contains("using advisories_pkey on advisories"), "{plan}");
    assert!(!plan.contains("Seq Scan on advisories\n"), "{plan}");
    assert_eq!(advisories::for_packages(conn, number, &keys).await.unwrap().len(), 400 * 6);
}

#[tokio::test]
async fn old_snapshots_and_dead_loads_are_removed() {
    let database = Database::create().await;
    let pool = pool(&database);
    let mut synced = Vec::new();
    for _ in 0..5 {
        synced.push(complete_snapshot(&pool, AdvisoryOrigin::Synced, &[row("pypi", "x", "A")]).await);
    }
    let starter = ensure_starter(&pool).await.unwrap();
    let conn = &mut *pool.get().await.unwrap();
    let dead = advisories::begin_snapshot(conn, AdvisoryOrigin::Synced, "dead").await.unwrap();
    let under_way = advisories::begin_snapshot(conn, AdvisoryOrigin::Synced, "under way").await.unwrap();
    let client = database.connect().await;
    let backdate = "UPDATE advisory_snapshots SET created_at = now() - interval '2 days' WHERE number = $1";
    client.execute(backdate, &[&dead]).await.unwrap();

    // The first two synced snapshots (ensure_starter removed them already, or this does) and the dead load.
    advisories::remove_outdated(conn).await.unwrap();
    let kept: Vec<i64> = advisories::snapshots(conn).await.unwrap().iter().map(|s| s.number).collect();
    let expected: Vec<i64> = [&starter].into_iter().chain(synced[2..].iter().rev()).map(|s| s.number).collect();
    assert_eq!(kept, expected);
    let numbers = client.query("SELECT number FROM advisory_snapshots WHERE NOT is_complete", &[]).await.unwrap();
    assert_eq!(numbers.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>(), [under_way]);
}

fn osv(id: &str, ecosystem: &str, package: &str, fixed: &str) -> String {
    json!({
        "id": id, "modified": "2026-01-02T03:04:05Z", "summary": "a problem",
        "affected": [{
            "package": {"ecosystem": ecosystem, "name": package},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
        }],
        "database_specific": {"severity": "HIGH"},
    })
    .to_string()
}

fn zip_of(records: &[(&str, String)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, record) in records {
        archive.start_file(format!("{name}.json"), SimpleFileOptions::default()).unwrap();
        archive.write_all(record.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), bytes).unwrap();
}

#[tokio::test]
async fn a_folder_is_loaded_and_an_unchanged_one_is_not_loaded_again() {
    let database = Database::create().await;
    let pool = pool(&database);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", osv("A-1", "PyPI", "Foo_Bar", "2.0"));
    write(folder.path(), "unknown.json", osv("B-1", "Nowhere:9", "x", "1"));
    write(
        folder.path(),
        "all.zip",
        zip_of(&[("c", osv("C-1", "Debian:12", "glibc", "2.36-9")), ("d", osv("D-1", "npm", "x", "1.0.0"))]),
    );
    let source = AdvisorySource::locate(folder.path().to_str().unwrap()).unwrap();
    let stored = Mutex::new(0);
    let progress = |event| match event {
        Progress::Storing { rows } => *stored.lock().unwrap() = rows,
        Progress::Downloading { .. } => panic!("nothing to download"),
    };
    let wanted = [Ecosystem::PyPi, Ecosystem::Debian];
    let first = sync(&pool, &source, &wanted, progress).await.unwrap();
    assert_eq!(first.records, 2);
    assert_eq!(first.ecosystems, [scope("debian:12"), scope("pypi")]);
    assert_eq!(first.data_as_of.unwrap().to_rfc3339(), "2026-01-02T03:04:05+00:00");
    assert_eq!(*stored.lock().unwrap(), 2);

    assert_eq!(sync(&pool, &source, &wanted, |_| ()).await.unwrap(), first);
    let all = sync(&pool, &source, Ecosystem::ALL, |_| ()).await.unwrap();
    assert_eq!((all.number > first.number, all.records), (true, 3), "other ecosystems are other data");
    write(folder.path(), "a.json", osv("A-1", "PyPI", "foo-bar", "3.0"));
    assert!(sync(&pool, &source, &wanted, |_| ()).await.unwrap().number > all.number);
}

#[tokio::test]
async fn a_load_that_fails_leaves_what_was_in_use() {
    let database = Database::create().await;
    let pool = pool(&database);
    let before = complete_snapshot(&pool, AdvisoryOrigin::Synced, &[row("pypi", "x", "A")]).await;
    let folder = tempfile::tempdir().unwrap();
    let source = AdvisorySource::Folder(folder.path().to_owned());

    let empty = sync(&pool, &source, Ecosystem::ALL, |_| ()).await;
    assert!(matches!(empty, Err(SyncError::Empty { .. })), "{empty:?}");
    write(folder.path(), "a.json", osv("A-1", "PyPI", "x", "2.0"));
    write(folder.path(), "b.json", "not a record");
    let broken = sync(&pool, &source, Ecosystem::ALL, |_| ()).await;
    assert!(matches!(&broken, Err(SyncError::Record { name, .. }) if name == "b.json"), "{broken:?}");
    let archive = zip_of(&[("c", osv("C-1", "PyPI", "x", "2.0"))]);
    write(folder.path(), "b.json", osv("B-1", "PyPI", "x", "2.0"));
    write(folder.path(), "all.zip", &archive[..archive.len() - 10]);
    let truncated = sync(&pool, &source, Ecosystem::ALL, |_| ()).await;
    assert!(matches!(truncated, Err(SyncError::Archive { .. })), "{truncated:?}");

    assert_eq!(status(&pool).await.unwrap().in_use, Some(before));
    let client = database.connect().await;
    let left = client.query_one("SELECT count(*) FROM advisory_snapshots", &[]).await.unwrap();
    assert_eq!(left.get::<_, i64>(0), 1, "failed loads leave nothing behind");
}

/// A mirror in OSV's layout; what it has not is 404.
async fn mirror(files: Vec<(&'static str, Vec<u8>)>) -> String {
    let mut router = Router::new();
    for (path, bytes) in files {
        router = router.route(path, axum::routing::get(move || async move { bytes }));
    }
    let router = router.route("/data/npm/all.zip", axum::routing::get(|| async { StatusCode::FORBIDDEN }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/data/")
}

#[tokio::test]
async fn a_mirror_is_loaded_one_ecosystem_after_the_other() {
    let database = Database::create().await;
    let pool = pool(&database);
    // The same record comes with both ecosystems that it affects.
    let shared = json!({"id": "S-1", "affected": [
        {"package": {"ecosystem": "PyPI", "name": "s"}, "versions": ["1.0"]},
        {"package": {"ecosystem": "crates.io", "name": "s"}, "versions": ["1.0.0"]},
    ]});
    let pypi = zip_of(&[("a", osv("A-1", "PyPI", "x", "2.0")), ("s", shared.to_string())]);
    let crates = zip_of(&[("s", shared.to_string())]);
    let base = mirror(vec![("/data/PyPI/all.zip", pypi.clone()), ("/data/crates.io/all.zip", crates)]).await;
    let source = AdvisorySource::locate(&base).unwrap();
    let downloaded = Mutex::new(Vec::new());
    let progress = |event| {
        if let Progress::Downloading { ecosystem, bytes } = event {
            downloaded.lock().unwrap().push((ecosystem, bytes));
        }
    };
    let snapshot = sync(&pool, &source, &[Ecosystem::PyPi, Ecosystem::CratesIo], progress).await.unwrap();
    assert_eq!((snapshot.records, snapshot.source.as_str()), (2, base.as_str()));
    assert_eq!(snapshot.ecosystems, [scope("crates.io"), scope("pypi")]);
    assert!(downloaded.lock().unwrap().contains(&(Ecosystem::PyPi, pypi.len() as u64)));

    let refused = sync(&pool, &source, &[Ecosystem::PyPi, Ecosystem::Npm], |_| ()).await;
    assert!(matches!(refused, Err(SyncError::Status { status: 403, .. })), "{refused:?}");
    let absent = sync(&pool, &source, &[Ecosystem::Alpine], |_| ()).await;
    assert!(matches!(absent, Err(SyncError::Status { status: 404, .. })), "{absent:?}");
    assert_eq!(status(&pool).await.unwrap().in_use, Some(snapshot));
}

fn component(ecosystem: Ecosystem, release: &str, name: &str, version: &str) -> Component {
    Component {
        purl: format!("pkg:{ecosystem}/{name}@{version}"),
        ecosystem,
        ecosystem_release: release.into(),
        name: name.into(),
        version: version.into(),
        source_name: name.into(),
        source_version: version.into(),
        license: None,
        layer: Digest::sha256_of(b"layer"),
        path: "somewhere".into(),
    }
}

#[tokio::test]
async fn an_image_is_judged_by_the_starter_set() {
    let database = Database::create().await;
    let pool = pool(&database);
    let snapshot = ensure_starter(&pool).await.unwrap();
    let components = [
        component(Ecosystem::PyPi, "", "Jinja2", "2.10"),
        component(Ecosystem::PyPi, "", "PyYAML", "an unreadable version"),
        component(Ecosystem::Debian, "12", "glibc", "2.36-9+deb12u9"),
        component(Ecosystem::Debian, "7", "glibc", "2.13-38"),
        component(Ecosystem::Npm, "", "lodash", "4.17.21"),
    ];
    let key = |c: &Component| PackageKey {
        scope: EcosystemRelease { ecosystem: c.ecosystem, release: c.ecosystem_release.clone() },
        package: matched_name(c.ecosystem, &c.source_name),
    };
    let keys: Vec<_> = components.iter().map(key).collect();
    let conn = &mut *pool.get().await.unwrap();
    let rows = advisories::for_packages(conn, snapshot.number, &keys).await.unwrap();
    let about: Vec<_> = rows.into_iter().map(|row| serde_json::from_value(row.record).unwrap()).collect();
    let found = match_components(&components, &about);

    let of_jinja: Vec<_> = found.findings.iter().map(|f| (f.package.as_str(), f.advisory.as_str())).collect();
    assert!(of_jinja.contains(&("Jinja2", "GHSA-462w-v97r-4m45")), "{of_jinja:?}");
    assert!(of_jinja.iter().all(|(package, _)| *package == "Jinja2"), "{of_jinja:?}");
    let escape = found.findings.iter().find(|f| f.advisory == "GHSA-462w-v97r-4m45").unwrap();
    assert_eq!((escape.severity, escape.fixed_version.as_deref()), (Severity::High, Some("2.10.1")));
    assert_eq!(escape.aliases, ["CVE-2019-10906"]);
    assert!(found.uncomparable.iter().all(|u| u.package == "PyYAML"));
    assert_eq!(found.uncomparable.len(), 2);
    let not_covered = uncovered(&components, &snapshot.ecosystems);
    let not_covered: Vec<_> = not_covered.iter().map(|u| (u.scope.to_string(), u.components)).collect();
    assert_eq!(not_covered, [("debian:7".to_owned(), 1)]);
}
