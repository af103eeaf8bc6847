//! The search through one file after the other.

use super::anchors::{ANCHORS, Anchor};
use super::rules::{Rule, is_published_test_data};
use super::window::{AHEAD, BEHIND, Window};
use super::{Confidence, SecretFinding};
use crate::catalog::SecretCoverage;

/// Much larger than what is kept between two searches.
const BUFFER: usize = 128 * 1024;
/// Where a NUL byte makes a file a binary one.
const SNIFFED: usize = 8 * 1024;
/// Findings kept per layer: they are evidence, and one is enough to refuse.
const MAX_FINDINGS: usize = 1000;

pub(crate) struct SecretSearch {
    /// The end of what was read, up to [`BUFFER`] bytes. It starts with a line break that the file does not have, so
    /// that the first line is like any other.
    buffer: Vec<u8>,
    /// Up to here anchors have been looked for.
    searched: usize,
    /// Line breaks in what was dropped from the buffer.
    lines_dropped: u64,
    /// Bytes of the file that were checked for NUL.
    sniffed: usize,
    is_binary: bool,
    findings: Vec<SecretFinding>,
    /// Findings of earlier files.
    found_before: usize,
    coverage: SecretCoverage,
}

impl SecretSearch {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Vec::with_capacity(BUFFER),
            searched: 0,
            lines_dropped: 0,
            sniffed: 0,
            is_binary: false,
            findings: Vec::new(),
            found_before: 0,
            coverage: SecretCoverage::default(),
        }
    }

    /// A new file starts.
    pub(crate) fn begin(&mut self) {
        self.buffer.clear();
        self.buffer.push(b'\n');
        self.searched = 0;
        self.lines_dropped = 0;
        self.sniffed = 0;
        self.is_binary = false;
        self.found_before = self.findings.len();
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        if self.is_binary {
            return;
        }
        let sniff = bytes.len().min(SNIFFED - self.sniffed);
        self.sniffed += sniff;
        if memchr::memchr(0, &bytes[..sniff]).is_some() {
            self.is_binary = true;
            return;
        }
        while !bytes.is_empty() {
            let part = bytes.len().min(BUFFER - self.buffer.len());
            self.buffer.extend_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            if self.buffer.len() == BUFFER {
                self.search(BUFFER - AHEAD);
                self.drop_searched();
            }
        }
    }

    /// The file has ended. Tells whether something was found in it.
    pub(crate) fn end(&mut self, path: &str) -> bool {
        if self.is_binary {
            self.coverage.binary_files += 1;
            return false;
        }
        if self.sniffed > 0 {
            self.coverage.text_files += 1;
            self.search(self.buffer.len());
        }
        let is_test_data = is_published_test_data(path);
        for finding in &mut self.findings[self.found_before..] {
            path.clone_into(&mut finding.path);
            if is_test_data {
                finding.confidence = Confidence::Low;
            }
        }
        self.findings.len() > self.found_before
    }

    pub(crate) fn finish(self) -> (Vec<SecretFinding>, SecretCoverage) {
        (self.findings, self.coverage)
    }

    /// Looks for anchors that start before `limit`, around each of which the window is complete.
    fn search(&mut self, limit: usize) {
        let mut anchors = ANCHORS.walk();
        while let Some(Anchor { rule, range: anchor }) = anchors.next(&self.buffer, self.searched) {
            if anchor.start >= limit {
                break;
            }
            let start = anchor.start.saturating_sub(BEHIND);
            let end = self.buffer.len().min(anchor.start + AHEAD);
            let window = Window { bytes: &self.buffer[start..end], anchor: anchor.start - start..anchor.end - start };
            let hit = (rule.find)(&window);
            self.searched = anchor.start + 1;
            if let Some(hit) = hit {
                self.searched = self.searched.max(start + hit.range.end);
                let range = start + hit.range.start..start + hit.range.end;
                self.note(rule, hit.confidence, &range);
            }
        }
        self.searched = self.searched.max(limit);
    }

    fn note(&mut self, rule: &Rule, confidence: Confidence, range: &std::ops::Range<usize>) {
        if self.findings.len() >= MAX_FINDINGS {
            self.coverage.is_cut = true;
            return;
        }
        self.findings.push(SecretFinding {
            rule: rule.id.to_owned(),
            title: rule.title.to_owned(),
            confidence,
            path: String::new(),
            line: self.lines_dropped + line_breaks(&self.buffer[..range.start]),
            masked: masked(&self.buffer[range.clone()]),
        });
    }

    /// Keeps what windows to come may look at.
    fn drop_searched(&mut self) {
        let keep_from = BUFFER - AHEAD - BEHIND;
        self.lines_dropped += line_breaks(&self.buffer[..keep_from]);
        self.buffer.drain(..keep_from);
        self.searched -= keep_from;
    }
}

