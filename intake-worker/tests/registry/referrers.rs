//! Lists of referrers: the API, the tag that stands in for it, and outages that are neither.

use intake_worker::source::{FailureClass, ReferrersSource, SourceError};
use registry_types::digest::Digest;
use registry_types::limits;
use serde_json::{Value, json};

use crate::fixtures::{attach_bundle, push_image, push_index};
use crate::stub::{OCI_INDEX, OCI_MANIFEST, Registry, Reply, Stub, index};

fn entries(numbers: std::ops::Range<usize>) -> Vec<Value> {
    let entry = |n: usize| json!({"mediaType": OCI_MANIFEST, "digest": Digest::sha256_of(&n.to_le_bytes()), "size": 1});
    numbers.map(entry).collect()
}

fn page(numbers: std::ops::Range<usize>) -> Reply {
    Reply::new(200, index(entries(numbers)).to_string()).header("content-type", OCI_INDEX)
}

#[tokio::test]
async fn the_api_and_the_fallback_tag_list_the_same() {
    for (mut registry, source) in
        [(Registry::with_referrers_api(), ReferrersSource::Api), (Registry::default(), ReferrersSource::FallbackTag)]
    {
        let digest = push_image(&mut registry, "amd64", None);
        let signature = attach_bundle(&mut registry, &digest, "{}");
        let listed = Stub::registry(registry).await.session().referrers(&digest).await.unwrap();
        assert_eq!(listed.source, source);
        assert_eq!(listed.descriptors.iter().map(|entry| &entry.digest).collect::<Vec<_>>(), [&signature]);
    }
}

#[tokio::test]
async fn nothing_attached_is_a_clean_empty_list() {
    for mut registry in [Registry::with_referrers_api(), Registry::default()] {
        let digest = push_image(&mut registry, "amd64", None);
        let listed = Stub::registry(registry).await.session().referrers(&digest).await.unwrap();
        assert!(listed.descriptors.is_empty());
    }
}

#[tokio::test]
async fn pages_are_followed_to_a_limit() {
    let stub = Stub::start(|request| {
        if request.path.contains("page=2") {
            return page(20..30);
        }
        page(0..20).header("link", format!("<{}?page=2>; rel=\"next\"", request.path))
    })
    .await;
    let listed = stub.session().referrers(&Digest::sha256_of(b"x")).await.unwrap();
    assert_eq!(listed.descriptors.len(), 30);

    let endless = Stub::start(|request| {
        let base = request.path.split('?').next().unwrap();
        let next = request.path.len();
        page(0..0).header("link", format!("<{base}?{}>; rel=\"next\"", "p".repeat(next)))
    })
    .await;
    let error = endless.session().referrers(&Digest::sha256_of(b"x")).await.unwrap_err();
    assert!(matches!(error, SourceError::LimitExceeded { .. }), "{error}");
    assert!(endless.log().len() <= 16);

    let many = Stub::start(|_| page(0..limits::MAX_SIGNATURE_CANDIDATES + 1)).await;
    let error = many.session().referrers(&Digest::sha256_of(b"x")).await.unwrap_err();
    assert!(matches!(error, SourceError::LimitExceeded { .. }), "{error}");
}

#[tokio::test]
async fn an_outage_is_never_an_empty_list() {
    for status in [403, 429, 500, 503] {
        for failing in ["/referrers/", "/manifests/sha256-"] {
            let mut registry = Registry::default();
            let digest = push_image(&mut registry, "amd64", None);
            let stub = Stub::disturbed(registry, move |request| {
                request.path.contains(failing).then(|| Reply::error(status, "DENIED"))
            })
            .await;
            let listed = stub.session().referrers(&digest).await;
            assert!(listed.is_err(), "{status} of {failing} read as {listed:?}");
        }
    }
}

#[tokio::test]
async fn an_unsupported_api_in_any_of_its_words_leads_to_the_tag() {
    for reply in [
        Reply::new(404, "404 page not found"),
        Reply::new(404, "<html>").header("content-type", "text/html"),
        Reply::new(405, ""),
        Reply::error(400, "UNSUPPORTED"),
    ] {
        let mut registry = Registry::default();
        let digest = push_image(&mut registry, "amd64", None);
        attach_bundle(&mut registry, &digest, "{}");
        let stub =
            Stub::disturbed(registry, move |request| request.path.contains("/referrers/").then(|| reply.clone())).await;
        assert_eq!(stub.session().referrers(&digest).await.unwrap().descriptors.len(), 1);
    }
}

#[tokio::test]
async fn a_tag_that_answers_with_the_image_itself_is_no_list() {
    let mut registry = Registry::default();
    let digest = push_index(&mut registry, None);
    registry.manifest(Some(&format!("sha256-{}", digest.hex())), crate::fixtures::bytes("index/manifest.json"));
    let listed = Stub::registry(registry).await.session().referrers(&digest).await.unwrap();
    assert!(listed.descriptors.is_empty() && listed.tag_is_no_list);
}

#[tokio::test]
async fn an_answer_that_is_no_index_is_an_error() {
    let stub = Stub::start(|_| Reply::json(200, &json!({"referrers": []}))).await;
    let error = stub.session().referrers(&Digest::sha256_of(b"x")).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Retry);
}
