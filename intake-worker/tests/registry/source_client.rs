//! What a hostile or broken registry can do to the client: nothing worse than a clear error.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use intake_worker::source::{FailureClass, RegistrySession, RetryPolicy, SourceClient, SourceError, SourceSettings};
use registry_types::digest::Digest;
use registry_types::profile::Profile;
use registry_types::rejection_code::RejectionCode;
use serde_json::json;

use crate::fixtures::push_image;
use crate::stub::{Registry, Reply, Stub, challenge, credential, session, settings};

const CANARY: &str = "canary-7f3a";

fn image() -> (Registry, Digest) {
    let mut registry = Registry::default();
    let digest = push_image(&mut registry, "amd64", Some("v1"));
    (registry, digest)
}

/// An image behind token authentication at `realm`; the token is `pull-token`.
async fn protected(realm: impl Fn() -> String + Send + Sync + 'static) -> Stub {
    let (registry, _) = image();
    Stub::disturbed(registry, move |request| {
        if request.path.starts_with("/token") {
            return Some(Reply::json(200, &json!({"token": "pull-token", "expires_in": 300})));
        }
        let authorized = request.authorization.as_deref() == Some("Bearer pull-token");
        (!authorized).then(|| challenge(&realm()))
    })
    .await
}

/// A realm that is known only once the stub runs.
fn later() -> (std::sync::Arc<std::sync::OnceLock<String>>, impl Fn() -> String + Send + Sync + 'static) {
    let cell = std::sync::Arc::new(std::sync::OnceLock::new());
    let reader = std::sync::Arc::clone(&cell);
    (cell, move || reader.get().cloned().unwrap_or_default())
}

fn carries_secret(stub: &Stub) -> bool {
    stub.log().iter().any(|request| request.authorization.is_some() || request.path.contains(CANARY))
}

pub(crate) async fn read_all(session: &RegistrySession, digest: &Digest, size: u64) -> Result<Vec<u8>, SourceError> {
    let stream = session.blob(digest, size).await?.into_stream();
    let chunks: Vec<Bytes> = stream.try_collect().await?;
    Ok(chunks.concat())
}

#[tokio::test]
async fn a_tag_is_pinned_to_the_digest_of_its_bytes() {
    let (registry, digest) = image();
    let stub = Stub::registry(registry).await;
    let by_tag = stub.session().manifest("v1").await.unwrap();
    assert_eq!(by_tag.digest, digest);
    let by_digest = stub.session().manifest(&digest.to_string()).await.unwrap();
    assert_eq!(by_digest.bytes, by_tag.bytes);
}

#[tokio::test]
async fn one_token_serves_a_session_and_is_for_pulling_its_repository() {
    let (realm, reader) = later();
    let stub = protected(reader).await;
    realm.set(stub.url("/token")).unwrap();
    let session = stub.session_with(Some(credential(CANARY)), &[]);
    session.manifest("v1").await.unwrap();
    session.manifest("v1").await.unwrap();
    let log = stub.log();
    let tokens: Vec<_> = log.iter().filter(|request| request.path.starts_with("/token")).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].path, "/token?service=stub&scope=repository%3Aacme%2Fapp%3Apull");
    assert!(tokens[0].authorization.as_deref().is_some_and(|value| value.starts_with("Basic ")));
    assert!(log[0].authorization.is_none(), "the first request is anonymous");
}

#[tokio::test]
async fn without_credential_the_token_is_asked_for_anonymously() {
    let (realm, reader) = later();
    let stub = protected(reader).await;
    realm.set(stub.url("/token")).unwrap();
    stub.session().manifest("v1").await.unwrap();
    assert!(stub.log().iter().all(|r| r.authorization.as_deref().is_none_or(|value| value == "Bearer pull-token")));
}

#[tokio::test]
async fn a_credential_goes_to_no_token_service_that_nobody_confirmed() {
    let elsewhere = Stub::start(|_| Reply::json(200, &json!({"token": "pull-token"}))).await;
    let realm = elsewhere.url("/token");
    let stub = protected(move || realm.clone()).await;
    let error = stub.session_with(Some(credential(CANARY)), &[]).manifest("v1").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Reject(RejectionCode::RegistryHostForbidden));
    assert!(elsewhere.log().is_empty(), "the foreign realm was asked");

    stub.session_with(Some(credential(CANARY)), &[elsewhere.host()]).manifest("v1").await.unwrap();
    assert!(carries_secret(&elsewhere), "a confirmed host gets the credential");
}

