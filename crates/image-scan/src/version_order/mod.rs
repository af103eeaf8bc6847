//! The order of versions, ecosystem by ecosystem.
//!
//! A version that its ecosystem's rules cannot read has no order: it compares to nothing, and whoever asked must answer
//! "unknown", never "not affected".

mod apk;
mod debian;
mod semantic;

use std::cmp::Ordering;
use std::str::FromStr as _;

use registry_types::component::Ecosystem;

/// Longer texts are not versions; bounds the work that one comparison can cost.
const MAX_VERSION_BYTES: usize = 1024;

/// A version that its ecosystem's rules can read. Only versions of one order compare.
#[derive(Debug, Clone)]
pub struct Version<'a>(Order<'a>);

#[derive(Debug, Clone)]
enum Order<'a> {
    /// Debian Policy 5.6.12; Ubuntu shares it.
    Debian(debian::Version<'a>),
    Apk(apk::Version<'a>),
    Pep440(Box<pep440_rs::Version>),
    Semantic(semver::Version),
}

impl<'a> Version<'a> {
    /// Reads `text` by the rules of `ecosystem`; `None` when they do not allow it.
    #[must_use]
    pub fn parse(ecosystem: Ecosystem, text: &'a str) -> Option<Self> {
        if text.len() > MAX_VERSION_BYTES {
            return None;
        }
        let order = match ecosystem {
            Ecosystem::Debian | Ecosystem::Ubuntu => Order::Debian(debian::Version::parse(text)?),
            Ecosystem::Alpine => Order::Apk(apk::Version::parse(text)?),
            Ecosystem::PyPi => Order::Pep440(Box::new(pep440_rs::Version::from_str(text).ok()?)),
            Ecosystem::Npm => Order::Semantic(semantic::parse_npm(text)?),
            Ecosystem::CratesIo => Order::Semantic(semver::Version::parse(text).ok()?),
        };
        Some(Self(order))
    }

    /// `None` when the two are of different orders.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (&self.0, &other.0) {
            (Order::Debian(a), Order::Debian(b)) => Some(a.cmp(b)),
            (Order::Apk(a), Order::Apk(b)) => Some(a.cmp(b)),
            (Order::Pep440(a), Order::Pep440(b)) => Some(a.cmp(b)),
            (Order::Semantic(a), Order::Semantic(b)) => Some(a.cmp_precedence(b)),
            (Order::Debian(_) | Order::Apk(_) | Order::Pep440(_) | Order::Semantic(_), _) => None,
        }
    }
}

/// Compares two versions by the rules of `ecosystem`; `None` when one of them cannot be read.
#[must_use]
pub fn compare(ecosystem: Ecosystem, a: &str, b: &str) -> Option<Ordering> {
    Version::parse(ecosystem, a)?.compare(&Version::parse(ecosystem, b)?)
}

