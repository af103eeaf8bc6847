//! dpkg's database: `status`, the parts that distroless images have instead, and the lists of installed files.

use super::interest::Interest;
use super::{MAX_PACKAGES, SystemPackage, text};

/// Reads the installed packages of a `status` file.
///
/// # Errors
/// Why it cannot be read; nothing of a broken file counts.
pub(super) fn parse_status(bytes: &[u8]) -> Result<Vec<SystemPackage>, String> {
    let mut packages = Vec::new();
    let mut stanza = Stanza::default();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let at = |problem: &str| format!("line {}: {problem}", number + 1);
        if line.trim_ascii().is_empty() {
            packages.extend(std::mem::take(&mut stanza).finish().map_err(at)?);
            if packages.len() > MAX_PACKAGES {
                return Err(format!("it has more than {MAX_PACKAGES} packages"));
            }
        } else if !matches!(line[0], b' ' | b'\t' | b'#') {
            stanza.add(line).map_err(at)?;
        }
    }
    packages.extend(stanza.finish().map_err(|problem| format!("at the end: {problem}"))?);
    Ok(packages)
}

/// The fields of one package that matter.
#[derive(Default)]
struct Stanza<'a> {
    has_fields: bool,
    package: Option<&'a str>,
    status: Option<&'a str>,
    version: Option<&'a str>,
    architecture: Option<&'a str>,
    source: Option<&'a str>,
}

impl<'a> Stanza<'a> {
    fn add(&mut self, line: &'a [u8]) -> Result<(), &'static str> {
        self.has_fields = true;
        let colon = memchr::memchr(b':', line).ok_or("it is neither a field nor the continuation of one")?;
        // Field names are case-insensitive (deb-control(5)).
        let place = match &*line[..colon].to_ascii_lowercase() {
            b"package" => &mut self.package,
            b"status" => &mut self.status,
            b"version" => &mut self.version,
            b"architecture" => &mut self.architecture,
            b"source" => &mut self.source,
            // Others may be in any encoding.
            _ => return Ok(()),
        };
        let value = std::str::from_utf8(&line[colon + 1..]).map_err(|_| "the field is not UTF-8")?.trim();
        if place.replace(value).is_some() {
            return Err("the field is given twice");
        }
        Ok(())
    }

    /// The package, unless nothing of it is unpacked.
    fn finish(self) -> Result<Option<SystemPackage>, &'static str> {
        if !self.has_fields || !self.status.is_none_or(is_unpacked) {
            return Ok(None);
        }
        let name = self.package.and_then(text::field).ok_or("the package has no name")?;
        let version = self.version.and_then(text::field).ok_or("the package has no version")?;
        let (source_name, source_version) = match self.source {
            None => (name.clone(), version.clone()),
            Some(source) => source_package(source, &version).ok_or("the source package cannot be read")?,
        };
        let architecture = match self.architecture {
            None => String::new(),
            Some(architecture) => text::field(architecture).ok_or("the architecture is not a word")?,
        };
        Ok(Some(SystemPackage { name, version, architecture, source_name, source_version, license: None }))
    }
}

/// `want flag state`: files are there in every state but these two.
fn is_unpacked(status: &str) -> bool {
    !matches!(status.split_ascii_whitespace().nth(2), Some("not-installed" | "config-files"))
}

/// `name` or `name (version)`, the version where it differs from the binary package's.
fn source_package(source: &str, version: &str) -> Option<(String, String)> {
    let (name, version) = match source.split_once('(') {
        None => (source, version),
        Some((name, rest)) => (name, rest.strip_suffix(')')?),
    };
    Some((text::field(name.trim())?, text::field(version.trim())?))
}

/// The Python and npm manifests among the files that a package installed.
pub(super) fn owned_manifests(file_list: &[u8]) -> Vec<String> {
    let lines = file_list.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let paths = lines.map(|line| line.trim().trim_start_matches('/'));
    paths.filter(|path| is_language_manifest(path)).take(MAX_PACKAGES).map(str::to_owned).collect()
}

/// Whether a path that a distribution's package owns is the manifest of a language's package.
pub(super) fn is_language_manifest(path: &str) -> bool {
    !path.contains('\0') && Interest::of(path).is_some_and(Interest::is_language_manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: curl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7.88.1-10+deb12u5\nDescription: gets\n long: text\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: libc6\nStatus: install ok half-configured\nArchitecture: amd64\nMulti-Arch: same\nSource: glibc (2.36-9)\nVersion: 2.36-9+b1\n";

    #[test]
    fn reads_what_is_unpacked_with_its_source() {
        let packages = parse_status(STATUS.as_bytes()).unwrap();
        let facts: Vec<_> =
            packages.iter().map(|p| (&*p.name, &*p.version, &*p.source_name, &*p.source_version)).collect();
        assert_eq!(
            facts,
            [("curl", "7.88.1-10+deb12u5", "curl", "7.88.1-10+deb12u5"), ("libc6", "2.36-9+b1", "glibc", "2.36-9")]
        );
    }

    #[test]
    fn reads_the_parts_of_distroless_images_and_empty_files() {
        assert_eq!(parse_status(b"Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\n").unwrap().len(), 1);
        assert_eq!(parse_status(b""), Ok(Vec::new()));
        assert!(parse_status(b"Package: a\nVersion: 1\nMaintainer: \xe9\n").is_ok());
    }

    #[test]
    fn says_why_a_broken_file_cannot_be_read() {
        for (status, why) in [
            (&b"Package: a\n"[..], "no version"),
            (b"Version: 1\n", "no name"),
            (b"garbage", "neither a field"),
            (b"Package: a\nPackage: b\nVersion: 1\n", "line 2: the field is given twice"),
            (b"Package: a\nVersion: 1\nSource: b (1\n", "source package"),
            (b"Package: a\0\nVersion: 1\n", "no name"),
        ] {
            assert!(parse_status(status).unwrap_err().contains(why), "{why}");
        }
    }

    #[test]
    fn finds_the_manifests_that_a_package_owns() {
        let list = b"/.\n/usr\n/usr/lib/python3/dist-packages/yaml-6.dist-info/METADATA\n/usr/lib/python3/dist-packages/yaml/x.py\n";
        assert_eq!(owned_manifests(list), ["usr/lib/python3/dist-packages/yaml-6.dist-info/METADATA"]);
    }
}
