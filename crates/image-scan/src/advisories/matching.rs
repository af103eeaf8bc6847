//! Components against advisories.

use std::collections::{BTreeSet, HashMap};

use registry_types::advisory::{Finding, Severity};
use registry_types::component::{Component, Ecosystem};
use registry_types::digest::Digest;

use super::affected::{AffectedPackage, Assessment};
use crate::version_order;

/// What the advisories say about the components of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatchResult {
    /// By component, then advisory.
    pub findings: Vec<Finding>,
    /// Unless this is empty, "no finding" does not mean clean.
    pub uncomparable: Vec<Uncomparable>,
}

/// An advisory about a component that could not be decided: a version, or a part of the record, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uncomparable {
    pub purl: String,
    pub package: String,
    pub version: String,
    pub advisory: String,
    pub layer: Digest,
    pub path: String,
}

/// Matches by source package, version and release. The same problem under several ids is one finding per component.
///
/// `advisories` may hold more than concerns these components.
#[must_use]
pub fn match_components(components: &[Component], advisories: &[AffectedPackage]) -> MatchResult {
    let index = AdvisoryIndex::new(advisories);
    MatchResult::joined(components.iter().map(|component| index.match_component(component)))
}

/// Advisories by the package that they are about.
#[derive(Debug)]
pub struct AdvisoryIndex<'a> {
    by_package: HashMap<(Ecosystem, &'a str), Vec<&'a AffectedPackage>>,
}

impl<'a> AdvisoryIndex<'a> {
    #[must_use]
    pub fn new(advisories: &'a [AffectedPackage]) -> Self {
        let mut by_package = HashMap::<_, Vec<_>>::new();
        for advisory in advisories {
            by_package.entry((advisory.ecosystem, advisory.package.as_str())).or_default().push(advisory);
        }
        Self { by_package }
    }

    /// [`match_components`] for one of them. The result depends on the component's layer and path only in that it repeats
    /// them.
    #[must_use]
    pub fn match_component(&self, component: &Component) -> MatchResult {
        let name = super::matched_name(component.ecosystem, &component.source_name);
        let about = self.by_package.get(&(component.ecosystem, name.as_str())).map_or(&[][..], Vec::as_slice);
        let mut result = MatchResult::default();
        match_component(component, about, &mut result);
        result.put_in_order();
        result
    }
}

impl MatchResult {
    /// The result for all of an image's components from those for each of them: the same as from one call with all.
    #[must_use]
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut joined = Self::default();
        for part in parts {
            joined.findings.extend(part.findings);
            joined.uncomparable.extend(part.uncomparable);
        }
        joined.put_in_order();
        joined
    }

    fn put_in_order(&mut self) {
        let place = |a: &Finding, b: &Finding| (&a.purl, &a.path, &a.advisory).cmp(&(&b.purl, &b.path, &b.advisory));
        self.findings.sort_by(place);
        self.uncomparable.sort_unstable();
        self.uncomparable.dedup();
    }
}

fn match_component(component: &Component, advisories: &[&AffectedPackage], result: &mut MatchResult) {
    let of_release = |release: &str| release.is_empty() || release == component.ecosystem_release;
    let mut hits = Vec::new();
    for advisory in advisories.iter().filter(|advisory| of_release(&advisory.release)) {
        match advisory.assess(&component.source_version) {
            Assessment::NotAffected => {}
            Assessment::Affected { fixed } => hits.push(Hit { advisory, fixed }),
            Assessment::Uncomparable => result.uncomparable.push(Uncomparable {
                purl: component.purl.clone(),
                package: component.name.clone(),
                version: component.version.clone(),
                advisory: advisory.advisory.clone(),
                layer: component.layer.clone(),
                path: component.path.clone(),
            }),
        }
    }
    let problems = without_covered_notices(group_by_problem(hits));
    result.findings.extend(problems.into_iter().map(|problem| problem.finding(component)));
}

/// An advisory that affects the component.
struct Hit<'a> {
    advisory: &'a AffectedPackage,
    fixed: Option<String>,
}

/// One problem: all hits whose ids are connected by aliases.
struct Problem<'a> {
    hits: Vec<Hit<'a>>,
    ids: BTreeSet<&'a str>,
    /// Update notices that deal with this problem among others.
    notices: BTreeSet<&'a str>,
}

impl<'a> Hit<'a> {
    /// An update notice (DSA, USN) deals with several problems; it is an alias of none of them.
    fn is_notice(&self) -> bool {
        self.advisory.upstream.len() > 1
    }

    fn ids(&self) -> BTreeSet<&'a str> {
        let advisory = self.advisory;
        let mut ids: BTreeSet<&str> = advisory.aliases.iter().map(String::as_str).collect();
        ids.insert(&advisory.advisory);
        ids.insert(tracked_id(&advisory.advisory));
        if let [only] = advisory.upstream.as_slice() {
            ids.insert(only);
        }
        ids
    }
}

