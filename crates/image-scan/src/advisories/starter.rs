//! The advisories that come with the store: enough to judge something real without a network, never enough to call an image
//! clean. Facts about well-known problems, written down in OSV form.

use std::sync::LazyLock;

use registry_types::digest::Digest;

use super::osv::{OsvRecord, parse_osv};

/// One file per ecosystem, each a JSON array of OSV records.
const FILES: &[&str] = &[
    include_str!("starter/alpine.json"),
    include_str!("starter/crates.json"),
    include_str!("starter/debian.json"),
    include_str!("starter/npm.json"),
    include_str!("starter/pypi.json"),
    include_str!("starter/ubuntu.json"),
];

/// The bundled records, in the files' order.
pub fn records() -> &'static [OsvRecord] {
    static RECORDS: LazyLock<Vec<OsvRecord>> =
        LazyLock::new(|| FILES.iter().flat_map(|file| parse_file(file)).collect());
    &RECORDS
}

/// Changes whenever the bundled records do.
#[must_use]
pub fn digest() -> Digest {
    Digest::sha256_of(FILES.concat().as_bytes())
}

/// A test reads every file, so an unreadable one cannot be released.
fn parse_file(file: &str) -> Vec<OsvRecord> {
    let records: Vec<&serde_json::value::RawValue> = serde_json::from_str(file).unwrap_or_default();
    records.into_iter().filter_map(|record| parse_osv(record.get().as_bytes()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use registry_types::advisory::Severity;
    use registry_types::component::Ecosystem::{self, Alpine, CratesIo, Debian, Npm, PyPi, Ubuntu};

    use super::super::matching::match_components;
    use super::super::matching::tests::component;
    use super::*;

    /// Advisory, ecosystem, release, package, a version that has the problem, one that does not have it any more.
    const CASES: &[(&str, Ecosystem, &str, &str, &str, &str)] = &[
        ("ALPINE-CVE-2019-14697", Alpine, "v3.9", "musl", "1.1.20-r4", "1.1.20-r5"),
        ("ALPINE-CVE-2019-14697", Alpine, "v3.10", "musl", "1.1.22-r2", "1.1.22-r3"),
        ("ALPINE-CVE-2022-28391", Alpine, "v3.15", "busybox", "1.34.1-r3", "1.34.1-r5"),
        ("ALPINE-CVE-2022-0778", Alpine, "v3.15", "openssl", "1.1.1l-r8", "1.1.1n-r0"),
        ("ALPINE-CVE-2022-37434", Alpine, "v3.15", "zlib", "1.2.12-r1", "1.2.12-r3"),
        ("ALPINE-CVE-2022-37434", Alpine, "v3.16", "zlib", "1.2.12-r1", "1.2.12-r3"),
        ("ALPINE-CVE-2022-3602", Alpine, "v3.17", "openssl", "3.0.6-r0", "3.0.7-r0"),
        ("ALPINE-CVE-2023-38545", Alpine, "v3.18", "curl", "8.3.0-r0", "8.5.0-r0"),
        ("ALPINE-CVE-2024-6119", Alpine, "v3.20", "openssl", "3.3.1-r3", "3.3.2-r0"),
        ("DEBIAN-CVE-2023-4911", Debian, "11", "glibc", "2.31-13+deb11u6", "2.31-13+deb11u7"),
        ("DEBIAN-CVE-2023-4911", Debian, "12", "glibc", "2.36-9+deb12u1", "2.36-9+deb12u10"),
        ("DEBIAN-CVE-2023-6246", Debian, "12", "glibc", "2.36-9+deb12u3", "2.36-9+deb12u4"),
        ("DEBIAN-CVE-2023-38545", Debian, "11", "curl", "7.74.0-1.3+deb11u9", "7.74.0-1.3+deb11u11"),
        ("DEBIAN-CVE-2023-38545", Debian, "12", "curl", "7.88.1-10+deb12u1", "7.88.1-10+deb12u12"),
        ("DEBIAN-CVE-2023-4863", Debian, "11", "libwebp", "0.6.1-2.1+deb11u1", "0.6.1-2.1+deb11u2"),
        ("DEBIAN-CVE-2023-4863", Debian, "12", "libwebp", "1.2.4-0.2", "1.2.4-0.2+deb12u1"),
        ("DEBIAN-CVE-2023-44487", Debian, "12", "nghttp2", "1.52.0-1", "1.52.0-1+deb12u2"),
        ("DEBIAN-CVE-2024-6387", Debian, "12", "openssh", "1:9.2p1-2+deb12u2", "1:9.2p1-2+deb12u3"),
        ("DEBIAN-CVE-2024-45490", Debian, "12", "expat", "2.5.0-1", "2.5.0-1+deb12u1"),
        ("DEBIAN-CVE-2022-0778", Debian, "11", "openssl", "1.1.1k-1+deb11u1", "1.1.1n-0+deb11u3"),
        ("DEBIAN-CVE-2023-0286", Debian, "11", "openssl", "1.1.1n-0+deb11u3", "1.1.1n-0+deb11u4"),
        ("DEBIAN-CVE-2022-37434", Debian, "11", "zlib", "1:1.2.11.dfsg-2+deb11u1", "1:1.2.11.dfsg-2+deb11u2"),
        ("UBUNTU-CVE-2023-4911", Ubuntu, "22.04", "glibc", "2.35-0ubuntu3.3", "2.35-0ubuntu3.4"),
        ("UBUNTU-CVE-2022-3602", Ubuntu, "22.04", "openssl", "3.0.2-0ubuntu1.6", "3.0.2-0ubuntu1.10"),
        ("UBUNTU-CVE-2024-6387", Ubuntu, "22.04", "openssh", "1:8.9p1-3ubuntu0.7", "1:8.9p1-3ubuntu0.10"),
        ("UBUNTU-CVE-2024-6387", Ubuntu, "24.04", "openssh", "1:9.6p1-3ubuntu13", "1:9.6p1-3ubuntu13.3"),
        ("GHSA-462w-v97r-4m45", PyPi, "", "Jinja2", "2.10", "2.10.1"),
        ("GHSA-hj2j-77xm-mc5v", PyPi, "", "Jinja2", "2.8", "2.8.1"),
        ("GHSA-g3rq-g295-4j3m", PyPi, "", "Jinja2", "2.11.2", "2.11.3"),
        ("GHSA-h5c8-rqwp-cp95", PyPi, "", "Jinja2", "3.1.2", "3.1.3"),
        ("GHSA-h75v-3vvj-5mfj", PyPi, "", "Jinja2", "3.1.3", "3.1.4"),
        ("GHSA-8q59-q68h-6hv4", PyPi, "", "PyYAML", "5.3.1", "5.4"),
        ("GHSA-6757-jp84-gxfx", PyPi, "", "PyYAML", "5.3", "5.3.1"),
        ("PYSEC-2021-108", PyPi, "", "urllib3", "1.26.4", "1.26.5"),
        ("PYSEC-2023-192", PyPi, "", "urllib3", "2.0.5", "1.26.17"),
        ("PYSEC-2023-212", PyPi, "", "urllib3", "1.26.17", "2.0.7"),
        ("GHSA-x84v-xcm2-53pg", PyPi, "", "requests", "2.19.1", "2.20.0"),
        ("GHSA-j8r2-6x86-q33q", PyPi, "", "requests", "2.30.0", "2.31.0"),
        ("GHSA-2gwj-7jmv-h26r", PyPi, "", "Django", "3.2.12", "3.2.13"),
        ("GHSA-p64x-8rxx-wf6q", PyPi, "", "Django", "4.0.5", "4.0.6"),
        ("GHSA-xpfp-f569-q3p2", PyPi, "", "Django", "3.1.12", "3.2.5"),
        ("GHSA-m2qf-hxjv-5gpq", PyPi, "", "Flask", "2.3.1", "2.2.5"),
        ("GHSA-xg9f-g7g7-2323", PyPi, "", "Werkzeug", "2.2.2", "2.2.3"),
        ("GHSA-2g68-c3qc-8985", PyPi, "", "Werkzeug", "3.0.2", "3.0.3"),
        ("PYSEC-2023-175", PyPi, "", "Pillow", "10.0.0", "10.0.1"),
        ("GHSA-3f63-hfp8-52jq", PyPi, "", "pillow", "10.1.0", "10.2.0"),
        ("GHSA-x4qr-2fvf-3mr5", PyPi, "", "cryptography", "39.0.0", "39.0.1"),
        ("GHSA-rhm9-p9w5-fwm7", PyPi, "", "cryptography", "3.3.1", "3.3.2"),
        ("GHSA-xqr8-7jwr-rhp7", PyPi, "", "certifi", "2023.5.7", "2023.7.22"),
        ("PYSEC-2024-24", PyPi, "", "aiohttp", "3.9.1", "3.9.2"),
        ("GHSA-jf85-cpcp-j695", Npm, "", "lodash", "4.17.11", "4.17.12"),
        ("GHSA-p6mc-m468-83gw", Npm, "", "lodash", "4.17.15", "4.17.21"),
        ("GHSA-35jh-r3h4-6jhm", Npm, "", "lodash-es", "4.17.20", "4.17.21"),
        ("GHSA-xvch-5gv4-984h", Npm, "", "minimist", "1.2.5", "0.2.4"),
        ("GHSA-r683-j2x4-v87g", Npm, "", "node-fetch", "3.1.0", "2.6.7"),
        ("GHSA-cph5-m8f7-6c5x", Npm, "", "axios", "0.21.1", "0.21.2"),
        ("GHSA-wf5p-g6vw-rhxx", Npm, "", "axios", "1.5.1", "0.28.0"),
        ("GHSA-74fj-2j2h-c42q", Npm, "", "follow-redirects", "1.14.6", "1.14.7"),
        ("GHSA-3h5v-q93c-6h6q", Npm, "", "ws", "8.17.0", "7.5.10"),
        ("GHSA-qw6h-vgh9-j6wx", Npm, "", "express", "4.19.2", "4.20.0"),
        ("GHSA-hrpp-h998-j3pp", Npm, "", "qs", "6.5.2", "6.5.3"),
        ("GHSA-9c47-m6qq-7p4h", Npm, "", "json5", "2.2.1", "1.0.2"),
        ("GHSA-c2qf-rxjj-qqgw", Npm, "", "semver", "7.5.1", "6.3.1"),
        ("GHSA-r628-mhmh-qjhw", Npm, "", "tar", "6.1.1", "4.4.15"),
        ("RUSTSEC-2020-0071", CratesIo, "", "time", "0.1.45", "0.2.23"),
        ("RUSTSEC-2020-0159", CratesIo, "", "chrono", "0.4.19", "0.4.20"),
        ("RUSTSEC-2021-0003", CratesIo, "", "smallvec", "1.6.0", "0.6.14"),
        ("RUSTSEC-2024-0332", CratesIo, "", "h2", "0.4.3", "0.3.26"),
        ("RUSTSEC-2023-0034", CratesIo, "", "h2", "0.3.16", "0.3.17"),
        ("RUSTSEC-2024-0336", CratesIo, "", "rustls", "0.22.3", "0.21.11"),
        ("RUSTSEC-2022-0013", CratesIo, "", "regex", "1.5.4", "1.5.5"),
        ("RUSTSEC-2021-0080", CratesIo, "", "tar", "0.4.35", "0.4.36"),
        ("RUSTSEC-2023-0053", CratesIo, "", "rustls-webpki", "0.101.3", "0.100.2"),
    ];

    #[test]
    fn every_record_of_every_file_is_read() {
        let in_files: usize = FILES
            .iter()
            .map(|file| serde_json::from_str::<Vec<serde_json::Value>>(file).expect("a JSON array").len())
            .sum();
        assert_eq!(records().len(), in_files);
        assert!(in_files >= 60);
        for record in records() {
            assert!(record.modified.is_some(), "{}", record.id);
            assert!(!record.affected.is_empty(), "{}", record.id);
            for affected in &record.affected {
                assert!(!affected.is_unreadable && !affected.summary.is_empty(), "{}", record.id);
            }
        }
        let ids: BTreeSet<&str> = records().iter().map(|r| r.id.as_str()).collect();
        assert_eq!(ids.len(), in_files, "each id once");
    }

    #[test]
    fn severities_are_stated_but_for_two() {
        let unstated = records().iter().filter(|r| r.affected.iter().any(|a| a.severity == Severity::Unknown));
        let unstated: Vec<_> = unstated.map(|r| r.id.as_str()).collect();
        assert_eq!(unstated, ["RUSTSEC-2020-0159", "RUSTSEC-2024-0332"]);
    }

    #[test]
    fn each_finds_the_problem_and_knows_the_repair() {
        let all: Vec<_> = records().iter().flat_map(|r| r.affected.clone()).collect();
        for (id, ecosystem, release, package, affected, repaired) in CASES {
            let finding = |version: &str| {
                let result = match_components(&[component(*ecosystem, release, package, version)], &all);
                assert_eq!(result.uncomparable, [], "{id}");
                result.findings.into_iter().find(|finding| finding.advisory == *id)
            };
            let found = finding(affected);
            assert!(found.is_some_and(|f| f.fixed_version.is_some()), "{id} {package} {affected}");
            assert_eq!(finding(repaired), None, "{id} {package} {repaired}");
        }
        let tested: BTreeSet<&str> = CASES.iter().map(|(id, ..)| *id).collect();
        let untested: Vec<_> = records().iter().filter(|r| !tested.contains(r.id.as_str())).map(|r| &r.id).collect();
        assert_eq!(untested, Vec::<&String>::new());
    }
}
