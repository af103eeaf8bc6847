//! The index in the form of the Paperclip design: `modules` and `templates`, with a few fields more.

use registry_db::listing::IndexRow;
use registry_types::package::PackageKind;
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use crate::packages::wire::repository_reference;

#[derive(Serialize, ToSchema)]
pub(crate) struct Index {
    modules: Vec<ModuleEntry>,
    templates: Vec<TemplateEntry>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ModuleEntry {
    /// `publisher/name`.
    #[schema(example = "acme/pdf-tools")]
    id: String,
    /// The title, for people.
    name: String,
    description: String,
    /// OCI repository to pull from, best with `@` and the digest.
    #[schema(example = "store.example.org/acme/pdf-tools")]
    repo: String,
    #[schema(example = "1.2.0")]
    version: String,
    tags: Vec<String>,
    #[schema(example = "hla-compass.module")]
    format: &'static str,
    /// Digest of the image manifest or index.
    digest: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateEntry {
    /// `publisher/name`.
    #[schema(example = "acme/agency")]
    id: String,
    /// The title, for people.
    name: String,
    description: String,
    /// Where the template document is.
    url: String,
    tags: Vec<String>,
    version: String,
    #[schema(example = "company.template")]
    format: &'static str,
}

impl Index {
    pub(super) fn new(rows: Vec<IndexRow>, public_url: &Url) -> Self {
        let mut index = Self { modules: Vec::new(), templates: Vec::new() };
        for row in rows {
            match row.kind {
                PackageKind::Module => index.modules.push(module(row, public_url)),
                PackageKind::Template => index.templates.push(template(row, public_url)),
            }
        }
        index
    }
}

fn module(row: IndexRow, public_url: &Url) -> ModuleEntry {
    ModuleEntry {
        id: row.package.to_string(),
        repo: repository_reference(&row.package, public_url),
        name: title(&row.title, row.package.name.as_str()),
        description: row.description,
        version: row.version.to_string(),
        tags: row.tags,
        format: row.format.as_str(),
        digest: row.digest.map(|digest| digest.to_string()),
    }
}

fn template(row: IndexRow, public_url: &Url) -> TemplateEntry {
    let base = public_url.as_str().trim_end_matches('/');
    TemplateEntry {
        id: row.package.to_string(),
        url: format!("{base}/v1/packages/{}/versions/{}/manifest", row.package, row.version),
        name: title(&row.title, row.package.name.as_str()),
        description: row.description,
        tags: row.tags,
        version: row.version.to_string(),
        format: row.format.as_str(),
    }
}

fn title(title: &str, name: &str) -> String {
    if title.is_empty() { name.to_owned() } else { title.to_owned() }
}

#[cfg(test)]
mod tests {
    use registry_types::digest::Digest;
    use registry_types::package::PackageFormat;

    use super::*;

    #[test]
    fn has_the_fields_of_the_design() {
        let row = |name: &str, format: PackageFormat| IndexRow {
            package: name.parse().unwrap(),
            kind: format.kind(),
            format,
            title: String::new(),
            description: "d".to_owned(),
            tags: vec!["t".to_owned()],
            version: "1.0.0".parse().unwrap(),
            digest: (format.kind() == PackageKind::Module).then(|| Digest::sha256_of(b"")),
        };
        let rows = vec![
            row("acme/tools", PackageFormat::HlaCompassModule),
            row("acme/agency", PackageFormat::CompanyTemplate),
        ];
        let url = Url::parse("https://store.example.org/").unwrap();
        let json = serde_json::to_value(Index::new(rows, &url)).unwrap();
        let module = &json["modules"][0];
        assert_eq!(module["id"], "acme/tools");
        assert_eq!(module["name"], "tools");
        assert_eq!(module["repo"], "store.example.org/acme/tools");
        assert_eq!(module["version"], "1.0.0");
        assert_eq!(module["digest"], Digest::sha256_of(b"").to_string());
        let template = &json["templates"][0];
        assert_eq!(template["url"], "https://store.example.org/v1/packages/acme/agency/versions/1.0.0/manifest");
        assert_eq!(template["tags"][0], "t");
    }
}
