//! One contract for every object store: the directory, s3s-fs in this process, and versitygw where it is installed.
//!
//! s3s-fs does not list the multipart uploads of a bucket, so the removal of stale ones is left to the two others.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use blob_store::{BlobError, BlobStore, ObjectBody, ObjectKey, ObjectStoreSettings};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use registry_types::digest::Digest;
use store_tests::object_server::S3Server;
use tempfile::TempDir;

/// More than two parts of 8 MiB, ending within one.
const MULTIPART_BYTES: usize = 17 * 1024 * 1024 + 3;

/// A store under test.
struct Subject {
    store: Arc<dyn BlobStore>,
    /// Where its files lie, uploads under way included.
    folder: PathBuf,
    gives_links: bool,
    lists_uploads: bool,
    server: Option<S3Server>,
    _temporary: Option<TempDir>,
}

impl Subject {
    async fn directory() -> Option<Self> {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().to_owned();
        let store = blob_store::open(ObjectStoreSettings::Directory { path: folder.clone(), durable: true }).unwrap();
        let _temporary = Some(temporary);
        Some(Self { store, folder, gives_links: false, lists_uploads: true, server: None, _temporary })
    }

    async fn s3s_fs() -> Option<Self> {
        Some(Self { lists_uploads: false, ..Self::on(S3Server::in_process().await) })
    }

    async fn versitygw() -> Option<Self> {
        Some(Self::on(S3Server::versitygw().await?))
    }

    fn on(server: S3Server) -> Self {
        let store = blob_store::open(server.store_settings()).unwrap();
        let folder = server.folder().to_owned();
        Self { store, folder, gives_links: true, lists_uploads: true, server: Some(server), _temporary: None }
    }

    /// Files of uploads that were begun and neither completed nor aborted.
    fn staged_files(&self) -> Vec<PathBuf> {
        let staged = |path: &PathBuf| {
            let path = path.strip_prefix(&self.folder).unwrap().to_string_lossy();
            path.starts_with("staging/") || path.starts_with(".upload") || path.contains("/.sgwtmp/multipart/")
        };
        files_below(&self.folder).into_iter().filter(staged).collect()
    }

    /// Until the two full parts of [`MULTIPART_BYTES`] have arrived, so that nothing is under way any more.
    async fn full_parts_are_staged(&self) {
        let staged = async || (self.staged_bytes() >= 16 * 1024 * 1024).then_some(());
        store_tests::wait::until("two staged parts", staged).await;
    }

