//! Objects as files below one directory: written to `staging/`, synced, renamed into place.
//!
//! A rename within one file system is atomic, so a reader sees a whole object or none, and of two writers of one key the
//! later replaces the earlier by the same bytes.

use std::fs::{DirEntry, File};
use std::io::{self, IoSlice, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::{BlobError, BlobStore, ObjectBody, ObjectInfo, ObjectKey, Upload};

/// Bytes gathered before they are handed to the file: one hop to a blocking thread costs about as much as writing 64 KiB.
const WRITE_BYTES: usize = 1024 * 1024;
/// Bytes after which what is written is brought to the disk. Left to the end, a large object's sync would keep everybody else's
/// (each commit of the database on the same disk) waiting behind it.
const SYNC_BYTES: usize = 8 * WRITE_BYTES;
/// Bytes read per hop.
const READ_BYTES: u64 = 256 * 1024;
/// Keys found ahead of the reader of a listing.
const LIST_AHEAD: usize = 256;

pub(crate) struct DirectoryStore {
    layout: Arc<Layout>,
}

impl DirectoryStore {
    /// Makes the directory if it is missing. Blocks for a moment: called at start.
    pub(crate) fn open(root: PathBuf, durable: bool) -> Result<Self, BlobError> {
        std::fs::create_dir_all(root.join("staging")).map_err(io_error)?;
        Ok(Self { layout: Arc::new(Layout { root, durable }) })
    }
}

#[async_trait]
impl BlobStore for DirectoryStore {
    async fn upload(&self, key: &ObjectKey) -> Result<Box<dyn Upload>, BlobError> {
        let staging = Arc::new(Staging { path: self.layout.new_staging_path() });
        let create = {
            let staging = Arc::clone(&staging);
            move || File::create_new(&staging.path)
        };
        let file = blocking(create).await?;
        Ok(Box::new(DirectoryUpload {
            layout: Arc::clone(&self.layout),
            staging,
            key: key.clone(),
            gathered: Vec::new(),
            gathered_bytes: 0,
            unsynced_bytes: 0,
            writing: Some(tokio::task::spawn_blocking(move || Ok(file))),
        }))
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), BlobError> {
        let mut upload = self.upload(key).await?;
        upload.write(bytes).await?;
        upload.complete().await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<ObjectBody, BlobError> {
        let path = self.layout.path_of(key);
        let (mut file, size) = blocking(move || {
            let file = File::open(path)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        })
        .await?;
        let Range { start, end } = match range {
            None => 0..size,
            Some(range) => cut(&range, size)?,
        };
        if start > 0 {
            file = blocking(move || file.seek(SeekFrom::Start(start)).map(|_| file)).await?;
        }
        Ok(ObjectBody { size, stream: read_stream(file, end - start) })
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, BlobError> {
        let path = self.layout.path_of(key);
        match blocking(move || std::fs::metadata(path)).await {
            Ok(metadata) => Ok(Some(ObjectInfo { size: metadata.len() })),
            Err(BlobError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), BlobError> {
        let path = self.layout.path_of(key);
        match blocking(move || std::fs::remove_file(path)).await {
            Ok(()) | Err(BlobError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn list(&self, prefix: &'static str) -> BoxStream<'_, Result<ObjectKey, BlobError>> {
        let (sender, mut receiver) = mpsc::channel(LIST_AHEAD);
        let layout = Arc::clone(&self.layout);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = layout.walk(&layout.root.join(prefix), &sender) {
                // A reader that has gone away needs no error.
                let _ = sender.blocking_send(Err(io_error(error)));
            }
        });
        stream::poll_fn(move |context| receiver.poll_recv(context)).boxed()
    }

    async fn presigned_get(&self, _key: &ObjectKey, _valid_for: Duration) -> Result<Option<String>, BlobError> {
        Ok(None)
    }

    async fn remove_stale_uploads(&self, older_than: Duration) -> Result<u64, BlobError> {
        let layout = Arc::clone(&self.layout);
        blocking(move || layout.remove_stale(older_than)).await
    }
}

/// The paths, and the order of steps that makes an object visible.
struct Layout {
    root: PathBuf,
    durable: bool,
}

impl Layout {
    fn path_of(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.to_string())
    }

    fn new_staging_path(&self) -> PathBuf {
        self.root.join("staging").join(uuid::Uuid::new_v4().simple().to_string())
    }

    /// Syncs the file, renames it to the key's path and syncs the directory that now names it.
    fn publish(&self, file: File, staging: &Path, key: &ObjectKey) -> io::Result<()> {
        if self.durable {
            file.sync_data()?;
        }
        drop(file);
        let target = self.path_of(key);
        let directory = target.parent().unwrap_or(&self.root);
        match std::fs::rename(staging, &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_directory(directory)?;
                std::fs::rename(staging, &target)?;
            }
            other => other?,
        }
        self.sync_directory(directory)
    }

    /// Makes a directory and its parents, each named durably by the one above.
    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        let Some(parent) = directory.parent() else { return Ok(()) };
        match std::fs::create_dir(directory) {
            // Another writer was faster; it may not have synced yet.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.sync_directory(parent),
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory != self.root => {
                self.make_directory(parent)?;
                self.make_directory(directory)
            }
            other => other.and_then(|()| self.sync_directory(parent)),
        }
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        if self.durable { File::open(directory)?.sync_all() } else { Ok(()) }
    }

    /// Sends every key below `directory`, until the reader goes away.
    fn walk(&self, directory: &Path, found: &mpsc::Sender<Result<ObjectKey, BlobError>>) -> io::Result<()> {
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                self.walk(&path, found)?;
                continue;
            }
            match path.strip_prefix(&self.root).ok().and_then(Path::to_str).and_then(|path| path.parse().ok()) {
                Some(key) => {
                    if found.blocking_send(Ok(key)).is_err() {
                        return Ok(());
                    }
                }
                None => tracing::warn!(path = %path.display(), "a file in the object directory is no object"),
            }
        }
        Ok(())
    }

    fn remove_stale(&self, older_than: Duration) -> io::Result<u64> {
        let mut removed = 0;
        for entry in std::fs::read_dir(self.root.join("staging"))? {
            match remove_if_older(&entry?, older_than) {
                Ok(true) => removed += 1,
                Ok(false) => {}
                // Completed or aborted since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

fn remove_if_older(entry: &DirEntry, older_than: Duration) -> io::Result<bool> {
    // A clock that was set back makes a file look written in the future: it counts as new.
    let age = SystemTime::now().duration_since(entry.metadata()?.modified()?).unwrap_or_default();
    let stale = age >= older_than;
    if stale {
        std::fs::remove_file(entry.path())?;
    }
    Ok(stale)
}

/// A file in staging. It goes when nobody works on it any more: an upload may be dropped at any await, also while a
/// blocking thread makes or renames its file.
struct Staging {
    path: PathBuf,
}

impl Drop for Staging {
    fn drop(&mut self) {
        // A published file is no longer here; what cannot be removed is removed as stale.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// One staging file. While a batch is being written, the next is gathered: at most two batches are held.
struct DirectoryUpload {
    layout: Arc<Layout>,
    staging: Arc<Staging>,
    key: ObjectKey,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    unsynced_bytes: usize,
    /// The write under way gives the file back; `None` after one failed, so that nothing is written behind a hole.
    writing: Option<JoinHandle<io::Result<File>>>,
}

impl DirectoryUpload {
    /// Waits for the write under way.
    async fn file(&mut self) -> Result<File, BlobError> {
        match self.writing.take() {
            Some(writing) => joined(writing.await),
            None => Err(BlobError::Unavailable("an earlier write of this upload failed".into())),
        }
    }

    async fn flush(&mut self) -> Result<(), BlobError> {
        let mut file = self.file().await?;
        let batch = std::mem::take(&mut self.gathered);
        self.unsynced_bytes += std::mem::take(&mut self.gathered_bytes);
        let is_sync_due = self.layout.durable && self.unsynced_bytes >= SYNC_BYTES;
        if is_sync_due {
            self.unsynced_bytes = 0;
        }
        self.writing = Some(tokio::task::spawn_blocking(move || {
            write_batch(&mut file, &batch)?;
            if is_sync_due {
                file.sync_data()?;
            }
            Ok(file)
        }));
        Ok(())
    }
}

#[async_trait]
impl Upload for DirectoryUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes >= WRITE_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn complete(mut self: Box<Self>) -> Result<(), BlobError> {
        let mut file = self.file().await?;
        let Self { layout, staging, key, gathered, .. } = *self;
        let finish = move || {
            write_batch(&mut file, &gathered)?;
            layout.publish(file, &staging.path, &key)
        };
        match blocking(finish).await {
            Err(BlobError::NotFound) => Err(BlobError::Unavailable("the staging file was removed meanwhile".into())),
            other => other,
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<(), BlobError> {
        if let Some(writing) = self.writing.take() {
            // How the write ended is of no interest; it only must not come after the removal.
            let _ = writing.await;
        }
        match blocking(move || std::fs::remove_file(&self.staging.path)).await {
            Ok(()) | Err(BlobError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn write_batch(file: &mut File, batch: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|bytes| IoSlice::new(bytes)).collect();
    let mut rest = &mut slices[..];
    // An empty slice at the front would make a write of nothing look like a full disk.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The part of `range` that lies in an object of `size` bytes.
fn cut(range: &Range<u64>, size: u64) -> Result<Range<u64>, BlobError> {
    let end = range.end.min(size);
    if range.start < end { Ok(range.start..end) } else { Err(BlobError::Range) }
}

/// `length` bytes from where the file stands. A file that ends earlier is an error, never a short success.
fn read_stream(file: File, length: u64) -> BoxStream<'static, Result<Bytes, BlobError>> {
    stream::try_unfold((file, length), |(file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let wanted = left.min(READ_BYTES);
        let (file, bytes) = blocking(move || {
            let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
            (&file).take(wanted).read_to_end(&mut bytes)?;
            Ok((file, bytes))
        })
        .await?;
        if bytes.is_empty() {
            return Err(BlobError::Unavailable("the object's file is shorter than it was".into()));
        }
        let left = left - bytes.len() as u64;
        Ok(Some((Bytes::from(bytes), (file, left))))
    })
    .boxed()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, BlobError> {
    joined(tokio::task::spawn_blocking(work).await)
}

fn joined<T>(outcome: Result<io::Result<T>, tokio::task::JoinError>) -> Result<T, BlobError> {
    match outcome {
        Ok(result) => result.map_err(io_error),
        Err(error) => Err(BlobError::Unavailable(Box::new(error))),
    }
}

fn io_error(error: io::Error) -> BlobError {
    match error.kind() {
        io::ErrorKind::NotFound => BlobError::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => BlobError::Refused(Box::new(error)),
        _ => BlobError::Unavailable(Box::new(error)),
    }
}