#[tokio::test]
async fn a_token_service_that_redirects_is_refused() {
    let elsewhere = Stub::start(|_| Reply::json(200, &json!({"token": "pull-token"}))).await;
    let target = elsewhere.url("/token");
    let (realm, reader) = later();
    let (registry, _) = image();
    let stub = Stub::disturbed(registry, move |request| {
        if request.path.starts_with("/token") { Some(Reply::redirect(&target)) } else { Some(challenge(&reader())) }
    })
    .await;
    realm.set(stub.url("/token")).unwrap();
    let error = stub.session_with(Some(credential(CANARY)), &[]).manifest("v1").await.unwrap_err();
    assert!(matches!(error, SourceError::Protocol(_)), "{error}");
    assert!(elsewhere.log().is_empty());
}

#[tokio::test]
async fn a_refused_credential_is_not_replaced_by_anonymity() {
    let (realm, reader) = later();
    let (registry, _) = image();
    let stub = Stub::disturbed(registry, move |request| {
        let token = request.path.starts_with("/token");
        Some(if token { Reply::error(401, "UNAUTHORIZED") } else { challenge(&reader()) })
    })
    .await;
    realm.set(stub.url("/token")).unwrap();
    let error = stub.session_with(Some(credential(CANARY)), &[]).manifest("v1").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Reject(RejectionCode::RegistryAccessDenied));
    assert_eq!(stub.log().len(), 2);
}

#[tokio::test]
async fn a_missing_token_service_does_not_read_as_a_missing_image() {
    let (realm, reader) = later();
    let (registry, _) = image();
    let stub = Stub::disturbed(registry, move |request| {
        let token = request.path.starts_with("/token");
        Some(if token { Reply::error(404, "MANIFEST_UNKNOWN") } else { challenge(&reader()) })
    })
    .await;
    realm.set(stub.url("/token")).unwrap();
    let error = stub.session().manifest("v1").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Retry, "{error}");
}

