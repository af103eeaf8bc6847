//! Which reader a format has, where its manifest lies, and how a document's format is recognised.

use registry_types::document::Errors;
use registry_types::package::PackageFormat;
use registry_types::pointer::PointerError;
use serde_json::Value;

use crate::{Descriptor, company_template, hla_compass, paperclip_module};

/// Reads a submitted package manifest (for templates: the template document) by the rules of its format.
///
/// # Errors
/// Everything that is wrong with it, each with its pointer; `format_unsupported` for a format that cannot be read yet.
pub fn parse_submitted(format: PackageFormat, manifest: &Value) -> Result<Descriptor, Vec<PointerError>> {
    match format {
        PackageFormat::HlaCompassModule => hla_compass::parse(manifest),
        PackageFormat::PaperclipModule => paperclip_module::parse(manifest),
        PackageFormat::CompanyTemplate => company_template::parse(manifest),
        PackageFormat::PaperclipPlugin
        | PackageFormat::MozaiksModule
        | PackageFormat::MozaiksPack
        | PackageFormat::MozaiksPackV1
        | PackageFormat::MicrocoreosTool
        | PackageFormat::MicrocoreosDomain
        | PackageFormat::MicrocoreosDriver
        | PackageFormat::Agentcompanies => {
            let mut errors = Errors::default();
            errors.push("", "format_unsupported", format!("packages of the format {format} cannot be published yet"));
            errors.finish(None)
        }
    }
}

/// Paths inside an image, without a leading slash, where a format's manifest may lie; the first that exists counts.
/// Empty for formats without an image or not readable yet.
#[must_use]
pub const fn manifest_paths(format: PackageFormat) -> &'static [&'static str] {
    match format {
        PackageFormat::HlaCompassModule => hla_compass::MANIFEST_PATHS,
        PackageFormat::PaperclipModule => paperclip_module::MANIFEST_PATHS,
        PackageFormat::PaperclipPlugin
        | PackageFormat::MozaiksModule
        | PackageFormat::MozaiksPack
        | PackageFormat::MozaiksPackV1
        | PackageFormat::MicrocoreosTool
        | PackageFormat::MicrocoreosDomain
        | PackageFormat::MicrocoreosDriver
        | PackageFormat::CompanyTemplate
        | PackageFormat::Agentcompanies => &[],
    }
}

/// Paths inside the image, without a leading slash, of which one must be a regular file for the declared entrypoint to be
/// there. Empty when the format declares none.
#[must_use]
pub fn entrypoint_candidates(descriptor: &Descriptor) -> Vec<String> {
    descriptor.entrypoint.as_ref().map_or_else(Vec::new, hla_compass::entrypoint_candidates)
}

/// Tells a document's format by the members that only that format has; `None` when it fits none or is no object. Says
/// nothing about validity.
#[must_use]
pub fn detect_format(document: &Value) -> Option<PackageFormat> {
    let has = |key: &str| document.get(key).is_some();
    let schema = document.get("schema").or_else(|| document.get("schema_version")).and_then(Value::as_str);
    if schema == Some("mozaiks.capability_pack.v1") {
        Some(PackageFormat::MozaiksPackV1)
    } else if has("execution") {
        Some(PackageFormat::HlaCompassModule)
    } else if has("apiVersion") && has("capabilities") && has("entrypoints") {
        Some(PackageFormat::PaperclipPlugin)
    } else if has("id") && has("agents") {
        Some(PackageFormat::CompanyTemplate)
    } else if has("id") && ["slot", "hooks", "routes", "ui", "configSchema", "requires"].into_iter().any(has) {
        Some(PackageFormat::PaperclipModule)
    } else if matches!(document.get("type").and_then(Value::as_str), Some("no-ui" | "with-ui")) {
        // Incomplete, but clearly meant as one: its errors then say what is missing.
        Some(PackageFormat::HlaCompassModule)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_format_is_read_or_clearly_refused() {
        for format in PackageFormat::ALL {
            let errors = parse_submitted(*format, &json!({})).unwrap_err();
            let unsupported = errors.iter().any(|e| e.code == "format_unsupported");
            let readable = matches!(
                format,
                PackageFormat::HlaCompassModule | PackageFormat::PaperclipModule | PackageFormat::CompanyTemplate
            );
            assert_eq!(unsupported, !readable, "{format}");
        }
    }

    #[test]
    fn formats_are_told_apart() {
        let cases = [
            (json!({"execution": {}, "id": "x"}), Some(PackageFormat::HlaCompassModule)),
            (json!({"type": "no-ui"}), Some(PackageFormat::HlaCompassModule)),
            (json!({"id": "x", "hooks": []}), Some(PackageFormat::PaperclipModule)),
            (json!({"id": "x", "agents": []}), Some(PackageFormat::CompanyTemplate)),
            (json!({"apiVersion": 1, "capabilities": [], "entrypoints": {}}), Some(PackageFormat::PaperclipPlugin)),
            (json!({"id": "x"}), None),
            (json!([]), None),
        ];
        for (document, format) in cases {
            assert_eq!(detect_format(&document), format, "{document}");
        }
    }

    /// Documents made of the members that the readers look at, with values of any type.
    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-zA-Z0-9:._*/@ -]{0,12}".prop_map(Value::from),
            prop::sample::select(vec!["no-ui", "1.0.0", "2Gi", "300s", "a.b:C", "*", "10.0.0.0/8", "docker"])
                .prop_map(Value::from),
        ];
        let key = prop::sample::select(vec![
            "id",
            "name",
            "version",
            "type",
            "execution",
            "entrypoint",
            "supports",
            "defaultMode",
            "resources",
            "memory",
            "timeout",
            "cpu",
            "environment",
            "permissions",
            "network",
            "database",
            "author",
            "email",
            "tags",
            "pricing",
            "tiers",
            "mcp",
            "tools",
            "signature",
            "hooks",
            "routes",
            "prefix",
            "ui",
            "pages",
            "widgets",
            "requires",
            "core",
            "configSchema",
            "agents",
            "ref",
            "reportsTo",
            "goals",
            "projects",
            "issues",
            "computeType",
            "entry",
        ]);
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(key.clone(), inner, 0..12)
                    .prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_a_refusal_has_reasons(document in documents()) {
            for format in PackageFormat::ALL {
                if let Err(errors) = parse_submitted(*format, &document) {
                    prop_assert!(!errors.is_empty());
                    for error in errors {
                        prop_assert!(error.pointer.is_empty() || error.pointer.starts_with('/'));
                    }
                }
            }
            let _ = detect_format(&document);
        }
    }
}
