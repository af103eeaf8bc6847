//! Finding the rules' anchors: the one thing that looks at every byte.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, MatchKind, packed};
use memchr::memmem::Finder;

use super::rules::{RULES, Rule};

/// All anchors of all rules, with the rule of each.
pub(super) struct Anchors {
    long: Searcher,
    long_owners: Vec<&'static Rule>,
    /// Searched for one by one: among the others they would make the search for all four times as slow, as the vectorised
    /// search compares only as many bytes as the shortest anchor has.
    short: Vec<(Finder<'static>, &'static Rule)>,
}

/// From this length on anchors are searched for together: what the vectorised search compares at most.
const LONG: usize = 4;

enum Searcher {
    /// Vectorised; where the processor has what it needs.
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

/// An anchor in a text.
#[derive(Clone)]
pub(super) struct Anchor {
    pub(super) rule: &'static Rule,
    pub(super) range: Range<usize>,
}

pub(super) static ANCHORS: LazyLock<Anchors> = LazyLock::new(Anchors::new);

impl Anchors {
    fn new() -> Self {
        let anchors = RULES.iter().flat_map(|rule| rule.anchors.iter().map(move |anchor| (*anchor, rule)));
        let (long, short): (Vec<_>, Vec<_>) = anchors.partition(|(anchor, _)| anchor.len() >= LONG);
        let (long, long_owners): (Vec<_>, Vec<_>) = long.into_iter().unzip();
        Self {
            long: Searcher::new(&long),
            long_owners,
            short: short.into_iter().map(|(anchor, rule)| (Finder::new(anchor), rule)).collect(),
        }
    }

    /// The walk through one text.
    pub(super) fn walk(&self) -> AnchorWalk<'_> {
        AnchorWalk { anchors: self, ahead: vec![Ahead::Unknown; 1 + self.short.len()] }
    }

    /// The first anchor of a kind (the long ones, or one of the short ones) at or after `from`.
    fn find(&self, kind: usize, text: &[u8], from: usize) -> Option<Anchor> {
        let Some(short) = kind.checked_sub(1) else {
            let (owner, range) = self.long.find(text, from)?;
            return Some(Anchor { rule: self.long_owners[owner], range });
        };
        let (finder, rule) = &self.short[short];
        let start = from + finder.find(text.get(from..)?)?;
        Some(Anchor { rule, range: start..start + finder.needle().len() })
    }
}

impl Searcher {
    fn new(anchors: &[&str]) -> Self {
        let packed =
            packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder().extend(anchors).build();
        packed.map(Self::Packed).unwrap_or_else(|| {
            let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(anchors);
            // Building fails only beyond 2^31 states.
            #[expect(clippy::expect_used, reason = "the anchors are constants")]
            Self::Automaton(automaton.expect("a few dozen short anchors fit into an automaton"))
        })
    }

    fn find(&self, text: &[u8], from: usize) -> Option<(usize, Range<usize>)> {
        let span = from..text.len();
        let found = match self {
            Self::Packed(searcher) => searcher.find_in(text, span.into())?,
            Self::Automaton(automaton) => automaton.find(Input::new(text).span(span))?,
        };
        Some((found.pattern().as_usize(), found.start()..found.end()))
    }
}

/// What is known of the text ahead; every kind of anchor is looked for once in every stretch of it.
pub(super) struct AnchorWalk<'a> {
    anchors: &'a Anchors,
    ahead: Vec<Ahead>,
}

#[derive(Clone)]
enum Ahead {
    Unknown,
    Next(Anchor),
    Nothing,
}

impl AnchorWalk<'_> {
    /// The first anchor at or after `from`. The text is the same at every call, and `from` never becomes smaller.
    pub(super) fn next(&mut self, text: &[u8], from: usize) -> Option<Anchor> {
        for (kind, ahead) in self.ahead.iter_mut().enumerate() {
            let is_known = match ahead {
                Ahead::Unknown => false,
                Ahead::Next(anchor) => anchor.range.start >= from,
                Ahead::Nothing => true,
            };
            if !is_known {
                *ahead = self.anchors.find(kind, text, from).map_or(Ahead::Nothing, Ahead::Next);
            }
        }
        let known = self.ahead.iter().filter_map(|ahead| match ahead {
            Ahead::Next(anchor) => Some(anchor),
            Ahead::Unknown | Ahead::Nothing => None,
        });
        known.min_by_key(|anchor| anchor.range.start).cloned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walked(text: &[u8]) -> Vec<(&'static str, usize)> {
        let mut walk = ANCHORS.walk();
        let mut from = 0;
        std::iter::from_fn(|| {
            let anchor = walk.next(text, from)?;
            from = anchor.range.start + 1;
            Some((anchor.rule.id, anchor.range.start))
        })
        .collect()
    }

    #[test]
    fn short_and_long_anchors_come_in_the_order_of_the_text() {
        let found = walked(b"hf_ AKIA SG. hf_ghp_");
        let rules = ["huggingface-token", "aws-access-key", "sendgrid-key", "huggingface-token", "github-token"];
        assert_eq!(found, rules.into_iter().zip([0, 4, 9, 13, 16]).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn every_anchor_of_a_text_is_found(places in proptest::collection::vec((0..RULES.len(), 0_usize..6), 0..20)) {
            let mut text = String::new();
            let mut expected = Vec::new();
            for (rule, gap) in places {
                text.push_str(&" ".repeat(gap + 1));
                expected.push((RULES[rule].id, text.len()));
                text.push_str(RULES[rule].anchors[0]);
            }
            prop_assert_eq!(walked(text.as_bytes()), expected);
        }
    }
}
