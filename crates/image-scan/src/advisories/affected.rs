//! One package that an advisory affects, and whether a version of it is among the affected ones.

use std::cmp::Ordering;

use registry_types::advisory::Severity;
use registry_types::component::Ecosystem;
use serde::{Deserialize, Serialize};

use crate::version_order::Version;

/// What one OSV record says about one package; stored as it is in the advisory snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffectedPackage {
    pub ecosystem: Ecosystem,
    /// Release of the distribution, as in `Component::ecosystem_release`; empty = every release.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub release: String,
    /// As [`super::matched_name`] gives it.
    pub package: String,
    /// Id of the OSV record.
    pub advisory: String,
    /// Other ids of the same problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Ids of the problems that a distribution's advisory deals with: one for a tracker entry, many for an update notice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    pub severity: Severity,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<AffectedRange>,
    /// Affected versions that no range contains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// Part of what the record says about versions could not be read: whoever is not found affected is "unknown".
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unreadable: bool,
}

/// A range of OSV type `ECOSYSTEM` or `SEMVER`; both follow the ecosystem's own order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffectedRange {
    /// Ascending; events of the same version in the record's order. With an unreadable version, all in the record's order.
    pub events: Vec<Event>,
    /// Versions from the lowest limit on are outside the range; `*` = no limit. Empty = no limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// `0` sorts before every version.
    Introduced(String),
    Fixed(String),
    LastAffected(String),
}

/// Whether a version is affected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assessment {
    NotAffected,
    /// `fixed` is the smallest version above the assessed one that repairs it, if the advisory names one.
    Affected {
        fixed: Option<String>,
    },
    /// The version, or one that the advisory names, cannot be read.
    Uncomparable,
}

impl AffectedPackage {
    /// Judges `version` (of the source package, for distributions).
    #[must_use]
    pub fn assess(&self, version: &str) -> Assessment {
        let is_listed = self.versions.iter().any(|listed| listed == version);
        let Some(version) = Version::parse(self.ecosystem, version) else {
            return if is_listed { Assessment::Affected { fixed: None } } else { Assessment::Uncomparable };
        };
        let in_ranges: Vec<Option<bool>> = self.ranges.iter().map(|r| r.contains(self.ecosystem, &version)).collect();
        if is_listed || self.lists(&version) || in_ranges.contains(&Some(true)) {
            Assessment::Affected { fixed: self.fixed_above(&version) }
        } else if self.is_unreadable || in_ranges.contains(&None) {
            Assessment::Uncomparable
        } else {
            Assessment::NotAffected
        }
    }

    fn lists(&self, version: &Version<'_>) -> bool {
        self.versions.iter().any(|listed| {
            Version::parse(self.ecosystem, listed).and_then(|listed| listed.compare(version)) == Some(Ordering::Equal)
        })
    }

    fn fixed_above(&self, version: &Version<'_>) -> Option<String> {
        let fixed = self.ranges.iter().flat_map(|range| &range.events).filter_map(|event| match event {
            Event::Fixed(text) => Some((Version::parse(self.ecosystem, text)?, text)),
            Event::Introduced(_) | Event::LastAffected(_) => None,
        });
        fixed
            .filter(|(fixed, _)| fixed.compare(version) == Some(Ordering::Greater))
            .min_by(|(a, _), (b, _)| a.compare(b).unwrap_or(Ordering::Equal))
            .map(|(_, text)| text.clone())
    }
}

impl AffectedRange {
    /// Brings the events into order. A range that names no beginning begins with the first version.
    pub(super) fn new(ecosystem: Ecosystem, mut events: Vec<Event>, limits: Vec<String>) -> Self {
        if !events.iter().any(|event| matches!(event, Event::Introduced(_))) {
            events.insert(0, Event::Introduced("0".to_owned()));
        }
        Self { events: sorted(ecosystem, events), limits }
    }

    /// The evaluation that the OSV schema gives; `None` when a version of the range cannot be read.
    pub(super) fn contains(&self, ecosystem: Ecosystem, version: &Version<'_>) -> Option<bool> {
        let order_to = |bound: &str| version.compare(&Version::parse(ecosystem, bound)?);
        let mut is_before_limit = self.limits.is_empty();
        for limit in &self.limits {
            is_before_limit |= limit == "*" || order_to(limit)? == Ordering::Less;
        }
        let mut is_affected = false;
        for event in &self.events {
            match event {
                Event::Introduced(bound) if bound == "0" || order_to(bound)?.is_ge() => is_affected = true,
                Event::Fixed(bound) if order_to(bound)?.is_ge() => is_affected = false,
                Event::LastAffected(bound) if order_to(bound)?.is_gt() => is_affected = false,
                Event::Introduced(_) | Event::Fixed(_) | Event::LastAffected(_) => {}
            }
        }
        Some(is_affected && is_before_limit)
    }
}

impl Event {
    fn bound(&self) -> &str {
        match self {
            Self::Introduced(bound) | Self::Fixed(bound) | Self::LastAffected(bound) => bound,
        }
    }

    fn is_beginning(&self) -> bool {
        matches!(self, Self::Introduced(bound) if bound == "0")
    }
}

