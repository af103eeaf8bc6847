//! The desk where a program's fail points are announced, and held up.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::hold::{Hold, Stop};

/// Lives as long as the test's runtime; programs that outlive it are no longer held up.
pub struct FailPoints {
    folder: TempDir,
    desk: Arc<Desk>,
}

/// By announcement: `place.moment subject`.
#[derive(Default)]
struct Desk {
    holds: Mutex<HashMap<String, Stop>>,
    passed: Mutex<BTreeMap<String, u32>>,
}

impl FailPoints {
    /// # Panics
    /// When the socket cannot be made.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("desk")).unwrap();
        let desk = Arc::new(Desk::default());
        let receiving = Arc::clone(&desk);
        tokio::spawn(async move {
            while let Ok((program, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&receiving).receive(program));
            }
        });
        Self { folder, desk }
    }

    /// Where programs announce themselves.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("desk")
    }

    /// The next time that a program reaches `point` (`place.moment`) in its work on `subject`, it waits there.
    ///
    /// # Panics
    /// Never, unless the desk has panicked.
    #[must_use]
    pub fn hold(&self, point: &str, subject: &str) -> Hold {
        let (hold, stop) = Hold::new();
        self.desk.holds.lock().unwrap().insert(format!("{point} {subject}"), stop);
        hold
    }

    /// How often each point was reached in the work on `subject`.
    ///
    /// # Panics
    /// Never, unless the desk has panicked.
    #[must_use]
    pub fn passed(&self, subject: &str) -> BTreeMap<String, u32> {
        let passed = self.desk.passed.lock().unwrap();
        let of_subject = passed.iter().filter_map(|(announced, times)| {
            let (point, of) = announced.split_once(' ')?;
            (of == subject).then(|| (point.to_owned(), *times))
        });
        of_subject.collect()
    }
}

impl Desk {
    async fn receive(self: Arc<Self>, program: UnixStream) {
        let mut program = BufReader::new(program);
        let mut announced = String::new();
        if program.read_line(&mut announced).await.is_err() {
            return;
        }
        let announced = announced.trim();
        *self.passed.lock().unwrap().entry(announced.to_owned()).or_default() += 1;
        let stop = self.holds.lock().unwrap().remove(announced);
        if let Some(mut stop) = stop {
            stop.wait().await;
        }
    }
}
