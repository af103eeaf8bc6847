//! Syft, Trivy and Grype, and what they say in the words of the comparison.

use std::collections::HashSet;
use std::path::PathBuf;

use serde_json::Value;
use store_tests::object_server::interop_tool;
use store_tests::store::text;
use tempfile::TempDir;
use tokio::process::Command;

use super::Lines;
use super::advisories::Advisories;

/// The programs, and a folder for what they read and write.
pub(super) struct Tools {
    syft: PathBuf,
    trivy: PathBuf,
    grype: Option<PathBuf>,
    databases: PathBuf,
    folder: TempDir,
}

impl Tools {
    /// `None`, said aloud, where one of them is missing; Grype alone may be.
    pub(super) fn find() -> Option<Self> {
        let grype = interop_tool("grype");
        let (syft, trivy, databases) = (interop_tool("syft"), interop_tool("trivy"), interop_tool("scanner-databases"));
        Some(Self { syft: syft?, trivy: trivy?, databases: databases?, grype, folder: tempfile::tempdir().unwrap() })
    }

    /// Catalogs an image in a registry.
    pub(super) async fn syft(&self, reference: &str, image: &str) -> ImageCatalog {
        let mut syft = Command::new(&self.syft);
        syft.args(["scan", &format!("registry:{reference}"), "--quiet", "--output"]);
        syft.arg(format!("syft-json={}", self.catalog_file(image).display()));
        syft.env("SYFT_CHECK_FOR_APP_UPDATE", "false").env("SYFT_REGISTRY_INSECURE_USE_HTTP", "true");
        run(syft).await;
        let document = std::fs::read(self.catalog_file(image)).unwrap();
        ImageCatalog::read(&serde_json::from_slice(&document).unwrap())
    }

    /// Writes the databases of Trivy and Grype.
    pub(super) async fn make_databases(&self, advisories: &Advisories) {
        let file = self.folder.path().join("advisories.json");
        std::fs::write(&file, serde_json::to_vec(advisories.entries()).unwrap()).unwrap();
        let mut make = Command::new(&self.databases);
        make.arg(file).arg(self.folder.path().join("trivy")).arg(self.folder.path().join("grype"));
        run(make).await;
    }

    /// The findings of Trivy in an image in a registry.
    pub(super) async fn trivy(&self, reference: &str) -> Lines {
        let mut trivy = Command::new(&self.trivy);
        trivy.args([
            "image",
            "--image-src",
            "remote",
            "--insecure",
            "--scanners",
            "vuln",
            "--format",
            "json",
            "--quiet",
        ]);
        trivy.args(["--skip-db-update", "--skip-java-db-update", "--skip-version-check", "--offline-scan"]);
        trivy.arg("--cache-dir").arg(self.folder.path().join("trivy")).arg(reference);
        let document = output(trivy).await;
        let results = document["Results"].as_array().unwrap_or_else(|| panic!("Trivy found nothing: {document}"));
        let findings = results.iter().flat_map(|result| {
            let kind = match result["Type"].as_str().unwrap() {
                "debian" => "deb",
                "alpine" => "apk",
                "python-pkg" => "pypi",
                "node-pkg" => "npm",
                other => panic!("Trivy found packages of another type: {other}"),
            };
            result["Vulnerabilities"].as_array().into_iter().flatten().map(move |found| {
                let (package, version) = (text(&found["PkgName"]), text(&found["InstalledVersion"]));
                finding(&text(&found["VulnerabilityID"]), kind, &package, &version)
            })
        });
        findings.collect()
    }

    /// The findings of Grype over what Syft found in an image; `None` where Grype is not installed.
    pub(super) async fn grype(&self, image: &str) -> Option<Lines> {
        let mut grype = Command::new(self.grype.as_ref()?);
        grype.arg(format!("sbom:{}", self.catalog_file(image).display())).args(["--output", "json", "--quiet"]);
        grype.env("GRYPE_DB_CACHE_DIR", self.folder.path().join("grype"));
        for variable in ["DB_AUTO_UPDATE", "DB_VALIDATE_AGE", "DB_REQUIRE_UPDATE_CHECK", "CHECK_FOR_APP_UPDATE"] {
            grype.env(format!("GRYPE_{variable}"), "false");
        }
        let document = output(grype).await;
        let findings = document["matches"].as_array().unwrap().iter().map(|found| {
            let artifact = &found["artifact"];
            let kind = kind(artifact["type"].as_str().unwrap()).unwrap_or("other");
            let (package, version) = (text(&artifact["name"]), text(&artifact["version"]));
            finding(&text(&found["vulnerability"]["id"]), kind, &package, &version)
        });
        Some(findings.collect())
    }

