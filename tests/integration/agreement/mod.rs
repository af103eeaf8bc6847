//! The store beside Syft (components), Trivy and Grype (findings), over the same images and by the same advisories:
//! docs/agreement.md.

mod advisories;
mod differences;
mod images;
mod tools;

use std::collections::BTreeSet;

use intake_worker::advisories::{AdvisorySource, sync};
use registry_db::Pool;
use registry_types::component::Ecosystem;
use serde_json::{Value, json};
use store_tests::registry::Registry;
use store_tests::store::{Organization, Store, module_manifest, text};

use advisories::Advisories;
use differences::{Explanations, Report};
use images::Sample;
use tools::{ImageCatalog, Tools, python_name};

/// What a program says of one image, one line for each component or finding.
type Lines = BTreeSet<String>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interop_agreement_with_syft_trivy_and_grype() {
    let Some(tools) = Tools::find() else { return };
    let samples = images::samples();
    let store = Store::start().await;
    let registry = Registry::start().await;
    let acme = store.organization("acme").await;
    store.allow(&acme, &registry.address, "acme").await;

    let mut catalogs = Vec::new();
    for sample in &samples {
        sample.push(&registry.address).await;
        catalogs.push(tools.syft(&sample.reference(&registry.address), sample.name).await);
    }
    let advisories = Advisories::about(&catalogs);
    load(&store, &advisories).await;
    tools.make_databases(&advisories).await;

    let mut report = Report::default();
    for (sample, syft) in samples.iter().zip(&catalogs) {
        let reference = sample.reference(&registry.address);
        let ours = StoreView::of(&acme, sample, &reference, &advisories).await;
        report.compare(sample.name, "syft", &ours.components, &syft.components());
        report.compare(sample.name, "trivy", &ours.findings, &tools.trivy(&reference).await);
        if let Some(grype) = tools.grype(sample.name).await {
            report.compare(sample.name, "grype", &ours.findings, &grype);
        }
        assert_sample_tells_apart(sample, &advisories, &ours.findings);
    }
    report.judge(&Explanations::checked_in());
}

/// Gives the store the advisories as an operator does.
async fn load(store: &Store, advisories: &Advisories) {
    let folder = tempfile::tempdir().unwrap();
    advisories.write_osv(folder.path());
    let pool = Pool::new(store.database.url().clone(), 2).unwrap();
    let source = AdvisorySource::locate(folder.path().to_str().unwrap()).unwrap();
    sync(&pool, &source, Ecosystem::ALL, |_| ()).await.unwrap();
}

/// Each image has packages that an advisory affects and packages that are repaired, and the store tells them apart.
fn assert_sample_tells_apart(sample: &Sample, advisories: &Advisories, findings: &Lines) {
    assert!(!findings.is_empty(), "{} has no finding at all", sample.name);
    for finding in findings {
        let (advisory, _) = finding.split_once(' ').unwrap();
        assert!(!advisories.is_repair(advisory, finding), "{}: a repaired package is found: {finding}", sample.name);
    }
}

/// What the store's interface says after the whole intake.
struct StoreView {
    components: Lines,
    findings: Lines,
}

impl StoreView {
    async fn of(acme: &Organization, sample: &Sample, reference: &str, advisories: &Advisories) -> Self {
        let intake = acme.intake(&module_manifest(sample.name, "1.0.0"), reference).await;
        assert_eq!(intake["state"], "decided", "{intake:#}");
        let checks = intake["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == "vulnerabilities").unwrap_or(&Value::Null);
        let told = [json!("warn"), json!("fail")].contains(&check["outcome"]);
        assert!(told, "{}: not everything could be judged: {:#?}", sample.name, without_findings(check));
        let components = pages(acme, sample, "components").await;
        let findings = pages(acme, sample, "findings").await;
        Self {
            components: components.iter().map(component_line).collect(),
            findings: findings.iter().flat_map(|finding| finding_lines(finding, advisories)).collect(),
        }
    }
}

/// The reasons that are no findings, which are many.
fn without_findings(check: &Value) -> Vec<&Value> {
    let reasons = check["reasons"].as_array().map_or(&[][..], Vec::as_slice);
    reasons.iter().filter(|reason| reason["code"] != "SECURITY_SCAN_FAILED").take(10).collect()
}

async fn pages(acme: &Organization, sample: &Sample, what: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/packages/acme/{}/versions/1.0.0/{what}?limit=200{cursor}", sample.name);
        let page = acme.developer.get(&path).await.expect(200);
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

fn component_line(item: &Value) -> String {
    let (name, version) = (text(&item["name"]), text(&item["version"]));
    match text(&item["ecosystem"]).as_str() {
        "debian" => system_line("deb", item, &name, &version),
        "alpine" => system_line("apk", item, &name, &version),
        "pypi" => format!("pypi {} {version}", python_name(&name)),
        other => format!("{other} {name} {version}"),
    }
}

fn system_line(kind: &str, item: &Value, name: &str, version: &str) -> String {
    let purl = text(&item["purl"]);
    let architecture = purl.split(['?', '&']).find_map(|part| part.strip_prefix("arch=")).unwrap_or_default();
    let (source, source_version) = (text(&item["source_name"]), text(&item["source_version"]));
    tools::system_component(kind, name, architecture, version, &source, &source_version)
}

/// One problem that the store knows under several ids is a finding under each of them elsewhere.
fn finding_lines(item: &Value, advisories: &Advisories) -> Vec<String> {
    let aliases = item["aliases"].as_array().unwrap().iter().map(text);
    let ids = std::iter::once(text(&item["advisory"])).chain(aliases).filter(|id| advisories.knows(id));
    let (package, version, purl) = (text(&item["package"]), text(&item["version"]), text(&item["purl"]));
    let kind = match purl.strip_prefix("pkg:").and_then(|rest| rest.split_once('/')) {
        Some((kind, _)) => kind,
        None => panic!("{purl} is no package URL"),
    };
    ids.map(|id| tools::finding(&id, kind, &package, &version)).collect()
}

/// Beside the agreement: what Syft says of the images is what they were made for.
#[test]
fn the_catalog_of_a_sample_leaves_out_what_the_distribution_owns() {
    let artifact = |id: &str, kind: &str, name: &str| json!({"id": id, "type": kind, "name": name, "version": "1"});
    let document = json!({
        "artifacts": [artifact("a", "deb", "python3-six"), artifact("b", "python", "six"), artifact("c", "python", "Own")],
        "artifactRelationships": [
            {"parent": "a", "child": "b", "type": "ownership-by-file-overlap"},
            {"parent": "c", "child": "b", "type": "dependency-of"},
        ],
    });
    let catalog = ImageCatalog::read(&document);
    let lines: Vec<_> = catalog.components().into_iter().collect();
    assert_eq!(lines, ["deb python3-six: 1 (source python3-six 1)", "pypi own 1"]);
}
