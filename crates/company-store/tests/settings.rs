//! Where the settings of `up` come from.

#![expect(clippy::unwrap_used, reason = "a test's own steps fail loudly")]

use std::process::Command;

/// The value of a setting and its source, as `config show` tells it with this environment and file.
fn shown(environment: &[(&str, &str)], file: &str) -> impl Fn(&str) -> (String, String) {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("company-store.toml"), file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_company-store"));
    command.args(["config", "show", "--json", "--data"]).arg(data.path()).env_clear().envs(environment.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let settings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    move |name| {
        let setting = settings.iter().find(|setting| setting["name"] == name).unwrap();
        let value = setting["value"].as_str().map_or_else(|| setting["value"].to_string(), str::to_owned);
        (value, setting["source"].as_str().unwrap().to_owned())
    }
}

#[test]
fn the_environment_goes_before_the_file() {
    let environment = [("COMPANY_STORE_LISTEN", "127.0.0.1:9000"), ("COMPANY_STORE_TRUSTED_ROOT", "/etc/root.json")];
    let setting = shown(&environment, "listen = \"127.0.0.1:9001\"\nworker_concurrency = 3\n");
    assert_eq!(setting("listen").0, "127.0.0.1:9000");
    assert!(setting("listen").1.contains("environment"), "{:?}", setting("listen"));
    assert_eq!(setting("trusted_root").0, "/etc/root.json");
    assert_eq!(setting("worker_concurrency").0, "3");
    assert_eq!(setting("organization"), ("my-company".to_owned(), "default".to_owned()));
}

#[test]
fn secrets_are_not_shown() {
    let setting = shown(&[("DATABASE_URL", "postgres://u:secret@h/d")], "");
    assert_eq!(setting("database_url").0, "[redacted]");
}
