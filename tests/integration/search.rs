//! Browsing and searching a large store: what is found, in which order, by whom, and along which index.

use std::collections::{HashMap, HashSet};

use registry_db::packages::{PackageSummary, Viewer};
use registry_db::search::{Filter, search};
use registry_db::{Connection, Pool};
use registry_types::ids::OrganizationId;
use registry_types::package::PackageFormat;
use registry_types::people::TrustTier;
use serde_json::json;
use store_tests::postgres::Database;
use store_tests::shelf::{Shelf, described};
use store_tests::wait;
use tokio_postgres::Client;
use uuid::Uuid;

const MANY: usize = 20_000;

/// `MANY` listed packages of made-up words, in 100 organizations, one in ten of them private.
async fn fill(sql: &Client) {
    let statement = format!(
        "INSERT INTO organizations (id, slug, display_name, trust_tier) \
           SELECT gen_random_uuid(), 'publisher-' || n, 'Publisher ' || n, \
             CASE n % 3 WHEN 0 THEN 'verified' WHEN 1 THEN 'community' ELSE 'internal' END \
           FROM generate_series(0, 99) n; \
         INSERT INTO packages (id, organization_id, name, kind, format, visibility, title, description, tags, listed_at, \
             latest_version, search_text) \
           SELECT gen_random_uuid(), o.id, 'package-' || n, CASE WHEN n % 5 = 0 THEN 'template' ELSE 'module' END, \
             CASE WHEN n % 5 = 0 THEN 'company.template' ELSE 'hla-compass.module' END, \
             CASE WHEN n % 10 = 3 THEN 'organization' ELSE 'public' END, 'Package ' || n, words, ARRAY['tag' || n % 40], \
             now() - n * interval '1 second', '1.0.0', 'package ' || n || ' ' || o.slug || ' ' || words \
           FROM generate_series(1, {MANY}) n JOIN organizations o ON o.slug = 'publisher-' || n % 100, \
             LATERAL (SELECT string_agg(substr(md5(n || '.' || w), 1, 7), ' ') AS words FROM generate_series(1, 20) w) text; \
         ANALYZE packages; ANALYZE organizations;"
    );
    sql.batch_execute(&statement).await.unwrap();
}

fn matching(query: &str) -> Filter {
    Filter { query: Some(query.to_owned()), ..Filter::default() }
}

async fn first(conn: &mut Connection, viewer: &Viewer, filter: &Filter) -> Vec<PackageSummary> {
    search(conn, viewer, filter, None, 20).await.unwrap().items
}

fn names(packages: &[PackageSummary]) -> Vec<&str> {
    packages.iter().map(|package| package.name.as_str()).collect()
}

