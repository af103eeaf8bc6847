//! What a package asks of its host, in a form in which two versions can be compared.

use std::collections::BTreeMap;

use registry_types::package::PackageFormat;
use serde_json::Value;

use crate::{Permissions, hla_resources, parse_submitted};

/// What a package asks for. Stated amounts only: what is left to the host has none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Demands {
    pub permissions: Permissions,
    pub has_ui: bool,
    /// By the manifest's own member, in that member's base unit: MiB, seconds, processors.
    pub resources: BTreeMap<String, f64>,
}

/// Reads what a submitted package manifest asks for; `None` when it cannot be read.
#[must_use]
pub fn demands(format: PackageFormat, manifest: &Value) -> Option<Demands> {
    let descriptor = parse_submitted(format, manifest).ok()?;
    Some(match format {
        PackageFormat::HlaCompassModule => Demands {
            permissions: descriptor.permissions,
            has_ui: descriptor.has_ui,
            resources: hla_resources::resources(manifest),
        },
        PackageFormat::PaperclipModule => Demands {
            permissions: descriptor.permissions,
            has_ui: manifest.get("ui").is_some_and(|ui| !ui.is_null()),
            resources: BTreeMap::new(),
        },
        PackageFormat::CompanyTemplate
        | PackageFormat::PaperclipPlugin
        | PackageFormat::MozaiksModule
        | PackageFormat::MozaiksPack
        | PackageFormat::MozaiksPackV1
        | PackageFormat::MicrocoreosTool
        | PackageFormat::MicrocoreosDomain
        | PackageFormat::MicrocoreosDriver
        | PackageFormat::Agentcompanies => {
            Demands { permissions: descriptor.permissions, has_ui: descriptor.has_ui, resources: BTreeMap::new() }
        }
    })
}
