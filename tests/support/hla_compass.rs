//! The unmodified `hla-compass` client, in a home of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use url::Url;

use crate::object_server::interop_tool;

/// Nothing listens there: whatever the client sends anywhere but to 127.0.0.1 fails at once.
const NOWHERE: &str = "http://127.0.0.1:9";

/// One author's installation of the client.
pub struct HlaCompass {
    program: PathBuf,
    home: TempDir,
    endpoint: String,
    /// More of its environment.
    variables: Vec<(String, String)>,
}

/// What one call of the client gave.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    /// Both streams: commands differ in which one errors go to.
    pub output: String,
    stdout: String,
}

impl HlaCompass {
    /// The client of this version, set up for the store; `None`, said aloud, where it is not installed.
    ///
    /// # Panics
    /// When it cannot be given a home.
    #[must_use]
    pub fn find(version: &str, store: &Url) -> Option<Self> {
        let program = interop_tool(&format!("hla-compass-{version}"))?;
        let home = tempfile::tempdir().unwrap();
        Some(Self { program, home, endpoint: store.as_str().to_owned(), variables: Vec::new() })
    }

    /// The same installation with another home: another author.
    ///
    /// # Panics
    /// When it cannot be given a home.
    #[must_use]
    pub fn for_somebody_else(&self) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { program: self.program.clone(), home, endpoint: self.endpoint.clone(), variables: Vec::new() }
    }

    /// Sets a variable of its environment from now on.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where modules are made.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs the client in its home.
    pub async fn run(&self, arguments: &[&str]) -> Run {
        self.call(self.home(), arguments, "").await
    }

    /// Runs the client in the folder of a module.
    pub async fn run_in(&self, module: &str, arguments: &[&str]) -> Run {
        self.call(&self.home().join(module), arguments, "").await
    }

    /// Logs in with the password on the standard input.
    pub async fn login(&self, email: &str, password: &str) -> Run {
        self.call(self.home(), &["auth", "login", "--env", "dev", "--email", email, "--password-stdin"], password).await
    }

    async fn call(&self, folder: &Path, arguments: &[&str], input: &str) -> Run {
        let mut client = tokio::process::Command::new(&self.program)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(self.environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // A client that does not read its input closes it.
        let _ = client.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let done = client.wait_with_output().await.unwrap();
        let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
        let output = format!("{stdout}{}", String::from_utf8_lossy(&done.stderr));
        Run { code: done.status.code(), output, stdout }
    }

    fn environment(&self) -> Vec<(String, String)> {
        let own = [
            ("HOME", self.home.path().to_str().unwrap()),
            // No docker in here.
            ("PATH", "/nonexistent"),
            ("HLA_API_ENDPOINT", &self.endpoint),
            ("NO_PROXY", "127.0.0.1"),
            ("HTTPS_PROXY", NOWHERE),
            ("HTTP_PROXY", NOWHERE),
            ("NO_COLOR", "1"),
            ("TERM", "dumb"),
            // Wide enough that no message is wrapped.
            ("COLUMNS", "400"),
            ("LC_ALL", "C.UTF-8"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        own.into_iter().chain(self.variables.iter().cloned()).collect()
    }

    /// The manifest of a module that the client has made.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn manifest(&self, module: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.manifest_path(module)).unwrap()).unwrap()
    }

    /// Changes members of a module's manifest, as its author would with an editor.
    ///
    /// # Panics
    /// When there is none.
    pub fn edit_manifest(&self, module: &str, change: impl FnOnce(&mut Value)) {
        let mut manifest = self.manifest(module);
        change(&mut manifest);
        std::fs::write(self.manifest_path(module), serde_json::to_vec_pretty(&manifest).unwrap()).unwrap();
    }

    fn manifest_path(&self, module: &str) -> PathBuf {
        self.home().join(module).join("manifest.json")
    }
}

impl Run {
    /// The output of a call that must have ended with this exit code.
    ///
    /// # Panics
    /// When it ended with another one.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{}", self.output);
        &self.output
    }

    /// What a call that must have succeeded printed on its standard output.
    ///
    /// # Panics
    /// When it did not succeed.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> &str {
        self.expect(0);
        &self.stdout
    }

    /// Checks the exit code, and that the user was shown this.
    ///
    /// # Panics
    /// When it is otherwise.
    #[track_caller]
    pub fn expect_shown(&self, code: i32, shown: &str) -> &str {
        let output = self.expect(code);
        assert!(output.contains(shown), "{shown:?} is not in:\n{output}");
        output
    }
}
