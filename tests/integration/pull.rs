//! `/v2/`: what the OCI distribution specification asks of pulls and content discovery, for active versions only.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use store_tests::client::{Answer, StoreClient};
use store_tests::shelf::{IMAGE_MANIFEST, SIGNATURE, Shelf, Shelved, ShelvedImage, described};
use store_tests::store::Store;

const LAYER: &[u8] = b"the bytes of a layer";

struct Shop {
    store: Store,
    shelf: Shelf,
    anybody: StoreClient,
    tool: Shelved,
    image: ShelvedImage,
}

impl Shop {
    /// `acme/tool` with one active version.
    async fn open() -> Self {
        let store = Store::start_without_worker().await;
        let shelf = Shelf::of(&store.database).await;
        let acme = shelf.organization("acme", "verified").await;
        let tool = shelf.package(acme, "tool", "hla-compass.module", "public").await;
        let version = shelf.version(tool, "1.0.0", "active", &described("Tool", "", &[])).await;
        let image = shelf.image(&store.objects(), version, LAYER).await;
        shelf.refresh(tool.id).await;
        Self { anybody: store.root.logged_out(), store, shelf, tool, image }
    }

    async fn head(&self, path: &str) -> Answer {
        Answer::to(self.anybody.request(Method::HEAD, path)).await
    }

    async fn range(&self, path: &str, range: &str) -> Answer {
        Answer::to(self.anybody.request(Method::GET, path).header("range", range)).await
    }
}

#[track_caller]
fn expect_error(answer: &Answer, status: u16, code: &str) {
    let body = answer.expect(status);
    assert_eq!(body["errors"][0]["code"], code, "{body}");
}

#[tokio::test]
async fn manifests_come_by_tag_and_by_digest_byte_for_byte() {
    let shop = Shop::open().await;
    assert_eq!(shop.anybody.get("/v2/").await.status, 200);
    for reference in ["1.0.0".to_owned(), shop.image.digest.to_string()] {
        let path = format!("/v2/acme/tool/manifests/{reference}");
        let answer = shop.anybody.get(&path).await;
        assert_eq!((answer.status, &answer.body), (200, &shop.image.manifest));
        assert_eq!(answer.headers["content-type"], IMAGE_MANIFEST);
        assert_eq!(answer.headers["docker-content-digest"], shop.image.digest.to_string().as_str());
        let head = shop.head(&path).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.headers["content-length"], shop.image.manifest.len().to_string().as_str());
        assert_eq!(head.headers["docker-content-digest"], shop.image.digest.to_string().as_str());
    }
    expect_error(&shop.anybody.get("/v2/acme/tool/manifests/2.0.0").await, 404, "MANIFEST_UNKNOWN");
    expect_error(&shop.anybody.get("/v2/acme/tool/manifests/latest").await, 404, "MANIFEST_UNKNOWN");
    expect_error(&shop.anybody.get("/v2/acme/tool/manifests/sha256:1").await, 400, "DIGEST_INVALID");
    expect_error(&shop.anybody.get("/v2/acme/none/manifests/1.0.0").await, 404, "NAME_UNKNOWN");
    expect_error(&shop.anybody.get("/v2/one-segment/manifests/1.0.0").await, 404, "NAME_UNKNOWN");
    assert_eq!(shop.head("/v2/acme/tool/manifests/2.0.0").await.status, 404);
}

