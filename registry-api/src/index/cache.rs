//! The current rendering of the index, kept in memory and renewed when the listing's revision has moved on.
//!
//! A request within [`FRESH`] of the last look at the database is answered from memory alone. After that, one request
//! looks; the others are answered with what there is. When the database is away, the last rendering is served on; a
//! process that never had one takes that of the object store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use actix_web::web::{self, Bytes};
use blob_store::{BlobError, ObjectKey};
use futures_util::TryStreamExt as _;
use registry_db::listing;

use super::document::Index;
use super::rendering::Rendering;
use crate::problem::{Problem, ProblemCode};
use crate::state::AppState;

/// For so long a rendering is taken for current without a look at the database.
const FRESH: Duration = Duration::from_millis(100);
/// And for so many times as long as the look took: rendering a large store must not keep a core busy.
const FRESH_PER_LOOK: u32 = 2;
/// After a failed look the database is left alone for so long.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// So long a request waits for a look, if there is a rendering to fall back on.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct IndexCache {
    current: RwLock<Option<Arc<Rendering>>>,
    started: Instant,
    /// Milliseconds after `started` until which no look is due.
    fresh_until: AtomicU64,
    /// Held by the one that looks.
    looking: Arc<tokio::sync::Mutex<()>>,
}

impl IndexCache {
    pub(crate) fn new() -> Self {
        Self {
            current: RwLock::new(None),
            started: Instant::now(),
            fresh_until: AtomicU64::new(0),
            looking: Arc::default(),
        }
    }

    /// Lets the next request look at the database: what this process itself changed is to be seen at once.
    pub(crate) fn invalidate(&self) {
        self.fresh_until.store(0, Ordering::Release);
    }

    /// # Errors
    /// 503 when neither the database nor the object store gives an index.
    pub(crate) async fn current(&self, state: &web::Data<AppState>) -> Result<Arc<Rendering>, Problem> {
        match self.held() {
            Some(held) if self.is_fresh() => Ok(held),
            Some(held) => Ok(self.renewed(state, &held).await.unwrap_or(held)),
            None => {
                let _looking = self.looking.lock().await;
                match self.held() {
                    Some(held) => Ok(held),
                    None => self.first(state).await,
                }
            }
        }
    }

    /// Looks in a task of its own: it goes on when the request has lost patience.
    async fn renewed(&self, state: &web::Data<AppState>, held: &Rendering) -> Option<Arc<Rendering>> {
        let looking = Arc::clone(&self.looking).try_lock_owned().ok()?;
        let (state, revision) = (state.clone(), held.revision);
        let look = tokio::spawn(async move {
            let _looking = looking;
            let began = Instant::now();
            let looked = state.index.look(&state, Some(revision)).await;
            state.index.settle(looked, began.elapsed())
        });
        tokio::time::timeout(PATIENCE, look).await.ok()?.ok()?
    }

    async fn first(&self, state: &AppState) -> Result<Arc<Rendering>, Problem> {
        let began = Instant::now();
        let looked = self.look(state, None).await;
        if let Some(rendering) = self.settle(looked, began.elapsed()) {
            return Ok(rendering);
        }
        let rendering = stored(state).await?;
        self.keep(Arc::clone(&rendering));
        Ok(rendering)
    }

    /// A newer rendering than that of `held`, or `None` when there is none.
    async fn look(&self, state: &AppState, held: Option<Option<i64>>) -> Result<Option<Arc<Rendering>>, Problem> {
        let (revision, rows) = {
            let mut conn = state.pool.get().await?;
            // Read before the rows: at worst the rows are newer than it says, and are read once more than needed.
            let revision = listing::revision(&mut conn).await?;
            if held == Some(Some(revision)) {
                return Ok(None);
            }
            (revision, listing::index_rows(&mut conn).await?)
        };
        let public_url = state.public_url.clone();
        let rendering = render(Some(revision), move || serde_json::to_vec(&Index::new(rows, &public_url))).await?;
        // Kept for a process that starts while the database is away. Its failure takes nothing from this answer.
        if let Err(error) = state.blobs.put(&stored_key()?, rendering.plain().clone()).await {
            tracing::warn!(error = %error, "index not kept in the object store");
        }
        Ok(Some(rendering))
    }

    /// Keeps what a look gave, and says when the next one is due.
    fn settle(&self, looked: Result<Option<Arc<Rendering>>, Problem>, took: Duration) -> Option<Arc<Rendering>> {
        match looked {
            Ok(rendering) => {
                self.rest(FRESH.max(took * FRESH_PER_LOOK));
                if let Some(rendering) = &rendering {
                    self.keep(Arc::clone(rendering));
                }
                rendering
            }
            Err(problem) => {
                tracing::warn!(error = %problem, cause = ?problem.cause, "index not renewed");
                self.rest(AFTER_FAILURE);
                None
            }
        }
    }

    fn held(&self) -> Option<Arc<Rendering>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, rendering: Arc<Rendering>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(rendering);
    }

    fn is_fresh(&self) -> bool {
        self.elapsed() < self.fresh_until.load(Ordering::Acquire)
    }

    fn rest(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.fresh_until.store(self.elapsed().saturating_add(millis), Ordering::Release);
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

async fn render(
    revision: Option<i64>,
    plain: impl FnOnce() -> serde_json::Result<Vec<u8>> + Send + 'static,
) -> Result<Arc<Rendering>, Problem> {
    let render = move || Rendering::new(revision, Bytes::from(plain()?));
    let rendering = tokio::task::spawn_blocking(render).await.map_err(Problem::internal)?;
    rendering.map(Arc::new).map_err(Problem::internal)
}

/// What a process of this store rendered last.
async fn stored(state: &AppState) -> Result<Arc<Rendering>, Problem> {
    let object = match state.blobs.get(&stored_key()?, None).await {
        Ok(object) => object,
        Err(BlobError::NotFound) => {
            return Err(Problem::new(ProblemCode::Unavailable, "the store cannot give its index for the moment"));
        }
        Err(error) => return Err(error.into()),
    };
    let chunks: Vec<Bytes> = object.stream.try_collect().await?;
    render(None, move || Ok(chunks.concat())).await
}

fn stored_key() -> Result<ObjectKey, Problem> {
    Ok(ObjectKey::Index("index.json".parse().map_err(Problem::internal)?))
}
