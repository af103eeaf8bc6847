//! What the store shows and judges of a package, whatever its format.

use registry_types::names::PackageSlug;
use registry_types::package::PackageFormat;
use registry_types::text_enum;
use serde::{Deserialize, Serialize};

/// The common view of a package manifest. Stored as JSON with the version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    pub format: PackageFormat,
    pub name: PackageSlug,
    pub version: semver::Version,
    /// What people read as the name.
    pub title: String,
    /// Empty if the author gave none.
    pub description: String,
    pub tags: Vec<String>,
    pub author: Option<Author>,
    /// The code that the host calls; `None` for formats that name none.
    pub entrypoint: Option<Entrypoint>,
    /// Whether the image must hold a UI bundle (`type: with-ui`).
    pub has_ui: bool,
    pub permissions: Permissions,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

/// `module:Class` of a Python package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrypoint {
    /// Dotted module path, e.g. `backend.main`.
    pub module: String,
    pub class: String,
}

/// What a module asks for. The default asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Permissions {
    pub network: NetworkAccess,
    pub database: Vec<DatabaseRight>,
    pub storage: bool,
    /// Names of data sets, as the host knows them.
    pub data_access: Vec<String>,
    /// Roles of the host that may run the module; empty = the host's default.
    pub required_roles: Vec<String>,
    /// Events of the host that the module subscribes to.
    pub hooks: Vec<String>,
}

/// The part of the network that a module asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkAccess {
    #[default]
    None,
    /// Everything, or something that cannot be bounded by host names.
    Any,
    /// Lower-case host names, each exact or `*.example.org`; no ports, no schemes.
    Hosts(Vec<String>),
}

text_enum! {
    pub enum DatabaseRight { Read = "read", Write = "write", Delete = "delete" }
}
