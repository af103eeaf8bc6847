//! What the advisory data says nothing about.

use std::collections::BTreeMap;

use registry_types::component::{Component, Ecosystem, EcosystemRelease};

/// Components that no advisory of the snapshot could speak about: not looked at, which is not clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncovered {
    pub scope: EcosystemRelease,
    /// How many components of the image are of this ecosystem and release.
    pub components: usize,
}

/// The ecosystems and releases of `components` that are not among `covered`, in order.
///
/// A distribution's package whose release is not known is never covered.
#[must_use]
pub fn uncovered(components: &[Component], covered: &[EcosystemRelease]) -> Vec<Uncovered> {
    let mut counts = BTreeMap::<EcosystemRelease, usize>::new();
    for component in components {
        let scope = EcosystemRelease { ecosystem: component.ecosystem, release: component.ecosystem_release.clone() };
        *counts.entry(scope).or_default() += 1;
    }
    counts
        .into_iter()
        .filter(|(scope, _)| !covered.contains(scope) || (has_releases(scope.ecosystem) && scope.release.is_empty()))
        .map(|(scope, components)| Uncovered { scope, components })
        .collect()
}

const fn has_releases(ecosystem: Ecosystem) -> bool {
    match ecosystem {
        Ecosystem::Debian | Ecosystem::Ubuntu | Ecosystem::Alpine => true,
        Ecosystem::PyPi | Ecosystem::Npm | Ecosystem::CratesIo => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::component;
    use super::*;

    fn scopes(words: &[&str]) -> Vec<EcosystemRelease> {
        words.iter().map(|w| w.parse().unwrap()).collect()
    }

    #[test]
    fn a_release_without_data_is_not_covered() {
        let components = [
            component(Ecosystem::Debian, "12", "a", "1"),
            component(Ecosystem::Debian, "11", "b", "1"),
            component(Ecosystem::Debian, "11", "c", "1"),
            component(Ecosystem::PyPi, "", "d", "1"),
            component(Ecosystem::Npm, "", "e", "1.0.0"),
        ];
        let found = uncovered(&components, &scopes(&["debian:12", "pypi", "alpine:v3.20"]));
        let found: Vec<_> = found.iter().map(|u| (u.scope.to_string(), u.components)).collect();
        assert_eq!(found, [("debian:11".to_owned(), 2), ("npm".to_owned(), 1)]);
        assert_eq!(uncovered(&[], &[]), []);
    }

    #[test]
    fn an_unknown_release_is_never_covered() {
        let components = [component(Ecosystem::Debian, "", "a", "1")];
        assert_eq!(uncovered(&components, &scopes(&["debian", "debian:12"])).len(), 1);
    }
}
