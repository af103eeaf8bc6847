//! The advisories that all scanners judge by: made about every package that Syft found, on both sides of its version; and
//! the records that come with the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::Utc;
use serde::Serialize;
use serde_json::{Value, json};

use super::tools::{FoundPackage, ImageCatalog, python_name};

pub(super) struct Advisories {
    records: Vec<Value>,
    entries: Vec<Entry>,
    ids: BTreeSet<String>,
    /// Made advisories that the version they were made about is not affected by, with kind and that version.
    repairs: BTreeMap<String, String>,
}

/// What one record says of one package, as the scanners' databases are made from it.
#[derive(Serialize)]
pub(super) struct Entry {
    id: String,
    ecosystem: String,
    release: String,
    package: String,
    ranges: Vec<Range>,
}

impl Entry {
    fn key(&self) -> [&str; 4] {
        [&self.id, &self.ecosystem, &self.release, &self.package]
    }
}

#[derive(Clone, Default, Serialize)]
struct Range {
    introduced: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_affected: Option<String>,
}

/// One advisory about a package of a certain version.
struct Case {
    name: &'static str,
    range: Range,
    affects: bool,
}

impl Case {
    fn open() -> Self {
        Self { name: "open", range: Range::from_beginning(), affects: true }
    }

    fn fixed(name: &'static str, version: String, affects: bool) -> Self {
        Self { name, range: Range { fixed: Some(version), ..Range::from_beginning() }, affects }
    }

    fn last_affected(version: &str) -> Self {
        let range = Range { last_affected: Some(version.to_owned()), ..Range::from_beginning() };
        Self { name: "last", range, affects: true }
    }
}

impl Range {
    fn from_beginning() -> Self {
        Self { introduced: "0".to_owned(), ..Self::default() }
    }

    fn events(&self) -> Vec<Value> {
        let mut events = vec![json!({"introduced": self.introduced})];
        events.extend(self.fixed.iter().map(|version| json!({"fixed": version})));
        events.extend(self.last_affected.iter().map(|version| json!({"last_affected": version})));
        events
    }
}

impl Advisories {
    pub(super) fn about(catalogs: &[ImageCatalog]) -> Self {
        let mut advisories =
            Self { records: Vec::new(), entries: Vec::new(), ids: BTreeSet::new(), repairs: BTreeMap::new() };
        let mut packages: Vec<_> = catalogs.iter().flat_map(|catalog| &catalog.packages).collect();
        let key = |package: &&FoundPackage| {
            let FoundPackage { kind, release, source, source_version, .. } = (*package).clone();
            (kind, release, source, source_version)
        };
        packages.sort_by_key(key);
        packages.dedup_by_key(|package| key(package));
        let scopes: BTreeSet<_> = packages.iter().filter_map(|package| osv_ecosystem(package)).collect();
        for package in packages {
            advisories.make_about(package);
        }
        advisories.add_starter_set(&scopes);
        advisories
    }

    /// In the form for the scanners' databases.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Whether a finding is one of an advisory about exactly this version that is repaired in it.
    pub(super) fn is_repair(&self, id: &str, finding: &str) -> bool {
        self.repairs.get(id).is_some_and(|version| finding.ends_with(&format!(" {version}")))
    }

    /// As a folder of records.
    pub(super) fn write_osv(&self, folder: &Path) {
        for (number, record) in self.records.iter().enumerate() {
            std::fs::write(folder.join(format!("{number}.json")), record.to_string()).unwrap();
        }
    }

    fn make_about(&mut self, package: &FoundPackage) {
        let version = package.source_version.as_str();
        let Some(ecosystem) = osv_ecosystem(package) else { return };
        let (name, cases) = match package.kind {
            "deb" => (package.source.clone(), debian_cases(version)),
            "apk" => (package.source.clone(), alpine_cases(version)),
            "pypi" => (python_name(&package.source), python_cases(version)),
            _ => (package.source.clone(), npm_cases(version)),
        };
        for case in cases {
            let id = format!("AGREE-{}{}-{name}-{version}-{}", package.kind, package.release, case.name);
            self.records.push(json!({
                "id": id,
                "modified": Utc::now().to_rfc3339(),
                "affected": [{
                    "package": {"ecosystem": ecosystem, "name": name},
                    "ranges": [{"type": "ECOSYSTEM", "events": case.range.events()}],
                }],
            }));
            if !case.affects {
                self.repairs.insert(id.clone(), version.to_owned());
            }
            self.enter(&id, &ecosystem, &name, vec![case.range]);
        }
    }