/// Compares runs of ASCII digits by value, however long; an empty run is zero.
fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &'_ [u8]| digits.iter().position(|d| *d != b'0').unwrap_or(digits.len());
    let (a, b) = (&a[significant(a)..], &b[significant(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Asserts that the versions, lowest first, are in strictly ascending order, each against each.
    pub(super) fn assert_ascending(ecosystem: Ecosystem, versions: &[&str]) {
        for (i, a) in versions.iter().enumerate() {
            for (j, b) in versions.iter().enumerate() {
                assert_eq!(compare(ecosystem, a, b), Some(i.cmp(&j)), "{ecosystem}: {a} against {b}");
            }
        }
    }

    #[test]
    fn orders_of_the_language_ecosystems() {
        assert_ascending(
            Ecosystem::PyPi,
            &["1.0.dev1", "1.0a1", "1.0b2.post3", "1.0rc1", "1.0", "1.0+local", "1.0.post1", "1.1", "1!0.1"],
        );
        assert_ascending(
            Ecosystem::Npm,
            &["0.0.0-0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.10.0", "2.0.0"],
        );
        assert_ascending(Ecosystem::CratesIo, &["0.0.0-0", "0.1.0-rc.1", "0.1.0", "0.1.44", "1.0.0"]);
    }

    #[test]
    fn equal_under_different_spellings() {
        let equal = Some(Ordering::Equal);
        assert_eq!(compare(Ecosystem::PyPi, "1.0", "1.0.0"), equal);
        assert_eq!(compare(Ecosystem::PyPi, "1.0-RC1", "1.0rc1"), equal);
        assert_eq!(compare(Ecosystem::Npm, "v1.2.3", "=1.2.3"), equal);
        assert_eq!(compare(Ecosystem::Npm, "1.2.3+build.5", "1.2.3"), equal);
        assert_eq!(compare(Ecosystem::Npm, "1.0", "1.0.0"), equal);
        assert_eq!(compare(Ecosystem::Npm, "2-rc.1", "2.0.0-rc.1"), equal);
        assert_eq!(compare(Ecosystem::CratesIo, "1.2.3+a", "1.2.3+b"), equal);
    }

    #[test]
    fn unreadable_versions_have_no_order() {
        let long = "1".repeat(MAX_VERSION_BYTES + 1);
        for (ecosystem, text) in [
            (Ecosystem::PyPi, "2004d"),
            (Ecosystem::PyPi, ""),
            (Ecosystem::Npm, "1.x"),
            (Ecosystem::Npm, "latest"),
            (Ecosystem::Npm, "1.2.3.4"),
            (Ecosystem::Npm, "git+https://example.org/x.git"),
            (Ecosystem::CratesIo, "v1.0.0"),
            (Ecosystem::Debian, ""),
            (Ecosystem::Debian, &long),
            (Ecosystem::Ubuntu, "1.0 1"),
            (Ecosystem::Alpine, "a.1"),
        ] {
            assert!(Version::parse(ecosystem, text).is_none(), "{ecosystem} {text}");
            assert_eq!(compare(ecosystem, text, text), None);
        }
    }

    /// Texts that look like versions often enough to meet the interesting branches.
    fn version_like() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}[a-z]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]{0,2}){0,2}(~[0-9a-f]{1,4})?(-r[0-9]{1,2})?",
            "([0-9]:)?[0-9][0-9a-z.+~]{0,6}(-[0-9a-z.+~]{1,4})?",
            "[0-9]\\.[0-9]\\.[0-9](-(alpha|beta|[0-9])(\\.[0-9]){0,2})?(\\+[a-z]{1,2})?",
            "([0-9]!)?[0-9](\\.[0-9]){0,2}((a|b|rc)[0-9])?(\\.post[0-9])?(\\.dev[0-9])?(\\+[a-z][0-9])?",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// For every ecosystem: reflexive, antisymmetric, transitive, and nothing panics.
        #[test]
        fn is_a_total_preorder(a in version_like(), b in version_like(), c in version_like()) {
            for ecosystem in Ecosystem::ALL {
                let of = |text| Version::parse(*ecosystem, text);
                let (Some(a), Some(b), Some(c)) = (of(&a), of(&b), of(&c)) else { continue };
                prop_assert_eq!(a.compare(&a), Some(Ordering::Equal));
                prop_assert_eq!(a.compare(&b), b.compare(&a).map(Ordering::reverse));
                let (Some(ab), Some(bc), Some(ac)) = (a.compare(&b), b.compare(&c), a.compare(&c)) else {
                    return Err(TestCaseError::fail("versions of one ecosystem must compare"));
                };
                if ab == bc || bc == Ordering::Equal {
                    prop_assert_eq!(ac, ab);
                }
                if ab == Ordering::Equal {
                    prop_assert_eq!(ac, bc);
                }
            }
        }

        #[test]
        fn arbitrary_text_never_panics(a in ".{0,24}", b in ".{0,24}") {
            for ecosystem in Ecosystem::ALL {
                let order = compare(*ecosystem, &a, &b);
                prop_assert_eq!(order, compare(*ecosystem, &b, &a).map(Ordering::reverse));
            }
        }
    }
}
