//! The registry test.

use intake_worker::source::{Known, ProbeScope, ReferrersSupport};
use serde_json::json;

use crate::fixtures::push_image;
use crate::stub::{Arrived, Registry, Reply, Stub, challenge, credential};

const GOOD: &str = "good-token";

/// `robot:good-token` gets a token; nobody else does.
fn token_service(request: &Arrived) -> Reply {
    use base64::Engine as _;
    let good = base64::engine::general_purpose::STANDARD.encode(format!("robot:{GOOD}"));
    if request.authorization == Some(format!("Basic {good}")) {
        Reply::json(200, &json!({"token": "pull-token"}))
    } else {
        Reply::error(401, "UNAUTHORIZED")
    }
}

async fn private_registry(realm: Option<String>) -> Stub {
    let mut registry = Registry::with_referrers_api();
    push_image(&mut registry, "amd64", Some("v1"));
    let own: std::sync::Arc<std::sync::OnceLock<String>> = std::sync::Arc::default();
    let reader = std::sync::Arc::clone(&own);
    let stub = Stub::disturbed(registry, move |request| {
        if request.path.starts_with("/token") {
            return Some(token_service(request));
        }
        let authorized = request.authorization.as_deref() == Some("Bearer pull-token");
        (!authorized).then(|| challenge(reader.get().unwrap()))
    })
    .await;
    own.set(realm.unwrap_or_else(|| stub.url("/token"))).unwrap();
    stub
}

#[tokio::test]
async fn an_open_registry_needs_no_credential() {
    for (registry, referrers) in
        [(Registry::with_referrers_api(), ReferrersSupport::Api), (Registry::default(), ReferrersSupport::Fallback)]
    {
        let stub = Stub::registry(registry).await;
        let report = stub.session().probe(ProbeScope::Repository).await;
        assert!(report.reachable && report.problems.is_empty(), "{report:?}");
        assert_eq!((report.anonymous_pull, report.pull_right), (Known::Yes, Known::Yes));
        assert_eq!((report.authenticated, report.referrers), (Known::Unknown, referrers));
        assert_eq!(report.token_host, None);
    }
}

#[tokio::test]
async fn a_private_registry_tells_good_from_bad_credentials() {
    let stub = private_registry(None).await;
    let good = stub.session_with(Some(credential(GOOD)), &[]).probe(ProbeScope::Repository).await;
    assert_eq!(
        (good.anonymous_pull, good.authenticated, good.pull_right, good.referrers),
        (Known::No, Known::Yes, Known::Yes, ReferrersSupport::Api)
    );
    assert_eq!(good.token_host, Some(stub.host()));
    assert!(good.token_host_confirmed);
    let bad = stub.session_with(Some(credential("stale")), &[]).probe(ProbeScope::Repository).await;
    assert_eq!((bad.authenticated, bad.pull_right), (Known::No, Known::No));
}

#[tokio::test]
async fn a_wildcard_pattern_leaves_the_pull_right_unknown() {
    let stub = private_registry(None).await;
    let report = stub.session_with(Some(credential(GOOD)), &[]).probe(ProbeScope::RegistryOnly).await;
    assert_eq!((report.authenticated, report.pull_right), (Known::Yes, Known::Unknown));
    assert_eq!((report.anonymous_pull, report.referrers), (Known::Unknown, ReferrersSupport::Unknown));
}

#[tokio::test]
async fn an_unconfirmed_token_host_is_reported_and_gets_nothing() {
    let elsewhere = Stub::start(token_service).await;
    let stub = private_registry(Some(elsewhere.url("/token"))).await;
    let report = stub.session_with(Some(credential(GOOD)), &[]).probe(ProbeScope::Repository).await;
    assert_eq!(report.token_host, Some(elsewhere.host()));
    assert!(report.reachable && !report.token_host_confirmed && !report.problems.is_empty());
    assert!(elsewhere.log().is_empty());
    let confirmed = stub.session_with(Some(credential(GOOD)), &[elsewhere.host()]);
    let report = confirmed.probe(ProbeScope::Repository).await;
    assert!(report.token_host_confirmed);
    assert_eq!(report.pull_right, Known::Yes);
}

#[tokio::test]
async fn what_is_no_registry_is_not_reachable() {
    let stub = Stub::start(|_| Reply::new(500, "")).await;
    let report = stub.session().probe(ProbeScope::Repository).await;
    assert!(!report.reachable && !report.problems.is_empty());
}
