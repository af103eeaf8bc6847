//! Reading OSV records (OSV schema 1.x) as they are met in the wild.
//!
//! Lenient where a record speaks of what the store does not know (other ecosystems, other fields, `null` for absent), strict in
//! one thing: what it says about a package that the store can match is never silently lost. An unreadable part marks the
//! package as such.

use chrono::{DateTime, Utc};
use registry_types::component::{Ecosystem, EcosystemRelease};
use serde::Deserialize;
use serde_json::Value;

use super::affected::{AffectedPackage, AffectedRange, Event};
use super::severity::{Statement, severity};
use crate::version_order::Version;

/// Ids, package names and versions beyond this are not such.
const MAX_NAME_BYTES: usize = 512;
const MAX_SUMMARY_CHARS: usize = 300;

/// Why a file is not an OSV record.
#[derive(Debug, thiserror::Error)]
pub enum OsvError {
    #[error("not an OSV record")]
    Json(#[from] serde_json::Error),
    #[error("the record's id is empty, too long or has control characters")]
    Id,
}

/// One record, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsvRecord {
    pub id: String,
    pub modified: Option<DateTime<Utc>>,
    /// Empty for a withdrawn record and for one about other ecosystems only.
    pub affected: Vec<AffectedPackage>,
}

/// Reads one record.
///
/// # Errors
/// When `bytes` are not a JSON object with an id.
pub fn parse_osv(bytes: &[u8]) -> Result<OsvRecord, OsvError> {
    let record: RawRecord = serde_json::from_slice(bytes)?;
    if record.id.is_empty() || !is_name(&record.id) {
        return Err(OsvError::Id);
    }
    let affected = match record.withdrawn {
        Some(_) => Vec::new(),
        None => record.affected.iter().flatten().filter_map(|entry| affected_package(&record, entry)).collect(),
    };
    let modified = record.modified.as_deref().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    Ok(OsvRecord { id: record.id, modified: modified.map(|at| at.to_utc()), affected })
}

/// The name of an ecosystem in OSV, also the folder of its `all.zip`.
#[must_use]
pub const fn osv_name(ecosystem: Ecosystem) -> &'static str {
    match ecosystem {
        Ecosystem::Debian => "Debian",
        Ecosystem::Ubuntu => "Ubuntu",
        Ecosystem::Alpine => "Alpine",
        Ecosystem::PyPi => "PyPI",
        Ecosystem::Npm => "npm",
        Ecosystem::CratesIo => "crates.io",
    }
}

#[derive(Deserialize)]
struct RawRecord {
    id: String,
    modified: Option<String>,
    withdrawn: Option<Value>,
    aliases: Option<Vec<Value>>,
    upstream: Option<Vec<Value>>,
    summary: Option<String>,
    details: Option<String>,
    severity: Option<Vec<Value>>,
    affected: Option<Vec<Value>>,
    database_specific: Option<Value>,
}

#[derive(Deserialize)]
struct RawRange {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<Value>,
}

/// What one `affected` entry says; `None` when it is about something that the store cannot match.
fn affected_package(record: &RawRecord, entry: &Value) -> Option<AffectedPackage> {
    let package = entry.get("package")?;
    let EcosystemRelease { ecosystem, release } = parse_ecosystem(package.get("ecosystem")?.as_str()?)?;
    let name = package.get("name")?.as_str().filter(|name| is_name(name))?;
    let said = said_about_versions(ecosystem, entry);
    if said.is_only_about_commits {
        return None;
    }
    Some(AffectedPackage {
        ecosystem,
        release,
        package: super::matched_name(ecosystem, name),
        advisory: record.id.clone(),
        aliases: names(record.aliases.as_deref()),
        upstream: names(record.upstream.as_deref()),
        summary: summary(record),
        severity: stated_severity(record, ecosystem, entry),
        versions: outside_ranges(ecosystem, &said.ranges, said.versions),
        ranges: said.ranges,
        is_unreadable: said.is_unreadable,
    })
}