fn sorted(ecosystem: Ecosystem, events: Vec<Event>) -> Vec<Event> {
    let (mut ordered, rest): (Vec<Event>, Vec<Event>) = events.into_iter().partition(Event::is_beginning);
    let Some(mut keyed) =
        rest.iter().map(|event| Some((Version::parse(ecosystem, event.bound())?, event))).collect::<Option<Vec<_>>>()
    else {
        ordered.extend(rest);
        return ordered;
    };
    // Stable: `introduced 1.0, last_affected 1.0` means exactly 1.0, and only in this order.
    keyed.sort_by(|(a, _), (b, _)| a.compare(b).unwrap_or(Ordering::Equal));
    ordered.extend(keyed.into_iter().map(|(_, event)| event.clone()));
    ordered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn package(ecosystem: Ecosystem, ranges: Vec<Vec<Event>>, versions: &[&str]) -> AffectedPackage {
        AffectedPackage {
            ecosystem,
            release: String::new(),
            package: "p".to_owned(),
            advisory: "X-1".to_owned(),
            aliases: Vec::new(),
            upstream: Vec::new(),
            summary: String::new(),
            severity: Severity::High,
            ranges: ranges.into_iter().map(|events| AffectedRange::new(ecosystem, events, Vec::new())).collect(),
            versions: versions.iter().map(|v| (*v).to_owned()).collect(),
            is_unreadable: false,
        }
    }

    fn introduced(v: &str) -> Event {
        Event::Introduced(v.to_owned())
    }

    fn fixed(v: &str) -> Event {
        Event::Fixed(v.to_owned())
    }

    fn last_affected(v: &str) -> Event {
        Event::LastAffected(v.to_owned())
    }

    fn affected(fixed: Option<&str>) -> Assessment {
        Assessment::Affected { fixed: fixed.map(str::to_owned) }
    }

    #[test]
    fn the_next_fix_above_the_version_is_named() {
        // Events in no order, two branches.
        let p = package(
            Ecosystem::Npm,
            vec![vec![fixed("2.3.1"), introduced("2.0.0"), introduced("0"), fixed("1.5.0")], vec![introduced("3.0.0")]],
            &[],
        );
        assert_eq!(p.assess("0.0.1-alpha"), affected(Some("1.5.0")));
        assert_eq!(p.assess("1.4.9"), affected(Some("1.5.0")));
        assert_eq!(p.assess("1.5.0"), Assessment::NotAffected);
        assert_eq!(p.assess("2.0.0"), affected(Some("2.3.1")));
        assert_eq!(p.assess("2.3.1"), Assessment::NotAffected);
        assert_eq!(p.assess("3.1.0"), affected(None));
    }

    #[test]
    fn last_affected_is_inclusive_also_where_it_began() {
        let p = package(Ecosystem::PyPi, vec![vec![introduced("1.0"), last_affected("1.0")]], &[]);
        assert_eq!(p.assess("0.9"), Assessment::NotAffected);
        assert_eq!(p.assess("1.0.0"), affected(None));
        assert_eq!(p.assess("1.0.1"), Assessment::NotAffected);
    }

    #[test]
    fn an_empty_interval_affects_nothing() {
        let p = package(Ecosystem::Debian, vec![vec![introduced("0"), fixed("0")]], &[]);
        assert_eq!(p.assess("1.0-1"), Assessment::NotAffected);
    }

    #[test]
    fn a_range_without_beginning_has_one() {
        let p = package(Ecosystem::Debian, vec![vec![fixed("2.0-1")]], &[]);
        assert_eq!(p.assess("1.0-1"), affected(Some("2.0-1")));
    }

    #[test]
    fn limits_end_a_range() {
        let mut p = package(Ecosystem::Npm, vec![vec![introduced("0")]], &[]);
        p.ranges[0].limits = vec!["1.0.0".to_owned(), "2.0.0".to_owned()];
        assert_eq!(p.assess("1.5.0"), affected(None));
        assert_eq!(p.assess("2.0.0"), Assessment::NotAffected);
        p.ranges[0].limits.push("*".to_owned());
        assert_eq!(p.assess("2.0.0"), affected(None));
    }

    #[test]
    fn listed_versions_count_in_every_spelling() {
        let p = package(Ecosystem::PyPi, vec![], &["1.0", "2004d"]);
        assert_eq!(p.assess("1.0.0"), affected(None));
        assert_eq!(p.assess("1.1"), Assessment::NotAffected);
        assert_eq!(p.assess("2004d"), affected(None));
        assert_eq!(p.assess("2005d"), Assessment::Uncomparable);
    }

    #[test]
    fn what_cannot_be_read_is_never_clean() {
        let mut p = package(Ecosystem::PyPi, vec![vec![introduced("0"), fixed("not a version")]], &["3.0"]);
        assert_eq!(p.assess("1.0"), Assessment::Uncomparable);
        assert_eq!(p.assess("3.0"), affected(None));
        p.ranges.clear();
        p.is_unreadable = true;
        assert_eq!(p.assess("1.0"), Assessment::Uncomparable);
        assert_eq!(p.assess("3.0"), affected(None));
    }

    proptest! {
        /// Against the plain reading of `introduced`/`fixed` pairs over small numbers, whatever the events' order.
        #[test]
        fn agrees_with_intervals(
            bounds in proptest::collection::btree_set(1_u32..40, 2..8).prop_map(|set| set.into_iter().collect::<Vec<_>>()),
            rotation in 0_usize..8,
            version in 0_u32..42,
        ) {
            let pairs: Vec<(u32, Option<u32>)> = bounds.chunks(2).map(|c| (c[0], c.get(1).copied())).collect();
            let mut events: Vec<Event> = Vec::new();
            for (from, to) in &pairs {
                events.push(introduced(&format!("{from}.0.0")));
                events.extend(to.map(|to| fixed(&format!("{to}.0.0"))));
            }
            let turn = rotation % events.len();
            events.rotate_left(turn);
            let expected = pairs.iter().find(|(from, to)| version >= *from && to.is_none_or(|to| version < to));
            let expected = expected.map_or(Assessment::NotAffected, |(_, to)| Assessment::Affected { fixed: to.map(|to| format!("{to}.0.0")) });
            prop_assert_eq!(package(Ecosystem::CratesIo, vec![events], &[]).assess(&format!("{version}.0.0")), expected);
        }
    }
}
