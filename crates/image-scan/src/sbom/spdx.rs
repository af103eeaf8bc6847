//! SPDX 2.3, JSON.

use std::collections::BTreeMap;

use registry_types::component::Component;
use serde_json::{Value, json};

use super::license::License;
use super::{OperatingSystem, SbomInput, TOOL_NAME, TOOL_VERSION, algorithm_name};

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const OPERATING_SYSTEM: &str = "SPDXRef-OperatingSystem";

/// The document; valid against the SPDX 2.3 JSON schema.
#[must_use]
pub fn spdx(input: &SbomInput<'_>) -> Value {
    let components = input.sorted_components();
    let texts = LicenseTexts::of(&components);
    let mut packages = vec![image(input)];
    let mut contained: Vec<String> = Vec::new();
    if let Some(os) = &input.operating_system {
        packages.push(operating_system(os));
        contained.push(OPERATING_SYSTEM.to_owned());
    }
    for (number, component) in components.into_iter().enumerate() {
        let id = format!("SPDXRef-Package-{}", number + 1);
        packages.push(package(component, &id, &texts));
        contained.push(id);
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": format!("{}@{}", input.image.name, input.image.version),
        "documentNamespace": input.document_id("spdx").urn().to_string(),
        "creationInfo": {
            "created": input.created(),
            "creators": [format!("Tool: {TOOL_NAME}-{TOOL_VERSION}")],
        },
        "documentDescribes": [IMAGE],
        "packages": packages,
        "relationships": relationships(&contained),
    });
    if !input.is_fully_read {
        document["comment"] =
            json!("some of what was recognised in the image could not be read: this list is incomplete");
    }
    if !texts.by_text.is_empty() {
        document["hasExtractedLicensingInfos"] = texts.to_json();
    }
    document
}

fn relationships(contained: &[String]) -> Value {
    let describes = json!({"spdxElementId": DOCUMENT, "relationshipType": "DESCRIBES", "relatedSpdxElement": IMAGE});
    let contains = contained
        .iter()
        .map(|id| json!({"spdxElementId": IMAGE, "relationshipType": "CONTAINS", "relatedSpdxElement": id}));
    std::iter::once(describes).chain(contains).collect()
}

fn image(input: &SbomInput<'_>) -> Value {
    let image = &input.image;
    json!({
        "SPDXID": IMAGE,
        "name": image.name,
        "versionInfo": image.version,
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "checksums": [{"algorithm": algorithm_name(image.digest).replace('-', ""), "checksumValue": image.digest.hex()}],
        "externalRefs": [purl_reference(&image.purl())],
    })
}

fn operating_system(os: &OperatingSystem<'_>) -> Value {
    let mut value = json!({
        "SPDXID": OPERATING_SYSTEM,
        "name": os.id,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
    });
    if let Some(version) = os.version_id {
        value["versionInfo"] = json!(version);
    }
    if let Some(description) = os.pretty_name {
        value["description"] = json!(description);
    }
    value
}

fn package(component: &Component, id: &str, texts: &LicenseTexts<'_>) -> Value {
    json!({
        "SPDXID": id,
        "name": component.name,
        "versionInfo": component.version,
        "primaryPackagePurpose": "LIBRARY",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": texts.declared(component),
        "sourceInfo": source_info(component),
        "externalRefs": [purl_reference(&component.purl)],
    })
}

/// Where it lies, and from which source package it was built.
fn source_info(component: &Component) -> String {
    let place = format!("layer {}, file {}", component.layer, component.path);
    if component.source_name == component.name && component.source_version == component.version {
        place
    } else {
        format!("{place}; built from {} {}", component.source_name, component.source_version)
    }
}

fn purl_reference(purl: &str) -> Value {
    json!({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl})
}

/// Licence statements that are no SPDX expressions: each gets an id in the document.
struct LicenseTexts<'a> {
    by_text: BTreeMap<&'a str, String>,
}

impl<'a> LicenseTexts<'a> {
    fn of(components: &[&'a Component]) -> Self {
        let mut by_text = BTreeMap::new();
        for component in components {
            if let Some(License::Text(text)) = License::of(component.license.as_deref()) {
                by_text.insert(text, String::new());
            }
        }
        for (number, id) in by_text.values_mut().enumerate() {
            *id = format!("LicenseRef-{}", number + 1);
        }
        Self { by_text }
    }

    fn declared(&self, component: &'a Component) -> &str {
        match License::of(component.license.as_deref()) {
            Some(License::Expression(expression)) => expression,
            Some(License::Text(text)) => self.by_text.get(text).map_or("NOASSERTION", String::as_str),
            None => "NOASSERTION",
        }
    }

    fn to_json(&self) -> Value {
        self.by_text.iter().map(|(text, id)| json!({"licenseId": id, "name": text, "extractedText": text})).collect()
    }
}
