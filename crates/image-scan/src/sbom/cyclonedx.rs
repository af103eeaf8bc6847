//! CycloneDX 1.6, JSON.

use std::collections::HashMap;

use registry_types::component::Component;
use serde_json::{Value, json};

use super::license::License;
use super::{OperatingSystem, SbomInput, TOOL_NAME, TOOL_VERSION, algorithm_name};

/// The document; valid against the CycloneDX 1.6 JSON schema.
#[must_use]
pub fn cyclonedx(input: &SbomInput<'_>) -> Value {
    let image_reference = input.image.digest.to_string();
    let mut components: Vec<Value> = input.operating_system.iter().map(operating_system).collect();
    let mut seen = HashMap::new();
    components.extend(input.sorted_components().into_iter().map(|c| library(c, &unique_reference(&mut seen, &c.purl))));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": input.document_id("cyclonedx").urn().to_string(),
        "version": 1,
        "metadata": {
            "timestamp": input.created(),
            "tools": {"components": [{"type": "application", "name": TOOL_NAME, "version": TOOL_VERSION}]},
            "component": image(input, &image_reference),
        },
        "components": components,
        "compositions": [{
            "aggregate": if input.is_fully_read { "unknown" } else { "incomplete" },
            "assemblies": [image_reference],
        }],
    })
}

fn image(input: &SbomInput<'_>, reference: &str) -> Value {
    let image = &input.image;
    json!({
        "bom-ref": reference,
        "type": "container",
        "name": image.name,
        "version": image.version,
        "purl": image.purl(),
        "hashes": [{"alg": algorithm_name(image.digest), "content": image.digest.hex()}],
    })
}

fn operating_system(os: &OperatingSystem<'_>) -> Value {
    let mut value = json!({"bom-ref": format!("os:{}", os.id), "type": "operating-system", "name": os.id});
    if let Some(version) = os.version_id {
        value["version"] = json!(version);
    }
    if let Some(description) = os.pretty_name {
        value["description"] = json!(description);
    }
    value
}

fn library(component: &Component, reference: &str) -> Value {
    let mut value = json!({
        "bom-ref": reference,
        "type": "library",
        "name": component.name,
        "version": component.version,
        "purl": component.purl,
        "properties": properties(component),
        "evidence": {"occurrences": [{"location": component.path}]},
    });
    match License::of(component.license.as_deref()) {
        Some(License::Expression(expression)) => value["licenses"] = json!([{"expression": expression}]),
        Some(License::Text(text)) => value["licenses"] = json!([{"license": {"name": text}}]),
        None => {}
    }
    value
}

fn properties(component: &Component) -> Value {
    let mut properties = vec![
        json!({"name": "company-store:layer", "value": component.layer}),
        json!({"name": "company-store:ecosystem", "value": component.ecosystem}),
    ];
    if !component.ecosystem_release.is_empty() {
        properties.push(json!({"name": "company-store:ecosystem-release", "value": component.ecosystem_release}));
    }
    if component.source_name != component.name || component.source_version != component.version {
        let source = format!("{} {}", component.source_name, component.source_version);
        properties.push(json!({"name": "company-store:source-package", "value": source}));
    }
    Value::from(properties)
}

/// The same package may lie in several places; a reference is unique in the document.
fn unique_reference<'a>(seen: &mut HashMap<&'a str, usize>, purl: &'a str) -> String {
    let count = seen.entry(purl).or_default();
    *count += 1;
    match *count {
        1 => purl.to_owned(),
        n => format!("{purl}#{n}"),
    }
}
