//! Alpine's version order: `digits{.digits}[letter]{_suffix[digits]}[~hash][-rN]`, as apk-tools 3 compares.
//!
//! Tokens compare one by one. Where the kinds differ, the version whose token stands later in [`Token::rank`] is the lower
//! one (so `1.2 < 1.2.1`, `1.2 < 1.2a`, `1.2 < 1.2-r1`), except that a pre-release suffix sorts below everything.

use std::cmp::Ordering;

#[derive(Debug, Clone)]
pub(super) struct Version<'a> {
    tokens: Vec<Token<'a>>,
}

#[derive(Debug, Clone, Copy)]
enum Token<'a> {
    /// The first number, always compared by value.
    Initial(&'a [u8]),
    /// A later number: with a leading zero it is a fraction, compared as text.
    Number(&'a [u8]),
    Letter(u8),
    Suffix(Suffix),
    SuffixNumber(&'a [u8]),
    CommitHash(&'a [u8]),
    Revision(&'a [u8]),
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Suffix {
    Alpha,
    Beta,
    Pre,
    Rc,
    Cvs,
    Svn,
    Git,
    Hg,
    P,
}

impl Suffix {
    fn parse(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"alpha" => Self::Alpha,
            b"beta" => Self::Beta,
            b"pre" => Self::Pre,
            b"rc" => Self::Rc,
            b"cvs" => Self::Cvs,
            b"svn" => Self::Svn,
            b"git" => Self::Git,
            b"hg" => Self::Hg,
            b"p" => Self::P,
            _ => return None,
        })
    }

    fn is_pre_release(self) -> bool {
        self <= Self::Rc
    }
}

impl Token<'_> {
    const fn rank(self) -> u8 {
        match self {
            Self::Initial(_) => 0,
            Self::Number(_) => 1,
            Self::Letter(_) => 2,
            Self::Suffix(_) => 3,
            Self::SuffixNumber(_) => 4,
            Self::CommitHash(_) => 5,
            Self::Revision(_) => 6,
            Self::End => 7,
        }
    }

    fn is_pre_release(self) -> bool {
        matches!(self, Self::Suffix(suffix) if suffix.is_pre_release())
    }

    fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) if a.starts_with(b"0") || b.starts_with(b"0") => a.cmp(b),
            (Self::Initial(a), Self::Initial(b))
            | (Self::Number(a), Self::Number(b))
            | (Self::SuffixNumber(a), Self::SuffixNumber(b))
            | (Self::Revision(a), Self::Revision(b)) => super::compare_digits(a, b),
            (Self::Letter(a), Self::Letter(b)) => a.cmp(&b),
            (Self::Suffix(a), Self::Suffix(b)) => a.cmp(&b),
            (Self::CommitHash(a), Self::CommitHash(b)) => a.cmp(b),
            (a, b) => match (a.is_pre_release(), b.is_pre_release()) {
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (true, true) | (false, false) => b.rank().cmp(&a.rank()),
            },
        }
    }
}

impl<'a> Version<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (initial, mut rest) = split_digits(text.as_bytes())?;
        let mut tokens = vec![Token::Initial(initial)];
        let mut last = tokens[0];
        while !rest.is_empty() {
            (last, rest) = next_token(last, rest)?;
            tokens.push(last);
        }
        Some(Self { tokens })
    }

    fn token(&self, index: usize) -> Token<'a> {
        self.tokens.get(index).copied().unwrap_or(Token::End)
    }
}

