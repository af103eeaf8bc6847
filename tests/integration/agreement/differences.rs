//! What is compared, what differs, and which differences are explained.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::Lines;

const FILE: &str = "interop/agreement/differences.json";

/// All comparisons of one run.
#[derive(Default)]
pub(super) struct Report {
    compared: BTreeMap<(String, String), Comparison>,
}

struct Comparison {
    agreed: usize,
    differences: Vec<Difference>,
}

#[derive(Debug)]
struct Difference {
    /// Who has it: the store, or the other program.
    only: Side,
    what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    Store,
    Other,
}

/// The checked-in reasons.
pub(super) struct Explanations(Vec<Explanation>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Explanation {
    image: String,
    /// `syft`, `trivy` or `grype`.
    with: String,
    only: Side,
    /// The line that differs; `*` stands for any text.
    what: String,
    reason: String,
}

impl Explanations {
    pub(super) fn checked_in() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        Self(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
    }
}

impl Explanation {
    fn explains(&self, image: &str, with: &str, difference: &Difference) -> bool {
        (self.image.as_str(), self.with.as_str(), self.only) == (image, with, difference.only)
            && matches(&self.what, &difference.what)
    }
}

/// Whether `text` is `pattern`, where `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len()).filter(|at| tail.is_char_boundary(*at)).any(|at| matches(rest, &tail[at..]))
        }),
    }
}

impl Report {
    pub(super) fn compare(&mut self, image: &str, with: &str, store: &Lines, other: &Lines) {
        assert!(!other.is_empty(), "{with} says nothing of {image}");
        let only = |only: Side, lines: &Lines, not_in: &Lines| {
            let lines = lines.difference(not_in).cloned().collect::<Vec<_>>();
            lines.into_iter().map(move |what| Difference { only, what })
        };
        let differences = only(Side::Store, store, other).chain(only(Side::Other, other, store)).collect();
        let comparison = Comparison { agreed: store.intersection(other).count(), differences };
        self.compared.insert((image.to_owned(), with.to_owned()), comparison);
    }

    /// Prints every comparison.
    ///
    /// # Panics
    /// When a difference is not explained, or an explanation explains nothing any more.
    pub(super) fn judge(&self, explanations: &Explanations) {
        let mut unexplained = Vec::new();
        let mut used = vec![false; explanations.0.len()];
        for ((image, with), comparison) in &self.compared {
            let mut explained = 0;
            for difference in &comparison.differences {
                let reason = explanations.0.iter().position(|one| one.explains(image, with, difference));
                let who = if difference.only == Side::Store { "the store" } else { with };
                match reason {
                    Some(at) => {
                        used[at] = true;
                        explained += 1;
                        println!("{image}: only {who} has {}: {}", difference.what, explanations.0[at].reason);
                    }
                    None => unexplained.push(format!("{image}: only {who} has {}", difference.what)),
                }
            }
            let (agreed, all) = (comparison.agreed, comparison.differences.len());
            println!("{image} with {with}: {agreed} agree, {all} differ, {explained} of them explained");
        }
        let compared = |one: &Explanation| self.compared.contains_key(&(one.image.clone(), one.with.clone()));
        let stale = explanations.0.iter().zip(&used).filter(|(one, used)| !**used && compared(one));
        let stale: Vec<_> = stale.map(|(one, _)| format!("explains nothing any more: {one:?}")).collect();
        unexplained.extend(stale);
        assert!(unexplained.is_empty(), "{FILE}: {} faults:\n{}", unexplained.len(), unexplained.join("\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explanation(what: &str) -> Explanations {
        let (image, with) = ("node".to_owned(), "syft".to_owned());
        Explanations(vec![Explanation {
            image,
            with,
            only: Side::Other,
            what: what.to_owned(),
            reason: "because".to_owned(),
        }])
    }

    fn report(other: &[&str]) -> Report {
        let mut report = Report::default();
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Lines>();
        report.compare("node", "syft", &lines(&["npm a 1"]), &lines(other));
        report
    }

    #[test]
    fn explained_differences_pass() {
        report(&["npm a 1"]).judge(&Explanations(Vec::new()));
        report(&["npm a 1", "npm b 2.0"]).judge(&explanation("npm b *"));
    }

    #[test]
    #[should_panic(expected = "only syft has npm b 2.0")]
    fn an_unexplained_difference_fails() {
        report(&["npm a 1", "npm b 2.0"]).judge(&explanation("npm c *"));
    }

    #[test]
    #[should_panic(expected = "explains nothing any more")]
    fn an_explanation_of_nothing_fails() {
        report(&["npm a 1"]).judge(&explanation("npm b *"));
    }
}