#[tokio::test]
async fn basic_authentication_needs_a_credential() {
    let (registry, digest) = image();
    let stub = Stub::disturbed(registry, |request| {
        request
            .authorization
            .is_none()
            .then(|| Reply::error(401, "UNAUTHORIZED").header("www-authenticate", r#"Basic realm="Registry Realm""#))
    })
    .await;
    assert_eq!(stub.session_with(Some(credential(CANARY)), &[]).manifest("v1").await.unwrap().digest, digest);
    let error = stub.session().manifest("v1").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Reject(RejectionCode::RegistryAccessDenied));
}

#[tokio::test]
async fn a_credential_does_not_follow_a_redirect_to_another_host() {
    let (registry, _) = image();
    let layer = crate::fixtures::bytes("amd64/layer.tar.gz");
    let digest = Digest::sha256_of(&layer);
    let storage = {
        let registry = registry.clone();
        Stub::start(move |request| registry.answer(request)).await
    };
    let target = storage.url(&format!("/v2/acme/app/blobs/{digest}?signature=x"));
    let stub = Stub::disturbed(registry, move |request| {
        if request.authorization.is_none() {
            return Some(Reply::error(401, "UNAUTHORIZED").header("www-authenticate", "Basic realm=\"r\""));
        }
        request.path.contains("/blobs/").then(|| Reply::redirect(&target))
    })
    .await;
    let session = stub.session_with(Some(credential(CANARY)), &[]);
    assert_eq!(read_all(&session, &digest, layer.len() as u64).await.unwrap(), layer);
    assert!(carries_secret(&stub) && !carries_secret(&storage));
    // HEAD proves access by the redirect alone.
    assert_eq!(session.head_blob(&digest).await.unwrap(), None);
    assert!(storage.log().iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn a_credential_dropped_on_the_way_stays_dropped() {
    let back: std::sync::Arc<std::sync::OnceLock<String>> = std::sync::Arc::default();
    let bouncer = {
        let back = std::sync::Arc::clone(&back);
        Stub::start(move |_| Reply::redirect(back.get().unwrap())).await
    };
    let away = bouncer.url("/bounce");
    let stub = Stub::start(move |request| {
        if request.path.starts_with("/landing") {
            Reply::new(200, "x")
        } else if request.authorization.is_none() {
            Reply::error(401, "UNAUTHORIZED").header("www-authenticate", "Basic realm=\"r\"")
        } else {
            Reply::redirect(&away)
        }
    })
    .await;
    back.set(stub.url("/landing")).unwrap();
    let session = stub.session_with(Some(credential(CANARY)), &[]);
    read_all(&session, &Digest::sha256_of(b"x"), 1).await.unwrap();
    let landing: Vec<_> = stub.log().into_iter().filter(|request| request.path == "/landing").collect();
    assert_eq!(landing.len(), 1);
    assert!(landing[0].authorization.is_none() && !carries_secret(&bouncer));
}

#[tokio::test]
async fn another_hosts_challenge_after_a_redirect_is_not_answered() {
    let storage =
        Stub::start(|_| Reply::error(401, "UNAUTHORIZED").header("www-authenticate", "Basic realm=\"give me more\""))
            .await;
    let target = storage.url("/x");
    let stub = Stub::start(move |_| Reply::redirect(&target)).await;
    let session = stub.session_with(Some(credential(CANARY)), &[]);
    let error = session.blob(&Digest::sha256_of(b"x"), 1).await.err().unwrap();
    assert_eq!(error.class(), FailureClass::Reject(RejectionCode::RegistryAccessDenied));
    assert!(!carries_secret(&storage) && !carries_secret(&stub));
}

#[tokio::test]
async fn an_echoed_credential_is_not_in_the_error() {
    let stub = Stub::start(|_| {
        let body = json!({"errors": [{"code": CANARY, "message": CANARY, "detail": CANARY}]});
        Reply::json(403, &body).header("www-authenticate", format!("Bearer realm=\"{CANARY}\""))
    })
    .await;
    let error = stub.session_with(Some(credential(CANARY)), &[]).manifest("v1").await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(CANARY));
}

#[tokio::test]
async fn redirects_end_and_lead_to_no_forbidden_place() {
    let stub = Stub::start(|request| Reply::redirect(&request.path)).await;
    let error = stub.session().manifest("v1").await.unwrap_err();
    assert!(matches!(error, SourceError::Protocol(_)), "{error}");
    assert_eq!(stub.log().len(), 6);
    for place in ["http://10.0.0.1/x", "https://169.254.169.254/x", "file:///etc/passwd", "http://user:pw@127.0.0.1/x"]
    {
        let stub = Stub::start(move |_| Reply::redirect(place)).await;
        let error = stub.session().manifest("v1").await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Reject(RejectionCode::RegistryHostForbidden), "{place}: {error}");
    }
}

#[tokio::test]
async fn production_connects_to_no_private_address_by_number_or_name() {
    let stub = Stub::start(|_| Reply::new(200, "")).await;
    let client = SourceClient::new(SourceSettings::new(Profile::Production)).unwrap();
    for host in [stub.host(), format!("localhost:{}", stub.address.port())] {
        let error = session(&client, &host, Some(credential(CANARY)), &[]).manifest("v1").await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Reject(RejectionCode::RegistryHostForbidden), "{host}: {error}");
    }
    assert!(stub.log().is_empty());
    let plain = SourceSettings {
        plain_http_hosts: vec!["registry.test".parse().unwrap()],
        ..SourceSettings::new(Profile::Production)
    };
    assert!(SourceClient::new(plain).is_err());
}

#[tokio::test]
async fn bodies_without_end_are_cut_off() {
    let stub = Stub::start(|_| Reply::endless(200)).await;
    let error = stub.session().manifest("v1").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Reject(RejectionCode::ImageLimitExceeded));

    let stub = Stub::start(|_| Reply::endless(404)).await;
    assert!(matches!(stub.session().manifest("v1").await, Err(SourceError::NotFound { .. })));

    let (realm, reader) = later();
    let stub = Stub::start(
        move |request| {
            if request.path.starts_with("/token") { Reply::endless(200) } else { challenge(&reader()) }
        },
    )
    .await;
    realm.set(stub.url("/token")).unwrap();
    // A limit's code would blame the image.
    assert!(matches!(stub.session().manifest("v1").await, Err(SourceError::Protocol(_))));
}