    fn staged_bytes(&self) -> u64 {
        // A file may be renamed away between the two looks.
        self.staged_files().iter().map(|path| path.metadata().map_or(0, |metadata| metadata.len())).sum()
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    // A folder may be removed between the two looks.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|e| if e.path().is_dir() { files_below(&e.path()) } else { vec![e.path()] }).collect()
}

fn key_of(bytes: &[u8]) -> ObjectKey {
    ObjectKey::Blob(Digest::sha256_of(bytes))
}

/// Bytes that are different at every place that matters: no two parts alike.
fn some_bytes(length: usize) -> Bytes {
    (0..length).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect::<Vec<_>>().into()
}

/// Writes in chunks as a network gives them.
async fn upload(store: &dyn BlobStore, key: &ObjectKey, bytes: &Bytes) -> Box<dyn blob_store::Upload> {
    let mut upload = store.upload(key).await.unwrap();
    for start in (0..bytes.len()).step_by(100_003) {
        upload.write(bytes.slice(start..bytes.len().min(start + 100_003))).await.unwrap();
    }
    upload
}

async fn read(body: ObjectBody) -> Vec<u8> {
    body.stream
        .try_fold(Vec::new(), async |mut all, chunk| {
            Ok({
                all.extend_from_slice(&chunk);
                all
            })
        })
        .await
        .unwrap()
}

async fn read_all(store: &dyn BlobStore, key: &ObjectKey) -> Vec<u8> {
    read(store.get(key, None).await.unwrap()).await
}

async fn is_missing(store: &dyn BlobStore, key: &ObjectKey) -> bool {
    store.head(key).await.unwrap().is_none() && matches!(store.get(key, None).await, Err(BlobError::NotFound))
}

async fn an_upload_is_visible_only_when_complete(subject: &Subject) {
    let store = &*subject.store;
    for length in [0, 1, 300_000, MULTIPART_BYTES] {
        let bytes = some_bytes(length);
        let key = key_of(&bytes);
        let upload = upload(store, &key, &bytes).await;
        assert!(is_missing(store, &key).await, "{length} bytes were visible before they were complete");
        upload.complete().await.unwrap();
        assert_eq!(store.head(&key).await.unwrap().unwrap().size, length as u64);
        let body = store.get(&key, None).await.unwrap();
        assert_eq!(body.size, length as u64);
        assert!(read(body).await == bytes, "{length} bytes came back different");
    }
    assert!(subject.staged_files().is_empty());
}

async fn an_aborted_upload_leaves_nothing(subject: &Subject) {
    let store = &*subject.store;
    for length in [0, 10, MULTIPART_BYTES] {
        let bytes = some_bytes(length);
        let upload = upload(store, &key_of(&bytes), &bytes).await;
        if length == MULTIPART_BYTES {
            subject.full_parts_are_staged().await;
        }
        upload.abort().await.unwrap();
        assert!(is_missing(store, &key_of(&bytes)).await);
        assert!(subject.staged_files().is_empty());
    }
}

/// As when an intake is given up while it still reads other layers.
async fn a_dropped_upload_leaves_nothing(subject: &Subject) {
    let store = &*subject.store;
    for length in [0, 10, MULTIPART_BYTES] {
        let bytes = some_bytes(length);
        let upload = upload(store, &key_of(&bytes), &bytes).await;
        if length == MULTIPART_BYTES {
            subject.full_parts_are_staged().await;
        }
        drop(upload);
        let removed = async || subject.staged_files().is_empty().then_some(());
        store_tests::wait::until("staging to be freed", removed).await;
        assert!(is_missing(store, &key_of(&bytes)).await);
    }
}

async fn an_upload_of_a_dead_process_is_removed_as_stale(subject: &Subject) {
    let store = &*subject.store;
    let bytes = some_bytes(MULTIPART_BYTES);
    let upload = upload(store, &key_of(&bytes), &bytes).await;
    subject.full_parts_are_staged().await;
    // No destructor runs when a process is killed.
    std::mem::forget(upload);
    assert!(is_missing(store, &key_of(&bytes)).await);
    if !subject.lists_uploads {
        let removed = store.remove_stale_uploads(Duration::ZERO).await;
        assert!(matches!(removed, Err(BlobError::Refused(_))), "s3s-fs lists uploads now: test it");
        return;
    }
    assert_eq!(store.remove_stale_uploads(Duration::from_secs(3600)).await.unwrap(), 0);
    assert_eq!(store.remove_stale_uploads(Duration::ZERO).await.unwrap(), 1);
    assert!(subject.staged_files().is_empty());
    assert_eq!(store.remove_stale_uploads(Duration::ZERO).await.unwrap(), 0);
}

async fn ranges_read_what_they_name(subject: &Subject) {
    let store = &*subject.store;
    let bytes = some_bytes(1_000_000);
    let key = key_of(&bytes);
    store.put(&key, bytes.clone()).await.unwrap();
    for range in [0..1, 0..1_000_000, 999_999..1_000_000, 300_000..700_001, 999_990..2_000_000, 10..u64::MAX] {
        let body = store.get(&key, Some(range.clone())).await.unwrap();
        assert_eq!(body.size, 1_000_000, "{range:?}");
        let (start, end) = (range.start as usize, range.end.min(1_000_000) as usize);
        assert!(read(body).await == bytes[start..end], "{range:?} came back different");
    }
    let empty = 5..5;
    for range in [1_000_000..1_000_001, 1_000_000..u64::MAX, empty] {
        let answer = store.get(&key, Some(range.clone())).await;
        assert!(matches!(answer, Err(BlobError::Range)), "{range:?} gave {:?}", answer.map(|body| body.size));
    }
    assert!(matches!(store.get(&key_of(b"missing"), Some(0..1)).await, Err(BlobError::NotFound)));
}

async fn a_deleted_object_is_missing(subject: &Subject) {
    let store = &*subject.store;
    let key = key_of(b"gone");
    store.put(&key, Bytes::from_static(b"gone")).await.unwrap();
    assert!(!is_missing(store, &key).await);
    store.delete(&key).await.unwrap();
    assert!(is_missing(store, &key).await);
    store.delete(&key).await.unwrap();
}

async fn of_two_writers_of_an_index_the_last_wins(subject: &Subject) {
    let store = &*subject.store;
    let key = ObjectKey::Index("index.json".parse().unwrap());
    for rendering in ["a longer first rendering", "second"] {
        store.put(&key, Bytes::from_static(rendering.as_bytes())).await.unwrap();
        assert_eq!(read_all(store, &key).await, rendering.as_bytes());
    }
}

async fn concurrent_writers_of_one_digest_agree(subject: &Subject) {
    let store = &*subject.store;
    let bytes = some_bytes(9 * 1024 * 1024);
    let key = key_of(&bytes);
    let writers = (0..4).map(async |_| {
        upload(store, &key, &bytes).await.complete().await.unwrap();
        assert!(read_all(store, &key).await == bytes, "a reader saw other bytes than a writer completed");
    });
    futures_util::future::join_all(writers).await;
    assert!(subject.staged_files().is_empty());
}

async fn listing_goes_past_one_page(subject: &Subject) {
    let store = &*subject.store;
    let keys: HashSet<_> = (0..1_050u32).map(|i| ObjectKey::Document(Digest::sha256_of(&i.to_le_bytes()))).collect();
    let blob = key_of(b"blob");
    let puts = keys.iter().chain([&blob]).map(|key| store.put(key, Bytes::from_static(b"x")));
    futures_util::stream::iter(puts).buffer_unordered(8).try_collect::<()>().await.unwrap();
    let listed: Vec<_> = store.list("documents/").try_collect().await.unwrap();
    assert_eq!(listed.len(), keys.len());
    assert_eq!(listed.into_iter().collect::<HashSet<_>>(), keys);
    assert_eq!(store.list("blobs/").try_collect::<Vec<_>>().await.unwrap(), [blob]);
    assert!(store.list("index/").next().await.is_none());
}

async fn a_link_is_readable_without_the_store(subject: &Subject) {
    let bytes = some_bytes(50_000);
    let key = key_of(&bytes);
    subject.store.put(&key, bytes.clone()).await.unwrap();
    let link = subject.store.presigned_get(&key, Duration::from_secs(60)).await.unwrap();
    assert_eq!(link.is_some(), subject.gives_links);
    let Some(link) = link else { return };
    let client = reqwest::Client::new();
    let answer = client.get(&link).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.bytes().await.unwrap(), bytes);
    let answer = client.get(&link).header("Range", "bytes=100-199").send().await.unwrap();
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.bytes().await.unwrap(), bytes[100..200]);
    let other = link.replacen(&key.to_string(), &key_of(b"other").to_string(), 1);
    assert_ne!(other, link);
    assert_eq!(client.get(&other).send().await.unwrap().status(), 403, "a link opens one object");
}

