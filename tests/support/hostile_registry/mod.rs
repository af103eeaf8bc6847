//! A source registry that plays a script, byte by byte if need be: what a test wants a broken or hostile one to answer.
//!
//! It speaks HTTP/1.1 over plain sockets, because what a web framework refuses to send is part of what is played. Each
//! connection serves one request.

mod reply;
mod script;

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub use reply::Reply;
pub use script::{Place, Script, Visit, challenge};

/// More of a request than any client of a registry sends.
const MAX_HEAD_BYTES: usize = 256 * 1024;

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Request line and headers as sent.
    pub head: String,
}

impl Arrived {
    fn read(head: String) -> Option<Self> {
        let mut words = head.lines().next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(Self { method, target, head })
    }

    fn repeats(&self, earlier: &Self) -> bool {
        let identity = |request: &Self| request.header("authorization").map(str::to_owned);
        earlier.method == self.method && earlier.target == self.target && identity(earlier) == identity(self)
    }

    /// The path without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// An address that is taken, for a script that must know it before it is played.
pub struct Venue {
    /// `127.0.0.1:port`.
    pub host: String,
    listener: TcpListener,
}

impl Venue {
    /// # Panics
    /// When the machine has no free port.
    pub async fn take() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self { host: listener.local_addr().unwrap().to_string(), listener }
    }

    /// Plays `script` until the registry is dropped.
    #[must_use]
    pub fn play(self, script: Script) -> HostileRegistry {
        let Self { host, listener } = self;
        let log = Arc::new(Mutex::new(Vec::new()));
        let stage = Arc::new(Stage { script, log: Arc::clone(&log) });
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let stage = Arc::clone(&stage);
                // A client that hangs up is part of the play.
                tokio::spawn(async move { stage.serve(socket).await.unwrap_or_default() });
            }
        });
        HostileRegistry { host, log, task }
    }
}

/// A running registry; it takes no connection any more when it is dropped.
pub struct HostileRegistry {
    pub host: String,
    log: Arc<Mutex<Vec<Arrived>>>,
    task: JoinHandle<()>,
}

impl HostileRegistry {
    /// All requests so far.
    ///
    /// # Panics
    /// When the registry panicked.
    #[must_use]
    pub fn arrived(&self) -> Vec<Arrived> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for HostileRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Stage {
    script: Script,
    log: Arc<Mutex<Vec<Arrived>>>,
}

impl Stage {
    async fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        let Some(request) = read_head(&mut socket).await?.and_then(Arrived::read) else { return Ok(()) };
        let seen_before = {
            let mut log = self.log.lock().unwrap();
            let seen = log.iter().filter(|earlier| request.repeats(earlier)).count();
            log.push(request.clone());
            seen
        };
        let reply = self.script.answer(&Visit { request: &request, seen_before });
        reply.send(socket, request.method == "HEAD").await
    }
}

/// Request line and headers; `None` when the client hung up or sent something else.
async fn read_head(socket: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD_BYTES || socket.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    Ok(String::from_utf8(head).ok())
}
