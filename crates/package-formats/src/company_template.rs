//! `company.template`: a company template in the JSON form of the Paperclip design document.

use registry_types::package::PackageFormat;
use registry_types::pointer::PointerError;
use registry_types::template::Template;
use serde_json::Value;

use crate::{Author, Descriptor, Permissions};

pub(crate) fn parse(document: &Value) -> Result<Descriptor, Vec<PointerError>> {
    let template = Template::parse(document)?;
    Ok(Descriptor {
        format: PackageFormat::CompanyTemplate,
        name: template.id,
        version: template.version,
        title: template.name,
        description: template.description.unwrap_or_default(),
        tags: Vec::new(),
        author: template.author.map(|name| Author { name, email: None, organization: None }),
        entrypoint: None,
        has_ui: false,
        permissions: Permissions::default(),
    })
}