async fn a_wrong_key_is_refused_and_a_dead_server_unavailable(subject: &Subject) {
    let Some(server) = &subject.server else { return };
    let mut wrong = server.settings();
    wrong.secret_access_key = "wrong".into();
    wrong.public_endpoint = None;
    let wrong = blob_store::open(ObjectStoreSettings::S3(Box::new(wrong))).unwrap();
    let key = key_of(b"x");
    assert!(matches!(wrong.put(&key, Bytes::from_static(b"x")).await, Err(BlobError::Refused(_))));
    assert_eq!(wrong.presigned_get(&key, Duration::from_secs(60)).await.unwrap(), None);

    let mut dead = server.settings();
    let port = store_tests::process::free_port();
    dead.endpoint = Some(format!("http://127.0.0.1:{port}").parse().unwrap());
    let dead = blob_store::open(ObjectStoreSettings::S3(Box::new(dead))).unwrap();
    assert!(matches!(dead.head(&key).await, Err(BlobError::Unavailable(_))));
}

macro_rules! contract {
    ($area:ident, $store:ident: $($clause:ident),+ $(,)?) => {
        mod $area {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $clause() {
                if let Some(subject) = super::Subject::$store().await {
                    super::$clause(&subject).await;
                }
            })+
        }
    };
    ($area:ident, $store:ident) => {
        contract! { $area, $store:
            an_upload_is_visible_only_when_complete,
            an_aborted_upload_leaves_nothing,
            a_dropped_upload_leaves_nothing,
            an_upload_of_a_dead_process_is_removed_as_stale,
            ranges_read_what_they_name,
            a_deleted_object_is_missing,
            of_two_writers_of_an_index_the_last_wins,
            concurrent_writers_of_one_digest_agree,
            listing_goes_past_one_page,
            a_link_is_readable_without_the_store,
            a_wrong_key_is_refused_and_a_dead_server_unavailable,
        }
    };
}

contract!(directory, directory);
contract!(s3s_fs, s3s_fs);
contract!(interop_versitygw, versitygw);