/// Distribution trackers name their entry of a CVE after it: `DEBIAN-CVE-2023-1`, `ALPINE-CVE-…`, `UBUNTU-CVE-…`.
fn tracked_id(id: &str) -> &str {
    match id.split_once('-') {
        Some(("DEBIAN" | "ALPINE" | "UBUNTU", cve)) if cve.starts_with("CVE-") => cve,
        _ => id,
    }
}

/// A kernel has thousands of advisories: each hit is joined by its ids, not compared with every problem.
fn group_by_problem(hits: Vec<Hit<'_>>) -> Vec<Problem<'_>> {
    let mut problems: Vec<Option<Problem<'_>>> = Vec::new();
    let mut places = HashMap::<&str, usize>::new();
    for hit in hits {
        let mut joined = Problem { ids: hit.ids(), hits: vec![hit], notices: BTreeSet::new() };
        let same: BTreeSet<usize> = joined.ids.iter().filter_map(|id| places.get(id).copied()).collect();
        for problem in same.into_iter().filter_map(|place| problems[place].take()) {
            joined.absorb(problem);
        }
        places.extend(joined.ids.iter().map(|id| (*id, problems.len())));
        problems.push(Some(joined));
    }
    problems.into_iter().flatten().collect()
}

/// Leaves out update notices all of whose problems are reported by themselves, as long as no severity gets lost by it.
fn without_covered_notices(problems: Vec<Problem<'_>>) -> Vec<Problem<'_>> {
    let (notices, mut problems): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|p| p.hits.iter().all(Hit::is_notice));
    let mut kept = Vec::new();
    for notice in notices {
        let upstream: BTreeSet<&str> =
            notice.hits.iter().flat_map(|h| &h.advisory.upstream).map(String::as_str).collect();
        let reported = problems.iter().filter(|p| !p.ids.is_disjoint(&upstream));
        let worst = reported.map(Problem::severity).reduce(Severity::worse);
        let is_covered = upstream.iter().all(|id| problems.iter().any(|p| p.ids.contains(id)))
            && worst.is_some_and(|worst| worst.at_least(notice.severity()));
        if !is_covered {
            kept.push(notice);
            continue;
        }
        for problem in problems.iter_mut().filter(|p| !p.ids.is_disjoint(&upstream)) {
            problem.notices.extend(&notice.ids);
        }
    }
    problems.extend(kept);
    problems
}

impl Problem<'_> {
    fn absorb(&mut self, other: Self) {
        self.ids.extend(other.ids);
        self.hits.extend(other.hits);
    }

    fn severity(&self) -> Severity {
        self.hits.iter().map(|hit| hit.advisory.severity).reduce(Severity::worse).unwrap_or(Severity::Unknown)
    }

    fn finding(&self, component: &Component) -> Finding {
        let severity = self.severity();
        let is_main = |hit: &&Hit<'_>| hit.advisory.severity == severity;
        let main = self.hits.iter().filter(is_main).map(|hit| hit.advisory).min_by_key(|advisory| &advisory.advisory);
        let id = main.map_or("", |advisory| advisory.advisory.as_str());
        let upstream = self.hits.iter().flat_map(|hit| &hit.advisory.upstream).map(String::as_str);
        let aliases: BTreeSet<&str> =
            self.ids.iter().copied().chain(upstream).chain(self.notices.iter().copied()).collect();
        Finding {
            advisory: id.to_owned(),
            aliases: aliases.into_iter().filter(|alias| *alias != id).map(str::to_owned).collect(),
            severity,
            summary: main.map(|advisory| advisory.summary.clone()).unwrap_or_default(),
            purl: component.purl.clone(),
            package: component.name.clone(),
            version: component.version.clone(),
            fixed_version: self.fixed_version(component.ecosystem),
            layer: component.layer.clone(),
            path: component.path.clone(),
        }
    }

    /// Where the records disagree, the greatest of their fixes satisfies them all.
    fn fixed_version(&self, ecosystem: Ecosystem) -> Option<String> {
        let fixes = self.hits.iter().filter_map(|hit| hit.fixed.as_deref());
        let greater =
            |a, b| if version_order::compare(ecosystem, a, b).is_some_and(|order| order.is_lt()) { b } else { a };
        fixes.reduce(greater).map(str::to_owned)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::affected::{AffectedRange, Event};
    use super::*;

    pub(in super::super) fn component(ecosystem: Ecosystem, release: &str, name: &str, version: &str) -> Component {
        Component {
            purl: format!("pkg:{ecosystem}/{name}@{version}"),
            ecosystem,
            ecosystem_release: release.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            source_name: name.to_owned(),
            source_version: version.to_owned(),
            license: None,
            layer: Digest::sha256_of(b"layer"),
            path: "db".to_owned(),
        }
    }

    fn advisory(
        id: &str,
        ecosystem: Ecosystem,
        release: &str,
        package: &str,
        fixed: &str,
        severity: Severity,
    ) -> AffectedPackage {
        let mut events = vec![Event::Introduced("0".to_owned())];
        if !fixed.is_empty() {
            events.push(Event::Fixed(fixed.to_owned()));
        }
        AffectedPackage {
            ecosystem,
            release: release.to_owned(),
            package: package.to_owned(),
            advisory: id.to_owned(),
            aliases: Vec::new(),
            upstream: Vec::new(),
            summary: format!("summary of {id}"),
            severity,
            ranges: vec![AffectedRange::new(ecosystem, events, Vec::new())],
            versions: Vec::new(),
            is_unreadable: false,
        }
    }

    fn pypi(id: &str, fixed: &str, severity: Severity, aliases: &[&str]) -> AffectedPackage {
        let aliases = aliases.iter().map(|a| (*a).to_owned()).collect();
        AffectedPackage { aliases, ..advisory(id, Ecosystem::PyPi, "", "p", fixed, severity) }
    }

    fn debian(id: &str, severity: Severity, upstream: &[&str]) -> AffectedPackage {
        let upstream = upstream.iter().map(|a| (*a).to_owned()).collect();
        AffectedPackage { upstream, ..advisory(id, Ecosystem::Debian, "12", "s", "2-1", severity) }
    }

    fn ids(result: &MatchResult) -> Vec<&str> {
        result.findings.iter().map(|f| f.advisory.as_str()).collect()
    }

    #[test]
    fn distributions_match_by_source_package_version_and_release() {
        let mut libc6 = component(Ecosystem::Debian, "12", "libc6", "2.36-9+deb12u2+b1");
        "glibc".clone_into(&mut libc6.source_name);
        "2.36-9+deb12u2".clone_into(&mut libc6.source_version);
        let of = |release: &str, package: &str| {
            advisory("CVE-1", Ecosystem::Debian, release, package, "2.36-9+deb12u3", Severity::High)
        };
        let result = match_components(std::slice::from_ref(&libc6), &[of("12", "glibc")]);
        assert_eq!(result.findings.len(), 1);
        let finding = &result.findings[0];
        assert_eq!((finding.package.as_str(), finding.version.as_str()), ("libc6", "2.36-9+deb12u2+b1"));
        assert_eq!(finding.fixed_version.as_deref(), Some("2.36-9+deb12u3"));
        assert_eq!((&finding.layer, finding.path.as_str()), (&libc6.layer, "db"));
        for other in [of("11", "glibc"), of("12", "libc6")] {
            assert_eq!(match_components(std::slice::from_ref(&libc6), &[other]), MatchResult::default());
        }
        assert_eq!(match_components(&[libc6], &[of("", "glibc")]).findings.len(), 1, "no release means every release");
    }

    #[test]
    fn names_match_under_their_ecosystems_rules() {
        let components =
            [component(Ecosystem::PyPi, "", "Foo_Bar", "1.0"), component(Ecosystem::Npm, "", "foo-bar", "1.0.0")];
        let about = [advisory("A", Ecosystem::PyPi, "", "foo-bar", "2.0", Severity::Low)];
        let result = match_components(&components, &about);
        assert_eq!(result.findings.len(), 1);
        assert_eq!(result.findings[0].package, "Foo_Bar");
    }

    #[test]
    fn one_problem_under_several_ids_is_one_finding() {
        let component = component(Ecosystem::PyPi, "", "p", "1.0");
        let about = [
            pypi("PYSEC-1", "1.1", Severity::Unknown, &["CVE-1"]),
            pypi("GHSA-1", "1.2", Severity::High, &["CVE-1", "SNYK-1"]),
            pypi("OTHER-1", "", Severity::Low, &["SNYK-1"]),
            pypi("GHSA-2", "1.1", Severity::Low, &["CVE-2"]),
        ];
        let result = match_components(&[component], &about);
        assert_eq!(ids(&result), ["GHSA-1", "GHSA-2"]);
        assert_eq!(result.findings[0].aliases, ["CVE-1", "OTHER-1", "PYSEC-1", "SNYK-1"]);
        assert_eq!(result.findings[0].severity, Severity::High);
        assert_eq!(result.findings[0].fixed_version.as_deref(), Some("1.2"));
        assert_eq!(result.findings[0].summary, "summary of GHSA-1");
    }

    #[test]
    fn trackers_and_notices_of_one_cve_join() {
        let component = component(Ecosystem::Debian, "12", "s", "1-1");
        let about = [
            debian("DEBIAN-CVE-2023-1", Severity::High, &["CVE-2023-1"]),
            debian("DSA-1-1", Severity::Unknown, &["CVE-2023-1", "CVE-2023-2"]),
            debian("DEBIAN-CVE-2023-2", Severity::Medium, &[]),
        ];
        let result = match_components(std::slice::from_ref(&component), &about);
        assert_eq!(ids(&result), ["DEBIAN-CVE-2023-1", "DEBIAN-CVE-2023-2"]);
        assert_eq!(result.findings[0].aliases, ["CVE-2023-1", "DSA-1-1"]);
        let partly = match_components(std::slice::from_ref(&component), &about[..2]);
        assert_eq!(ids(&partly), ["DEBIAN-CVE-2023-1", "DSA-1-1"], "the notice still says something of its own");
        let about = [about[0].clone(), debian("DSA-2-1", Severity::Critical, &["CVE-2023-1", "CVE-2023-1"])];
        assert_eq!(
            ids(&match_components(&[component], &about)),
            ["DEBIAN-CVE-2023-1", "DSA-2-1"],
            "no severity gets lost"
        );
    }

    #[test]
    fn thousands_of_advisories_about_one_component_are_joined_by_their_ids() {
        let component = component(Ecosystem::Debian, "12", "s", "1-1");
        let cve = |n: usize| format!("CVE-2024-{n}");
        let entries = (0..20_000).map(|n| debian(&format!("DEBIAN-{}", cve(n)), Severity::Medium, &[]));
        let others = (0..20_000).map(|n| debian(&format!("OTHER-{n}"), Severity::Low, &[&cve(n)]));
        let about: Vec<_> = entries.chain(others).collect();
        let result = match_components(&[component], &about);
        assert_eq!(result.findings.len(), 20_000);
        assert!(result.findings.iter().all(|finding| finding.aliases.len() == 2));
    }

    #[test]
    fn what_cannot_be_compared_is_listed() {
        let component = component(Ecosystem::PyPi, "", "p", "2004d");
        let result = match_components(&[component], &[pypi("A", "1.0", Severity::Low, &[])]);
        assert_eq!(result.findings, []);
        assert_eq!(result.uncomparable.len(), 1);
        assert_eq!(result.uncomparable[0].advisory, "A");
    }

    fn any_severity() -> impl Strategy<Value = Severity> {
        proptest::sample::select(Severity::ALL)
    }

    fn any_advisory() -> impl Strategy<Value = AffectedPackage> {
        let id = "[A-F]-[1-4]";
        let fixed = proptest::sample::select(vec!["", "1.0", "1.1", "2.0", "unreadable"]);
        (id, fixed, any_severity(), proptest::collection::vec(id, 0..3), proptest::collection::vec(id, 0..3)).prop_map(
            |(id, fixed, severity, aliases, upstream)| AffectedPackage {
                aliases,
                upstream,
                ..pypi(&id, fixed, severity, &[])
            },
        )
    }

    fn worst(result: &MatchResult) -> Option<Severity> {
        result.findings.iter().map(|f| f.severity).reduce(Severity::worse)
    }

    proptest! {
        /// One more advisory never makes the worst finding milder, nor turns "cannot be told" into silence.
        #[test]
        fn more_advisories_never_improve_the_result(all in proptest::collection::vec(any_advisory(), 1..7), version in "(1|2)\\.[0-2]") {
            let components = [component(Ecosystem::PyPi, "", "p", &version)];
            let more = match_components(&components, &all);
            let fewer = match_components(&components, &all[1..]);
            if let Some(fewer) = worst(&fewer) {
                prop_assert!(worst(&more).is_some_and(|more| more.at_least(fewer)));
            }
            prop_assert!(fewer.uncomparable.iter().all(|u| more.uncomparable.contains(u)));
        }

        /// What many images hold may be matched once: the parts give the whole.
        #[test]
        fn components_matched_one_by_one_give_the_same(
            all in proptest::collection::vec(any_advisory(), 1..7), versions in proptest::collection::vec("(1|2)\\.[0-2]", 1..4),
        ) {
            let components: Vec<_> = versions.iter().map(|v| component(Ecosystem::PyPi, "", "p", v)).collect();
            let index = AdvisoryIndex::new(&all);
            let parts = components.iter().rev().map(|component| index.match_component(component));
            prop_assert_eq!(MatchResult::joined(parts), match_components(&components, &all));
        }

        /// The order in which the database answers changes nothing.
        #[test]
        fn order_does_not_matter(mut all in proptest::collection::vec(any_advisory(), 1..7)) {
            let components = [component(Ecosystem::PyPi, "", "p", "1.0")];
            all.sort_by(|a, b| a.advisory.cmp(&b.advisory));
            all.dedup_by(|a, b| a.advisory == b.advisory);
            let forward = match_components(&components, &all);
            all.reverse();
            prop_assert_eq!(match_components(&components, &all), forward);
        }
    }
}
