//! The `Range` header of a blob request (RFC 9110 section 14).

use std::ops::Range;

/// What part of a blob is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Requested {
    Whole,
    /// Bytes, end exclusive; never empty.
    Part(Range<u64>),
    /// Nothing of it lies in the blob.
    Outside,
}

impl Requested {
    /// Several ranges, other units and what cannot be read ask for the whole, as the RFC allows.
    pub(super) fn parse(header: Option<&str>, size: u64) -> Self {
        let spec = header.and_then(|value| value.trim().strip_prefix("bytes=")).and_then(|spec| spec.split_once('-'));
        let Some((first, last)) = spec else { return Self::Whole };
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first > last => Self::Whole,
            (Some(first), Some(last)) => Self::part(first, last.saturating_add(1).min(size), size),
            (Some(first), None) if last.trim().is_empty() => Self::part(first, size, size),
            (None, Some(suffix)) if first.trim().is_empty() => {
                if suffix == 0 {
                    Self::Outside
                } else {
                    Self::part(size.saturating_sub(suffix), size, size)
                }
            }
            (Some(_) | None, Some(_) | None) => Self::Whole,
        }
    }

    const fn part(start: u64, end: u64, size: u64) -> Self {
        if start >= size { Self::Outside } else { Self::Part(start..end) }
    }
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_served_and_its_borders_are_right() {
        let parse = |header: &str| Requested::parse(Some(header), 10);
        assert_eq!(parse("bytes=0-0"), Requested::Part(0..1));
        assert_eq!(parse("bytes=2-5"), Requested::Part(2..6));
        assert_eq!(parse("bytes=4-"), Requested::Part(4..10));
        assert_eq!(parse("bytes=4-99"), Requested::Part(4..10));
        assert_eq!(parse("bytes=-3"), Requested::Part(7..10));
        assert_eq!(parse("bytes=-99"), Requested::Part(0..10));
        assert_eq!(parse(&format!("bytes=0-{}", u64::MAX)), Requested::Part(0..10));
        assert_eq!(parse("bytes=10-"), Requested::Outside);
        assert_eq!(parse("bytes=-0"), Requested::Outside);
        assert_eq!(Requested::parse(Some("bytes=0-"), 0), Requested::Outside);
    }

    #[test]
    fn what_is_not_one_range_asks_for_the_whole() {
        for header in
            ["", "bytes", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "bytes=+1-2"]
        {
            assert_eq!(Requested::parse(Some(header), 10), Requested::Whole, "{header}");
        }
        assert_eq!(Requested::parse(None, 10), Requested::Whole);
    }
}
