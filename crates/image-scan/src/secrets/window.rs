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

    /// The run of `alphabet` that starts at `start`.
    pub(super) fn run(&self, start: usize, alphabet: Alphabet) -> Range<usize> {
        let rest = self.bytes.get(start..).unwrap_or_default();
        start..start + rest.iter().position(|byte| !alphabet(*byte)).unwrap_or(rest.len())
    }

    /// The run after the anchor, if it has a length within `lengths` and the anchor starts a word.
    pub(super) fn body(&self, alphabet: Alphabet, lengths: std::ops::RangeInclusive<usize>) -> Option<Range<usize>> {
        let starts_word = self.anchor.start == 0
            || !matches!(self.bytes[self.anchor.start - 1], b'_' | b'-' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9');
        let body = self.run(self.anchor.end, alphabet);
        (starts_word && lengths.contains(&body.len())).then_some(body)
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
        let between = self.run(after, |byte| matches!(byte, b'"' | b'\'' | b' ' | b'\t' | b':' | b'=' | b'>'));
        let assigns = between.len() <= 8 && self.text(&between).iter().any(|byte| matches!(byte, b':' | b'='));
        let value = self.run(between.end, alphabet);
        (assigns && lengths.contains(&value.len())).then_some(value)
    }
}