#[tokio::test]
async fn blobs_come_whole_and_in_parts() {
    let shop = Shop::open().await;
    let digest = registry_types::digest::Digest::sha256_of(LAYER);
    let path = format!("/v2/acme/tool/blobs/{digest}");
    let whole = Answer::to(shop.anybody.request(Method::GET, &path).header("accept-encoding", "gzip, br")).await;
    assert_eq!((whole.status, &whole.body[..]), (200, LAYER));
    assert_eq!(whole.headers["content-length"], LAYER.len().to_string().as_str());
    assert!(!whole.headers.contains_key("content-encoding"));
    let head = shop.head(&path).await;
    assert_eq!(
        (head.status, head.headers["content-length"].to_str().unwrap()),
        (200, LAYER.len().to_string().as_str())
    );

    let part = shop.range(&path, "bytes=4-8").await;
    assert_eq!((part.status, &part.body[..]), (206, &LAYER[4..9]));
    assert_eq!(part.headers["content-range"], format!("bytes 4-8/{}", LAYER.len()).as_str());
    assert_eq!(shop.range(&path, "bytes=15-").await.body, &LAYER[15..]);
    assert_eq!(shop.range(&path, "bytes=-5").await.body, &LAYER[15..]);
    let outside = shop.range(&path, "bytes=20-").await;
    assert_eq!(outside.status, 416);
    assert_eq!(outside.headers["content-range"], format!("bytes */{}", LAYER.len()).as_str());

    let unknown = format!("sha256:{}", "0".repeat(64));
    expect_error(&shop.anybody.get(&format!("/v2/acme/tool/blobs/{unknown}")).await, 404, "BLOB_UNKNOWN");
    // A blob of the store is no blob of every repository.
    let other = shop.shelf.organization("other", "verified").await;
    let package = shop.shelf.package(other, "thing", "hla-compass.module", "public").await;
    shop.shelf.version(package, "1.0.0", "active", &described("", "", &[])).await;
    expect_error(&shop.anybody.get(&format!("/v2/other/thing/blobs/{digest}")).await, 404, "BLOB_UNKNOWN");
    expect_error(
        &shop.anybody.get(&format!("/v2/other/thing/manifests/{}", shop.image.digest)).await,
        404,
        "MANIFEST_UNKNOWN",
    );
}

#[tokio::test]
async fn only_active_versions_can_be_pulled() {
    let shop = Shop::open().await;
    let layer = registry_types::digest::Digest::sha256_of(LAYER);
    for state in ["pending", "rejected", "in_review", "quarantined", "yanked"] {
        let code = (state == "rejected").then_some("SECURITY_SCAN_FAILED");
        let update = "UPDATE versions SET state = $1, rejection_code = $2 WHERE version = '1.0.0'";
        shop.shelf.sql.execute(update, &[&state, &code]).await.unwrap();
        shop.shelf.refresh(shop.tool.id).await;
        for path in
            ["manifests/1.0.0", "tags/list", &format!("manifests/{}", shop.image.digest), &format!("blobs/{layer}")]
        {
            for client in [&shop.anybody, &shop.store.root] {
                let answer = client.get(&format!("/v2/acme/tool/{path}")).await;
                expect_error(&answer, 404, "NAME_UNKNOWN");
            }
        }
        // The same beside another version that is active.
        let sibling = shop.shelf.version(shop.tool, "0.9.0", "active", &described("", "", &[])).await;
        expect_error(&shop.anybody.get("/v2/acme/tool/manifests/1.0.0").await, 404, "MANIFEST_UNKNOWN");
        let by_digest = shop.anybody.get(&format!("/v2/acme/tool/manifests/{}", shop.image.digest)).await;
        expect_error(&by_digest, 404, "MANIFEST_UNKNOWN");
        expect_error(&shop.anybody.get(&format!("/v2/acme/tool/blobs/{layer}")).await, 404, "BLOB_UNKNOWN");
        let referrers = shop.anybody.get(&format!("/v2/acme/tool/referrers/{}", shop.image.digest)).await.expect(200);
        assert_eq!(referrers["manifests"], json!([]), "{state}");
        shop.shelf.sql.execute("UPDATE packages SET latest_version_id = NULL", &[]).await.unwrap();
        shop.shelf.sql.execute("DELETE FROM versions WHERE id = $1", &[&sibling.0]).await.unwrap();
    }
}

#[tokio::test]
async fn tags_are_the_active_versions_page_by_page() {
    let shop = Shop::open().await;
    for number in ["1.10.0", "1.2.0+build.7"] {
        let version = shop.shelf.version(shop.tool, number, "active", &described("", "", &[])).await;
        let copy = "UPDATE versions SET digest = $2 WHERE id = $1";
        shop.shelf.sql.execute(copy, &[&version.0, &shop.image.digest.to_string()]).await.unwrap();
    }
    shop.shelf.version(shop.tool, "3.0.0", "rejected", &described("", "", &[])).await;
    let all = shop.anybody.get("/v2/acme/tool/tags/list").await.expect(200);
    assert_eq!(all, json!({"name": "acme/tool", "tags": ["1.0.0", "1.10.0", "1.2.0_build.7"]}));
    let page = shop.anybody.get("/v2/acme/tool/tags/list?n=2").await;
    assert_eq!(page.expect(200)["tags"], json!(["1.0.0", "1.10.0"]));
    let link = page.headers["link"].to_str().unwrap();
    let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
    let last = shop.anybody.get(next).await;
    assert_eq!(last.expect(200)["tags"], json!(["1.2.0_build.7"]));
    assert!(!last.headers.contains_key("link"));
    let by_tag = shop.anybody.get("/v2/acme/tool/manifests/1.2.0_build.7").await;
    assert_eq!(by_tag.headers["docker-content-digest"], shop.image.digest.to_string().as_str());
    assert_eq!(shop.anybody.get("/v2/acme/tool/tags/list?n=x").await.status, 400);
}