fn line_breaks(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// The rules match printable ASCII only.
fn masked(secret: &[u8]) -> String {
    let start: String = secret.iter().take(4).map(|byte| char::from(*byte)).collect();
    format!("{start}… ({} characters)", secret.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(path: &str, pieces: &[&[u8]]) -> Vec<SecretFinding> {
        let mut search = SecretSearch::new();
        search.begin();
        pieces.iter().for_each(|piece| search.write(piece));
        search.end(path);
        search.finish().0
    }

    fn token() -> String {
        // Put together here, so that no scanner takes this file for a leak.
        ["ghp", "_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"].concat()
    }

    #[test]
    fn says_where_and_masks() {
        let findings = found("app/.env", &[format!("A=1\nGITHUB_TOKEN={}\n", token()).as_bytes()]);
        let [finding] = &*findings else { panic!("{findings:?}") };
        assert_eq!((&*finding.rule, &*finding.path, finding.line), ("github-token", "app/.env", 2));
        assert_eq!(finding.masked, "ghp_… (40 characters)");
        assert_eq!(finding.confidence, Confidence::High);
        assert_eq!(found("x", &[token().as_bytes()])[0].line, 1);
    }

    #[test]
    fn binary_files_are_counted_not_searched() {
        let mut search = SecretSearch::new();
        for content in [format!("\0{}", token()), format!("{}\0", "x".repeat(SNIFFED)) + &token(), String::new()] {
            search.begin();
            search.write(content.as_bytes());
            search.end("x");
        }
        let (findings, coverage) = search.finish();
        assert_eq!(findings.len(), 1);
        assert_eq!((coverage.text_files, coverage.binary_files), (1, 1));
    }

    #[test]
    fn test_data_of_third_party_packages_counts_little() {
        let path = "app/node_modules/octokit/test/fixtures/token.txt";
        assert_eq!(found(path, &[token().as_bytes()])[0].confidence, Confidence::Low);
        assert_eq!(found("app/test/token.txt", &[token().as_bytes()])[0].confidence, Confidence::High);
    }

    #[test]
    fn findings_are_capped_and_that_is_said() {
        let line = format!("{}\n", token());
        let mut search = SecretSearch::new();
        search.begin();
        (0..=MAX_FINDINGS).for_each(|_| search.write(line.as_bytes()));
        search.end("x");
        let (findings, coverage) = search.finish();
        assert_eq!(findings.len(), MAX_FINDINGS);
        assert!(coverage.is_cut);
        assert_eq!(findings[MAX_FINDINGS - 1].line, MAX_FINDINGS as u64);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_secret_is_found_wherever_it_lies_and_however_it_arrives(
            before in 0_usize..400_000,
            after in 0_usize..200_000,
            piece in 1_usize..300_000,
        ) {
            let file = format!("{}\n{}\n{}", "lorem ipsum ".repeat(before / 12), token(), "dolor\n".repeat(after / 6));
            let pieces: Vec<&[u8]> = file.as_bytes().chunks(piece).collect();
            let findings = found("x", &pieces);
            prop_assert_eq!(&findings, &found("x", &[file.as_bytes()]));
            prop_assert_eq!(findings.len(), 1);
            prop_assert_eq!(findings[0].line, 2);
        }
    }
}
