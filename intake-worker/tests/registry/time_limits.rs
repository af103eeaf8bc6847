//! Registries that take their time.

use std::time::Duration;

use intake_worker::source::{SourceClient, SourceError};
use registry_types::digest::Digest;

use crate::source_client::read_all;
use crate::stub::{Registry, Reply, Stub, session, settings};

#[tokio::test]
async fn silence_and_dripping_end_by_time_out() {
    let hurried = |idle, exchange| {
        let mut settings = settings();
        settings.timeouts.idle = Duration::from_millis(idle);
        settings.timeouts.exchange = Duration::from_millis(exchange);
        settings.retry.attempts = 1;
        SourceClient::new(settings).unwrap()
    };
    let stalled = Stub::start(|_| Reply::stalled("{")).await;
    let error = session(&hurried(100, 60_000), &stalled.host(), None, &[]).manifest("v1").await.unwrap_err();
    assert!(matches!(error, SourceError::Timeout(_)), "{error}");
    let dripping = Stub::start(|_| Reply::dripping()).await;
    let error = session(&hurried(60_000, 200), &dripping.host(), None, &[]).manifest("v1").await.unwrap_err();
    assert!(matches!(error, SourceError::Timeout(_)), "{error}");
}

#[tokio::test]
async fn a_blob_as_a_whole_has_a_time_limit() {
    let mut settings = settings();
    settings.timeouts.blob = Duration::from_millis(200);
    let client = SourceClient::new(settings).unwrap();
    let stub = Stub::start(|_| Reply::dripping()).await;
    let session = session(&client, &stub.host(), None, &[]);
    let error = read_all(&session, &Digest::sha256_of(b""), 1_000_000).await.unwrap_err();
    assert!(matches!(error, SourceError::Timeout(_)), "{error}");
}

/// Else whoever declares a large layer keeps the layers of others waiting for as long as a large layer may take.
#[tokio::test]
async fn a_blob_that_drips_is_given_up_long_before_its_time_limit() {
    let mut settings = settings();
    settings.timeouts.exchange = Duration::from_millis(300);
    settings.timeouts.blob = Duration::from_secs(60 * 60);
    let client = SourceClient::new(settings).unwrap();
    let stub = Stub::start(|_| Reply::dripping()).await;
    let session = session(&client, &stub.host(), None, &[]);
    let error = read_all(&session, &Digest::sha256_of(b""), 16_000_000_000).await.unwrap_err();
    assert!(matches!(error, SourceError::Timeout(_)), "{error}");
    assert_eq!(stub.log().len(), 1, "what is too slow is not begun again");
}

/// The time that a reader takes itself is no fault of the registry.
#[tokio::test]
async fn a_slow_reader_gets_its_blob() {
    let mut settings = settings();
    settings.timeouts.exchange = Duration::from_secs(1);
    let client = SourceClient::new(settings).unwrap();
    let mut registry = Registry::default();
    let digest = registry.blob(vec![7; 1_000_000]);
    let stub = Stub::registry(registry).await;
    let mut blob = session(&client, &stub.host(), None, &[]).blob(&digest, 1_000_000).await.unwrap();
    let mut read = blob.next_chunk().await.unwrap().unwrap().len();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    while let Some(chunk) = blob.next_chunk().await.unwrap() {
        read += chunk.len();
    }
    assert_eq!(read, 1_000_000);
}
