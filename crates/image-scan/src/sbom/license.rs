//! Licence statements of packages: SPDX expressions, or free text.

use spdx::{Expression, LicenseItem, ParseMode};

/// What a package states as its licence.
pub(super) enum License<'a> {
    /// An SPDX expression over the licence list.
    Expression(&'a str),
    /// Anything else.
    Text(&'a str),
}

impl<'a> License<'a> {
    /// `None` for an empty statement.
    pub(super) fn of(statement: Option<&'a str>) -> Option<Self> {
        let text = statement?.trim();
        match text {
            "" => None,
            text if is_expression(text) => Some(Self::Expression(text)),
            text => Some(Self::Text(text)),
        }
    }
}

/// References to licences outside the list (`LicenseRef-…`) would have to be defined in the document, so they count as text.
fn is_expression(text: &str) -> bool {
    let mode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };
    let has_upper_case_operators = text.split_whitespace().all(|word| !matches!(word, "and" | "or" | "with"));
    let is_on_list = |item: &LicenseItem| matches!(item, LicenseItem::Spdx { .. });
    has_upper_case_operators
        && Expression::parse_mode(text, mode).is_ok_and(|expression| {
            expression.requirements().all(|requirement| is_on_list(&requirement.req.license))
                && !text.contains("AdditionRef-")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_and_texts() {
        for text in
            ["MIT", "MIT OR Apache-2.0", "(GPL-2.0-or-later WITH Classpath-exception-2.0) AND BSD-3-Clause", "GPL-2.0"]
        {
            assert!(matches!(License::of(Some(text)), Some(License::Expression(_))), "{text}");
        }
        for text in ["BSD", "MIT or Apache-2.0", "MIT/Apache-2.0", "LicenseRef-x", "see LICENSE", "mit"] {
            assert!(matches!(License::of(Some(text)), Some(License::Text(_))), "{text}");
        }
        assert!(License::of(Some("  ")).is_none() && License::of(None).is_none());
    }
}
