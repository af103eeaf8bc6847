//! Child processes that end with the test, however it ends.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::NamedTempFile;

/// The program runs beside a shell whose standard input is a pipe held by this process. When the pipe closes (the value
/// is dropped, or this process dies) the program is killed; when the program ends, so does the shell.
const WATCHED: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
echo "$child" >"$WATCHED_PID_FILE"
{ cat <&3 >/dev/null; kill -KILL "$child"; } 2>/dev/null &
exec 3<&-
wait "$child"
"#;

/// A running program; dropping it kills it at once, as `kill -9` does, and waits until it is gone.
pub struct ChildProcess {
    shell: Child,
    log: PathBuf,
    pid_file: NamedTempFile,
}

impl ChildProcess {
    /// Starts `program`; what it prints goes to the file `log`.
    ///
    /// # Panics
    /// When there is no shell or the log cannot be written.
    pub fn start<E: AsRef<OsStr>>(
        program: &Path,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (E, E)>,
        log: &Path,
    ) -> Self {
        let output = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let pid_file = NamedTempFile::new().unwrap();
        let shell = Command::new("/bin/sh")
            .args(["-c", WATCHED, "watched"])
            .arg(program)
            .args(arguments)
            .envs(environment)
            .env("WATCHED_PID_FILE", pid_file.path())
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { shell, log: log.to_owned(), pid_file }
    }

    /// Whether the program has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.shell.try_wait().unwrap().is_some()
    }

    /// Sends a signal (`STOP`, `CONT`, `TERM`) to the program, which must have been started for a while.
    ///
    /// # Panics
    /// When there is no such process any more.
    pub fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(&self.pid_file).unwrap();
        let sent = Command::new("/bin/kill").arg(format!("-{signal}")).arg(pid.trim()).status().unwrap();
        assert!(sent.success(), "cannot send {signal} to {pid}");
    }

    /// The most memory that the program has held so far, in bytes.
    ///
    /// # Panics
    /// When there is no such process any more.
    #[must_use]
    pub fn peak_memory_bytes(&self) -> u64 {
        let pid = std::fs::read_to_string(&self.pid_file).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak.unwrap().trim().parse::<u64>().unwrap() * 1024
    }

    /// Waits until the program has ended by itself.
    ///
    /// # Panics
    /// When it does not.
    pub async fn ended(&mut self) {
        crate::wait::until("a program to end", async || self.has_ended().then_some(())).await;
    }

    /// What the program has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A loopback port that was free a moment ago, for programs that cannot tell which one they took. Another program may
/// be faster: start again with another port when the program ends at once.
///
/// # Panics
/// When the machine has no free port.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until a program that was just started accepts connections; `false` when it ended instead.
pub(crate) async fn accepts(process: &mut ChildProcess, port: u16) -> bool {
    crate::wait::until("a program to listen", async || {
        if process.has_ended() {
            return Some(false);
        }
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(true)
    })
    .await
}

/// Starts a program that listens on a port, and waits until it accepts connections.
///
/// # Panics
/// When it ended at once five times in a row.
pub async fn start_listening(log: &Path, mut start: impl FnMut(u16) -> ChildProcess) -> (ChildProcess, u16) {
    for _ in 0..5 {
        let port = free_port();
        let mut process = start(port);
        if accepts(&mut process, port).await {
            return (process, port);
        }
    }
    panic!("the program does not start:\n{}", std::fs::read_to_string(log).unwrap_or_default());
}