/// `Debian:12`, `Ubuntu:22.04:LTS`, `Alpine:v3.20`, `PyPI`…; `None` for others.
///
/// `Ubuntu:Pro:<release>` speaks of the same packages with longer support, so it counts for its release: for releases out of
/// standard support it is the only one that still knows. Other Ubuntu variants (FIPS, Realtime…) version their own builds apart.
fn parse_ecosystem(text: &str) -> Option<EcosystemRelease> {
    let (name, suffix) = text.split_once(':').unwrap_or((text, ""));
    let ecosystem = *Ecosystem::ALL.iter().find(|e| osv_name(**e) == name)?;
    let release = match ecosystem {
        Ecosystem::Debian | Ecosystem::Alpine => suffix,
        Ecosystem::Ubuntu => {
            let release = suffix.strip_prefix("Pro:").unwrap_or(suffix);
            release.strip_suffix(":LTS").unwrap_or(release)
        }
        Ecosystem::PyPi | Ecosystem::Npm | Ecosystem::CratesIo => "",
    };
    let is_release = release.len() <= 32 && release.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    is_release.then(|| EcosystemRelease { ecosystem, release: release.to_owned() })
}

#[derive(Default)]
struct SaidAboutVersions {
    ranges: Vec<AffectedRange>,
    versions: Vec<String>,
    is_unreadable: bool,
    /// Only `GIT` ranges: nothing that an installed package could be matched by.
    is_only_about_commits: bool,
}

fn said_about_versions(ecosystem: Ecosystem, entry: &Value) -> SaidAboutVersions {
    let mut said = SaidAboutVersions::default();
    let mut has_commits = false;
    for range in items(entry, "ranges", &mut said.is_unreadable) {
        match RawRange::deserialize(range) {
            Ok(range) if range.kind == "GIT" => has_commits = true,
            Ok(range) if range.kind == "ECOSYSTEM" || range.kind == "SEMVER" => match parse_range(ecosystem, &range) {
                Some(range) => said.ranges.push(range),
                None => said.is_unreadable = true,
            },
            Ok(_) | Err(_) => said.is_unreadable = true,
        }
    }
    for version in items(entry, "versions", &mut said.is_unreadable) {
        match version.as_str().filter(|text| is_name(text)) {
            Some(text) => said.versions.push(text.to_owned()),
            None => said.is_unreadable = true,
        }
    }
    let says_nothing = said.ranges.is_empty() && said.versions.is_empty() && !said.is_unreadable;
    said.is_only_about_commits = says_nothing && has_commits;
    // An entry without any version does not say which are safe.
    said.is_unreadable |= says_nothing && !has_commits;
    said
}

/// The items of a list that may be absent or `null`; anything else but a list is unreadable.
fn items<'a>(entry: &'a Value, key: &str, is_unreadable: &mut bool) -> &'a [Value] {
    match entry.get(key) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(items)) => items,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            *is_unreadable = true;
            &[]
        }
    }
}

fn parse_range(ecosystem: Ecosystem, range: &RawRange) -> Option<AffectedRange> {
    let mut events = Vec::with_capacity(range.events.len());
    let mut limits = Vec::new();
    for event in &range.events {
        let event = event.as_object().filter(|event| !event.is_empty())?;
        for (kind, version) in event {
            let version = version.as_str().filter(|text| is_name(text))?.to_owned();
            match kind.as_str() {
                "introduced" => events.push(Event::Introduced(version)),
                "fixed" => events.push(Event::Fixed(version)),
                "last_affected" => events.push(Event::LastAffected(version)),
                "limit" => limits.push(version),
                _ => return None,
            }
        }
    }
    (!events.is_empty()).then(|| AffectedRange::new(ecosystem, events, limits))
}

/// Databases list every affected version beside the ranges that contain them; only the others say something.
fn outside_ranges(ecosystem: Ecosystem, ranges: &[AffectedRange], versions: Vec<String>) -> Vec<String> {
    let is_contained = |text: &str| {
        Version::parse(ecosystem, text)
            .is_some_and(|version| ranges.iter().any(|range| range.contains(ecosystem, &version) == Some(true)))
    };
    versions.into_iter().filter(|text| !is_contained(text)).collect()
}