#[tokio::test]
async fn referrers_name_what_refers_to_an_image() {
    let shop = Shop::open().await;
    let referrers = async |path: &str| shop.anybody.get(path).await;
    let path = format!("/v2/acme/tool/referrers/{}", shop.image.digest);
    let all = referrers(&path).await;
    assert_eq!(all.headers["content-type"], "application/vnd.oci.image.index.v1+json");
    let index = all.expect(200);
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    let listed = &index["manifests"][0];
    assert_eq!(listed["digest"], shop.image.referrer.to_string());
    assert_eq!(listed["artifactType"], SIGNATURE);
    let manifest = shop.anybody.get(&format!("/v2/acme/tool/manifests/{}", shop.image.referrer)).await;
    assert_eq!(listed["size"], manifest.body.len());

    let filtered = referrers(&format!("{path}?artifactType=application/x-other")).await;
    assert_eq!(filtered.headers["oci-filters-applied"], "artifactType");
    assert_eq!(filtered.expect(200)["manifests"], json!([]));
    let kept = Answer::to(shop.anybody.request(Method::GET, &path).query(&[("artifactType", SIGNATURE)])).await;
    assert_eq!(kept.expect(200)["manifests"].as_array().unwrap().len(), 1);
    let of_nothing = format!("/v2/acme/tool/referrers/sha256:{}", "0".repeat(64));
    assert_eq!(referrers(&of_nothing).await.expect(200)["manifests"], json!([]));
    expect_error(&referrers("/v2/acme/none/referrers/sha256:1").await, 400, "DIGEST_INVALID");

    let tag = shop.image.digest.to_string().replace(':', "-");
    let fallback = shop.anybody.get(&format!("/v2/acme/tool/manifests/{tag}")).await.expect(200);
    assert_eq!(fallback["manifests"], index["manifests"]);
}

#[tokio::test]
async fn signatures_of_the_older_form_keep_their_tag() {
    let shop = Shop::open().await;
    let version = shop.shelf.version(shop.tool, "1.0.1", "active", &described("", "", &[])).await;
    let document = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": shop.image.digest, "size": 2},
        "layers": [{
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": shop.image.digest,
            "size": 2,
        }],
    });
    let (digest, _) = shop.shelf.manifest(version, &document, "referrer", Some(&shop.image.digest), None).await;
    let tag = shop.image.digest.to_string().replace(':', "-");
    let found = shop.anybody.get(&format!("/v2/acme/tool/manifests/{tag}.sig")).await;
    assert_eq!(found.headers["docker-content-digest"], digest.to_string().as_str());
    expect_error(&shop.anybody.get(&format!("/v2/acme/tool/manifests/{tag}.att")).await, 404, "MANIFEST_UNKNOWN");
    let listed = shop.anybody.get(&format!("/v2/acme/tool/referrers/{}", shop.image.digest)).await.expect(200);
    assert_eq!(listed["manifests"].as_array().unwrap().len(), 1, "it names no subject, so it is no referrer");
}

