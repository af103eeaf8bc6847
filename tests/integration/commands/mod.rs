//! The `company-store` program as an author and an administrator use it.

mod review;
mod waiver;

use std::path::Path;

use registry_types::policy::{ManifestSignatureDemand, ManifestSignaturePolicy, Policy};
use serde_json::{Value, json};
use store_tests::image::Image;
use store_tests::registry::Registry;
use store_tests::store::{PASSWORD, Store, text};
use tempfile::TempDir;

/// One person's installation.
pub(crate) struct Program<'s> {
    store: &'s Store,
    home: TempDir,
}

/// How a command ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) exit: Option<i32>,
    pub(crate) text: String,
    pub(crate) error: String,
}

impl Shown {
    /// The command was refused with this exit status and code.
    #[track_caller]
    pub(crate) fn assert_refused(&self, exit: i32, code: &str) {
        assert!(
            self.exit == Some(exit) && self.error.contains(code) && self.text.is_empty(),
            "{exit} {code}: {self:?}"
        );
    }

    /// The command succeeded, and said all of this.
    #[track_caller]
    pub(crate) fn assert_says(&self, words: &[&str]) {
        assert_eq!(self.exit, Some(0), "{self:?}");
        for word in words {
            assert!(self.text.contains(word), "{word} is missing: {}", self.text);
        }
    }
}

impl<'s> Program<'s> {
    /// On a machine where nobody has logged in.
    pub(crate) fn new(store: &'s Store) -> Self {
        Self { store, home: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn of(store: &'s Store, email: &str) -> Self {
        let program = Self::new(store);
        program.write("password", PASSWORD);
        program.done(&["login", "--email", email, "--password-file", "password"]).await;
        program
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).unwrap();
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.home.path().join(file)
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> std::process::Output {
        self.run_in(arguments, &[]).await
    }

    /// With variables of a job beside the usual ones.
    pub(crate) async fn run_in(&self, arguments: &[&str], variables: &[(&str, String)]) -> std::process::Output {
        self.command(&[&["--json"], arguments].concat(), variables).output().await.unwrap()
    }

    /// What a person reads, who asks for no JSON.
    pub(crate) async fn shown(&self, arguments: &[&str]) -> Shown {
        let output = self.command(arguments, &[]).output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Shown { exit: output.status.code(), text: text(output.stdout), error: text(output.stderr) }
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, String)]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(Path::new(env!("CARGO_BIN_EXE_test-company-store")));
        command
            .args(["--server", self.store.url().as_str()])
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .envs(variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The answer of a command that must succeed.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> impl Future<Output = Value> {
        let called = arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>();
        let run = self.run(arguments);
        async move {
            let output = run.await;
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{called:?}: {error}");
            serde_json::from_slice(&output.stdout).unwrap()
        }
    }

    /// What a command that must be refused says.
    pub(crate) async fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_author_signs_with_a_key_that_an_administrator_enrols() {
    let store = Store::start().await;
    let signed = ManifestSignaturePolicy { internal: ManifestSignatureDemand::Enrolled, ..Default::default() };
    store.set_policy(&Policy { manifest_signatures: signed, ..Policy::default() }).await;
    let registry = Registry::start().await;
    let acme = store.organization("acme").await;
    store.allow(&acme, &registry.address, "acme").await;
    let author = Program::of(&store, "developer@acme.example.org").await;
    let admin = Program::of(&store, "admin@acme.example.org").await;

    let made = author.done(&["key", "new", "key.pem"]).await;
    assert!(author.refused(&["key", "new", "key.pem"]).await.contains("never overwritten"));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(author.path("key.pem")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // A number that a float would change, under the signature.
    let manifest = json!({"name": "ranker", "version": "1.0.0", "type": "no-ui", "execution": {"entrypoint": "backend.main:Module"}});
    author.write(
        "manifest.json",
        &manifest.to_string().replacen('{', r#"{"x":123456789012345678901234567890,"y":1.0,"#, 1),
    );
    let image = Image::of_module(
        &serde_json::from_str(&std::fs::read_to_string(author.path("manifest.json")).unwrap()).unwrap(),
    );
    let image = image.push(&registry.address, "acme/ranker", "1.0.0").await.reference;
    let publish = |more: &[&'static str]| [&["publish", &*image], more].concat();
    assert!(author.refused(&publish(&[])).await.contains("must be signed"));
    let signed = ["--signing-key", "key.pem"];
    assert!(author.refused(&publish(&signed)).await.contains("has not enrolled"));
    let enrol = ["key", "enrol", "key.pem", "--label", "author"];
    assert!(author.refused(&enrol).await.contains("role admin"));
    std::fs::copy(author.path("key.pem"), admin.path("key.pem")).unwrap();
    let enrolled = admin.done(&enrol).await;
    assert_eq!(enrolled["fingerprint"], made["fingerprint"]);
    assert_eq!(author.done(&["key", "list"]).await["items"][0]["id"], enrolled["id"]);

    let dry = author.done(&publish(&["--signing-key", "key.pem", "--dry-run"])).await;
    assert_eq!((&dry["package"], &dry["publishId"]), (&json!("acme/ranker"), &Value::Null));
    let accepted = author.done(&publish(&signed)).await;
    assert_eq!(acme.intake_end(&text(&accepted["publishId"])).await["outcome"], "active");
    let id = text(&enrolled["id"]);
    assert_eq!(author.done(&["key", "show", &id]).await["signed_versions"], 1);
    let revoke = ["key", "revoke", &id, "--reason", "lost", "--from", "2026-01-01T00:00:00Z"];
    assert_eq!(admin.done(&revoke).await["revocation"]["signed_versions"], 1);
    author.write("manifest.json", &manifest.to_string().replace("1.0.0", "1.1.0"));
    assert!(author.refused(&publish(&signed)).await.contains("is revoked"));
}

#[tokio::test]
async fn a_password_is_changed_and_the_session_goes_on() {
    let store = Store::start_without_worker().await;
    store.organization("acme").await;
    let here = Program::of(&store, "developer@acme.example.org").await;
    let elsewhere = Program::of(&store, "developer@acme.example.org").await;
    here.write("new", "another password\n");
    let change = ["password", "--current-file", "password", "--new-file", "new"];
    here.done(&change).await;
    assert_eq!(here.done(&["whoami"]).await["email"], "developer@acme.example.org");
    elsewhere.refused(&["whoami"]).await;
    assert!(here.refused(&change).await.contains("current password is wrong"));
}
