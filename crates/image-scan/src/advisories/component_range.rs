//! Whether a finding's component lies in a range that people named.

use std::cmp::Ordering;

use registry_types::advisory::Finding;
use registry_types::waiver::{ComponentPackage, ComponentRange, ComponentVersions};

use crate::version_order;

/// Whether `range` speaks about the component of `finding`. What cannot be compared is not covered.
#[must_use]
pub fn covers(range: &ComponentRange, finding: &Finding) -> bool {
    let is_package = ComponentPackage::of_purl(&finding.purl).is_some_and(|package| package == range.package);
    is_package && holds(range, &finding.version)
}

fn holds(range: &ComponentRange, version: &str) -> bool {
    let compared = |bound: &str| version_order::compare(range.package.ecosystem(), version, bound);
    match &range.versions {
        ComponentVersions::All => true,
        ComponentVersions::Exactly(exactly) => exactly == version,
        ComponentVersions::Between { from, before } => {
            let is_from = |from: &String| compared(from).is_some_and(Ordering::is_ge);
            let is_before = |before: &String| compared(before).is_some_and(Ordering::is_lt);
            from.as_ref().is_none_or(is_from) && before.as_ref().is_none_or(is_before)
        }
    }
}

#[cfg(test)]
mod tests {
    use registry_types::advisory::Severity;
    use registry_types::digest::Digest;

    use super::*;

    fn finding(purl: &str, version: &str) -> Finding {
        Finding {
            advisory: "GHSA-1".to_owned(),
            aliases: Vec::new(),
            severity: Severity::High,
            summary: String::new(),
            purl: purl.to_owned(),
            package: "any".to_owned(),
            version: version.to_owned(),
            fixed_version: None,
            layer: Digest::sha256_of(b"layer"),
            path: String::new(),
        }
    }

    fn range(package: &str, from: Option<&str>, before: Option<&str>) -> ComponentRange {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        ComponentRange::new(package.parse().unwrap(), None, owned(from), owned(before)).unwrap()
    }

    #[test]
    fn a_range_begins_with_its_first_version_and_ends_before_its_last() {
        let jinja = |version: &str| finding(&format!("pkg:pypi/jinja2@{version}"), version);
        let some = range("pkg:pypi/Jinja2", Some("3.0"), Some("3.1.6"));
        let covered: Vec<_> = ["2.9", "3.0rc1", "3.0", "3.1.5", "3.1.6", "10.0"]
            .into_iter()
            .filter(|v| covers(&some, &jinja(v)))
            .collect();
        assert_eq!(covered, ["3.0", "3.1.5"]);
        assert!(covers(&range("pkg:pypi/jinja2", None, None), &jinja("not a version")));
        assert!(!covers(&range("pkg:pypi/jinja", None, None), &jinja("3.0")));
    }

    #[test]
    fn what_cannot_be_compared_is_not_covered() {
        let jinja = finding("pkg:pypi/jinja2@3.0", "3.0");
        assert!(!covers(&range("pkg:pypi/jinja2", Some("three"), None), &jinja));
        let unreadable = finding("pkg:pypi/jinja2@x", "x");
        assert!(!covers(&range("pkg:pypi/jinja2", Some("1.0"), None), &unreadable));
        let debian = finding("pkg:deb/debian/libssl3@3.0.15-1?arch=amd64", "3.0.15-1");
        assert!(covers(&range("pkg:deb/debian/libssl3", None, Some("3.0.15-1+deb12u1")), &debian));
        assert!(!covers(&range("pkg:deb/ubuntu/libssl3", None, None), &debian));
    }

    #[test]
    fn one_version_is_compared_letter_by_letter() {
        let exactly = |version: &str| {
            ComponentRange::new("pkg:pypi/jinja2".parse().unwrap(), Some(version.to_owned()), None, None).unwrap()
        };
        let jinja = finding("pkg:pypi/jinja2@3.0", "3.0");
        assert!(covers(&exactly("3.0"), &jinja));
        assert!(!covers(&exactly("3.0.0"), &jinja));
    }
}