#[tokio::test]
async fn a_broken_blob_is_resumed_where_it_broke() {
    let content: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let mut registry = Registry::default();
    let digest = registry.blob(content.clone());
    let first = Bytes::copy_from_slice(&content[..50_000]);
    let stub = Stub::disturbed(registry, move |request| {
        request.range.is_none().then(|| Reply::broken(first.clone(), 200_000))
    })
    .await;
    assert_eq!(read_all(&stub.session(), &digest, 200_000).await.unwrap(), content);
    let ranges: Vec<_> = stub.log().into_iter().map(|request| request.range).collect();
    assert_eq!(ranges, [None, Some("bytes=50000-".to_owned())]);
}

#[tokio::test]
async fn a_server_without_ranges_is_read_again_from_the_start() {
    let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 241) as u8).collect();
    let digest = Digest::sha256_of(&content);
    let (whole, tries) = (Bytes::from(content.clone()), AtomicUsize::new(0));
    let stub = Stub::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::broken(whole.slice(..30_000), 100_000),
        _ => Reply::new(200, whole.clone()),
    })
    .await;
    assert_eq!(read_all(&stub.session(), &digest, 100_000).await.unwrap(), content);
}

#[tokio::test]
async fn a_blob_that_keeps_breaking_ends_with_an_outage() {
    let stub = Stub::start(|_| Reply::broken("x", 100)).await;
    let error = read_all(&stub.session(), &Digest::sha256_of(b""), 100).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Retry, "{error}");
}

#[tokio::test]
async fn a_blob_of_another_size_or_resumed_elsewhere_is_refused() {
    let digest = Digest::sha256_of(b"12345");
    let longer = Stub::start(|_| Reply::new(200, "1234567890")).await;
    assert!(matches!(longer.session().blob(&digest, 5).await, Err(SourceError::SizeMismatch { actual: 10, .. })));
    let endless = Stub::start(|_| Reply::endless(200)).await;
    let error = read_all(&endless.session(), &digest, 5).await.unwrap_err();
    assert!(matches!(error, SourceError::SizeMismatch { .. }), "{error}");
    let astray = Stub::start(|request| match request.range {
        None => Reply::broken("12", 5),
        Some(_) => Reply::new(206, "345").header("content-range", "bytes 1-3/5"),
    })
    .await;
    let error = read_all(&astray.session(), &digest, 5).await.unwrap_err();
    assert!(matches!(error, SourceError::Protocol(_)), "{error}");
}

#[tokio::test]
async fn wrong_bytes_under_a_digest_are_refused() {
    let (registry, digest) = image();
    let other = push_image(&mut registry.clone(), "other", None);
    let bytes = crate::fixtures::bytes("other/manifest.json");
    let stub = Stub::start(move |_| Reply::new(200, bytes.clone())).await;
    let error = stub.session().manifest(&digest.to_string()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Reject(RejectionCode::DigestMismatch));
    assert!(stub.session().manifest(&other.to_string()).await.is_ok());
    let blob = Stub::start(|_| Reply::new(200, "evil!")).await;
    let error = blob.session().blob_bytes(&Digest::sha256_of(b"good!"), 5, 100).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Reject(RejectionCode::DigestMismatch));
}

#[tokio::test]
async fn a_registry_that_contradicts_its_own_digest_header_is_refused() {
    let bytes = crate::fixtures::bytes("amd64/manifest.json");
    let stub = Stub::start(move |_| {
        Reply::new(200, bytes.clone()).header("docker-content-digest", Digest::sha256_of(b"other").to_string())
    })
    .await;
    assert!(matches!(stub.session().manifest("v1").await, Err(SourceError::DigestMismatch { .. })));
}

#[tokio::test]
async fn a_manifest_served_as_something_else_is_refused() {
    let bytes = crate::fixtures::bytes("amd64/manifest.json");
    let stub =
        Stub::start(move |_| Reply::new(200, bytes.clone()).header("content-type", crate::stub::OCI_INDEX)).await;
    let error = stub.session().manifest("v1").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Reject(RejectionCode::ImageManifestInvalid));
}

