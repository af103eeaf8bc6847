//! Looking for the credentials of the table where none may be.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use store_tests::hostile_registry::HostileRegistry;
use tokio_postgres::Client;

/// The beginning of every credential's token.
const STEM: &str = "canary0that0must0not0sing";

/// The token of a case's credential.
pub(super) fn token_of(case: &str) -> String {
    format!("{STEM}-{case}")
}

/// The forms in which a token might be written.
pub(super) struct Canary {
    forms: Vec<String>,
}

impl Canary {
    pub(super) fn new() -> Self {
        let mut forms = vec![STEM.to_owned(), hex::encode(STEM), percent_encoded(STEM)];
        forms.extend((0..3).map(inside_base64));
        Self { forms }
    }

    pub(super) fn sings_in(&self, text: &str) -> bool {
        self.forms.iter().any(|form| text.contains(form))
    }

    pub(super) fn sings_in_bytes(&self, bytes: &[u8]) -> bool {
        self.sings_in(&String::from_utf8_lossy(bytes))
    }

    /// The lines of a log in which it is heard, and how many lines there are.
    pub(super) fn lines_of(&self, log: &Path) -> (Vec<String>, usize) {
        let mut heard = Vec::new();
        let mut count = 0;
        for line in BufReader::new(std::fs::File::open(log).unwrap()).split(b'\n') {
            let line = line.unwrap();
            count += 1;
            if self.sings_in_bytes(&line) {
                heard.push(String::from_utf8_lossy(&line).chars().take(500).collect());
            }
        }
        (heard, count)
    }

    /// The rows of all tables in which it is heard, and how many rows there are.
    pub(super) async fn rows_of(&self, database: &Client) -> (Vec<String>, usize) {
        let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
        let mut heard = Vec::new();
        let mut count = 0;
        for table in database.query(tables, &[]).await.unwrap() {
            let table: String = table.get(0);
            // Bytes are shown in hex.
            let rows = database.query(&format!("SELECT t::text FROM \"{table}\" t"), &[]).await.unwrap();
            for row in rows {
                let row: String = row.get(0);
                count += 1;
                if self.sings_in(&row) {
                    heard.push(format!("{table}: {row}"));
                }
            }
        }
        (heard, count)
    }

    /// The files below a folder in which it is heard, and how many there are.
    pub(super) fn files_of(&self, folder: &Path) -> (Vec<String>, usize) {
        let files = files_below(folder);
        let heard = files.iter().filter(|file| {
            self.sings_in_bytes(&std::fs::read(file).unwrap()) || self.sings_in(&file.to_string_lossy())
        });
        (heard.map(|file| file.display().to_string()).collect(), files.len())
    }

    /// Requests at a host where none of them may come.
    pub(super) fn requests_of(&self, registry: &HostileRegistry) -> Vec<String> {
        let arrived = registry.arrived().into_iter().map(|request| request.head);
        arrived.filter(|head| self.sings_in(head) || head.to_ascii_lowercase().contains("\r\nauthorization:")).collect()
    }
}

/// What base64 makes of the stem `before` bytes behind a boundary, without the characters that its neighbours change.
fn inside_base64(before: usize) -> String {
    let padded = [&vec![0; before][..], STEM.as_bytes()].concat();
    let encoded = STANDARD.encode(&padded);
    let first = (before * 8).div_ceil(6);
    let end = padded.len() * 8 / 6;
    encoded[first..end].to_owned()
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

pub(super) fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|e| if e.path().is_dir() { files_below(&e.path()) } else { vec![e.path()] }).collect()
}

/// A search that finds nothing anywhere would prove nothing.
#[test]
fn the_canary_is_heard_in_every_form() {
    let canary = Canary::new();
    let token = token_of("some-case");
    assert!(canary.sings_in(&format!("token={token}")));
    assert!(canary.sings_in(&hex::encode(&token)));
    for user in ["robot", "robot1", "robot12"] {
        assert!(canary.sings_in(&STANDARD.encode(format!("{user}:{token}"))), "{user}");
    }
    assert!(!canary.sings_in("canary") && !canary.sings_in(&STANDARD.encode("robot:another token of that length")));
}
