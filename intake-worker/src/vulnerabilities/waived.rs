//! Which findings of a version are waived at a moment: pure.

use chrono::{DateTime, Utc};
use image_scan::advisories::covers;
use registry_db::waivers::Waiver;
use registry_types::advisory::Finding;
use registry_types::names::PackageSlug;

/// The waivers that may speak about a version, and the moment at which it is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waivers<'a> {
    /// Of the version's organization; whether each is in force is judged here once more.
    pub(crate) of_organization: &'a [Waiver],
    pub(crate) at: DateTime<Utc>,
    pub(crate) package: &'a PackageSlug,
    pub(crate) version: &'a semver::Version,
}

impl<'a> Waivers<'a> {
    /// The waiver of a finding; of several the one that lasts longest.
    pub(crate) fn of(&self, finding: &Finding) -> Option<&'a Waiver> {
        let holds = |waiver: &&Waiver| {
            waiver.is_in_force(self.at)
                && waiver.concerns(self.package, self.version)
                && waiver.names(finding)
                && covers(&waiver.component, finding)
        };
        self.of_organization.iter().filter(holds).max_by_key(|waiver| (waiver.expires_at, waiver.id))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::TimeDelta;
    use registry_types::advisory::Severity;
    use registry_types::digest::Digest;
    use registry_types::ids::{OrganizationId, UserId, WaiverId};
    use registry_types::waiver::{ComponentRange, WaiverReason, WaiverState};

    use super::*;

    pub(crate) fn finding() -> Finding {
        Finding {
            advisory: "GHSA-one".to_owned(),
            aliases: vec!["CVE-2026-1".to_owned()],
            severity: Severity::High,
            summary: String::new(),
            purl: "pkg:pypi/jinja2@3.1.0".to_owned(),
            package: "jinja2".to_owned(),
            version: "3.1.0".to_owned(),
            fixed_version: None,
            layer: Digest::sha256_of(b"layer"),
            path: String::new(),
        }
    }

    /// Approved at `at`, for ten days.
    pub(crate) fn waiver(at: DateTime<Utc>) -> Waiver {
        Waiver {
            id: WaiverId::new(),
            organization: OrganizationId::new(),
            package: Some("ranker".parse().unwrap()),
            versions: Some("^1.0".parse().unwrap()),
            advisory: "CVE-2026-1".parse().unwrap(),
            component: ComponentRange::new("pkg:pypi/jinja2".parse().unwrap(), None, None, None).unwrap(),
            reason: WaiverReason::VulnerableCodeNotInExecutePath,
            statement: "no template comes from outside".parse().unwrap(),
            state: WaiverState::Approved,
            asked_by: UserId::new(),
            asked_at: at,
            decided_by: Some(UserId::new()),
            decided_at: Some(at),
            decision_note: None,
            withdrawn_by: None,
            withdrawn_at: None,
            expires_at: at + TimeDelta::days(10),
            warned_at: None,
        }
    }

    fn applies(waiver: &Waiver, at: DateTime<Utc>, package: &str, version: &str) -> bool {
        let (package, version) = (package.parse().unwrap(), version.parse().unwrap());
        let of_organization = std::slice::from_ref(waiver);
        Waivers { of_organization, at, package: &package, version: &version }.of(&finding()).is_some()
    }

    #[test]
    fn a_waiver_ends_at_its_expiry_and_not_one_evaluation_later() {
        let now = Utc::now();
        let waiver = waiver(now);
        let moment = TimeDelta::microseconds(1);
        assert!(applies(&waiver, now, "ranker", "1.2.0"));
        assert!(applies(&waiver, waiver.expires_at - moment, "ranker", "1.2.0"));
        assert!(!applies(&waiver, waiver.expires_at, "ranker", "1.2.0"), "at its expiry it is over");
        assert!(!applies(&waiver, waiver.expires_at + moment, "ranker", "1.2.0"));
    }

    #[test]
    fn only_an_approved_waiver_counts_and_only_in_its_scope() {
        let now = Utc::now();
        for state in WaiverState::ALL {
            let waiver = Waiver { state: *state, ..waiver(now) };
            assert_eq!(applies(&waiver, now, "ranker", "1.2.0"), *state == WaiverState::Approved, "{state}");
        }
        assert!(!applies(&waiver(now), now, "other", "1.2.0"), "another package");
        assert!(!applies(&waiver(now), now, "ranker", "2.0.0"), "another version");
        let other = Waiver { advisory: "CVE-2026-2".parse().unwrap(), ..waiver(now) };
        assert!(!applies(&other, now, "ranker", "1.2.0"), "another advisory");
        let exactly = |version: &str| {
            ComponentRange::new("pkg:pypi/jinja2".parse().unwrap(), Some(version.to_owned()), None, None).unwrap()
        };
        assert!(applies(&Waiver { component: exactly("3.1.0"), ..waiver(now) }, now, "ranker", "1.2.0"));
        assert!(!applies(&Waiver { component: exactly("3.1.1"), ..waiver(now) }, now, "ranker", "1.2.0"));
        let everywhere = Waiver { package: None, versions: None, ..waiver(now) };
        assert!(applies(&everywhere, now, "other", "2.0.0"));
    }
}