fn stated_severity(record: &RawRecord, ecosystem: Ecosystem, entry: &Value) -> registry_types::advisory::Severity {
    let of_entry = Statement {
        scores: entry.get("severity").and_then(Value::as_array).map_or(&[], Vec::as_slice),
        database_specific: entry.get("database_specific"),
        ecosystem_specific: entry.get("ecosystem_specific"),
    };
    let of_record = Statement {
        scores: record.severity.as_deref().unwrap_or_default(),
        database_specific: record.database_specific.as_ref(),
        ecosystem_specific: None,
    };
    severity(&record.id, ecosystem, &[of_entry, of_record])
}

/// The summary, or else the first line of the details, in one line without control characters.
fn summary(record: &RawRecord) -> String {
    let details = || record.details.as_deref().and_then(|text| text.lines().find(|line| !line.trim().is_empty()));
    let text = record.summary.as_deref().filter(|text| !text.trim().is_empty()).or_else(details).unwrap_or_default();
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SUMMARY_CHARS).collect()
}

fn names(values: Option<&[Value]>) -> Vec<String> {
    let names = values.unwrap_or_default().iter().filter_map(Value::as_str);
    names.filter(|name| is_name(name)).map(str::to_owned).collect()
}

/// Postgres stores no NUL, and an index entry has a limited size.
fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use registry_types::advisory::Severity;
    use serde_json::json;

    use super::super::affected::Assessment;
    use super::*;

    fn parse(record: &Value) -> OsvRecord {
        parse_osv(record.to_string().as_bytes()).unwrap()
    }

    fn with_affected(affected: Value) -> Value {
        json!({"id": "X-1", "modified": "2024-01-02T03:04:05.678Z", "affected": affected})
    }

    #[test]
    fn reads_what_matters() {
        let record = parse(&json!({
            "schema_version": "1.6.0",
            "id": "GHSA-aaaa-bbbb-cccc",
            "modified": "2024-05-06T07:08:09Z",
            "published": "2019-01-01T00:00:00Z",
            "aliases": ["CVE-2019-1"],
            "summary": "  Two\nlines  ",
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            "affected": [
                {"package": {"ecosystem": "PyPI", "name": "Foo.Bar", "purl": "pkg:pypi/foo-bar"},
                 "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2"}]},
                            {"type": "GIT", "repo": "https://example.org", "events": [{"introduced": "0"}]}],
                 "versions": ["1.0", "1.1", "0.9-final-x", "3.0"]},
                {"package": {"ecosystem": "Nowhere:9", "name": "x"}, "ranges": "whatever"},
            ],
        }));
        assert_eq!(record.modified.unwrap().to_rfc3339(), "2024-05-06T07:08:09+00:00");
        let [affected] = record.affected.as_slice() else { panic!("one package expected") };
        assert_eq!((affected.package.as_str(), affected.release.as_str()), ("foo-bar", ""));
        assert_eq!(affected.aliases, ["CVE-2019-1"]);
        assert_eq!(affected.summary, "Two lines");
        assert_eq!(affected.severity, Severity::Critical);
        assert_eq!(affected.versions, ["0.9-final-x", "3.0"], "listed versions inside a range are redundant");
        assert!(!affected.is_unreadable);
        let stored = serde_json::to_value(affected).unwrap();
        assert_eq!(serde_json::from_value::<AffectedPackage>(stored).unwrap(), *affected);
    }

    #[test]
    fn ecosystems_and_releases() {
        let parse = |text: &str| parse_ecosystem(text).map(|e| e.to_string());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parse("Debian:12"), some("debian:12"));
        assert_eq!(parse("Debian"), some("debian"));
        assert_eq!(parse("Alpine:v3.20"), some("alpine:v3.20"));
        assert_eq!(parse("Ubuntu:22.04:LTS"), some("ubuntu:22.04"));
        assert_eq!(parse("Ubuntu:24.10"), some("ubuntu:24.10"));
        assert_eq!(parse("Ubuntu:Pro:16.04:LTS"), some("ubuntu:16.04"));
        assert_eq!(parse("Ubuntu:Pro:FIPS:20.04:LTS"), None);
        assert_eq!(parse("PyPI"), some("pypi"));
        assert_eq!(parse("npm"), some("npm"));
        assert_eq!(parse("crates.io"), some("crates.io"));
        assert_eq!(parse("Red Hat:enterprise_linux:9"), None);
        assert_eq!(parse("pypi"), None);
    }

    #[test]
    fn withdrawn_records_say_nothing() {
        let mut record = with_affected(json!([{"package": {"ecosystem": "npm", "name": "x"}, "versions": ["1.0.0"]}]));
        assert_eq!(parse(&record).affected.len(), 1);
        record["withdrawn"] = json!("2024-01-01T00:00:00Z");
        assert_eq!(parse(&record).affected, []);
        record["withdrawn"] = Value::Null;
        assert_eq!(parse(&record).affected.len(), 1);
    }

    #[test]
    fn commits_alone_are_no_statement() {
        let git =
            json!({"type": "GIT", "repo": "https://example.org", "events": [{"introduced": "0"}, {"fixed": "abc"}]});
        let record = with_affected(json!([{"package": {"ecosystem": "npm", "name": "x"}, "ranges": [git]}]));
        assert_eq!(parse(&record).affected, []);
        let record = with_affected(json!([{"ranges": [git]}]));
        assert_eq!(parse(&record).affected, []);
    }

    #[test]
    fn unreadable_statements_are_kept_as_unknown() {
        for entry in [
            json!({}),
            json!({"ranges": "all"}),
            json!({"ranges": [{"type": "SEMVER", "events": []}]}),
            json!({"ranges": [{"type": "SEMVER", "events": [{"introduced": 0}]}]}),
            json!({"ranges": [{"type": "SEMVER", "events": [{}]}]}),
            json!({"ranges": [{"type": "SEMVER", "events": [{"since": "1.0.0"}]}]}),
            json!({"ranges": [{"type": "CALENDAR", "events": [{"introduced": "0"}]}]}),
            json!({"ranges": [{"events": [{"introduced": "0"}]}]}),
            json!({"versions": [1]}),
            json!({"versions": ["1.0\u{0}"]}),
        ] {
            let mut entry = entry;
            entry["package"] = json!({"ecosystem": "npm", "name": "x"});
            let record = parse(&with_affected(json!([entry])));
            let [affected] = record.affected.as_slice() else { panic!("{entry}") };
            assert_eq!(affected.assess("1.0.0"), Assessment::Uncomparable, "{entry}");
        }
    }

    #[test]
    fn null_is_absent() {
        let record = parse(&json!({
            "id": "X-1", "modified": null, "aliases": null, "severity": null, "summary": null, "database_specific": null,
            "affected": [{"package": {"ecosystem": "npm", "name": "x"}, "ranges": null, "versions": ["1.0.0"],
                          "ecosystem_specific": null}],
        }));
        assert_eq!(record.affected[0].assess("1.0.0"), Assessment::Affected { fixed: None });
        assert_eq!(record.affected[0].severity, Severity::Unknown);
        assert_eq!(parse(&json!({"id": "X-1"})).affected, []);
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        for bytes in ["", "[]", "null", "{}", "{\"id\": 1}"] {
            assert!(matches!(parse_osv(bytes.as_bytes()), Err(OsvError::Json(_))), "{bytes}");
        }
        for id in [String::new(), "a\u{0}".to_owned(), "x".repeat(600)] {
            assert!(matches!(parse_osv(json!({"id": id}).to_string().as_bytes()), Err(OsvError::Id)), "{id:?}");
        }
    }

    /// JSON of any shape under the names that are looked at.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "(npm|PyPI|Debian:12|ECOSYSTEM|SEMVER|GIT|0|[0-9.]{1,5}|.{0,6})".prop_map(Value::from),
        ];
        let key = "(package|ecosystem|name|ranges|type|events|introduced|fixed|limit|versions|severity|score|urgency)";
        leaf.prop_recursive(5, 48, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(key, inner, 0..5).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_shape_of_affected_loads(affected in proptest::collection::vec(any_json(), 0..4)) {
            let record = with_affected(Value::from(affected)).to_string();
            for affected in parse_osv(record.as_bytes()).unwrap().affected {
                let _ = affected.assess("1.0");
            }
        }
    }
}
