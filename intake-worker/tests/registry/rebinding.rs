//! Names whose addresses change between two lookups: what is connected to is what was checked, each time.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use intake_worker::source::{FailureClass, NameLookup, RegistrySession, SourceClient, SourceError, SourceSettings};
use registry_types::digest::Digest;
use registry_types::profile::Profile;
use registry_types::rejection_code::RejectionCode;

use crate::fixtures::push_image;
use crate::stub::{REPOSITORY, Registry, Reply, Stub, credential, settings};

const NAME: &str = "registry.test";

/// Gives one answer after the other, the last again and again.
struct Scripted {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
    names: Mutex<Vec<String>>,
}

impl Scripted {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let addresses = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        let answers = answers.iter().map(addresses).collect();
        Arc::new(Self { answers, asked: AtomicUsize::new(0), names: Mutex::default() })
    }

    fn times_asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl NameLookup for Scripted {
    fn lookup(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.names.lock().unwrap().push(name.to_owned());
        let turn = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        let answer = self.answers[turn].clone();
        Box::pin(async move { Ok(answer) })
    }
}

/// A registry that closes every connection, so that each request looks the name up again.
async fn forgetful(redirect: Option<&'static str>) -> (Stub, Digest) {
    let mut registry = Registry::default();
    let digest = push_image(&mut registry, "amd64", Some("v1"));
    let answering = registry.clone();
    let stub = Stub::start(move |request| {
        let redirected = redirect.filter(|_| request.path.contains("/blobs/")).map(Reply::redirect);
        redirected.unwrap_or_else(|| answering.answer(request)).header("connection", "close")
    })
    .await;
    (stub, digest)
}

fn session(stub: &Stub, names: Arc<Scripted>) -> RegistrySession {
    let host = format!("{NAME}:{}", stub.address.port()).parse().unwrap();
    let settings = SourceSettings { plain_http_hosts: vec![host], ..settings() };
    let host = settings.plain_http_hosts[0].clone();
    let client = SourceClient::with_lookup(settings, names).unwrap();
    client.session(&host, &REPOSITORY.parse().unwrap(), Some(credential("a-token-of-the-tests")), &[]).unwrap()
}

fn assert_forbidden<T>(answer: Result<T, SourceError>) {
    let error = answer.err().expect("a forbidden address was connected to");
    assert_eq!(error.class(), FailureClass::Reject(RejectionCode::RegistryHostForbidden), "{error}");
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_the_second_time() {
    for rebound in ["10.0.0.1", "169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "0.0.0.0"] {
        let (stub, _) = forgetful(None).await;
        let names = Scripted::new(&[&["127.0.0.1"], &[rebound]]);
        let session = session(&stub, Arc::clone(&names));
        session.manifest("v1").await.unwrap();
        assert_forbidden(session.manifest("v1").await);
        assert_eq!((names.times_asked(), stub.log().len()), (2, 1), "{rebound}");
    }
}

#[tokio::test]
async fn one_forbidden_address_among_good_ones_refuses_the_name() {
    let (stub, _) = forgetful(None).await;
    let names = Scripted::new(&[&["127.0.0.1", "169.254.169.254"]]);
    assert_forbidden(session(&stub, names).manifest("v1").await);
    assert!(stub.log().is_empty());
}

#[tokio::test]
async fn a_redirect_to_a_name_with_a_private_address() {
    let (stub, digest) = forgetful(Some("https://storage.test/blob")).await;
    let names = Scripted::new(&[&["127.0.0.1"], &["192.168.0.1"]]);
    let session = session(&stub, Arc::clone(&names));
    assert_forbidden(session.blob(&digest, 10).await);
    assert_eq!(*names.names.lock().unwrap(), [NAME, "storage.test"]);
}

#[tokio::test]
async fn production_refuses_a_name_that_resolves_to_loopback_the_second_time() {
    let names = Scripted::new(&[&["127.0.0.1"], &["::1"]]);
    let client = SourceClient::with_lookup(SourceSettings::new(Profile::Production), Arc::<Scripted>::clone(&names));
    let session =
        client.unwrap().session(&"registry.test".parse().unwrap(), &REPOSITORY.parse().unwrap(), None, &[]).unwrap();
    for _ in 0..2 {
        assert_forbidden(session.manifest("v1").await);
    }
    assert_eq!(names.times_asked(), 2);
}