#[tokio::test]
async fn private_and_licensed_packages_are_pulled_by_their_organization_only() {
    let shop = Shop::open().await;
    let organization = shop.store.organization("inner").await;
    let id = organization.id.parse().unwrap();
    let other = shop.store.organization("outer").await;
    for (name, visibility) in [("secret", "organization"), ("paid", "licensed")] {
        let package = shop.shelf.package(id, name, "hla-compass.module", visibility).await;
        let version = shop.shelf.version(package, "1.0.0", "active", &described("", "", &[])).await;
        shop.shelf.image(&shop.store.objects(), version, name.as_bytes()).await;
        shop.shelf.refresh(package.id).await;
    }
    let secret = "/v2/inner/secret/manifests/1.0.0";
    expect_error(&shop.anybody.get(secret).await, 404, "NAME_UNKNOWN");
    expect_error(&other.developer.get(secret).await, 404, "NAME_UNKNOWN");
    assert_eq!(organization.developer.get(secret).await.status, 200);
    let paid = "/v2/inner/paid/manifests/1.0.0";
    let asked = shop.anybody.get(paid).await;
    expect_error(&asked, 401, "UNAUTHORIZED");
    assert!(asked.headers["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    expect_error(&other.developer.get(paid).await, 403, "DENIED");
    assert_eq!(organization.developer.get(paid).await.status, 200);

    let basic = async |path: &str, password: &str| {
        let credential = format!("Basic {}", STANDARD.encode(format!("anybody:{password}")));
        Answer::to(shop.anybody.request(Method::GET, path).header("authorization", credential)).await
    };
    assert_eq!(basic(secret, organization.developer.token().unwrap()).await.status, 200);
    let wrong = basic("/v2/", "wrong").await;
    expect_error(&wrong, 401, "UNAUTHORIZED");
    assert!(wrong.headers["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    let empty = Answer::to(shop.anybody.request(Method::GET, "/v2/").header("authorization", "Basic Og==")).await;
    assert_eq!(empty.status, 200, "skopeo answers a challenge with an empty credential when it has none");
}

#[tokio::test]
async fn nothing_can_be_pushed() {
    let shop = Shop::open().await;
    for (method, path) in [
        (Method::POST, "/v2/acme/tool/blobs/uploads/"),
        (Method::PUT, "/v2/acme/tool/manifests/1.0.0"),
        (Method::DELETE, "/v2/acme/tool/manifests/1.0.0"),
        (Method::PATCH, "/v2/acme/tool/blobs/uploads/1"),
    ] {
        let answer = Answer::to(shop.store.root.request(method, path)).await;
        expect_error(&answer, 405, "UNSUPPORTED");
        assert_eq!(answer.headers["allow"], "GET, HEAD");
    }
}

#[tokio::test]
async fn skopeo_copies_an_image_and_keeps_its_digest() {
    let shop = Shop::open().await;
    let folder = tempfile::tempdir().unwrap();
    let source = format!("docker://{}/acme/tool@{}", shop.store.url().authority(), shop.image.digest);
    let skopeo = |arguments: Vec<String>| {
        let output = Command::new("skopeo").args(arguments).output().expect("skopeo is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let copy = [
        "copy",
        "--src-tls-verify=false",
        "--preserve-digests",
        &source,
        &format!("oci:{}:copy", folder.path().display()),
    ];
    let copy = copy.map(str::to_owned).to_vec();
    tokio::task::spawn_blocking(move || skopeo(copy)).await.unwrap();
    let index: Value = serde_json::from_slice(&std::fs::read(folder.path().join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], shop.image.digest.to_string());
    let layer = registry_types::digest::Digest::sha256_of(LAYER);
    assert_eq!(std::fs::read(folder.path().join("blobs/sha256").join(layer.hex())).unwrap(), LAYER);

    let tags = format!("docker://{}/acme/tool", shop.store.url().authority());
    let list = ["list-tags", "--tls-verify=false", &tags].map(str::to_owned).to_vec();
    let listed = tokio::task::spawn_blocking(move || skopeo(list)).await.unwrap();
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(listed["Tags"], json!(["1.0.0"]));
}

#[tokio::test]
async fn skopeo_logs_in_for_a_private_image() {
    let shop = Shop::open().await;
    let organization = shop.store.organization("inner").await;
    let package =
        shop.shelf.package(organization.id.parse().unwrap(), "secret", "hla-compass.module", "organization").await;
    let version = shop.shelf.version(package, "1.0.0", "active", &described("", "", &[])).await;
    shop.shelf.image(&shop.store.objects(), version, b"private").await;
    shop.shelf.refresh(package.id).await;
    let source = format!("docker://{}/inner/secret:1.0.0", shop.store.url().authority());
    let credential = format!("dev:{}", organization.developer.token().unwrap());
    let inspect = move |credential: Option<String>| {
        let mut command = Command::new("skopeo");
        command.args(["inspect", "--tls-verify=false"]);
        match credential {
            Some(credential) => command.args(["--creds", &credential]),
            None => command.arg("--no-creds"),
        };
        command.arg(&source).output().expect("skopeo is installed")
    };
    let ask = async |credential: Option<String>| {
        let inspect = inspect.clone();
        tokio::task::spawn_blocking(move || inspect(credential)).await.unwrap()
    };
    let answer = ask(Some(credential)).await;
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    assert!(!ask(None).await.status.success());
}