    fn catalog_file(&self, image: &str) -> PathBuf {
        self.folder.path().join(format!("{image}.syft.json"))
    }
}

async fn run(command: Command) -> Vec<u8> {
    let mut command = command;
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

async fn output(command: Command) -> Value {
    serde_json::from_slice(&run(command).await).unwrap()
}

/// The packages of an image as Syft sees them.
pub(super) struct ImageCatalog {
    pub(super) packages: Vec<FoundPackage>,
}

/// A package of an ecosystem that the store claims to know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FoundPackage {
    /// As in package URLs: `deb`, `apk`, `pypi`, `npm`, `cargo`.
    pub(super) kind: &'static str,
    /// Of the distribution, as OSV writes it (`12`, `v3.20`); empty for packages of languages.
    pub(super) release: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
    pub(super) source: String,
    pub(super) source_version: String,
}

impl ImageCatalog {
    /// Reads Syft's own form. A package of a language whose files a package of the distribution owns, as Syft itself says,
    /// is that package and not counted again.
    pub(super) fn read(document: &Value) -> Self {
        let artifacts = document["artifacts"].as_array().unwrap();
        let of_distribution: HashSet<&str> = artifacts
            .iter()
            .filter(|artifact| artifact["type"] == "deb" || artifact["type"] == "apk")
            .map(|artifact| artifact["id"].as_str().unwrap())
            .collect();
        let owned: HashSet<&str> = document["artifactRelationships"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|relationship| relationship["type"] == "ownership-by-file-overlap")
            .filter(|relationship| of_distribution.contains(relationship["parent"].as_str().unwrap()))
            .map(|relationship| relationship["child"].as_str().unwrap())
            .collect();
        let own = artifacts.iter().filter(|artifact| !owned.contains(artifact["id"].as_str().unwrap()));
        let version = document["distro"]["versionID"].as_str().unwrap_or_default();
        Self { packages: own.filter_map(|artifact| FoundPackage::read(artifact, version)).collect() }
    }

    pub(super) fn components(&self) -> Lines {
        self.packages.iter().map(FoundPackage::line).collect()
    }
}

impl FoundPackage {
    fn read(artifact: &Value, distribution_version: &str) -> Option<Self> {
        let kind = kind(artifact["type"].as_str()?)?;
        let metadata = &artifact["metadata"];
        let (name, version) = (text(&artifact["name"]), text(&artifact["version"]));
        let word = |key: &str| metadata[key].as_str().filter(|word| !word.is_empty()).map(str::to_owned);
        let source = word("source").filter(|_| kind == "deb").or_else(|| word("originPackage"));
        let mut numbers = distribution_version.split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        Some(Self {
            kind,
            release: match kind {
                "deb" => major.to_owned(),
                "apk" => format!("v{major}.{minor}"),
                _ => String::new(),
            },
            source: source.unwrap_or_else(|| name.clone()),
            source_version: word("sourceVersion").unwrap_or_else(|| version.clone()),
            architecture: word("architecture").unwrap_or_default(),
            name,
            version,
        })
    }

    fn line(&self) -> String {
        let Self { kind, name, version, architecture, source, source_version, release: _ } = self;
        match *kind {
            "deb" | "apk" => system_component(kind, name, architecture, version, source, source_version),
            "pypi" => format!("pypi {} {version}", python_name(name)),
            "cargo" => format!("crates.io {name} {version}"),
            _ => format!("{kind} {name} {version}"),
        }
    }
}

/// Syft's types in the words of package URLs; `None` for ecosystems that the store does not claim.
fn kind(syft: &str) -> Option<&'static str> {
    match syft {
        "deb" => Some("deb"),
        "apk" => Some("apk"),
        "python" => Some("pypi"),
        "npm" => Some("npm"),
        "rust-crate" => Some("cargo"),
        _ => None,
    }
}

/// How a package of a distribution stands in the comparison of components.
pub(super) fn system_component(
    kind: &str,
    name: &str,
    architecture: &str,
    version: &str,
    source: &str,
    source_version: &str,
) -> String {
    format!("{kind} {name}:{architecture} {version} (source {source} {source_version})")
}

/// How a finding stands in the comparison: the advisory's id first, which has no space.
pub(super) fn finding(advisory: &str, kind: &str, package: &str, version: &str) -> String {
    let package = if kind == "pypi" { python_name(package) } else { package.to_owned() };
    format!("{advisory} {kind} {package} {version}")
}

/// As PyPI compares names.
pub(super) fn python_name(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}
