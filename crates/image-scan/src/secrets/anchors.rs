//! Finding the rules' anchors: the one thing that looks at every byte.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, MatchKind, packed};

use super::rules::{RULES, Rule};

/// All anchors of all rules, with the rule of each.
pub(super) struct Anchors {
    searcher: Searcher,
    owners: Vec<&'static Rule>,
}

enum Searcher {
    /// Vectorised; where the processor has what it needs.
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

pub(super) static ANCHORS: LazyLock<Anchors> = LazyLock::new(Anchors::new);

impl Anchors {
    fn new() -> Self {
        let anchors = || RULES.iter().flat_map(|rule| rule.anchors);
        let owners = RULES.iter().flat_map(|rule| rule.anchors.iter().map(move |_| rule)).collect();
        let packed =
            packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder().extend(anchors()).build();
        let searcher = packed.map(Searcher::Packed).unwrap_or_else(|| {
            let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(anchors());
            // Building fails only beyond 2^31 states.
            #[expect(clippy::expect_used, reason = "the anchors are constants")]
            Searcher::Automaton(automaton.expect("a few dozen short anchors fit into an automaton"))
        });
        Self { searcher, owners }
    }

    /// The first anchor at or after `from`: its rule and place.
    pub(super) fn find(&self, bytes: &[u8], from: usize) -> Option<(&'static Rule, std::ops::Range<usize>)> {
        let span = from..bytes.len();
        let found = match &self.searcher {
            Searcher::Packed(searcher) => searcher.find_in(bytes, span.into())?,
            Searcher::Automaton(automaton) => automaton.find(Input::new(bytes).span(span))?,
        };
        Some((self.owners[found.pattern().as_usize()], found.start()..found.end()))
    }
}