/// How often each index of `packages` was used, and the whole table read.
async fn uses(sql: &Client) -> HashMap<String, i64> {
    let rows = sql
        .query(
            "SELECT indexrelname::text, coalesce(idx_scan, 0) FROM pg_stat_user_indexes WHERE relname = 'packages' \
             UNION ALL SELECT 'whole table', seq_scan FROM pg_stat_user_tables WHERE relname = 'packages'",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Asserts what `EXPLAIN` would say, of the very queries that run: Postgres counts the uses of each index.
#[tokio::test]
async fn every_search_goes_along_an_index() {
    let database = Database::create().await;
    let sql = database.connect().await;
    fill(&sql).await;
    let cases = [
        ("packages_listed_idx", Filter::default()),
        ("packages_listed_idx", Filter { tier: Some(TrustTier::Verified), ..Filter::default() }),
        ("packages_search_idx", matching("19876")),
        ("packages_trigram_idx", matching("pakcage 19876 publisher")),
        ("packages_tags_idx", Filter { tag: Some("tag-of-nobody".to_owned()), ..Filter::default() }),
    ];
    for (index, filter) in cases {
        let before = uses(&sql).await;
        let pool = Pool::new(database.url().clone(), 1).unwrap();
        search(&mut pool.get().await.unwrap(), &Viewer::Anonymous, &filter, None, 20).await.unwrap();
        // A server process reports its counts when it ends.
        drop(pool);
        let after = wait::until(&format!("the use of {index} for {filter:?}"), async || {
            let after = uses(&sql).await;
            let used: i64 = after.values().sum::<i64>() - before.values().sum::<i64>();
            (used > 0).then_some(after)
        })
        .await;
        assert!(after[index] > before[index], "{index} was not used for {filter:?}: {before:?} {after:?}");
        assert_eq!(after["whole table"], before["whole table"], "the whole table was read for {filter:?}");
    }
}

#[tokio::test]
async fn pages_follow_one_another_also_while_packages_are_added() {
    let database = Database::create().await;
    let shelf = Shelf::of(&database).await;
    let acme = shelf.organization("acme", "verified").await;
    for n in 0..25 {
        let package = shelf.package(acme, &format!("tool-{n}"), "hla-compass.module", "public").await;
        shelf.version(package, "1.0.0", "active", &described("Tool", "does something", &[])).await;
    }
    let pool = Pool::new(database.url().clone(), 1).unwrap();
    let conn = &mut pool.get().await.unwrap();
    let mut added = 0;
    for filter in [Filter::default(), matching("tool"), matching("toool")] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = search(conn, &Viewer::Anonymous, &filter, cursor, 10).await.unwrap();
            seen.extend(page.items.iter().map(|package| package.id));
            // Listed before all others, and, by its larger id, also before those of the same score.
            let late = shelf.package(acme, &format!("late-tool-{added}"), "hla-compass.module", "public").await;
            shelf.version(late, "1.0.0", "active", &described("Tool", "does something", &[])).await;
            added += 1;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let distinct: HashSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len(), "a package was shown twice for {filter:?}");
        let sql = "SELECT id FROM packages WHERE name LIKE 'tool-%'";
        for row in shelf.sql.query(sql, &[]).await.unwrap() {
            assert!(seen.contains(&row.get::<_, Uuid>(0).into()), "a package was left out for {filter:?}");
        }
        shelf.sql.execute("UPDATE packages SET listed_at = NULL WHERE name LIKE 'late-%'", &[]).await.unwrap();
    }
}

