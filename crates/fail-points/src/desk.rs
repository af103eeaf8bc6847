//! The program's side: one connection per fail point that is reached.

use std::path::PathBuf;
use std::sync::OnceLock;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use uuid::Uuid;

static DESK: OnceLock<PathBuf> = OnceLock::new();

/// From now on every fail point is announced at this Unix socket by one line, `place.moment subject`, and waits until the
/// connection is closed from the other side. Without anybody there it does not wait.
pub fn announce_to(socket: PathBuf) {
    // The first one stays.
    let _ = DESK.set(socket);
}

pub(crate) async fn announce(place: &str, moment: &str, subject: Uuid) {
    let Some(socket) = DESK.get() else { return };
    let Ok(mut desk) = UnixStream::connect(socket).await else { return };
    if desk.write_all(format!("{place}.{moment} {subject}\n").as_bytes()).await.is_ok() {
        // Nothing is said: the end of the connection is the answer.
        let _ = desk.read_to_end(&mut Vec::new()).await;
    }
}
