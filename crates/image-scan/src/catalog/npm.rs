//! `package.json` of npm packages.

use serde::Deserialize;
use serde_json::Value;

use super::{LanguagePackage, text};

#[derive(Deserialize)]
struct Manifest {
    name: Option<Value>,
    version: Option<Value>,
    license: Option<Value>,
}

/// Reads name, version and licence; `None` where the file is not that of a published package (it only sets options for
/// a folder, or is a private one without a version).
///
/// # Errors
/// Why an installed package's manifest cannot be read. Files of the same name elsewhere are often test data and broken on
/// purpose: those give `None`.
pub(super) fn parse(path: &str, bytes: &[u8]) -> Result<Option<LanguagePackage>, String> {
    match read(bytes) {
        Ok(package) => Ok(package),
        Err(_) if !is_package_root(path) => Ok(None),
        Err(why) => Err(why),
    }
}

/// The same for bytes of whatever place.
///
/// # Errors
/// Why they cannot be read.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<LanguagePackage>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
    let (Some(name), Some(version)) = (manifest.name, manifest.version) else { return Ok(None) };
    let name = name.as_str().and_then(text::field).ok_or("its name is not a word")?;
    let version =
        version.as_str().and_then(|version| text::field(version.trim())).ok_or("its version is not a word")?;
    Ok(Some(LanguagePackage { name, version, license: manifest.license.as_ref().and_then(license) }))
}

/// The field is an expression, or in old packages `{"type": …}`.
fn license(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("type")?.as_str()).and_then(text::license)
}

/// `…/node_modules/name/package.json` or `…/node_modules/@scope/name/package.json`.
fn is_package_root(path: &str) -> bool {
    let mut parts = path.rsplit('/').skip(2);
    match parts.next() {
        Some("node_modules") => true,
        Some(scope) => scope.starts_with('@') && parts.next() == Some("node_modules"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_published_packages() {
        let package = parse(
            "node_modules/a/package.json",
            b"\xef\xbb\xbf{\"name\":\"@s/a\",\"version\":\"1.2.3\",\"license\":{\"type\":\"MIT\"}}",
        );
        assert_eq!(
            package,
            Ok(Some(LanguagePackage { name: "@s/a".into(), version: "1.2.3".into(), license: Some("MIT".into()) }))
        );
        assert_eq!(parse("node_modules/a/dist/package.json", b"{\"type\":\"module\"}"), Ok(None));
        assert_eq!(parse("node_modules/a/package.json", b"{\"name\":\"a\",\"private\":true}"), Ok(None));
    }

    #[test]
    fn only_a_packages_own_manifest_has_to_be_readable() {
        for broken in
            [&b"{"[..], b"{\"name\":\"a\",\"name\":\"b\",\"version\":\"1\"}", b"{\"name\":1,\"version\":\"1\"}"]
        {
            assert!(parse("x/node_modules/a/package.json", broken).is_err());
            assert!(parse("x/node_modules/@s/a/package.json", broken).is_err());
            assert_eq!(parse("x/node_modules/a/test/package.json", broken), Ok(None));
        }
        assert!(parse("node_modules/a/package.json", b"{\"name\":\"a\\u0000\",\"version\":\"1\"}").is_err());
    }
}