#[tokio::test]
async fn the_best_match_comes_first_and_slips_are_forgiven() {
    let database = Database::create().await;
    let shelf = Shelf::of(&database).await;
    let acme = shelf.organization("acme", "verified").await;
    let texts = [
        ("calendar-sync", "Reads invoices", "calendar events and more"),
        ("calendar", "Dates", "a calendar"),
        ("invoices", "Invoices", "Größe und Form, für PDF-Tools v2.0"),
        ("notes", "Notes", "mentions the calendar once, among many other words that have nothing to do with it at all"),
    ];
    for (name, title, description) in texts {
        let package = shelf.package(acme, name, "hla-compass.module", "public").await;
        shelf.version(package, "1.0.0", "active", &described(title, description, &["Office"])).await;
    }
    let pool = Pool::new(database.url().clone(), 1).unwrap();
    let conn = &mut pool.get().await.unwrap();
    let mut found = async |query: &str| {
        let found = first(conn, &Viewer::Anonymous, &matching(query)).await;
        found.iter().map(|package| package.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found("calendar").await, ["calendar", "calendar-sync", "notes"]);
    assert_eq!(found("CALENDAR sy").await, ["calendar-sync"], "the beginning of a word is enough");
    assert_eq!(found("größe").await, ["invoices"]);
    assert_eq!(found("pdf-tools/v2").await, ["invoices"]);
    assert_eq!(found("acme calendar-sync").await, ["calendar-sync"], "the publisher is part of the name");
    assert!(found("calender").await.contains(&"calendar".to_owned()), "one wrong letter is forgiven");
    assert_eq!(found("office").await.len(), 4, "tags are searched");
    assert!(found("zebra").await.is_empty());
    for hostile in ["'; DROP TABLE packages", "a & | ! :* <->", "((", "\\", "%", "!!!", "\u{1F600}", "a\u{301}"] {
        found(hostile).await;
    }
    assert_eq!(found("calendar").await.len(), 3);
}

#[tokio::test]
async fn filters_restrict_and_add_up() {
    let database = Database::create().await;
    let shelf = Shelf::of(&database).await;
    let acme = shelf.organization("acme", "verified").await;
    let other = shelf.organization("other", "community").await;
    for (organization, name, format, tag) in [
        (acme, "one", "hla-compass.module", "Red"),
        (acme, "two", "company.template", "blue"),
        (other, "three", "paperclip.module", "red"),
    ] {
        let package = shelf.package(organization, name, format, "public").await;
        shelf.version(package, "1.0.0", "active", &described("", "", &[tag])).await;
    }
    let pool = Pool::new(database.url().clone(), 1).unwrap();
    let conn = &mut pool.get().await.unwrap();
    let mut found = async |filter: Filter| {
        let found = first(conn, &Viewer::Anonymous, &filter).await;
        let mut names: Vec<_> = found.iter().map(|package| package.name.to_string()).collect();
        names.sort();
        names
    };
    let none = Filter::default;
    assert_eq!(found(none()).await, ["one", "three", "two"]);
    assert_eq!(found(Filter { tag: Some("red".to_owned()), ..none() }).await, ["one", "three"]);
    assert_eq!(found(Filter { publisher: Some("acme".parse().unwrap()), ..none() }).await, ["one", "two"]);
    assert_eq!(found(Filter { tier: Some(TrustTier::Community), ..none() }).await, ["three"]);
    assert_eq!(found(Filter { format: Some(PackageFormat::CompanyTemplate), ..none() }).await, ["two"]);
    let both = Filter { tag: Some("red".to_owned()), publisher: Some("acme".parse().unwrap()), ..none() };
    assert_eq!(found(both).await, ["one"]);
}

#[tokio::test]
async fn nobody_finds_what_is_not_for_them() {
    let database = Database::create().await;
    let shelf = Shelf::of(&database).await;
    let acme = shelf.organization("acme", "verified").await;
    let other = shelf.organization("other", "verified").await;
    for (name, visibility, state) in [
        ("open", "public", "active"),
        ("paid", "licensed", "active"),
        ("secret", "organization", "active"),
        ("waiting", "public", "pending"),
        ("refused", "public", "rejected"),
        ("pulled-back", "public", "yanked"),
    ] {
        let package = shelf.package(acme, name, "hla-compass.module", visibility).await;
        shelf.version(package, "1.0.0", state, &described("Words", "", &[])).await;
    }
    let member = |organization: Uuid| Viewer::Member { organizations: vec![OrganizationId(organization)] };
    let pool = Pool::new(database.url().clone(), 1).unwrap();
    let conn = &mut pool.get().await.unwrap();
    for filter in [Filter::default(), matching("words")] {
        let mut found = async |viewer: &Viewer| {
            let found = first(conn, viewer, &filter).await;
            let mut names: Vec<_> = names(&found).into_iter().map(str::to_owned).collect();
            names.sort();
            names
        };
        assert_eq!(found(&Viewer::Anonymous).await, ["open", "paid"]);
        assert_eq!(found(&member(other)).await, ["open", "paid"]);
        assert_eq!(found(&member(acme)).await, ["open", "paid", "secret"]);
        assert_eq!(found(&Viewer::Superuser).await, ["open", "paid", "secret"]);
    }
}

#[tokio::test]
async fn a_package_shows_its_newest_active_version() {
    let database = Database::create().await;
    let shelf = Shelf::of(&database).await;
    let acme = shelf.organization("acme", "verified").await;
    let package = shelf.package(acme, "tool", "hla-compass.module", "public").await;
    let pool = Pool::new(database.url().clone(), 1).unwrap();
    let conn = &mut pool.get().await.unwrap();
    let shown = async |conn: &mut Connection| {
        let found = first(conn, &Viewer::Anonymous, &Filter::default()).await;
        found.first().map(|found| (found.latest_version.clone().unwrap().to_string(), found.title.clone()))
    };
    shelf.version(package, "2.0.0-rc.1", "active", &json!({"title": "Candidate"})).await;
    assert_eq!(shown(conn).await, Some(("2.0.0-rc.1".to_owned(), "Candidate".to_owned())));
    shelf.version(package, "1.10.0", "active", &json!({"title": "Ten"})).await;
    let nine = shelf.version(package, "1.9.0", "active", &json!({"title": "Nine"})).await;
    assert_eq!(shown(conn).await, Some(("1.10.0".to_owned(), "Ten".to_owned())));
    shelf.sql.execute("UPDATE versions SET state = 'quarantined' WHERE version <> '1.9.0'", &[]).await.unwrap();
    shelf.refresh(package.id).await;
    assert_eq!(shown(conn).await, Some(("1.9.0".to_owned(), "Nine".to_owned())));
    shelf.sql.execute("UPDATE versions SET state = 'yanked' WHERE id = $1", &[&nine.0]).await.unwrap();
    shelf.refresh(package.id).await;
    assert_eq!(shown(conn).await, None);
}