/// Reads one token; `None` when it may not follow `last`.
fn next_token<'a>(last: Token<'a>, text: &'a [u8]) -> Option<(Token<'a>, &'a [u8])> {
    let (first, rest) = text.split_first()?;
    let after_number = matches!(last, Token::Initial(_) | Token::Number(_));
    match first {
        b'.' if after_number => split_digits(rest).map(|(n, rest)| (Token::Number(n), rest)),
        b'a'..=b'z' if after_number => Some((Token::Letter(*first), rest)),
        b'0'..=b'9' if matches!(last, Token::Suffix(_)) => {
            split_digits(text).map(|(n, rest)| (Token::SuffixNumber(n), rest))
        }
        b'_' if last.rank() <= Token::SuffixNumber(b"").rank() => {
            let (word, rest) = split_run(rest, u8::is_ascii_lowercase);
            Some((Token::Suffix(Suffix::parse(word)?), rest))
        }
        b'~' if last.rank() < Token::CommitHash(b"").rank() => {
            let (hash, rest) = split_run(rest, u8::is_ascii_hexdigit);
            (!hash.is_empty()).then_some((Token::CommitHash(hash), rest))
        }
        b'-' if last.rank() < Token::Revision(b"").rank() => {
            split_digits(rest.strip_prefix(b"r")?).map(|(n, rest)| (Token::Revision(n), rest))
        }
        _ => None,
    }
}

/// The digits at the start, at least one.
fn split_digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (digits, rest) = split_run(text, u8::is_ascii_digit);
    (!digits.is_empty()).then_some((digits, rest))
}

fn split_run(text: &[u8], belongs: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|c| !belongs(c)).unwrap_or(text.len()))
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (0..self.tokens.len().max(other.tokens.len()))
            .map(|i| self.token(i).compare(other.token(i)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version<'_> {}

#[cfg(test)]
mod tests {
    use registry_types::component::Ecosystem;

    use super::super::compare;
    use super::super::tests::assert_ascending;
    use super::*;

    #[test]
    fn known_order() {
        assert_ascending(
            Ecosystem::Alpine,
            &[
                "0.9.28",
                "0.9.28-r2",
                "0.9.28.1",
                "1.0_alpha",
                "1.0_alpha2",
                "1.0_beta",
                "1.0_pre1",
                "1.0_pre20210530",
                "1.0_rc1",
                "1.0",
                "1.0-r0",
                "1.0-r10",
                "1.0~1234",
                "1.0~1234-r1",
                "1.0~2345-r0",
                "1.0_cvs1",
                "1.0_svn1",
                "1.0_git20240101",
                "1.0_hg3",
                "1.0_p1",
                "1.0_p9-r0",
                "1.0_p10-r0",
                "1.0b",
                "1.0b-r2",
                "1.0.1",
                "1.01",
                "1.06-r6",
                "1.1.22-r2",
                "1.1.22-r3",
                "1.10",
                "006",
                "8.2.0",
                "8.2.001",
                "8.2.0015",
                "8.2.002",
                "20050718-r1",
                "20050718-r2",
            ],
        );
    }

    #[test]
    fn several_suffixes() {
        assert_eq!(compare(Ecosystem::Alpine, "0.1.0_alpha_pre2", "0.1.0_alpha"), Some(Ordering::Less));
        assert_eq!(compare(Ecosystem::Alpine, "4.2.52_p2-r1", "4.2.52_p4-r2"), Some(Ordering::Less));
    }

    #[test]
    fn grammar() {
        for text in ["1.2", "0.1_pre2", "0.1_pre2~1234abcd", "0.1_p1_pre2", "0.1_git20240101_pre1", "6b-r7", "3.0.8-r3"]
        {
            assert!(Version::parse(text).is_some(), "{text}");
        }
        let malformed = [
            "",
            "a",
            ".1",
            "_pre1",
            "-r1",
            "0.1bc",
            "0.1a1",
            "0.1a.1",
            "0.1_",
            "0.1_foobar",
            "0.1__alpha",
            "0.1_1_alpha",
            "0.1_pre2~",
            "0.1_pre2~12x",
            "0.1_pre2~1234_pre1",
            "0.1-r",
            "0.1-pre1",
            "0.1-r2-r3",
            "0.1-r2.1",
            "0.1-r2~12",
            "1.",
            "1..2",
            "1.0 ",
        ];
        for text in malformed {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }
}
