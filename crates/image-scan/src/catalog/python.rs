//! Core metadata of installed Python distributions (`METADATA`, `PKG-INFO`).

use super::{LanguagePackage, text};

/// Reads name, version and licence from the headers, which end at the first empty line.
///
/// `path` helps where they are missing: the directory of a wheel's metadata is named `name-version.dist-info`.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn parse(path: &str, bytes: &[u8]) -> Result<LanguagePackage, String> {
    let headers = Headers::read(bytes);
    let (named, versioned) = from_directory(path);
    let name = headers.name.or(named).and_then(|name| text::field(&name)).ok_or("it has no name")?;
    let version = headers.version.or(versioned).and_then(|version| text::field(&version)).ok_or("it has no version")?;
    let license = headers.license_expression.or(headers.license).and_then(|license| text::license(&license));
    Ok(LanguagePackage { name, version, license })
}

#[derive(Default)]
struct Headers {
    name: Option<String>,
    version: Option<String>,
    license_expression: Option<String>,
    license: Option<String>,
}

impl Headers {
    fn read(bytes: &[u8]) -> Self {
        let mut headers = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            if line.trim_ascii().is_empty() {
                break;
            }
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let value = || String::from_utf8_lossy(&line[colon + 1..]).trim().to_owned();
            // The first counts, as for the e-mail parser that Python uses. Continued lines start with a space.
            let place = match &*line[..colon].to_ascii_lowercase() {
                b"name" => &mut headers.name,
                b"version" => &mut headers.version,
                b"license-expression" => &mut headers.license_expression,
                b"license" => &mut headers.license,
                _ => continue,
            };
            place.get_or_insert_with(value);
        }
        headers
    }
}

fn from_directory(path: &str) -> (Option<String>, Option<String>) {
    let directory = path.rsplit('/').find_map(|part| part.strip_suffix(".dist-info"));
    match directory.and_then(|stem| stem.split_once('-')) {
        Some((name, version)) => (Some(name.to_owned()), Some(version.to_owned())),
        None => (None, None),
    }
}

/// The name that PyPI compares by (PEP 503): lower case, runs of `-`, `_` and `.` as one hyphen.
pub(crate) fn normalised_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        if !matches!(c, '-' | '_' | '.') {
            normal.extend(c.to_lowercase());
        } else if !normal.ends_with('-') {
            normal.push('-');
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_headers_only() {
        let package = parse(
            "x/Jinja2-2.10.dist-info/METADATA",
            b"Metadata-Version: 2.1\r\nName: Jinja2\r\nVersion: 2.10\r\nLicense: BSD\r\n\r\nName: other\r\n",
        )
        .unwrap();
        assert_eq!((&*package.name, &*package.version, package.license.as_deref()), ("Jinja2", "2.10", Some("BSD")));
        let package =
            parse("x", b"Name: a\nVersion: 1\nLicense: UNKNOWN\nLicense-Expression: MIT OR Apache-2.0\n").unwrap();
        assert_eq!(package.license.as_deref(), Some("MIT OR Apache-2.0"));
    }

    #[test]
    fn falls_back_to_the_directory_and_else_says_why() {
        let package = parse("x/a_b-1.0.post1.dist-info/METADATA", b"").unwrap();
        assert_eq!((&*package.name, &*package.version), ("a_b", "1.0.post1"));
        assert_eq!(parse("x/a.egg-info/PKG-INFO", b"Name: a\n"), Err("it has no version".to_owned()));
        assert_eq!(parse("x/a.egg-info/PKG-INFO", b"Name: a\0b\nVersion: 1\n"), Err("it has no name".to_owned()));
    }

    #[test]
    fn normalises_names_as_pypi_does() {
        assert_eq!(normalised_name("Foo.-_Bar__baz"), "foo-bar-baz");
    }
}