#[tokio::test]
async fn passing_failures_are_tried_again_and_final_ones_are_not() {
    let failing = |status: u16, times: usize| {
        let (registry, _) = image();
        let tries = AtomicUsize::new(0);
        Stub::disturbed(registry, move |_| {
            (tries.fetch_add(1, Ordering::SeqCst) < times).then(|| Reply::new(status, ""))
        })
    };
    for status in [408, 429, 500, 502, 503, 504] {
        let stub = failing(status, 2).await;
        stub.session().manifest("v1").await.unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!(stub.log().len(), 3);
        let stub = failing(status, 3).await;
        assert_eq!(stub.session().manifest("v1").await.unwrap_err().class(), FailureClass::Retry);
    }
    for status in [400, 403, 404, 405] {
        let stub = failing(status, 1).await;
        assert!(stub.session().manifest("v1").await.is_err());
        assert_eq!(stub.log().len(), 1, "{status} was tried again");
    }
}

#[tokio::test]
async fn retry_after_is_kept_to_or_handed_on() {
    let limited = |after: &'static str| {
        let (registry, _) = image();
        let tries = AtomicUsize::new(0);
        Stub::disturbed(registry, move |_| {
            let first = tries.fetch_add(1, Ordering::SeqCst) == 0;
            first.then(|| Reply::error(429, "TOOMANYREQUESTS").header("retry-after", after))
        })
    };
    let stub = limited("1").await;
    let started = std::time::Instant::now();
    stub.session().manifest("v1").await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));

    let stub = limited("3600").await;
    let error = stub.session().manifest("v1").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(stub.log().len(), 1);
}

#[tokio::test]
async fn a_web_page_is_no_registry() {
    for status in [200, 404] {
        let page = move |_: &crate::stub::Arrived| Reply::new(status, "<html>").header("content-type", "text/html");
        let stub = Stub::start(page).await;
        let error = stub.session().manifest("v1").await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Retry, "{status}: {error}");
    }
}

#[tokio::test]
async fn encoded_bodies_are_refused() {
    let bytes = crate::fixtures::bytes("amd64/manifest.json");
    let stub = Stub::start(move |_| Reply::new(200, bytes.clone()).header("content-encoding", "gzip")).await;
    assert!(matches!(stub.session().manifest("v1").await, Err(SourceError::Protocol(_))));
}

#[tokio::test]
async fn an_unreachable_registry_is_an_outage() {
    let address = {
        let stub = Stub::start(|_| Reply::new(200, "")).await;
        stub.host()
    };
    let mut settings = settings();
    settings.retry = RetryPolicy { attempts: 1, ..settings.retry };
    let client = SourceClient::new(settings).unwrap();
    // The port was free a moment ago; nobody listens, or nobody answers as a registry.
    let error = session(&client, &address, None, &[]).manifest("v1").await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Retry, "{error}");
}

#[tokio::test]
async fn head_tells_whether_a_blob_may_be_read() {
    let mut registry = Registry::default();
    let digest = registry.blob("12345");
    let stub = Stub::registry(registry).await;
    assert_eq!(stub.session().head_blob(&digest).await.unwrap(), Some(5));
    let missing = stub.session().head_blob(&Digest::sha256_of(b"none")).await;
    assert!(matches!(missing, Err(SourceError::NotFound { .. })));
    assert_eq!(stub.count("/blobs/"), 2);
}

/// Jobs run on any thread: what they await must be free to move.
#[test]
fn all_work_can_move_between_threads() {
    fn assert_send<T: Send>(_: impl FnOnce() -> T) {}
    let client = SourceClient::new(settings()).unwrap();
    let session = session(&client, "127.0.0.1:1", None, &[]);
    let digest = Digest::sha256_of(b"");
    let reference = "127.0.0.1:1/acme/app:v1".parse().unwrap();
    let subjects = intake_worker::signatures::Subjects { root: digest.clone(), platforms: Vec::new() };
    let policy = registry_types::signature_policy::SignaturePolicy::None;
    let roots = intake_worker::signatures::TrustRoots::none();
    assert_send(|| session.manifest("v1"));
    assert_send(|| session.blob(&digest, 1));
    assert_send(|| session.blob_bytes(&digest, 1, 1));
    assert_send(|| session.head_blob(&digest));
    assert_send(|| session.referrers(&digest));
    assert_send(|| session.probe(intake_worker::source::ProbeScope::Repository));
    assert_send(|| intake_worker::source::image::resolve(&session, &reference));
    assert_send(|| intake_worker::signatures::verify(&session, &subjects, &policy, &roots));
}
