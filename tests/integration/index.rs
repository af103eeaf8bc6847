//! `/index.json`: the public store as one document, cacheable, and there while the database is not.

use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use store_tests::client::{Answer, StoreClient};
use store_tests::postgres::Database;
use store_tests::shelf::{Shelf, described};
use store_tests::store::Store;
use store_tests::wait;
use tokio_util::sync::CancellationToken;
use url::Url;

async fn index(client: &StoreClient) -> Value {
    client.get("/index.json").await.expect(200)
}

/// The index is looked at anew after a tenth of a second at the latest.
async fn until(client: &StoreClient, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, async || Some(index(client).await).filter(&holds)).await
}

fn ids(index: &Value, part: &str) -> Vec<String> {
    index[part].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn holds_the_newest_active_version_of_every_public_package_and_nothing_else() {
    let store = Store::start_without_worker().await;
    let client = store.root.logged_out();
    assert_eq!(index(&client).await, serde_json::json!({"modules": [], "templates": []}));
    let shelf = Shelf::of(&store.database).await;
    let acme = shelf.organization("acme", "verified").await;
    let tool = shelf.package(acme, "tool", "hla-compass.module", "public").await;
    shelf.version(tool, "1.0.0", "active", &described("Old", "", &[])).await;
    let version = shelf.version(tool, "1.1.0", "active", &described("Tool", "Does it", &["Good"])).await;
    let image = shelf.image(&store.objects(), version, b"layer").await;
    shelf.refresh(tool.id).await;
    let agency = shelf.package(acme, "agency", "company.template", "public").await;
    shelf.version(agency, "0.1.0", "active", &described("", "Staff", &[])).await;
    for (name, visibility, state) in [
        ("paid", "licensed", "active"),
        ("secret", "organization", "active"),
        ("refused", "public", "rejected"),
        ("waiting", "public", "pending"),
    ] {
        let package = shelf.package(acme, name, "hla-compass.module", visibility).await;
        shelf.version(package, "1.0.0", state, &described("", "", &[])).await;
    }

    let index = until(&client, "the packages", |index| !ids(index, "templates").is_empty()).await;
    assert_eq!(ids(&index, "modules"), ["acme/tool"]);
    assert_eq!(ids(&index, "templates"), ["acme/agency"]);
    let module = &index["modules"][0];
    assert_eq!(module["name"], "Tool");
    assert_eq!(module["version"], "1.1.0");
    assert_eq!(module["tags"], serde_json::json!(["good"]));
    assert_eq!(module["digest"], image.digest.to_string());
    assert_eq!(module["repo"], format!("{}/acme/tool", store.url().authority()));
    let template = client.get(index["templates"][0]["url"].as_str().unwrap()).await.expect(200);
    assert_eq!(template["description"], "Staff");

    shelf.sql.execute("UPDATE versions SET state = 'quarantined' WHERE version = '1.1.0'", &[]).await.unwrap();
    shelf.refresh(tool.id).await;
    let index = until(&client, "the older version", |index| index["modules"][0]["version"] == "1.0.0").await;
    assert_eq!(index["modules"][0]["digest"], Value::Null);
}

#[tokio::test]
async fn is_sent_once_and_then_only_when_it_changed() {
    let store = Store::start_without_worker().await;
    let client = store.root.logged_out();
    let shelf = Shelf::of(&store.database).await;
    let acme = shelf.organization("acme", "verified").await;
    let tool = shelf.package(acme, "tool", "hla-compass.module", "public").await;
    shelf.version(tool, "1.0.0", "active", &described("Tool", &"much text ".repeat(100), &[])).await;
    until(&client, "the package", |index| !ids(index, "modules").is_empty()).await;

    let ask = async |headers: &[(&str, &str)]| {
        let request = headers.iter().fold(client.request(Method::GET, "/index.json"), |r, (k, v)| r.header(*k, *v));
        Answer::to(request).await
    };
    let plain = ask(&[]).await;
    assert_eq!(plain.headers["content-type"], "application/json");
    assert_eq!(plain.headers["vary"], "Accept-Encoding");
    let gzip = ask(&[("accept-encoding", "gzip")]).await;
    assert_eq!(gzip.headers["content-encoding"], "gzip");
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gzip.body[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    let brotli = ask(&[("accept-encoding", "gzip, br")]).await;
    assert_eq!(brotli.headers["content-encoding"], "br");
    assert!(brotli.body.len() < plain.body.len() / 2);

    let etag = brotli.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(gzip.headers["etag"], etag.as_str(), "a strong ETag names exactly these bytes");
    let unchanged = ask(&[("accept-encoding", "br"), ("if-none-match", &etag)]).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let head = Answer::to(client.request(Method::HEAD, "/index.json")).await;
    assert_eq!(head.headers["content-length"], plain.body.len().to_string().as_str());

    shelf.version(tool, "1.0.1", "active", &described("Tool", "little text", &[])).await;
    until(&client, "the new version", |index| index["modules"][0]["version"] == "1.0.1").await;
    assert_eq!(ask(&[("accept-encoding", "br"), ("if-none-match", &etag)]).await.status, 200);
}

/// Ends all connections to a database and takes no new ones.
async fn take_away(database: &Database) {
    let url = database.url().expose_secret();
    let name = Url::parse(url).unwrap().path().trim_start_matches('/').to_owned();
    let mut server = Url::parse(url).unwrap();
    server.set_path("postgres");
    let (client, connection) = tokio_postgres::connect(server.as_str(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    client.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await.unwrap();
    client.execute(end, &[&name]).await.unwrap();
}

#[tokio::test]
async fn is_served_while_the_database_is_away_also_by_a_process_that_starts_then() {
    let store = Store::start_without_worker().await;
    let client = store.root.logged_out();
    let shelf = Shelf::of(&store.database).await;
    let acme = shelf.organization("acme", "verified").await;
    let tool = shelf.package(acme, "tool", "hla-compass.module", "public").await;
    shelf.version(tool, "1.0.0", "active", &described("Tool", "", &[])).await;
    let before = until(&client, "the package", |index| !ids(index, "modules").is_empty()).await;

    take_away(&store.database).await;
    client.get("/v1/packages").await.expect_problem(503, "UNAVAILABLE");
    assert_eq!(index(&client).await, before);

    let server = store.another_api().await;
    let fresh = StoreClient::anonymous(server.public_url().clone());
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let serving = tokio::spawn(server.serve(stopped));
    assert_eq!(index(&fresh).await, before);
    stop.cancel();
    serving.await.unwrap().unwrap();
}
