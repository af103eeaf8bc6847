//! Answers, also such as no honest server gives.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    /// What `Content-Length` says, where it is no matter of course.
    length: Length,
    body: Body,
}

#[derive(Debug, Clone)]
enum Length {
    Right,
    Unsaid,
    Said(String),
}

#[derive(Debug, Clone)]
enum Body {
    Whole(Bytes),
    /// Nothing follows these bytes, for as long as the client waits.
    Stalled(Bytes),
    /// The connection is reset behind these bytes.
    Reset(Bytes),
    /// Blanks without end.
    Endless,
    /// A blank now and then, without end.
    Dripping,
    /// No head either, for as long as the client waits.
    Silent,
    /// These bytes in place of head and body.
    Instead(Bytes),
    /// The same, again and again without end.
    Flood(Bytes),
}

/// Between two blanks of a dripping body.
const DRIP: Duration = Duration::from_millis(100);

impl Reply {
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), length: Length::Right, body: Body::Whole(body.into()) }
    }

    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, body.to_string()).header("Content-Type", "application/json")
    }

    /// An error of the distribution specification.
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        Self::json(status, &json!({"errors": [{"code": code, "message": "refused"}]}))
    }

    #[must_use]
    pub fn html(status: u16) -> Self {
        let page = "<!doctype html><title>Sign in</title><p>Please sign in to continue.";
        Self::new(status, page).header("Content-Type", "text/html; charset=utf-8")
    }

    pub fn redirect(to: impl Into<String>) -> Self {
        Self::new(307, "").header("Location", to)
    }

    /// A body that sends these bytes and then nothing.
    pub fn stalled(bytes: impl Into<Bytes>) -> Self {
        Self { length: Length::Unsaid, body: Body::Stalled(bytes.into()), ..Self::new(200, "") }
    }

    #[must_use]
    pub fn endless(status: u16) -> Self {
        Self { length: Length::Unsaid, body: Body::Endless, ..Self::new(status, "") }
    }

    #[must_use]
    pub fn dripping() -> Self {
        Self { length: Length::Unsaid, body: Body::Dripping, ..Self::new(200, "") }
    }

    /// The connection is reset behind the head and these bytes, of `declared` in all.
    pub fn reset(bytes: impl Into<Bytes>, declared: usize) -> Self {
        Self { body: Body::Reset(bytes.into()), ..Self::new(200, "") }.length(declared)
    }

    /// These bytes in place of an HTTP answer.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { body: Body::Instead(bytes.into()), ..Self::new(200, "") }
    }

    /// These bytes in place of an HTTP answer, without end: a few MB in a second, so that a client that is slow to parse
    /// (a debug build) is not kept busy beyond its time-outs.
    #[must_use]
    pub fn raw_without_end(bytes: &str) -> Self {
        let bytes = bytes.repeat(4096 / bytes.len()).into();
        Self { body: Body::Flood(bytes), ..Self::new(200, "") }
    }

    /// No answer at all, while the connection stays open.
    #[must_use]
    pub fn silence() -> Self {
        Self { body: Body::Silent, ..Self::new(200, "") }
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Says this length whatever the body's is.
    #[must_use]
    pub fn length(mut self, said: impl ToString) -> Self {
        self.length = Length::Said(said.to_string());
        self
    }

    /// Says no length: the body ends with the connection.
    #[must_use]
    pub fn without_length(mut self) -> Self {
        self.length = Length::Unsaid;
        self
    }

    /// The same answer with other bytes as its body.
    #[must_use]
    pub fn with_body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Body::Whole(bytes.into());
        self
    }

    pub(super) async fn send(self, mut socket: TcpStream, head_only: bool) -> io::Result<()> {
        match &self.body {
            Body::Silent => return hung_up(&mut socket).await,
            Body::Instead(bytes) => {
                socket.write_all(bytes).await?;
                return socket.shutdown().await;
            }
            Body::Flood(bytes) => loop {
                socket.write_all(bytes).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            },
            Body::Whole(_) | Body::Stalled(_) | Body::Reset(_) | Body::Endless | Body::Dripping => {}
        }
        socket.write_all(self.head().as_bytes()).await?;
        if !head_only {
            self.body.send(&mut socket).await?;
        }
        socket.shutdown().await
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Scripted\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        match (&self.length, &self.body) {
            (Length::Said(length), _) => write!(head, "Content-Length: {length}\r\n").unwrap(),
            (Length::Right, Body::Whole(bytes)) => write!(head, "Content-Length: {}\r\n", bytes.len()).unwrap(),
            (Length::Right | Length::Unsaid, _) => {}
        }
        head + "\r\n"
    }
}

impl Body {
    async fn send(self, socket: &mut TcpStream) -> io::Result<()> {
        match self {
            Self::Silent | Self::Instead(_) | Self::Flood(_) => Ok(()),
            Self::Whole(bytes) => socket.write_all(&bytes).await,
            Self::Stalled(bytes) => {
                socket.write_all(&bytes).await?;
                hung_up(socket).await
            }
            Self::Reset(bytes) => {
                socket.write_all(&bytes).await?;
                // Lets the bytes reach the client before the reset overtakes them.
                tokio::time::sleep(DRIP).await;
                socket.set_zero_linger()?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Self::Endless => loop {
                socket.write_all(&[b' '; 16 * 1024]).await?;
            },
            Self::Dripping => loop {
                socket.write_all(b" ").await?;
                tokio::time::sleep(DRIP).await;
            },
        }
    }
}

/// Until the client hangs up.
async fn hung_up(socket: &mut TcpStream) -> io::Result<()> {
    let mut ignored = [0; 1024];
    while socket.read(&mut ignored).await? > 0 {}
    Ok(())
}
