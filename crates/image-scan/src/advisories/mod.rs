//! Known vulnerabilities: OSV records read into [`AffectedPackage`]s, and components matched against them.
//!
//! Three answers are possible for a component and an advisory: affected, not affected, and "cannot be told". The last one
//! is never dropped: [`MatchResult::uncomparable`] and [`uncovered`] carry it, and the check that uses them is `unknown`.

mod affected;
mod component_range;
mod coverage;
mod matching;
mod osv;
mod severity;
pub mod starter;

pub use affected::{AffectedPackage, AffectedRange, Assessment, Event};
pub use component_range::covers;
pub use coverage::{Uncovered, uncovered};
pub use matching::{AdvisoryIndex, MatchResult, Uncomparable, match_components};
pub use osv::{OsvError, OsvRecord, osv_name, parse_osv};

use registry_types::component::Ecosystem;

/// The name under which advisories about a package are kept and looked up, given its source name.
///
/// PyPI names are normalised (PEP 503); the others are exact.
#[must_use]
pub fn matched_name(ecosystem: Ecosystem, source_name: &str) -> String {
    match ecosystem {
        Ecosystem::PyPi => normalized_pypi_name(source_name),
        Ecosystem::Debian | Ecosystem::Ubuntu | Ecosystem::Alpine | Ecosystem::Npm | Ecosystem::CratesIo => {
            source_name.to_owned()
        }
    }
}

/// Lower case, runs of `-`, `_` and `.` as one `-`.
fn normalized_pypi_name(name: &str) -> String {
    let mut normalized = String::with_capacity(name.len());
    for c in name.trim().chars() {
        match c {
            '-' | '_' | '.' if normalized.ends_with('-') => {}
            '-' | '_' | '.' => normalized.push('-'),
            c => normalized.push(c.to_ascii_lowercase()),
        }
    }
    normalized
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pypi_names_have_spellings() {
        assert_eq!(matched_name(Ecosystem::PyPi, "Zope.Interface__x"), "zope-interface-x");
        assert_eq!(matched_name(Ecosystem::Npm, "JSONStream"), "JSONStream");
        assert_eq!(matched_name(Ecosystem::CratesIo, "serde_json"), "serde_json");
        assert_eq!(matched_name(Ecosystem::Debian, "libx.y"), "libx.y");
    }
}
