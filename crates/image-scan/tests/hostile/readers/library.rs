//! Python's tarfile and Go's archive/tar, each behind a small program that answers in JSON.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use image_scan::archive::LayerCompression;
use serde::Deserialize;

use super::Read;
use crate::listing::Item;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile/readers");

pub(super) struct Library {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    items: Vec<(char, String, u64, String, String)>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    unsupported: bool,
}

pub(super) fn python() -> Library {
    Library::start(Command::new("python3").arg(format!("{FOLDER}/list.py")))
}

/// `None` where Go is not installed.
pub(super) fn go(folder: &Path) -> Option<Library> {
    let program = folder.join("list");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(format!("{FOLDER}/list.go"));
    let built = build.env("GOFLAGS", "-buildvcs=false").status().ok()?;
    assert!(built.success(), "the Go program does not compile");
    Some(Library::start(&mut Command::new(program)))
}

impl Library {
    fn start(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (questions, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, questions, answers: BufReader::new(answers) }
    }

    pub(super) fn read(&mut self, compression: LayerCompression, layer: &Path) -> Read {
        let compression = match compression {
            LayerCompression::Plain => "plain",
            LayerCompression::Gzip => "gzip",
            LayerCompression::Zstd => "zstd",
        };
        writeln!(self.questions, "{compression} {}", layer.display()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let answer: Answer = serde_json::from_str(&answer).unwrap();
        if answer.unsupported {
            return Read::Unsupported;
        }
        if let Some(error) = answer.error {
            return Read::Refused(error);
        }
        let items = answer.items.into_iter().map(|(kind, name, size, target, content)| match kind {
            'f' => Item::file(&name, size, &content),
            'l' | 'h' => Item::link(kind, &name, &target),
            other => Item::other(other, &name),
        });
        Read::Items(items.filter(|item| !item.is_root()).collect())
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
