//! `company-store … | head`: the reader goes away before everything is written.

use std::process::{Command, Stdio};

#[test]
fn a_command_whose_output_nobody_reads_ends_without_a_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let home = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_company-store"))
        .args(["config", "show"])
        .current_dir(&home)
        .env("HOME", home.path())
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(141), "{told}");
    assert!(told.is_empty(), "{told}");
}