    /// Real problems of well-known packages. Entries about other scopes than these say nothing of the images.
    fn add_starter_set(&mut self, scopes: &BTreeSet<String>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/image-scan/src/advisories/starter");
        for file in ["alpine.json", "debian.json", "npm.json", "pypi.json"] {
            let records: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
            for record in records {
                for affected in record["affected"].as_array().unwrap() {
                    let ecosystem = affected["package"]["ecosystem"].as_str().unwrap();
                    let name = affected["package"]["name"].as_str().unwrap();
                    if !scopes.contains(ecosystem) {
                        continue;
                    }
                    let name = if ecosystem == "PyPI" { python_name(name) } else { name.to_owned() };
                    self.enter(record["id"].as_str().unwrap(), ecosystem, &name, ranges(affected));
                }
                self.records.push(record);
            }
        }
    }

    fn enter(&mut self, id: &str, ecosystem: &str, package: &str, ranges: Vec<Range>) {
        let (ecosystem, release) = ecosystem.split_once(':').unwrap_or((ecosystem, ""));
        self.ids.insert(id.to_owned());
        let entry = Entry {
            id: id.to_owned(),
            ecosystem: ecosystem.to_owned(),
            release: release.to_owned(),
            package: package.to_owned(),
            ranges,
        };
        // The databases of the scanners know one entry for a package and an advisory.
        match self.entries.iter_mut().find(|other| other.key() == entry.key()) {
            Some(other) => other.ranges.extend(entry.ranges),
            None => self.entries.push(entry),
        }
    }
}

/// Under which ecosystem OSV has advisories about a package; `None` where none are made.
fn osv_ecosystem(package: &FoundPackage) -> Option<String> {
    match package.kind {
        "deb" => Some(format!("Debian:{}", package.release)),
        "apk" => Some(format!("Alpine:{}", package.release)),
        "pypi" => Some("PyPI".to_owned()),
        "npm" => Some("npm".to_owned()),
        _ => None,
    }
}

/// The events of an OSV entry as pairs of beginning and end.
fn ranges(affected: &Value) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    let events = affected["ranges"].as_array().into_iter().flatten().flat_map(|range| range["events"].as_array());
    for event in events.flatten() {
        let word = |key: &str| event[key].as_str().map(str::to_owned);
        if let Some(introduced) = word("introduced") {
            ranges.push(Range { introduced, ..Range::default() });
        } else if let Some(range) = ranges.last_mut() {
            range.fixed = word("fixed");
            range.last_affected = word("last_affected");
        }
    }
    ranges
}

/// Just above, just below, and where only the epoch decides.
fn debian_cases(version: &str) -> Vec<Case> {
    let epoch = match version.split_once(':') {
        Some(_) => Case::fixed("epoch", "999".to_owned(), false),
        None => Case::fixed("epoch", "1:0".to_owned(), true),
    };
    vec![
        Case::open(),
        Case::fixed("above", format!("{version}+0.1"), true),
        Case::fixed("at", version.to_owned(), false),
        Case::fixed("tilde", format!("{version}~"), false),
        epoch,
    ]
}

fn alpine_cases(version: &str) -> Vec<Case> {
    let (base, revision) = version.rsplit_once("-r").unwrap();
    let next = revision.parse::<u32>().unwrap() + 1;
    vec![
        Case::open(),
        Case::fixed("above", format!("{base}-r{next}"), true),
        Case::fixed("at", version.to_owned(), false),
        Case::fixed("patch", format!("{base}_p1-r0"), true),
    ]
}

fn python_cases(version: &str) -> Vec<Case> {
    vec![
        Case::open(),
        Case::fixed("above", format!("{version}.post1"), true),
        Case::fixed("at", version.to_owned(), false),
        Case::last_affected(version),
        Case::fixed("candidate", format!("{version}rc1"), false),
    ]
}

fn npm_cases(version: &str) -> Vec<Case> {
    let mut cases = vec![
        Case::open(),
        Case::fixed("above", "9999.0.0".to_owned(), true),
        Case::fixed("at", version.to_owned(), false),
        Case::last_affected(version),
    ];
    // A version that is a candidate itself has no such neighbour.
    if !version.contains(['-', '+']) {
        cases.push(Case::fixed("candidate", format!("{version}-rc.1"), false));
    }
    cases
}
