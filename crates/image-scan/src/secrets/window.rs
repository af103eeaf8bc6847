//! A rule's view: the bytes around an anchor.

use std::ops::Range;

use super::randomness::is_random;

/// Bytes before and after an anchor's start that a rule may look at. They do not depend on how the file arrived.
pub(super) const BEHIND: usize = 512;
pub(super) const AHEAD: usize = 2048;

pub(super) struct Window<'a> {
    pub(super) bytes: &'a [u8],
    /// Where the anchor starts and ends.
    pub(super) anchor: Range<usize>,
}

/// Which bytes a token consists of.
pub(super) type Alphabet = fn(u8) -> bool;

pub(super) fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

pub(super) fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

pub(super) fn url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

pub(super) fn dotted(byte: u8) -> bool {
    url_safe(byte) || byte == b'.'
}

pub(super) fn lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

pub(super) fn upper_base32(byte: u8) -> bool {
    byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte)
}

impl<'a> Window<'a> {
    pub(super) fn text(&self, range: &Range<usize>) -> &'a [u8] {
        &self.bytes[range.clone()]
    }

    /// The run of `alphabet` that starts at `start`, looked at for at most `max` bytes: files made of anchors must not
    /// make the search slow.
    pub(super) fn run(&self, start: usize, alphabet: Alphabet, max: usize) -> Range<usize> {
        let rest = self.bytes.get(start..).unwrap_or_default();
        let rest = &rest[..rest.len().min(max)];
        start..start + rest.iter().position(|byte| !alphabet(*byte)).unwrap_or(rest.len())
    }

    /// Whether a word starts at `at`.
    pub(super) fn starts_word(&self, at: usize) -> bool {
        at == 0 || !url_safe(self.bytes[at - 1])
    }

    /// The run after the anchor, if it has a length within `lengths` and the anchor starts a word.
    pub(super) fn body(&self, alphabet: Alphabet, lengths: std::ops::RangeInclusive<usize>) -> Option<Range<usize>> {
        if !self.starts_word(self.anchor.start) {
            return None;
        }
        let body = self.run(self.anchor.end, alphabet, lengths.end() + 1);
        lengths.contains(&body.len()).then_some(body)
    }

    /// Anchor and body together, if the body looks random.
    pub(super) fn token(
        &self,
        alphabet: Alphabet,
        lengths: std::ops::RangeInclusive<usize>,
        bits: f64,
    ) -> Option<Range<usize>> {
        let body = self.body(alphabet, lengths)?;
        is_random(self.text(&body), bits).then_some(self.anchor.start..body.end)
    }

    /// The value assigned to the anchor as a key: `key=value`, `key: "value"`, `"key": "value"`.
    pub(super) fn assigned(
        &self,
        after: usize,
        alphabet: Alphabet,
        lengths: std::ops::RangeInclusive<usize>,
    ) -> Option<Range<usize>> {
        let between = self.run(after, |byte| matches!(byte, b'"' | b'\'' | b' ' | b'\t' | b':' | b'=' | b'>'), 9);
        let assigns = between.len() <= 8 && self.text(&between).iter().any(|byte| matches!(byte, b':' | b'='));
        let value = self.run(between.end, alphabet, lengths.end() + 1);
        (assigns && lengths.contains(&value.len())).then_some(value)
    }
}
